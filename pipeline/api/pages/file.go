package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// file files a request that a form has sent, and leads to the export. Fields are those of the request, without
// its workspace. It may have an export_id, which is new otherwise.
func (p *Pages) file(w http.ResponseWriter, r *http.Request, c *auth.Caller, fields map[string]any) error {
	id := export.ID{WorkspaceID: c.Workspace}
	if id.ExportID, _ = fields["export_id"].(string); id.ExportID == "" {
		id.ExportID = uuid.Must(uuid.NewV7()).String()
	}
	fields["workspace_id"], fields["export_id"] = id.WorkspaceID, id.ExportID
	if c.Subject != "" {
		fields["requested_by"] = c.Subject
	}
	document, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	request, err := export.ParseRequest(document)
	if err == nil {
		_, err = p.exports.File(r.Context(), request, document, r.Header.Get("Traceparent"))
	}
	e := c.Entry(audit.Filed, "page "+r.URL.Path)
	e.ExportID = id.ExportID
	if err != nil {
		err = toFilingProblem(err)
		e.Outcome = "failed"
	}
	p.cfg.Trail.Note(e)
	if err != nil {
		return err
	}
	q := url.Values{}
	if request.Purpose == export.RecipeEvaluation { // the browser downloads it when it is done
		q.Set("filed", id.ExportID)
	}
	http.Redirect(w, r, address("/exports", q)+"#"+id.ExportID, http.StatusSeeOther)
	return nil
}

// toFilingProblem maps an error of a request to a problem. Other errors stay as they are.
func toFilingProblem(err error) error {
	var mistakes export.Mistakes
	var refusal *strictjson.Refusal
	refused := &problem{Status: http.StatusUnprocessableEntity, Title: "This cannot be exported"}
	switch {
	case errors.As(err, &mistakes):
		texts := make([]string, len(mistakes))
		for i, m := range mistakes {
			texts[i] = sentence(strings.TrimPrefix(m.Pointer, "/") + " " + m.Message)
		}
		refused.Text = strings.Join(texts, " ")
	case errors.As(err, &refusal):
		refused.Text = sentence(strings.TrimPrefix(refusal.Pointer, "/") + " " + refusal.Rule)
	case errors.Is(err, live.ErrTooMany):
		refused.Status, refused.Title = http.StatusTooManyRequests, "Too many exports at a time"
		refused.Text = sentence(live.ErrTooMany.Error() + ": wait until some have ended, or cancel some")
	case errors.Is(err, live.ErrNotAcknowledged), errors.Is(err, live.ErrBehind):
		refused.Status, refused.Title = http.StatusServiceUnavailable, "The export may be filed or not"
		refused.Text = "Kafka has not answered in time. Look at the exports before you file it again."
	default:
		return err
	}
	refused.Link, refused.Label = "/exports", "Go to the exports"
	return refused
}

func badForm() error {
	return &problem{Status: http.StatusBadRequest, Title: "This form is not complete",
		Text: "Go back, reload the page, and send the form again.", Link: "/copilots", Label: "Go to the copilots"}
}
