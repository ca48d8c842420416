package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Limits of a request with run events.
const (
	maxEventsBody = 64 << 20 // bytes
	maxEvents     = 100_000
	// for Kafka to take an event, and to acknowledge the last one; clients and proxies wait longer
	publishTimeout = 20 * time.Second
	// A request with an event of more than smallEvent bytes takes eventCopies times the bytes of the
	// largest event from the memory budget: the event is read into a buffer that grows, its documents are
	// copied without white space, and its keys compared. The rest of its body must arrive within
	// largeTimeout.
	smallEvent   = 1 << 20
	eventCopies  = 4
	largeTimeout = 2 * time.Minute
	// A request with more than manyEvents events takes the same bytes, for its results.
	manyEvents = 5000
)

// wrongWorkspace is the code of an event of another workspace than the caller's. The other codes
// are those of dead letters.
const wrongWorkspace = "wrong_workspace"

// Published is the answer to a request with run events.
type Published struct {
	Accepted int             `json:"accepted" doc:"Events that Kafka has acknowledged."`
	Refused  int             `json:"refused" doc:"Events that break a rule: change them."`
	Failed   int             `json:"failed" doc:"Events that Kafka has not acknowledged: send them again."`
	Results  []PublishResult `json:"results" doc:"One for each event, in the order of the body."`
}

// PublishResult is the result of one event.
type PublishResult struct {
	Line    int    `json:"line" doc:"Line of the body, or number of the element of the array; from 1."`
	Status  string `json:"status" enum:"accepted,refused,failed"`
	Code    string `json:"code,omitempty" doc:"Why it was refused or failed." example:"missing_field"`
	Pointer string `json:"pointer,omitempty" doc:"JSON pointer of the field." example:"/run_id"`
	Detail  string `json:"detail,omitempty" doc:"What to change."`
}

// PublishProblem is the answer if no event was accepted, or one failed.
type PublishProblem struct {
	Problem
	Published
}

func (a *API) registerPublish() {
	op := huma.Operation{
		OperationID: publishOperation, Method: http.MethodPost, Path: "/v1/runs", Summary: "Publish run events",
		Tags: []string{"Runs"},
		Description: fmt.Sprintf("Runs, node runs and feedback, for producers without a Kafka client: one event, an array, "+
			"or with `Content-Type: application/x-ndjson` one a line; up to %d events and %d MiB. "+
			"Each is a CloudEvent in structured mode, or bare JSON with its `type` beside the data's keys, of the caller's "+
			"workspace. The answer has a result for each: `accepted` is what Kafka has acknowledged. "+
			"Publishing an event again changes nothing.", maxEvents, maxEventsBody>>20),
		Security: requireScope(auth.RunsWrite), Errors: []int{400, 401, 403, 413, 415, 422, 503},
	}
	registry := a.api.OpenAPI().Components.Schemas
	published := registry.Schema(reflect.TypeFor[Published](), true, "Published")
	op.Responses = map[string]*huma.Response{
		"200": {Description: "All were accepted", Content: map[string]*huma.MediaType{
			"application/json": {Schema: published}}},
		"207": {Description: "Some were accepted, and some refused",
			Content: map[string]*huma.MediaType{"application/json": {Schema: published}}},
	}
	huma.Register(a.api, op, func(_ context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			a.publish(w, r.WithContext(ctx.Context()))
		}}, nil
	})
	refused := &huma.Schema{AnyOf: []*huma.Schema{ // a problem before the body is read has no results
		registry.Schema(reflect.TypeFor[PublishProblem](), true, "PublishProblem"),
		registry.Schema(reflect.TypeFor[Problem](), true, "Problem"),
	}}
	for _, status := range []string{"400", "403", "413", "415", "422", "429", "503"} { // replaces what huma made of Errors
		op.Responses[status] = &huma.Response{Description: "No event was accepted, or not all that could be",
			Content: map[string]*huma.MediaType{"application/problem+json": {Schema: refused}}}
	}
	a.describeEvents(op.Path)
}

func (a *API) publish(w http.ResponseWriter, r *http.Request) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.ContentLength > maxEventsBody {
		problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("a body may have %d MiB: send several", maxEventsBody>>20)).
			write(w)
		return
	}
	p := &publishing{api: a, workspace: auth.From(r.Context()).Workspace,
		checker: kafka.Checker{Source: eventSource, Limits: a.cfg.Limits}, release: func() {}}
	// events that were read are published although the client hangs up
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	defer p.cancel()
	defer func() { p.release() }()
	p.body = timedBody{Reader: http.MaxBytesReader(w, r.Body, maxEventsBody), control: http.NewResponseController(w),
		began: time.Now()}
	body := &p.body
	switch {
	case err != nil:
		err = problem(http.StatusUnsupportedMediaType, unsupported)
	case media == "application/x-ndjson" || media == "application/jsonl" || media == "application/x-jsonlines":
		err = p.lines(bufio.NewReaderSize(body, 64<<10))
	case media == "application/json" || media == "application/cloudevents+json" ||
		media == "application/cloudevents-batch+json":
		err = p.values(bufio.NewReaderSize(body, 64<<10))
	default:
		err = problem(http.StatusUnsupportedMediaType, unsupported)
	}
	p.finish(w, err)
}

const unsupported = "send run events as Content-Type: application/json (one event or an array), " +
	"application/cloudevents+json, or application/x-ndjson (one a line)"

// eventSource is the CloudEvents source of events without one.
const eventSource = "millrace/serve"

// timedBody ends the reading if the client sends nothing for silenceTimeout, or sends too slowly.
type timedBody struct {
	io.Reader
	control *http.ResponseController
	began   time.Time
	read    int64     // bytes
	end     time.Time // of the reading; zero: none
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	deadline := time.Now().Add(silenceTimeout)
	if last := transferEnd(b.began, b.read); last.Before(deadline) {
		deadline = last
	}
	if !b.end.IsZero() && b.end.Before(deadline) {
		deadline = b.end
	}
	b.control.SetReadDeadline(deadline) //nolint:errcheck // a test's writer has none
	n, err := b.Reader.Read(p)
	b.read += int64(n)
	return n, err
}

// publishing is the publishing of one request.
type publishing struct {
	api       *API
	ctx       context.Context //nolint:containedctx // of the records in flight
	cancel    context.CancelFunc
	workspace string
	checker   kafka.Checker
	body      timedBody
	large     bool   // the request holds bytes of the budget
	release   func() // gives them back
	wait      sync.WaitGroup

	mu      sync.Mutex
	results []PublishResult
	foreign int   // events of other workspaces
	stopped error // why Kafka does not take more events
}

// errTooMany ends the reading of a body.
var errTooMany = fmt.Errorf("a request may have %d events: send the rest in another", maxEvents)

// lines publishes one event a line. A line that cannot be read is refused, and the next ones are
// read.
func (p *publishing) lines(r *bufio.Reader) error {
	for number := 1; ; number++ {
		line, size, err := p.api.cfg.Limits.ReadLine(r, p.holdLarge)
		switch tooLarge := p.api.cfg.Limits.CheckValue(size); {
		case tooLarge != nil && line == nil:
			p.refuse(number, tooLarge)
		case len(bytes.TrimSpace(line)) > 0:
			if err := p.event(number, bytes.TrimSpace(line)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// holdLarge calls hold once an event is large.
func (p *publishing) holdLarge(size int64) error {
	if size <= smallEvent {
		return nil
	}
	return p.hold()
}

// hold takes the bytes of a large event from the budget, once a request.
func (p *publishing) hold() error {
	if p.large {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, publishTimeout)
	defer cancel()
	release, err := p.api.cfg.Budget.Acquire(ctx, eventCopies*int64(p.api.cfg.Limits.MaxValue()))
	if err != nil {
		return problem(http.StatusServiceUnavailable, "too many requests with large events at a time: try again")
	}
	p.large, p.release, p.body.end = true, release, time.Now().Add(largeTimeout)
	return nil
}

// event publishes or refuses one event. It keeps text. An error ends the request.
func (p *publishing) event(number int, text []byte) error {
	p.mu.Lock()
	n, stopped := len(p.results), p.stopped
	p.mu.Unlock()
	switch {
	case stopped != nil:
		return stopped
	case n == maxEvents:
		return errTooMany
	case n >= manyEvents:
		if err := p.hold(); err != nil {
			return err
		}
	}
	record, decoded, err := p.checker.Record(text)
	if err == nil && decoded.Workspace() != p.workspace {
		p.foreign++
		err = &strictjson.Refusal{Code: wrongWorkspace, Pointer: "/workspace_id", Rule: "is not the caller's workspace"}
	}
	if err != nil {
		p.refuse(number, err)
		return nil
	}
	record.Topic = p.api.cfg.TopicPrefix + event.TopicRuns
	p.mu.Lock()
	i := len(p.results)
	p.results = append(p.results, PublishResult{Line: number, Status: "failed", Code: "unavailable",
		Detail: "Kafka has not acknowledged it: send it again"})
	p.mu.Unlock()
	p.wait.Add(1)
	// If Kafka is gone, the buffer of the producer fills up, and Produce waits for room that never
	// comes.
	defer time.AfterFunc(publishTimeout, p.cancel).Stop()
	p.api.cfg.Producer.Produce(p.ctx, record, func(_ *kgo.Record, err error) {
		defer p.wait.Done()
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil {
			p.results[i] = PublishResult{Line: number, Status: "accepted"}
			return
		}
		if errors.Is(err, kerr.MessageTooLarge) { // and the next one may be smaller
			p.results[i] = PublishResult{Line: number, Status: "refused", Code: string(strictjson.TooLarge),
				Detail: "Kafka does not take an event of this size: `millrace topics` raises max.message.bytes of its topic"}
			p.api.cfg.Log.Warn("Kafka refused an event because of its size: run `millrace topics`, which raises "+
				"max.message.bytes", "topic", record.Topic, "bytes", len(record.Value), "error", err)
			return
		}
		if p.stopped == nil {
			p.stopped = err
			p.api.cfg.Log.Warn("cannot publish run events: Kafka does not acknowledge them", "error", err)
		}
	})
	return nil
}

func (p *publishing) refuse(number int, err error) {
	result := PublishResult{Line: number, Status: "refused", Detail: err.Error()}
	var refusal *strictjson.Refusal
	if errors.As(err, &refusal) {
		result.Code, result.Pointer, result.Detail = string(refusal.Code), refusal.Pointer, refusal.Rule
	}
	p.mu.Lock()
	p.results = append(p.results, result)
	p.mu.Unlock()
}
