package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/share"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Problem is the body of every answer that is an error, as application/problem+json (RFC 9457).
type Problem struct {
	Title  string    `json:"title" doc:"The kind of problem." example:"Unprocessable Entity"`
	Status int       `json:"status" doc:"The HTTP status." example:"422"`
	Detail string    `json:"detail,omitempty" doc:"What is wrong, and what to change."`
	Errors []Mistake `json:"errors,omitempty" maxItems:"100" doc:"Everything that is wrong with the request; the first 100, if there is more."`

	retryAfter int    // seconds; 0 = no header
	challenge  string // WWW-Authenticate of a 401; "" = a plain one
}

// Mistake is one error of a request.
type Mistake struct {
	Detail    string `json:"detail" doc:"What to change."`
	Pointer   string `json:"pointer,omitempty" doc:"JSON pointer (RFC 6901) of the field in the body." example:"/selection/limit"`
	Parameter string `json:"parameter,omitempty" doc:"Name of the query parameter, header or part of the path that is wrong."`
	Code      string `json:"code,omitempty" doc:"Code of the rule." example:"out_of_range"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", cmp.Or(p.challenge, `Bearer realm="millrace"`))
	}
	return h
}

func problem(status int, detail string, mistakes ...Mistake) *Problem {
	p := &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: mistakes}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		p.retryAfter = 1
	}
	return p
}

// maxErrors is how many mistakes a problem lists. A client may make any number.
const maxErrors = export.MaxMistakes

// add adds a mistake, unless there are too many.
func (p *Problem) add(m Mistake) {
	switch {
	case len(p.Errors) < maxErrors:
		p.Errors = append(p.Errors, m)
	case !strings.HasSuffix(p.Detail, onlyFirst):
		p.Detail += onlyFirst
	}
}

var onlyFirst = fmt.Sprintf("; errors has the first %d", maxErrors)

// restTimeout is how long a refusal waits for the rest of the body, after which the client reads it.
const restTimeout = 5 * time.Second

// write answers with the problem, outside of huma.
func (p *Problem) write(w http.ResponseWriter) {
	//nolint:errcheck // a writer of tests has no deadline
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(restTimeout))
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) //nolint:errcheck // the client is gone
}

// humaProblem returns the problem of a request that huma refuses.
func humaProblem(status int, detail string, errs ...error) huma.StatusError {
	p := problem(status, detail)
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) {
			p.add(mistake(d.ErrorDetail()))
		} else if err != nil {
			p.add(Mistake{Detail: err.Error()})
		}
	}
	return p
}

// mistake turns a place such as body.selection.run_ids[3] or query.limit into a pointer or a
// parameter. It leaves out the value, which may be secret.
func mistake(d *huma.ErrorDetail) Mistake {
	place, name, _ := strings.Cut(d.Location, ".")
	if place != "body" {
		name, _, _ = strings.Cut(name, "[") // the index in a list with commas
		return Mistake{Detail: d.Message, Parameter: name}
	}
	pointer := "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(name)
	return Mistake{Detail: d.Message, Pointer: strings.TrimSuffix(pointer, "/")}
}

// refused returns the problem of a body that breaks a rule.
func refused(err error) *Problem {
	var mistakes export.Mistakes
	var refusal *strictjson.Refusal
	switch {
	case errors.As(err, &mistakes):
		p := problem(http.StatusUnprocessableEntity, "the request is not valid: change what errors names")
		for _, m := range mistakes {
			p.add(Mistake{Detail: m.Message, Pointer: m.Pointer, Code: m.Code})
		}
		if len(mistakes) >= export.MaxMistakes { // there may be more
			p.Detail += onlyFirst
		}
		return p
	case errors.As(err, &refusal):
		status := http.StatusUnprocessableEntity
		switch refusal.Code {
		case strictjson.InvalidJSON, strictjson.InvalidUTF8, strictjson.DuplicateKey:
			status = http.StatusBadRequest
		case strictjson.TooLarge:
			status = http.StatusRequestEntityTooLarge
		}
		return problem(status, "the body is refused: "+refusal.Detail(), Mistake{Detail: refusal.Rule,
			Pointer: refusal.Pointer, Code: string(refusal.Code)})
	}
	return problem(http.StatusUnprocessableEntity, err.Error())
}

// toError maps an error as toProblem does, and returns nil for nil.
func (a *API) toError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return a.toProblem(ctx, err)
}

// toProblem maps an internal error to an HTTP problem. Unexpected errors are logged, not shown.
func (a *API) toProblem(ctx context.Context, err error) *Problem {
	var noData *files.NoData
	var split *files.UnknownSplit
	var p *Problem
	var busy *share.Busy
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &busy):
		p = problem(http.StatusTooManyRequests, busy.Error())
		p.retryAfter = int(math.Ceil(busy.RetryAfter.Seconds()))
		return p
	case errors.Is(err, budget.ErrBusy):
		p = problem(http.StatusServiceUnavailable, err.Error())
		p.retryAfter = int(budget.Patience.Seconds()) / 4
		return p
	case errors.Is(err, live.ErrNotFound), errors.Is(err, files.ErrNotFound):
		return problem(http.StatusNotFound, "there is no such export in this workspace")
	case errors.Is(err, history.ErrNotFound):
		return problem(http.StatusNotFound, "there is no such run or app in this workspace")
	case errors.Is(err, history.ErrTooSlow):
		return problem(http.StatusServiceUnavailable, history.ErrTooSlow.Error())
	case errors.Is(err, live.ErrCursor), errors.Is(err, history.ErrCursor):
		return problem(http.StatusUnprocessableEntity, "the cursor is not one of this listing",
			Mistake{Parameter: "cursor", Detail: "is not a cursor of this listing: start without one"})
	case errors.Is(err, live.ErrConflict):
		return problem(http.StatusConflict, "another export has this id",
			Mistake{Pointer: "/export_id", Code: string(strictjson.ExportIDConflict),
				Detail: "belongs to a request that asks for something else: choose another export_id, or another Idempotency-Key"})
	case errors.Is(err, live.ErrTooMany):
		return problem(http.StatusTooManyRequests, "the workspace has too many exports", Mistake{Code: export.TooMany,
			Detail: live.ErrTooMany.Error() + ": wait until some have ended, or cancel some"})
	case errors.Is(err, live.ErrEnded):
		return problem(http.StatusConflict, err.Error())
	case errors.As(err, &split):
		return problem(http.StatusUnprocessableEntity, "there is no such split",
			Mistake{Parameter: "split", Detail: split.Error()})
	case errors.Is(err, files.ErrRunning):
		return problem(http.StatusConflict, "the export is still running: wait for its completion, or cancel it")
	case errors.Is(err, files.ErrDeleted):
		return problem(http.StatusGone, "the export's files were deleted")
	case errors.As(err, &noData):
		return problem(http.StatusConflict, noData.Error())
	case errors.Is(err, audit.ErrNotWritten):
		return problem(http.StatusServiceUnavailable,
			"the trail of downloads cannot be written, and without an entry nothing is handed out: try again")
	case errors.Is(err, live.ErrNotAcknowledged), errors.Is(err, live.ErrBehind):
		a.cfg.Log.Warn("Kafka does not answer", "error", err)
		return problem(http.StatusServiceUnavailable,
			"Kafka has not acknowledged it: ask again, with the same export_id or Idempotency-Key")
	case ctx.Err() != nil:
		return problem(http.StatusServiceUnavailable, "the request took too long, or the client gave up")
	}
	a.cfg.Log.Error("a request failed", "error", err)
	return problem(http.StatusServiceUnavailable,
		"Kafka, ClickHouse or the object store does not answer as it should: try again; the server's log has the reason")
}
