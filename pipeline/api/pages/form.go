package pages

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/exportform"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/history"
)

// Addresses of the export form, whose query is that of the runs.
const (
	formAddress    = "/history/export"
	previewAddress = "/history/export/preview"
)

// maxRequestForm is the size of an export form in bytes: a request of the API has as many.
const maxRequestForm = 4 << 20

// formPage is the export form, and what its request would come to.
type formPage struct {
	*exportform.Form
	In       filters      // the fields of the filters
	App      *history.App // nil: the form is about several, or all
	Parent   string
	Section  string
	Back     string // the address of the runs
	Key      string // is the same for each try of the form
	Statuses []string
	Versions []string
	Listed   []formNode
	Mistakes map[string]string // by field of the form
	Top      []string          // mistakes of no field
	Preview  formPreview
	JSON     string // the request, "" if it is not valid or too long to be shown
	Command  string
	IsLong   bool
}

// formNode is a node that may be chosen.
type formNode struct {
	history.Node
	On bool
}

// maxShownRequest is how long a request may be to be shown, in bytes.
const maxShownRequest = 64 << 10

// readForm reads a form from the query of an address, or from the body of a POST.
func (p *Pages) readForm(w http.ResponseWriter, r *http.Request, c *auth.Caller) (*formPage, error) {
	fields := r.URL.Query()
	if r.Method == http.MethodPost {
		if r.ContentLength < 0 || r.ContentLength > maxForm {
			if err := budget.Hold(r.Context(), 8*min(max(r.ContentLength, maxForm), maxRequestForm)); err != nil {
				return nil, err
			}
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequestForm)
		if err := r.ParseForm(); err != nil {
			return nil, badForm()
		}
		if fields = r.PostForm; fields.Get("workspace") != c.Workspace {
			return nil, &problem{Status: http.StatusConflict, Title: "The workspace is another one now",
				Text: "The form is of workspace " + fields.Get("workspace") + ", and you have switched to " + c.Workspace +
					". Switch back, and send the form again.", Link: "/exports", Label: "Go to the exports"}
		}
	}
	if proposal := fields.Get("apply"); proposal != "" {
		fields = exportform.Apply(fields, proposal)
	}
	return p.newForm(r.Context(), c, fields)
}

func (p *Pages) newForm(ctx context.Context, c *auth.Caller, fields url.Values) (*formPage, error) {
	page := formOf(fields, p.now())
	f := &page.In
	if !slices.Contains(sources, f.Source) {
		return nil, noApp(c.Workspace, f.Source, f.App)
	}
	if apps := page.Apps(); len(apps) == 1 {
		app, err := (*history.App)(nil), history.ErrNotFound
		if f.App = apps[0]; f.validApp() {
			app, err = p.runs.App(ctx, c.Workspace, f.Source, f.App, 0)
		}
		switch {
		case err == nil:
			page.App = app
		case !errors.Is(err, history.ErrNotFound):
			return nil, err
		case !page.isSent(): // the preview of a form says that there is none
			return nil, noApp(c.Workspace, f.Source, f.App)
		}
	}
	if !page.isSent() && len(f.Mistakes) > 0 {
		return nil, badForm()
	}
	page.fill()
	return page, p.listNodes(ctx, c, page)
}

// formOf returns the form with the fields of an address, or of a form that was sent. It has no app yet.
func formOf(fields url.Values, now time.Time) *formPage {
	now = now.UTC().Truncate(time.Millisecond)
	page := &formPage{In: parseFilters(fields), Statuses: statuses, Key: fields.Get("key"), Mistakes: map[string]string{}}
	page.Form = &exportform.Form{Fields: fields, Now: now}
	if until, err := time.Parse(time.RFC3339Nano, fields.Get("until")); err == nil && until.Before(now) {
		page.Now = until // a time range without an end stays the same for each try
	}
	if key, err := uuid.Parse(page.Key); err != nil || key.Version() != 7 {
		page.Key = uuid.Must(uuid.NewV7()).String()
	}
	return page
}

// isSent reports whether the fields are those of the form, and not the address of the runs.
func (page *formPage) isSent() bool { return page.Fields.Get("form") != "" }

// fill sets what follows from the fields and the app.
func (page *formPage) fill() {
	f := &page.In
	_, page.Parent = historyTitle(f.Source)
	page.Section, page.Back = sectionOf(f.Source), "/"+sectionOf(f.Source)
	newest := page.Now
	if page.App != nil {
		page.Back, page.Versions = historyOf(f.Source, page.App.AppID), slices.Clone(page.App.Versions)
		newest = page.App.LastRunAt
	}
	if !page.isSent() { // the range of the runs' page becomes times, which stay the same for every try
		if page.App != nil {
			page.Back = address("/history", f.values())
		}
		if f.setRange(page.Fields, page.Now, newest); f.FromText == "" && !f.From.IsZero() {
			f.To = page.Now
			f.FromText, f.ToText = stamp(f.From), stamp(f.To)
		}
	}
	page.Filters, page.From, page.To = f.request(), f.From, f.To
	name := strings.Join(page.Apps(), ", ")
	if page.App != nil {
		name = appName(page.App)
	} else if name == "" {
		name = "All " + sectionOf(f.Source)
	}
	page.Name = name + ", " + page.Now.Format("2006-01-02 15:04")
	for _, v := range f.Versions { // a version in the address gets a checkbox, however old it is
		if !slices.Contains(page.Versions, v) {
			page.Versions = append(page.Versions, v)
		}
	}
	for key, text := range f.Mistakes {
		page.Mistakes[key] = text
	}
}

// listNodes lists the nodes of the app where the purpose takes nodes, and those that are chosen.
func (p *Pages) listNodes(ctx context.Context, c *auth.Caller, page *formPage) error {
	if page.NodesNeed() == "none" {
		return nil
	}
	chosen := page.ChosenNodes()
	if page.App != nil {
		nodes, err := p.runs.Nodes(ctx, c.Workspace, page.App.Source, page.App.AppID)
		if err != nil && !errors.Is(err, history.ErrNotFound) {
			return err
		}
		for _, n := range nodes {
			page.Listed = append(page.Listed, formNode{n, slices.Contains(chosen, n.NodeID)})
		}
	}
	for _, id := range chosen {
		if !slices.ContainsFunc(page.Listed, func(n formNode) bool { return n.NodeID == id }) {
			page.Listed = append(page.Listed, formNode{history.Node{NodeID: id}, true})
		}
	}
	return nil
}

// check checks the request of a form, and shows it where it is valid.
func (page *formPage) check(c *auth.Caller) (document []byte, r *export.Request) {
	document = page.Document()
	r, mistakes := page.Check(export.ID{WorkspaceID: c.Workspace, ExportID: page.exportID(c, document)}, document)
	for _, m := range mistakes {
		switch {
		case m.Field == "filters" && len(page.In.Mistakes) > 0: // they are at their fields
		case m.Field == "":
			page.Top = append(page.Top, m.Text)
		case page.Mistakes[m.Field] == "":
			page.Mistakes[m.Field] = m.Text
		default:
			page.Mistakes[m.Field] += " " + m.Text
		}
	}
	if len(page.Mistakes) > 0 || len(page.Top) > 0 {
		return document, nil
	}
	if page.IsLong = len(document) > maxShownRequest; !page.IsLong {
		page.JSON, page.Command = string(document), export.CommandLine(c.Workspace, document)
	}
	return document, r
}

// exportID returns the id of the export of a form: it is the same if the same form is sent again. It is a UUIDv7 with
// the time of the key, as all ids that Millrace gives to exports; its random bits are a hash.
func (page *formPage) exportID(c *auth.Caller, document []byte) string {
	key := uuid.MustParse(page.Key)
	id := uuid.NewHash(sha256.New(), key, append([]byte(c.Workspace+"/"), document...), 7)
	copy(id[:6], key[:6])
	return id.String()
}

func (p *Pages) showForm(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	page, err := p.readForm(w, r, c)
	if err != nil {
		return err
	}
	if page.isSent() {
		page.check(c)
		clear(page.Mistakes) // nobody has sent it
		page.Top = nil
	}
	return p.renderForm(w, r, page, http.StatusOK)
}

// previewForm shows the form with what its request would come to.
func (p *Pages) previewForm(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	page, err := p.readForm(w, r, c)
	if err != nil {
		return err
	}
	_, request := page.check(c)
	if request == nil {
		page.Preview = refusedPreview(page)
		return p.renderForm(w, r, page, http.StatusOK)
	}
	d, err := p.cfg.Try(r.Context(), request)
	var why *export.Error
	switch {
	case errors.As(err, &why):
		page.Preview = formPreview{State: "refused", Reasons: []string{sentence(why.Message)}}
	case err != nil:
		return err
	default:
		page.Preview = newFormPreview(page, request, d)
	}
	return p.renderForm(w, r, page, http.StatusOK)
}

// sendForm files the request of a form, or shows what is wrong with it.
func (p *Pages) sendForm(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	page, err := p.readForm(w, r, c)
	if err != nil {
		return err
	}
	document, request := page.check(c)
	if request == nil {
		page.Preview = refusedPreview(page)
		return p.renderForm(w, r, page, http.StatusUnprocessableEntity)
	}
	parts := map[string]json.RawMessage{}
	if err := json.Unmarshal(document, &parts); err != nil {
		return err
	}
	fields := map[string]any{"export_id": request.ExportID}
	for key, value := range parts {
		fields[key] = value
	}
	return p.file(w, r, c, fields)
}

func (p *Pages) renderForm(w http.ResponseWriter, r *http.Request, page *formPage, status int) error {
	return p.render(w, r, view{template: "exportform.html", title: "Export dataset", section: page.Section, status: status,
		data: page})
}

// NodesNeed says whether the purpose requires, allows or refuses nodes.
func (page *formPage) NodesNeed() string { return exportform.Nodes(page.Purpose()) }

// Counted is what the limit of the form counts.
func (page *formPage) Counted() string {
	if page.NodesNeed() == "required" || len(page.ChosenNodes()) > 0 {
		return "node runs of each node"
	}
	return "runs"
}

// formPurpose is a purpose that may be chosen.
type formPurpose struct {
	Value, Label, About string
	On                  bool
}

// Purposes are all purposes of package format.
func (page *formPage) Purposes() (all []formPurpose) {
	for _, purpose := range format.Purposes {
		all = append(all, formPurpose{purpose, purposeLabel(purpose), aboutPurpose(purpose), purpose == page.Purpose()})
	}
	return all
}

// aboutPurpose says what a purpose is for.
func aboutPurpose(purpose string) string {
	switch purpose {
	case format.ExportDataset:
		return "Runs as they were: for analysis, dashboards and notebooks."
	case format.RecipeEvaluation:
		return "Whole runs with their references: to compare versions. It downloads by itself."
	case format.NodeEvaluation:
		return "One node's part of each run: to measure it alone."
	case format.NodeOptimization:
		return "A node's prompts and parameters from real traces: to tune them."
	case format.FineTuning:
		return "Conversations to train a model on: of whole runs, or of llm nodes."
	}
	return sentence(targets.About(purpose))
}

// formTarget is a target that may be chosen.
type formTarget struct {
	*format.Target
	Tool, Rest string // its reader: the tool's name, and more
	IsDefault  bool
	On         bool
}

// Targets are the targets of the purpose.
func (page *formPage) Targets() (all []formTarget) {
	for i, t := range targets.Targets(page.Purpose()) {
		tool, rest := toolOf(t.Reader)
		all = append(all, formTarget{t, tool, rest, i == 0, t.Name == page.Target().Name})
	}
	return all
}

// toolOf divides the reader of a target into the name of a tool and the rest.
func toolOf(reader string) (tool, rest string) {
	at := strings.IndexAny(reader, ",:")
	if link := markdownLink.FindStringIndex(reader); link != nil && link[0] == 0 {
		at = link[1]
	}
	if at < 0 {
		return strings.TrimSuffix(sentence(plain(reader)), "."), ""
	}
	tool = strings.TrimSuffix(sentence(plain(reader[:at])), ".")
	if !strings.HasPrefix(reader, "any ") { // a name stays as it is written
		tool = plain(reader[:at])
	}
	return tool, strings.TrimLeft(plain(reader[at:]), ",: ")
}

// HasFilters reports whether a filter is on.
func (page *formPage) HasFilters() bool {
	f := page.In
	f.FromText, f.ToText = "", ""
	return f.Any()
}

// Ratings are what the feedback may be.
func (page *formPage) Ratings() []choice {
	return []choice{{"thumbsUp", "Thumbs up"}, {"thumbsDown", "Thumbs down"}, {export.Unrated, "None"},
		{export.NotThumbsDown, "Not thumbs down"}}
}

// Compressions are what files may be compressed with.
func (page *formPage) Compressions() []string {
	return []string{export.NoCompression, export.Gzip, export.Zstd}
}

// Views are the ways to show records.
func (page *formPage) Views() []choice {
	return []choice{{"", "Auto"}, {"table", "Table"}, {"chat", "Chat"}, {"json", "JSON"}}
}
