package pages

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/runs"
)

// exportsPage lists the exports of a workspace.
type exportsPage struct {
	Tabs        []tab
	Rows        []exportRow
	Pager       pager
	Status      string
	Source, App string
	Text        string // of the search
	All         string // the address without the app
	Cleared     string // the address without the search

	query live.Query
	here  url.Values // the address without the cursor
}

// tab selects exports by status.
type tab struct {
	Key, Label, Address string
	On                  bool
	Count               *int64 // nil: not known
}

var tabs = []struct {
	key, label string
	statuses   []string
}{
	{"all", "All", nil},
	{"running", "Running", []string{"accepted", "running"}},
	{"succeeded", "Succeeded", []string{"succeeded"}},
	{"failed", "Failed", []string{"failed"}},
	{"cancelled", "Cancelled", []string{"cancelled"}},
}

func (p *Pages) showExports(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	page := newExportsPage(c.Workspace, r.URL.Query())
	if !page.validApp() {
		return noApp(c.Workspace, page.Source, page.App)
	}
	found, err := p.exports.List(r.Context(), page.query)
	if err != nil {
		return err
	}
	if counts, err := p.exports.Counts(r.Context(), page.query); err == nil {
		page.count(counts)
	} else { // the list is useful all the same
		p.cfg.Log.Warn("the exports are listed without their numbers", "error", err)
	}
	return p.renderExports(w, r, c, page, found)
}

// validApp reports whether the address names an app, or none.
func (p exportsPage) validApp() bool {
	return (p.Source == "" || slices.Contains(sources, p.Source)) && (p.App == "" || runs.ValidID(p.App))
}

// newExportsPage returns the page of an address, still without exports.
func newExportsPage(workspace string, q url.Values) exportsPage {
	page := exportsPage{Status: "all", Source: q.Get("source"), App: q.Get("app"), Text: namePart(q.Get("q"))}
	page.query = live.Query{Workspace: workspace, Source: page.Source, AppID: page.App, Text: page.Text,
		Cursor: q.Get(cursorKey), Limit: pageRows}
	here := url.Values{}
	for key, value := range map[string]string{"source": page.Source, "app": page.App, "q": page.Text} {
		if value != "" {
			here.Set(key, value)
		}
	}
	for _, t := range tabs {
		if t.key == q.Get("status") {
			page.Status, page.query.Status = t.key, t.statuses
		}
	}
	for _, t := range tabs {
		page.Tabs = append(page.Tabs, tab{Key: t.key, Label: t.label, On: t.key == page.Status,
			Address: address("/exports", withStatus(here, t.key))})
	}
	page.here = withStatus(here, page.Status)
	page.All = address("/exports", withStatus(url.Values{}, page.Status))
	cleared := maps.Clone(page.here)
	cleared.Del("q")
	page.Cleared = address("/exports", cleared)
	return page
}

// maxSearched is how long the text of a search may be, in characters.
const maxSearched = 200

// namePart returns the text that the names of the list are searched for.
func namePart(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(text), "\x00", ""), "")
	if runes := []rune(text); len(runes) > maxSearched {
		return string(runes[:maxSearched])
	}
	return text
}

// count shows how many exports each tab has.
func (p *exportsPage) count(counts map[export.Status]int64) {
	for i, t := range tabs {
		n := int64(0)
		for status, has := range counts {
			if t.statuses == nil || slices.Contains(t.statuses, string(status)) {
				n += has
			}
		}
		p.Tabs[i].Count = &n
	}
}

// Here are the fields of the search that are not its text.
func (p exportsPage) Here() (fields [][2]string) {
	for _, key := range []string{"source", "app", "status"} {
		if value := p.here.Get(key); value != "" {
			fields = append(fields, [2]string{key, value})
		}
	}
	return fields
}

func (p *Pages) renderExports(w http.ResponseWriter, r *http.Request, c *auth.Caller, page exportsPage,
	found *live.Page) error {
	for i := range found.Exports {
		page.Rows = append(page.Rows, newExportRow(&found.Exports[i], c))
	}
	page.Pager = newPager("/exports", page.here, page.query.Cursor, r.URL.Query()[previousKey], found.Next)
	return p.render(w, r, view{template: "exports.html", title: "Dataset Exports", section: "exports", data: page})
}

func withStatus(q url.Values, status string) url.Values {
	q = maps.Clone(q)
	if q.Del("status"); status != "all" {
		q.Set("status", status)
	}
	return q
}

// showExportRow answers with one row. A script replaces the row of the page with it when the export
// changes.
func (p *Pages) showExportRow(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	e, err := p.export(r, c)
	if err != nil {
		return err
	}
	return p.renderExportRow(w, r, c, e)
}

func (p *Pages) renderExportRow(w http.ResponseWriter, r *http.Request, c *auth.Caller, e *live.Export) error {
	return p.render(w, r, view{template: fragment, data: newExportRow(e, c)})
}

// export returns the export that the address names.
func (p *Pages) export(r *http.Request, c *auth.Caller) (*live.Export, error) {
	id := r.PathValue("id")
	e, err := p.exports.Get(r.Context(), export.ID{WorkspaceID: c.Workspace, ExportID: id})
	if errors.Is(err, live.ErrNotFound) {
		return nil, noExport(c.Workspace, id)
	}
	return e, err
}

func noExport(workspace, id string) error {
	return &problem{Status: http.StatusNotFound, Title: "No such export", Link: "/exports", Label: "Go to the exports",
		Text: fmt.Sprintf("Workspace %s has no export %q. It may be in another workspace.", workspace,
			jsonview.Short(128, id))}
}

// exportRow is an export with the actions that it offers.
type exportRow struct {
	*live.Export
	Title     string
	Active    bool // it runs
	Deleted   bool
	Percent   int
	Drops     []drop
	DropTotal int64
	CanView   bool
	CanCancel bool
	CanDelete bool
}

// drop is the number of rows left out for one reason.
type drop struct {
	Reason, Text string
	Count        int64
}

func newExportRow(e *live.Export, c *auth.Caller) exportRow {
	row := exportRow{
		Export: e, Title: e.Name, Percent: int(min(100, max(0, e.PercentDone))), Deleted: e.DeletedAt != nil,
		Active: e.Status != export.StatusSucceeded && e.Status != export.StatusFailed && e.Status != export.StatusCancelled,
	}
	if row.Title == "" {
		row.Title = "Untitled"
	}
	for _, reason := range slices.Sorted(maps.Keys(e.Dropped)) {
		row.Drops = append(row.Drops, drop{Reason: reason, Count: e.Dropped[reason], Text: dropText(e.Purpose, e.Target,
			reason)})
		row.DropTotal += e.Dropped[reason]
	}
	row.CanView = e.Status == export.StatusSucceeded && !row.Deleted
	write := c.Has(auth.ExportsWrite)
	row.CanCancel = row.Active && write && !e.Cancelling
	row.CanDelete = row.CanView && write
	return row
}

// Note tells of a cancel, and of what is tried again; "" where there is nothing to tell. The script
// of the page writes the same.
func (e exportRow) Note() string {
	var parts []string
	if e.Cancelling {
		parts = append(parts, "cancelling")
	}
	if r := e.Retrying; r != nil {
		parts = append(parts, fmt.Sprintf("%s tries again, %d failed so far: %s", r.Stage, r.Attempts, r.Message))
	}
	return strings.Join(parts, "; ")
}

// Details reports whether the row has details to unfold. The command that loads an export is on its page, too.
func (e exportRow) Details() bool {
	return len(e.Drops) > 0 || len(e.Warnings) > 0 || e.ErrorCode != "" || e.ErrorMessage != ""
}

// maxPerson is how many characters of a name a column has room for.
const maxPerson = 18

// person shortens the name of who filed an export: an address to what is before its @, an id to its beginning and
// end.
func person(subject string) string {
	name, _, isAddress := strings.Cut(subject, "@")
	if !isAddress || name == "" {
		name = subject
		if i := strings.LastIndexAny(name, "/|:"); i >= 0 && i < len(name)-1 { // the issuer is before it
			name = name[i+1:]
		}
	}
	if runes := []rune(name); len(runes) > maxPerson {
		return string(runes[:maxPerson-7]) + "…" + string(runes[len(runes)-6:])
	}
	return name
}

// dropText returns the target's description of a reason, or "" if it has none.
func dropText(purpose, target, reason string) string {
	t, err := targets.Find(purpose, target)
	if err != nil {
		return ""
	}
	for _, d := range t.Drops {
		if d.Reason == reason {
			return plain(d.Text)
		}
	}
	return ""
}
