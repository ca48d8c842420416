package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Clients of Answer Insights rely on these:
// https://docs.kore.ai/ai-for-service/apis/searchai/answer-insights.
const (
	insightsTarget  = "answer_insights"
	insightsRecords = 150                // records a file
	insightsBytes   = 1 << 40            // a file: no limit, since so many records make one file whatever their size
	insightsRange   = 7 * 24 * time.Hour // the longest range of filters
	insightsExpiry  = 24 * time.Hour     // how long a fileUrl works
	jobPrefix       = "fj-"
	insightsTitle   = "Exporting Analytics Data - JSON"
)

// InsightsJob is the envelope of a job. Its fields are in the order of Answer Insights.
type InsightsJob struct {
	ID                 string              `json:"_id"`
	Hidden             bool                `json:"hidden"`
	Read               bool                `json:"read"`
	Status             string              `json:"status" enum:"INPROGRESS,SUCCESS,FAILED"`
	PercentageDone     float64             `json:"percentageDone"`
	Title              string              `json:"title"`
	Message            string              `json:"message"`
	LMod               string              `json:"lMod" format:"date-time"`
	StartedAt          string              `json:"startedAt" format:"date-time"`
	TimedOut           bool                `json:"timedOut"`
	JobType            string              `json:"jobType"`
	StreamID           string              `json:"streamId"`
	SearchIndexID      string              `json:"searchIndexId"`
	FileInfo           insightsInfo        `json:"fileInfo" doc:"The file; empty if there are several."`
	HasFragments       *bool               `json:"hasAnalyticsFragments,omitempty" doc:"Only after success."`
	Fragments          *[]InsightsFragment `json:"analyticsFragments,omitempty" doc:"Only after success: all files."`
	Store              *InsightsStore      `json:"store,omitempty"`
	CreatedBy          string              `json:"createdBy"`
	DirectoryInfo      any                 `json:"directoryInfo"`
	OpType             string              `json:"opType"`
	ExtractionSourceID any                 `json:"extractionSourceId"`
	ContentID          any                 `json:"contentId"`
	Error              *InsightsError      `json:"error"`
	ParentJobID        any                 `json:"parentJobId"`
	CreatedOn          string              `json:"createdOn" format:"date-time"`
	Version            int                 `json:"__v"`
}

type insightsInfo struct {
	Ext      string `json:"ext,omitempty"`
	FileID   string `json:"fileId,omitempty"`
	FileName string `json:"fileName,omitempty"`
	FileURL  string `json:"fileUrl,omitempty" doc:"Works without a token, for a day."`
}

// InsightsFragment is a file.
type InsightsFragment struct {
	FileID      string `json:"fileId"`
	FileName    string `json:"fileName"`
	FileURL     string `json:"fileUrl" doc:"Works without a token, for a day."`
	RecordCount int64  `json:"recordCount"`
}

// InsightsStore counts the files.
type InsightsStore struct {
	URLParams    string `json:"urlParams"`
	TotalFiles   int    `json:"totalFiles"`
	TotalRecords int64  `json:"totalRecords"`
}

// InsightsError is why a job failed.
type InsightsError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type insightsBody struct {
	Filters *insightsFilters `json:"filters" required:"true"`
	Event   string           `json:"event,omitempty" enum:"thumbsUp,thumbsDown" doc:"Only runs with this feedback."`
}

type insightsFilters struct {
	From string `json:"from" doc:"A day such as 2025-01-25, which means its start, or a time in ISO 8601, UTC." example:"2025-01-25"`
	To   string `json:"to" doc:"A day, which means its end, or a time. At most 7 days after from; of two days exactly 7 days apart, it is the start of the day." example:"2025-01-31"`
}

// InsightsApp is the part of the Answer Insights routes that names the app.
type InsightsApp struct {
	AppID string `path:"appID" doc:"The id of the copilot." pattern:"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$"`
}

func (a *API) registerInsights() {
	security := []map[string][]string{{insightsScheme: {auth.AnswerInsights}}}
	create := huma.Operation{
		OperationID: "answer-insights-export", Method: http.MethodPost,
		Path: "/api/public/bot/{appID}/search/analytics-export", Tags: []string{"Answer Insights"},
		Summary: "Start an analytics export", Description: "As in Answer Insights: files an `export_dataset` request with " +
			"target `answer_insights`, 150 records a file, for a copilot.",
		Security: security, MaxBodyBytes: 64 << 10, BodyReadTimeout: bodyTimeout, Errors: []int{400, 401, 403, 413, 429, 503},
		SkipValidateBody: true,
	}
	huma.Register(a.api, create, func(ctx context.Context, in *struct {
		InsightsApp
		RawBody []byte
	}) (*huma.StreamResponse, error) {
		request, document, err := insightsRequest(auth.From(ctx), in.AppID, in.RawBody)
		if err != nil {
			return nil, err
		}
		x, err := a.exports.File(ctx, request, document, "")
		if err := a.note(ctx, about(ctx, request.ID, audit.Filed, create.OperationID), err); err != nil {
			return nil, err
		}
		return a.answerJob(x), nil
	})
	schema := a.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[insightsBody](), true, "InsightsRequest")
	op := a.api.OpenAPI().Paths[create.Path].Post
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema}}}
	poll := huma.Operation{
		OperationID: "answer-insights-job", Method: http.MethodGet, Path: "/api/public/bot/{appID}/search/jobs/{jobID}",
		Tags:        []string{"Answer Insights"},
		Summary:     "Get the job of an analytics export",
		Description: "As in Answer Insights. URLs of files appear when the job has succeeded.",
		Security:    security, Errors: []int{401, 403, 404, 422, 500, 503},
		Middlewares: huma.Middlewares{a.requireBase},
	}
	huma.Register(a.api, poll, func(ctx context.Context, in *struct {
		InsightsApp
		JobID string `path:"jobID" maxLength:"200" example:"fj-0192f0c1-7a5e-7c3b-9d4e-1f2a3b4c5d6e"`
	}) (*huma.StreamResponse, error) {
		missing := problem(http.StatusNotFound, "there is no such job of this app in this workspace")
		id, ok := strings.CutPrefix(in.JobID, jobPrefix)
		if !ok || !runs.ValidID(id) {
			return nil, missing
		}
		x, err := a.exports.Get(ctx, exportID(ctx, id))
		if errors.Is(err, live.ErrNotFound) || err == nil && (x.AppID != in.AppID || x.Target != insightsTarget) {
			return nil, missing
		}
		if err != nil {
			return nil, a.toError(ctx, err)
		}
		return a.answerJob(x), nil
	})
	job := a.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[InsightsJob](), true, "InsightsJob")
	properties := a.api.OpenAPI().Components.Schemas.SchemaFromRef(job.Ref).Properties
	properties["error"] = &huma.Schema{OneOf: []*huma.Schema{properties["error"], {Type: "null"}}}
	for _, op := range []*huma.Operation{op, a.api.OpenAPI().Paths[poll.Path].Get} {
		op.Responses["200"] = &huma.Response{Description: "The job",
			Content: map[string]*huma.MediaType{"application/json": {Schema: job}}}
	}
}

// requireBase lets requests pass to which files can be given a URL.
func (a *API) requireBase(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if _, err := a.base(r); err != nil {
		a.toProblem(ctx.Context(), err).write(w)
		return
	}
	next(ctx)
}

// insightsRequest returns the export request of a body that a client of Answer Insights sends.
func insightsRequest(caller *auth.Caller, app string, body []byte) (*export.Request, []byte, error) {
	bad := func(pointer, detail string) error {
		return problem(http.StatusBadRequest, strings.TrimPrefix(pointer+" ", " ")+detail,
			Mistake{Pointer: pointer, Detail: detail})
	}
	var b insightsBody
	if err := strictjson.Check(body); err != nil {
		p := refused(err)
		p.Status, p.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
		return nil, nil, p
	}
	if err := json.Unmarshal(body, &b); err != nil { // clients may send other keys, which are ignored
		return nil, nil, bad("",
			`the body must be {"filters": {"from": …, "to": …}, "event": "thumbsUp" or "thumbsDown"}, event being optional: `+
				strings.TrimPrefix(err.Error(), "json: "))
	}
	switch {
	case b.Filters == nil:
		return nil, nil, bad("/filters", "is required: from and to, at most 7 days apart")
	case b.Event != "" && b.Event != "thumbsUp" && b.Event != "thumbsDown":
		return nil, nil, bad("/event", "must be thumbsUp or thumbsDown, or left out")
	}
	from, err := insightsTime(b.Filters.From, false)
	if err != nil {
		return nil, nil, bad("/filters/from", err.Error())
	}
	to, err := insightsTime(b.Filters.To, true)
	if to.Sub(from) == insightsRange+24*time.Hour && isDay(b.Filters.From) && isDay(b.Filters.To) {
		to = to.Add(-24 * time.Hour) // a client that goes from week to week means the start of the last day
	}
	switch {
	case err != nil:
		return nil, nil, bad("/filters/to", err.Error())
	case !from.Before(to):
		return nil, nil, bad("/filters/to", "must be later than from")
	case to.Sub(from) > insightsRange:
		return nil, nil, bad("/filters", "the range may be 7 days at most")
	}
	request := map[string]any{
		"export_id": mint(caller.Workspace, ""), "workspace_id": caller.Workspace, "name": "Answer Insights " +
			from.Format(time.DateOnly) + " to " + to.Add(-1).Format(time.DateOnly),
		"purpose": format.ExportDataset, "source": "copilot", "app_id": app, "target": insightsTarget, "format": "json",
		"selection": map[string]any{"window": map[string]any{"by": export.ByStartedAt, "from": from.Format(time.RFC3339Nano),
			"to": to.Format(time.RFC3339Nano)}},
		"fragment": map[string]any{"max_records": insightsRecords, "max_bytes": insightsBytes},
	}
	if b.Event != "" {
		request["filters"] = map[string]any{"rating": b.Event}
	}
	if caller.Subject != "" {
		request["requested_by"] = caller.Subject
	}
	document, err := json.Marshal(request)
	if err != nil {
		return nil, nil, err
	}
	r, err := export.ParseRequest(document)
	if err != nil {
		p := refused(err)
		p.Status, p.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
		return nil, nil, p
	}
	return r, document, nil
}

func isDay(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}

// isoTimes are the accepted forms of ISO 8601. A time without a zone is UTC.
var isoTimes = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04:05"}

// insightsTime parses a time, or a day, of which it returns the start or the end.
func insightsTime(text string, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("is required: a day such as 2025-01-25, or a time in ISO 8601")
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		if end {
			day = day.AddDate(0, 0, 1)
		}
		return day, nil
	}
	for _, layout := range isoTimes {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("must be a day such as 2025-01-25, or a time in ISO 8601 such as " +
		"2025-01-25T07:32:58.611Z")
}

// answerJob answers with the job of an export. The keys are in the order of the struct.
func (a *API) answerJob(x *live.Export) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		var job *InsightsJob
		base, err := a.base(r)
		if err == nil {
			job, err = a.job(ctx.Context(), base, x)
		}
		if err != nil {
			a.toProblem(ctx.Context(), err).write(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false) // an escaped & would make URLs unreadable
		e.Encode(job)          //nolint:errcheck // the client is gone
	}}
}

func (a *API) job(ctx context.Context, base string, x *live.Export) (*InsightsJob, error) {
	derived := func(prefix, of string) string {
		return prefix + uuid.NewSHA1(namespace, []byte(x.WorkspaceID+"/"+prefix+"/"+of)).String()
	}
	j := &InsightsJob{
		ID: jobPrefix + x.ExportID, Status: "INPROGRESS", PercentageDone: x.PercentDone, Title: insightsTitle,
		Message: insightsTitle,
		LMod:    stamp(x.UpdatedAt), StartedAt: stamp(x.RequestedAt), JobType: "DATA_EXPORT",
		StreamID: derived("st-", x.AppID), SearchIndexID: derived("sidx-", x.AppID),
		FileInfo: insightsInfo{Ext: "json"}, CreatedBy: derived("u-", x.RequestedBy), OpType: "Manual",
		CreatedOn: stamp(x.RequestedAt),
	}
	switch x.Status {
	case export.StatusSucceeded:
		return j, a.succeeded(ctx, base, x, j)
	case export.StatusFailed:
		j.Status, j.Message, j.Error = "FAILED", "ANALYTICS DATA JSON Export Failed",
			&InsightsError{x.ErrorCode, x.ErrorMessage}
	case export.StatusCancelled:
		j.Status, j.Message, j.Error = "FAILED", "ANALYTICS DATA JSON Export Failed",
			&InsightsError{"cancelled", "the export was cancelled"}
	}
	j.PercentageDone = min(j.PercentageDone, 99) // 100 means success
	return j, nil
}

// succeeded sets the fields of a job that succeeded.
func (a *API) succeeded(ctx context.Context, base string, x *live.Export, j *InsightsJob) error {
	if x.DeletedAt != nil {
		j.Status, j.Message, j.Error = "FAILED", "ANALYTICS DATA JSON Export Failed",
			&InsightsError{"deleted", "the export's files were deleted"}
		return nil
	}
	d, err := a.exports.Dataset(ctx, x.ID)
	if err != nil {
		return err
	}
	files := d.Files()
	if len(files) == 0 { // no records make one empty file
		files = []export.File{emptyFile}
	}
	at := x.UpdatedAt.UnixMilli()
	several := len(files) > 1
	fragments := make([]InsightsFragment, len(files))
	for i, f := range files {
		name := fmt.Sprintf("analytics_data_%d", at)
		if several {
			name += fmt.Sprintf("_part_%d_of_%d", i+1, len(files))
		}
		sum := sha256.Sum256([]byte(x.String() + "/" + f.Key))
		fragments[i] = InsightsFragment{FileID: hex.EncodeToString(sum[:12]), FileName: name, RecordCount: f.Records}
		fragments[i].FileURL, err = a.fileURL(ctx, base, signedURL{x.ID, f.Key, name + ".json"}, insightsExpiry)
		if err != nil {
			return err
		}
	}
	if err := a.downloaded(ctx, x.ID, "", "answer-insights-job", audit.SignedURL); err != nil {
		return err
	}
	j.Status, j.PercentageDone, j.FileInfo = "SUCCESS", 100, insightsInfo{}
	j.Message = fmt.Sprintf("ANALYTICS DATA JSON Export Completed - %d file(s) with %d total records", len(files),
		x.Records)
	j.HasFragments, j.Fragments = &several, &fragments
	j.Store = &InsightsStore{URLParams: fmt.Sprintf("&clientfilename=analytics_data_%d.json&batchtesting=true", at),
		TotalFiles: len(files), TotalRecords: x.Records}
	if len(files) == 1 {
		j.FileInfo = insightsInfo{FileID: fragments[0].FileID, FileName: fragments[0].FileName, FileURL: fragments[0].FileURL}
	}
	return nil
}
