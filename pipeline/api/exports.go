package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// maxRequest is the size of a request in bytes: 10,000 run ids have 1.3 MB.
const maxRequest = 4 << 20

// dryRunRows is how many rows a dry run reads.
const dryRunRows = 1000

// ExportPath is the path parameter of routes about one export.
type ExportPath struct {
	ID string `path:"id" doc:"The export's id." pattern:"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$" example:"0192f0c1-7a5e-7c3b-9d4e-1f2a3b4c5d6e"`
}

type fileExport struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]*$" doc:"A value that is new for each export: the same key again is the same export."`
	TraceParent    string `header:"Traceparent" maxLength:"255" doc:"W3C trace context, carried to the completion."`
	ContentType    string `header:"Content-Type" hidden:"true"`
	RawBody        []byte
}

type filedExport struct {
	Location   string `header:"Location" doc:"Where the export is."`
	RetryAfter int    `header:"Retry-After" doc:"Seconds until the next state is worth asking for."`
	Body       *live.Export
}

func (a *API) registerExports() {
	file := huma.Operation{
		OperationID: "file-export", Method: http.MethodPost, Path: "/v1/exports", Summary: "File an export request",
		Tags: []string{"Exports"},
		Description: "Files the request with Kafka, like any other producer, and answers when Kafka has acknowledged it. " +
			"The body is the request event's data; " +
			"`export_id` may be left out, and is then a new UUIDv7, or follows from `Idempotency-Key`; `workspace_id` may be " +
			"left out, and is the caller's.",
		Security: requireScope(auth.ExportsWrite), DefaultStatus: http.StatusAccepted, MaxBodyBytes: maxRequest,
		BodyReadTimeout: bodyTimeout,
		Errors:          []int{400, 401, 403, 409, 413, 415, 422, 429, 503},
	}
	huma.Register(a.api, file, func(ctx context.Context, in *fileExport) (*filedExport, error) {
		request, document, err := parseRequest(ctx, in)
		if err != nil {
			return nil, err
		}
		x, err := a.exports.File(ctx, request, document, in.TraceParent)
		e := about(ctx, request.ID, audit.Filed, file.OperationID)
		e.OnBehalfOf = request.OnBehalfOf
		if err := a.note(ctx, e, err); err != nil {
			return nil, err
		}
		return &filedExport{Location: "/v1/exports/" + x.ExportID, RetryAfter: 1, Body: x}, nil
	})
	a.describeRequest(file.Path)

	try := huma.Operation{
		OperationID: tryOperation, Method: http.MethodPost, Path: "/v1/exports/dry-run", Summary: "Try an export request",
		Tags: []string{"Exports"},
		Description: fmt.Sprintf("Estimates an export and writes nothing: how many rows are selected, and "+
			"of the most recent %d what becomes of them, with the first records as they would be written.", dryRunRows),
		Security: requireScope(auth.ExportsWrite), MaxBodyBytes: maxRequest, BodyReadTimeout: bodyTimeout,
		Errors: []int{400, 401, 403, 413, 415, 422, 503},
	}
	huma.Register(a.api, try, func(ctx context.Context, in *struct {
		ContentType string `header:"Content-Type" hidden:"true"`
		RawBody     []byte
	}) (*struct{ Body *dryrun.DryRun }, error) {
		request, _, err := parseRequest(ctx, &fileExport{ContentType: in.ContentType, RawBody: in.RawBody})
		if err != nil {
			return nil, err
		}
		d, err := Try(ctx, a.dsn, request)
		var why *export.Error
		if errors.As(err, &why) {
			return nil, problem(http.StatusUnprocessableEntity, why.Message, Mistake{Detail: why.Message, Pointer: why.Pointer,
				Code: why.Code})
		}
		return &struct{ Body *dryrun.DryRun }{d}, a.toError(ctx, err)
	})
	a.describeRequest(try.Path)
	a.registerExportReads()
	a.registerExportEnds()
}

// Try finds out what a request would come to, of the API or of a form.
func Try(ctx context.Context, dsn *clickhouse.DSN, request *export.Request) (*dryrun.DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, dryRunTimeout)
	defer cancel()
	return dryrun.Run(ctx, dsn, request, dryRunRows)
}

func (a *API) registerExportReads() {
	huma.Register(a.api, huma.Operation{
		OperationID: "list-exports", Method: http.MethodGet, Path: "/v1/exports", Summary: "List exports",
		Tags: []string{"Exports"},
		Description: "Newest first, a page at a time, with every export that was filed before the call, wherever it was " +
			"filed.",
		Security: requireScope(auth.ExportsRead), Errors: []int{401, 403, 422, 503}, RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *struct {
		Source  string   `query:"source" enum:"copilot,recipe"`
		AppID   string   `query:"app_id" pattern:"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$"`
		Purpose string   `query:"purpose" enum:"export_dataset,recipe_evaluation,node_evaluation,node_optimization,fine_tuning"`
		Status  []string `query:"status" enum:"accepted,running,succeeded,failed,cancelled" doc:"One or several, with commas."`
		Cursor  string   `query:"cursor" maxLength:"512" doc:"The value of next in the page before."`
		Limit   int      `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}) (*struct{ Body *live.Page }, error) {
		page, err := a.exports.List(ctx, live.Query{
			Workspace: auth.From(ctx).Workspace, Source: in.Source, AppID: in.AppID, Purpose: in.Purpose, Status: in.Status,
			Cursor: in.Cursor, Limit: in.Limit,
		})
		return &struct{ Body *live.Page }{page}, a.toError(ctx, err)
	})
	huma.Register(a.api, huma.Operation{
		OperationID: "get-export", Method: http.MethodGet, Path: "/v1/exports/{id}", Summary: "Get an export",
		Tags:        []string{"Exports"},
		Description: "The present state: the fields of the view `exports`.",
		Security:    requireScope(auth.ExportsRead), Errors: []int{401, 403, 404, 422, 503},
		RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *ExportPath) (*struct{ Body *live.Export }, error) {
		x, err := a.exports.Get(ctx, exportID(ctx, in.ID))
		return &struct{ Body *live.Export }{x}, a.toError(ctx, err)
	})
}

func (a *API) registerExportEnds() {
	huma.Register(a.api, huma.Operation{
		OperationID: "cancel-export", Method: http.MethodPost, Path: "/v1/exports/{id}/cancel", Summary: "Cancel an export",
		Tags: []string{"Exports"},
		Description: "Asks for the end of a running export. It ends as `cancelled`, unless it succeeds or fails first. " +
			"Cancelling again changes nothing.",
		Security: requireScope(auth.ExportsWrite), DefaultStatus: http.StatusAccepted, Errors: []int{401, 403, 404, 409, 422,
			503},
	}, func(ctx context.Context, in *ExportPath) (*struct{ Body *live.Export }, error) {
		id := exportID(ctx, in.ID)
		x, err := a.exports.Cancel(ctx, id, auth.From(ctx).Subject)
		return &struct{ Body *live.Export }{x}, a.note(ctx, about(ctx, id, audit.Cancelled, "cancel-export"), err)
	})
	huma.Register(a.api, huma.Operation{
		OperationID: "delete-export", Method: http.MethodDelete, Path: "/v1/exports/{id}",
		Summary: "Delete the files of an export", Tags: []string{"Exports"},
		Description: "Deletes the files of an export that has ended. Its plan and its manifest stay. Deleting again " +
			"changes nothing.",
		Security: requireScope(auth.ExportsWrite), DefaultStatus: http.StatusNoContent, Errors: []int{401, 403, 404, 409, 422,
			503},
	}, func(ctx context.Context, in *ExportPath) (*struct{}, error) {
		id := exportID(ctx, in.ID)
		err := a.exports.Delete(ctx, id, auth.From(ctx).Subject)
		return nil, a.note(ctx, about(ctx, id, audit.Deleted, "delete-export"), err)
	})
}

// parseRequest parses a request, and sets the ids and the requester where the body does not have
// them.
func parseRequest(ctx context.Context, in *fileExport) (*export.Request, []byte, error) {
	if media, _, err := mime.ParseMediaType(in.ContentType); err != nil || media != "application/json" {
		return nil, nil, problem(http.StatusUnsupportedMediaType, "send the request as Content-Type: application/json")
	}
	fields, err := fieldsOf(in.RawBody)
	if err != nil {
		return nil, nil, err
	}
	caller := auth.From(ctx)
	if workspace, ok := fields["workspace_id"]; ok {
		var name string
		if json.Unmarshal(workspace, &name) == nil && name != caller.Workspace && runs.ValidWorkspaceID(name) {
			return nil, nil, problem(http.StatusForbidden, "the request is about another workspace than the caller's",
				Mistake{Pointer: "/workspace_id", Detail: "must be the caller's workspace, or left out"})
		}
	}
	set := func(key, value string) {
		if _, ok := fields[key]; !ok && value != "" {
			fields[key], _ = json.Marshal(value)
		}
	}
	set("workspace_id", caller.Workspace)
	if !caller.Keyless {
		attribute(fields, caller.Subject)
	}
	set("export_id", mint(caller.Workspace, in.IdempotencyKey))
	document, err := json.Marshal(fields)
	if err != nil {
		return nil, nil, err
	}
	request, err := export.ParseRequest(document)
	if err != nil {
		return nil, nil, allMistakes(fields, err)
	}
	return request, document, nil
}

// maxFields is how many fields of a request are kept. One that has more is refused, with the first mistakes.
const maxFields = 1000

// fieldsOf returns the fields of a request, which are parts of the body.
func fieldsOf(body []byte) (map[string]json.RawMessage, error) {
	r := strictjson.Reader{Borrow: true}
	r.Reset(body, "", strictjson.MaxDepth)
	if kind := r.Kind(); kind != strictjson.Object && kind != strictjson.Invalid {
		if err := strictjson.Check(body); err != nil {
			return nil, refused(err)
		}
		return nil, problem(http.StatusUnprocessableEntity, "the body must be a JSON object: an export request",
			Mistake{Detail: "must be an object", Code: string(strictjson.WrongType)})
	}
	fields := map[string]json.RawMessage{}
	err := r.Object(func(key string) (err error) {
		if len(fields) == maxFields {
			return r.Skip()
		}
		fields[key], err = r.Span()
		return err
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, refused(err)
	}
	return fields, nil
}

// attribute makes the subject of the token the requester. Whom the body names as requester is kept as
// on_behalf_of, unless the body has that too.
func attribute(fields map[string]json.RawMessage, subject string) {
	var named string
	if json.Unmarshal(fields["requested_by"], &named) != nil && fields["requested_by"] != nil {
		return // ParseRequest refuses it
	}
	if _, ok := fields["on_behalf_of"]; !ok && named != "" && named != subject {
		fields["on_behalf_of"] = fields["requested_by"]
	}
	delete(fields, "requested_by")
	if subject != "" {
		fields["requested_by"], _ = json.Marshal(subject)
	}
}

// allMistakes is like refused, but for a request with a wrong id it adds the request's other
// mistakes. A record with such a request becomes a dead letter with one reason, but a caller over
// HTTP gets all mistakes.
func allMistakes(fields map[string]json.RawMessage, err error) *Problem {
	p := refused(err)
	var refusal *strictjson.Refusal
	if !errors.As(err, &refusal) || refusal.Pointer != "/export_id" && refusal.Pointer != "/workspace_id" {
		return p
	}
	fields = maps.Clone(fields)
	fields[refusal.Pointer[1:]] = json.RawMessage(`"any"`)
	document, err := json.Marshal(fields)
	if err == nil {
		_, err = export.ParseRequest(document)
	}
	if err != nil {
		for _, m := range allMistakes(fields, err).Errors {
			p.add(m)
		}
	}
	return p
}

// namespace is the namespace of ids that are derived from an Idempotency-Key.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/millrace/millrace/idempotency-key"))

// mint returns a new id, or the id that is derived from a key.
func mint(workspace, key string) string {
	if key != "" {
		return uuid.NewSHA1(namespace, []byte(workspace+"/"+key)).String()
	}
	return uuid.Must(uuid.NewV7()).String()
}

// stamp formats a time as the contract has it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
