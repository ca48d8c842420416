package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/export"
)

// keepAlive is how often an idle stream sends a comment, so that no proxy closes it.
const keepAlive = 15 * time.Second

// lookAgain is how often a stream looks whether its token was revoked. Together with what another server
// takes to know of it, this is five seconds at most.
const lookAgain = time.Second

func (a *API) registerEvents() {
	op := huma.Operation{
		OperationID: watchOperation, Method: http.MethodGet, Path: "/v1/exports/{id}/events", Summary: "Watch an export",
		Tags: []string{"Exports"},
		Description: "Server-sent events. The first has the present state of the export. Each `progress` has the data of " +
			"the event `dev.millrace.export.progressed.v1`, " +
			"and `completion`, the last one, that of `dev.millrace.export.completed.v1`. A client that connects again after " +
			"the completion is answered with 204, which tells it to stop.",
		Security: requireScope(auth.ExportsRead), Errors: []int{401, 403, 404, 422, 503}, RejectUnknownQueryParameters: true,
		Responses: map[string]*huma.Response{
			"200": {Description: "Events until the export has ended", Content: map[string]*huma.MediaType{
				"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}},
			"204": {Description: "The client has received the completion before"},
		},
	}
	huma.Register(a.api, op, func(ctx context.Context, in *struct {
		ExportPath
		LastEventID string `header:"Last-Event-ID" maxLength:"255"`
	}) (*huma.StreamResponse, error) {
		id := exportID(ctx, in.ID)
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			_, w := humago.Unwrap(ctx)
			if expires := auth.From(ctx.Context()).Expires; !expires.IsZero() { // its client needs another token
				until, cancel := context.WithDeadline(ctx.Context(), expires)
				defer cancel()
				ctx = huma.WithContext(ctx, until)
			}
			a.stream(ctx.Context(), w, id, in.LastEventID)
		}}, nil
	})
	a.schemaOf("Progress", export.TypeProgressed, nil)
	a.schemaOf("Completion", export.TypeCompleted, nil)
}

// stream sends states until the final one, and comments while nothing changes. seen is the id of
// the last event that the client has received.
func (a *API) stream(ctx context.Context, w http.ResponseWriter, id export.ID, seen string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.stopping, cancel)()
	control := http.NewResponseController(w)
	a.metrics.streams.Inc()
	defer a.metrics.streams.Dec()
	began, sent := false, time.Now()
	for state, err := range a.exports.Watch(ctx, id, lookAgain) {
		switch {
		case a.auth.IsRevoked(auth.From(ctx)):
			return
		case err != nil && !began:
			a.toProblem(ctx, err).write(w)
			return
		case err != nil:
			return // the client connects again
		case !began && state != nil && state.Status.Final() && seen == id.CompletionID():
			w.WriteHeader(http.StatusNoContent)
			return
		case !began:
			began = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
			if t, ok := w.(*timedWriter); ok {
				t.endless = true
			}
			fmt.Fprint(w, "retry: 2000\n\n")
		case state == nil && time.Since(sent) < keepAlive:
			continue
		}
		sent = time.Now()
		if send(w, state) != nil || control.Flush() != nil {
			return
		}
	}
}

// send writes a state as an event, or a comment if the state is nil. Only the completion has an id:
// a client that connects again sends the id back.
func send(w http.ResponseWriter, state *export.State) error {
	if state == nil {
		_, err := fmt.Fprint(w, ": still here\n\n")
		return err
	}
	name, data, head := "progress", any(export.Progress{State: *state}), ""
	if state.Status.Final() {
		name, data, head = "completion", export.Completion{State: *state}, "id: "+state.CompletionID()+"\n"
	}
	text, err := json.Marshal(data)
	if err == nil {
		_, err = fmt.Fprintf(w, "%sevent: %s\ndata: %s\n\n", head, name, text)
	}
	return err
}
