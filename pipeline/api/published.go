package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// finish waits for Kafka, and answers. Err is the reason if the body was not read to its end.
func (p *publishing) finish(w http.ResponseWriter, err error) {
	acknowledged := make(chan struct{})
	go func() { p.wait.Wait(); close(acknowledged) }()
	timeout := publishTimeout
	if p.ctx.Err() != nil { // publishTimeout has passed already
		timeout = time.Second
	}
	select {
	case <-acknowledged:
	case <-time.After(timeout): // records in flight count as failed, and may arrive all the same
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	body := Published{Results: []PublishResult{}}
	for _, r := range p.results {
		switch r.Status {
		case "accepted":
			body.Accepted++
		case "refused":
			body.Refused++
		default:
			body.Failed++
		}
	}
	status := http.StatusOK
	if trouble := p.trouble(&body, err); trouble != nil {
		p.write(w, trouble.Status, trouble, PublishProblem{*trouble, body})
		return
	}
	if body.Refused > 0 {
		status = http.StatusMultiStatus
	}
	p.write(w, status, nil, body)
}

// trouble returns the problem of a request that was not carried out, and nil if all events were
// accepted or refused.
func (p *publishing) trouble(body *Published, err error) *Problem {
	var tooLarge *http.MaxBytesError
	var known *Problem
	switch {
	case errors.As(err, &known):
		return known
	case body.Failed > 0:
		return problem(http.StatusServiceUnavailable,
			"Kafka has not acknowledged all events: send those again whose status is failed")
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge,
			fmt.Sprintf("a body may have %d MiB: send the events after those in results in another request", maxEventsBody>>20))
	case errors.Is(err, errTooMany):
		return problem(http.StatusRequestEntityTooLarge, err.Error())
	case err != nil:
		return problem(http.StatusBadRequest, "the body ended early: results has the events that were read")
	case len(p.results) == 0:
		return problem(http.StatusUnprocessableEntity, "the body has no events")
	case body.Accepted == 0 && p.foreign == len(p.results):
		return problem(http.StatusForbidden, "the events are of another workspace than the caller's")
	case body.Accepted == 0:
		first := p.results[0]
		return problem(http.StatusUnprocessableEntity, "no event was accepted: change what results names",
			Mistake{Detail: first.Detail, Pointer: first.Pointer, Code: first.Code})
	}
	return nil
}

// write answers with a body whose last field are the results, which are written one by one: all of them
// may be much longer as JSON.
func (p *publishing) write(w http.ResponseWriter, status int, trouble *Problem, body any) {
	w.Header().Set("Content-Type", "application/json")
	if trouble != nil {
		for name, values := range trouble.GetHeaders() {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", trouble.ContentType(""))
	}
	w.WriteHeader(status)
	out := bufio.NewWriterSize(w, 32<<10)
	defer out.Flush() //nolint:errcheck // the client is gone
	text, err := json.Marshal(body)
	if err != nil {
		return // no body has what JSON has not
	}
	out.Write(bytes.TrimSuffix(text, []byte("]}"))) //nolint:errcheck // as above
	encoder := json.NewEncoder(out)
	for i, r := range p.results {
		if i > 0 {
			out.WriteByte(',') //nolint:errcheck // as above
		}
		if encoder.Encode(r) != nil {
			return
		}
	}
	out.WriteString("]}\n")
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
