package pages

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
)

// exportPage is an export: its phases, what became of its rows, and one of its tabs.
type exportPage struct {
	exportRow
	Phases []phase
	Pace   pace
	Funnel []funnelStep
	Plan   *export.Plan // nil until it is planned
	Tabs   []tab
	Tab    string
	Again  bool // it can be filed again
	Newer  bool // so can one of what came later

	// Of the tab; nil for the other tabs.
	Data    *recordsTab
	Columns *columnsTab
	Origins *originsTab
	Files   *filesTab
	Card    *cardTab
	Request *requestTab
	Trail   *trailTab

	dataset *files.Dataset // nil until it is planned
}

// exportTabs are the tabs of an export. Some need its files.
var exportTabs = []struct {
	key, label string
	files      bool
}{
	{"records", "Records", true}, {"columns", "Columns", true}, {"files", "Files", true}, {"card", "Card", true},
	{"request", "Request", false}, {"lineage", "Lineage", true}, {"trail", "Trail", false},
}

func exportAddress(id, tab string) string {
	q := url.Values{}
	if tab != "" {
		q.Set("tab", tab)
	}
	return address("/exports/"+url.PathEscape(id), q)
}

func (p *Pages) showExport(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	e, err := p.export(r, c)
	if err != nil {
		return err
	}
	d, err := p.exports.Dataset(r.Context(), e.ID)
	if errors.Is(err, files.ErrRunning) { // it is not planned yet
		d, err = nil, nil
	}
	if err != nil {
		return err
	}
	page := newExportPage(e, d, c, r.URL.Query())
	switch page.Tab {
	case "records":
		err = p.fillRecords(r, c, page)
	case "columns":
		err = p.fillColumns(r, c, page)
	case "lineage":
		err = p.fillOrigins(r, c, page)
	case "files":
		page.Files = newFilesTab(d, r.URL.Query())
	case "card":
		page.Card, err = newCardTab(r.Context(), d)
	case "request":
		page.Request = newRequestTab(page)
	case "trail":
		page.Trail, err = p.newTrailTab(r.Context(), e.ID)
	}
	if err != nil {
		return err
	}
	return p.renderExport(w, r, page)
}

func (p *Pages) renderExport(w http.ResponseWriter, r *http.Request, page *exportPage) error {
	return p.render(w, r, view{template: "exportpage.html", title: page.Title, section: "exports", data: page})
}

// viewed writes to the trail that somebody looks at records of an export.
func (p *Pages) viewed(c *auth.Caller, e *live.Export) {
	entry := c.Entry(audit.Viewed, "page /exports/{id}")
	entry.ExportID = e.ExportID
	p.cfg.Trail.Note(entry)
}

// newExportPage returns the page of an address, with an empty tab. The dataset is nil until the export is planned.
func newExportPage(e *live.Export, d *files.Dataset, c *auth.Caller, q url.Values) *exportPage {
	page := &exportPage{exportRow: newExportRow(e, c), dataset: d}
	if d != nil {
		page.Plan = d.Plan
	}
	readable := page.CanView && d != nil && d.Readable() == nil
	asked := q.Get("tab")
	for _, t := range exportTabs {
		if t.files && !readable {
			continue
		}
		page.Tabs = append(page.Tabs, tab{Key: t.key, Label: t.label, Address: exportAddress(e.ExportID, t.key)})
		if page.Tab == "" || t.key == asked {
			page.Tab = t.key
		}
	}
	for i := range page.Tabs {
		page.Tabs[i].On = page.Tabs[i].Key == page.Tab
	}
	page.Pace = newPace(page)
	page.Phases = newPhases(page)
	page.Funnel = newFunnel(page)
	write := c.Has(auth.ExportsWrite)
	page.Again = write && page.Plan != nil && page.Plan.Request != nil
	page.Newer = page.Again && d.Manifest != nil && !d.Manifest.Watermark.IsZero() &&
		page.Plan.Request.Selection.Window != nil
	return page
}

// phase is a part of the way of an export.
type phase struct {
	Name, State string // State: done, now, wait or bad
	At          *time.Time
	Text        string
}

func newPhases(p *exportPage) []phase {
	filed := phase{Name: "Filed", State: "done", At: &p.RequestedAt}
	planned := phase{Name: "Planned", State: "now"}
	extracted := phase{Name: "Extracting", State: "wait"}
	sealed := phase{Name: "Sealed", State: "wait"}
	if p.Plan != nil {
		planned.State, extracted.State = "done", "now"
		if planned.At = &p.Plan.AcceptedAt; planned.At.IsZero() {
			planned.At = nil
		}
		planned.Text = plural(max(p.RowsPlanned, p.Plan.Rows), "row", "rows") + " in " +
			plural(len(p.Plan.Windows), "window", "windows")
	}
	if p.Active {
		if p.RowsDone == 0 && extracted.State == "now" {
			extracted.Text = "waits for its turn"
		}
		if p.RowsPlanned > 0 && p.RowsDone >= p.RowsPlanned {
			extracted.State, sealed.State = "done", "now"
		}
		return []phase{filed, planned, extracted, sealed}
	}
	sealed.At, sealed.State = p.CompletedAt, "done"
	if p.CompletedAt != nil {
		sealed.Text = "after " + span(p.CompletedAt.Sub(p.RequestedAt))
	}
	switch p.Status {
	case export.StatusSucceeded:
		extracted.Name, extracted.State, extracted.Text = "Extracted", "done", p.Pace.Rate
		return []phase{filed, planned, extracted, sealed}
	case export.StatusCancelled:
		sealed.Name, sealed.State = "Cancelled", "bad"
	default:
		sealed.Name, sealed.State = "Failed", "bad"
	}
	if p.Plan == nil || p.Plan.Refusal != nil {
		return []phase{filed, sealed}
	}
	return []phase{filed, planned, sealed}
}

// pace is how fast the rows of an export are read, and how long the rest may take; "" where that is not known.
// The script of the page writes the same, from the last seconds.
type pace struct{ Rate, Left string }

// leastPace is how long rows must have been read before their pace tells something.
const leastPace = 2 * time.Second

func newPace(p *exportPage) (t pace) {
	if p.Plan == nil || p.Plan.AcceptedAt.IsZero() || p.RowsDone == 0 {
		return t
	}
	until := p.UpdatedAt
	if !p.Active && p.CompletedAt != nil {
		until = *p.CompletedAt
	}
	took := until.Sub(p.Plan.AcceptedAt)
	if took <= 0 || p.Active && took < leastPace {
		return t
	}
	rate := float64(p.RowsDone) / took.Seconds()
	t.Rate = number(max(1, int64(rate))) + " rows/s"
	if p.Active && p.RowsPlanned > p.RowsDone {
		t.Left = "about " + span(time.Duration(float64(p.RowsPlanned-p.RowsDone)/rate*float64(time.Second))) + " left"
	}
	return t
}

// funnelStep is a number of rows or records on their way into the files.
type funnelStep struct {
	Kind   string // rows, drop, used, records or split
	Label  string
	Text   string
	Count  int64
	Of     int64 // the whole that a bar shows a part of
	Before int64 // of the whole, what is before the part
}

// newFunnel returns what became of the rows of an export that succeeded.
func newFunnel(p *exportPage) (all []funnelStep) {
	if p.Status != export.StatusSucceeded {
		return nil
	}
	rows := p.RowsPlanned
	add := func(kind, label, text string, n, before int64) {
		all = append(all, funnelStep{Kind: kind, Label: label, Text: text, Count: n, Of: max(rows, 1), Before: before})
	}
	add("rows", "rows selected", "", rows, 0)
	left := rows
	drops := slices.Clone(p.Drops)
	slices.SortStableFunc(drops, func(a, b drop) int { return -cmp.Compare(a.Count, b.Count) })
	if p.Vanished > 0 {
		drops = append(drops, drop{Reason: export.RowsVanished, Count: p.Vanished,
			Text: "The rows were deleted before they were read."})
	}
	for _, d := range drops {
		left -= d.Count
		add("drop", d.Reason, d.Text, d.Count, max(0, left))
	}
	if len(drops) > 0 {
		add("used", "rows used", "", p.RowsUsed, 0)
	}
	add("records", "records", "", p.Records, 0)
	if p.dataset == nil {
		return all
	}
	if splits := p.dataset.Splits(); len(splits) > 1 || p.Plan.Request.Split != nil {
		before := int64(0)
		for _, s := range splits {
			all = append(all, funnelStep{Kind: "split", Label: s.Name, Text: plural(s.Files, "file", "files"), Count: s.Records,
				Of: max(p.Records, 1), Before: before})
			before += s.Records
		}
	}
	return all
}

// Bar returns where the bar of a step begins and how wide it is, in parts of 1,000.
func (s funnelStep) Bar() (bar struct{ X, Width int64 }) {
	bar.X = min(1000, s.Before*1000/s.Of)
	if bar.Width = min(1000-bar.X, s.Count*1000/s.Of); bar.Width == 0 && s.Count > 0 {
		bar.X, bar.Width = min(bar.X, 998), 2
	}
	return bar
}

// fileAgain files the request of an export again, or that for what came later.
func (p *Pages) fileAgain(newer bool) handler {
	return func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
		e, err := p.export(r, c)
		if err != nil {
			return err
		}
		d, err := p.exports.Dataset(r.Context(), e.ID)
		if err != nil {
			return err
		}
		page := newExportPage(e, d, c, nil)
		if !page.Again || newer && !page.Newer {
			return &problem{Status: http.StatusConflict, Title: "The export cannot be filed again so",
				Text:  fmt.Sprintf("Export %s has no request of which this can be made.", e.ExportID),
				Link:  exportAddress(e.ExportID, ""),
				Label: "Go to the export"}
		}
		return p.file(w, r, c, requestAgain(d, newer, p.now()))
	}
}

// requestAgain returns the request of an export without what belongs to the export. The newer one selects what was
// ingested since.
func requestAgain(d *files.Dataset, newer bool, now time.Time) map[string]any {
	request := *d.Plan.Request
	if newer {
		window := *request.Selection.Window
		window.From, window.To = d.Manifest.Watermark, now.UTC().Truncate(time.Millisecond)
		request.Selection.Window = &window
	}
	fields := fieldsOf(&request)
	maps.DeleteFunc(fields, func(key string, _ any) bool { return slices.Contains(ownFields, key) })
	return fields
}
