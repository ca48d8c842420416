package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/runs"
)

// trail is the answer of the route of a trail.
type trail struct {
	Entries []audit.Entry `json:"entries" doc:"The newest first."`
}

func (a *API) registerAudit() {
	huma.Register(a.api, huma.Operation{
		OperationID: "get-export-audit", Method: http.MethodGet, Path: "/v1/exports/{id}/audit",
		Summary: "Get the trail of an export", Tags: []string{"Exports"},
		Description: "Who filed, cancelled, viewed, downloaded or deleted it, when and from where. An entry is there " +
			"about a second after it was made.",
		Security: requireScope(auth.ExportsRead), Errors: []int{401, 403, 404, 422, 503}, RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *struct {
		ExportPath
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}) (*struct{ Body *trail }, error) {
		id := exportID(ctx, in.ID)
		if _, err := a.exports.Get(ctx, id); err != nil {
			return nil, a.toError(ctx, err)
		}
		entries, err := a.audit.OfExport(ctx, id, in.Limit)
		return &struct{ Body *trail }{&trail{entries}}, a.toError(ctx, err)
	})
}

// note writes an entry of the trail about a call that ended with err, and returns the problem of err.
// What is not there leaves no entry.
func (a *API) note(ctx context.Context, e audit.Entry, err error) error {
	if err == nil {
		a.cfg.Trail.Note(e)
		return nil
	}
	p := a.toProblem(ctx, err)
	if e.Outcome = outcome(p.Status); p.Status != http.StatusNotFound {
		a.cfg.Trail.Note(e)
	}
	return p
}

// about returns an entry of the trail about an export of the caller.
func about(ctx context.Context, id export.ID, action, operation string) audit.Entry {
	e := auth.From(ctx).Entry(action, operation)
	e.ExportID = id.ExportID
	return e
}

// downloaded writes an entry of the trail about a file that is handed out now, or a URL of it, and
// waits for it. After an error nothing may be handed out.
func (a *API) downloaded(ctx context.Context, id export.ID, file, operation, outcome string) error {
	e := about(ctx, id, audit.Downloaded, operation)
	e.File, e.Outcome = file, outcome
	return a.cfg.Trail.Write(ctx, e)
}

// refuse counts a refused call for the trail. Caller is nil if it is not known.
func (a *API) refuse(r *http.Request, caller *auth.Caller, op *huma.Operation, status int) {
	if caller == nil {
		caller = &auth.Caller{Address: auth.Address(r)}
	}
	e := caller.Entry(audit.Refused, op.OperationID)
	e.Outcome = outcome(status)
	id := r.PathValue("id")
	switch {
	case !runs.ValidID(id):
	case strings.HasPrefix(op.Path, "/v1/exports/"):
		e.ExportID = id
	case strings.HasPrefix(op.Path, "/v1/runs/"):
		e.RunID = id
	}
	a.cfg.Trail.Refuse(e)
}

// outcome is the name of a status in the trail, such as forbidden.
func outcome(status int) string {
	return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
}
