package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// file files a request that a form without a script has sent, and leads to the export. Fields are
// those of the request, without its ids.
func (p *Pages) file(w http.ResponseWriter, r *http.Request, c *auth.Caller, fields map[string]any) error {
	id := export.ID{WorkspaceID: c.Workspace, ExportID: uuid.Must(uuid.NewV7()).String()}
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
	q := url.Values{"filed": {id.ExportID}}
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

// plainExportPage is the export form as a page of its own, for browsers without scripts.
type plainExportPage struct {
	Form    exportForm
	Name    string // of the app
	Parent  string
	Section string
	Back    string // the address of the runs
	Action  string // where the form is sent
}

// plainForm reads the address of a plain form, which is that of the runs.
func (p *Pages) plainForm(r *http.Request, c *auth.Caller) (page plainExportPage, err error) {
	f, app, err := p.listed(r, c)
	if err != nil {
		return page, err
	}
	if len(f.Mistakes) > 0 {
		return page, badForm()
	}
	f.setRange(r.URL.Query(), p.now().UTC(), app.LastRunAt)
	f.Sort = ""
	page = plainExportPage{Name: appName(app), Section: sectionOf(f.Source), Form: newExportForm(c.Workspace, appName(app),
		f, p.now()), Back: address("/history", f.values()), Action: address("/history/export", f.values())}
	_, page.Parent = historyTitle(f.Source)
	return page, nil
}

func (p *Pages) showPlainExport(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	page, err := p.plainForm(r, c)
	if err != nil {
		return err
	}
	return p.render(w, r, view{template: "export.html", title: "Export " + page.Name, section: page.Section, data: page})
}

// plainExport files the request of a plain form.
func (p *Pages) plainExport(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	page, err := p.plainForm(r, c)
	if err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return badForm()
	}
	return p.file(w, r, c, page.request(r.PostForm))
}

// request returns the request of a form, without its ids.
func (page *plainExportPage) request(form url.Values) map[string]any {
	selection := map[string]any{}
	if f := page.Form; f.From != nil || f.To != nil {
		from, to := time.Unix(0, 0).UTC(), f.Now
		if f.From != nil {
			from = *f.From
		}
		if f.To != nil {
			to = *f.To
		}
		selection["window"] = map[string]any{"by": "started_at", "from": stamp(from), "to": stamp(to)}
	}
	if limit := strings.TrimSpace(form.Get("limit")); limit != "" {
		if n, err := strconv.ParseInt(limit, 10, 64); err == nil {
			selection["limit"] = n
		} else {
			selection["limit"] = limit // the request says what is wrong with it
		}
	}
	fields := map[string]any{
		"purpose": form.Get("purpose"), "source": page.Form.Source, "app_id": page.Form.App, "selection": selection,
		"filters": page.Form.Filters, "name": page.Form.Name,
	}
	if name := strings.TrimSpace(form.Get("name")); name != "" {
		fields["name"] = name
	}
	if nodes := strings.FieldsFunc(form.Get("nodes"), func(r rune) bool { return r == ',' || r == ' ' }); len(nodes) > 0 {
		fields["nodes"] = nodes
	}
	if target := form.Get("target"); target != "" {
		fields["target"] = target
	}
	return fields
}
