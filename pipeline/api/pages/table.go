package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/history"
)

// column is a column of the table of runs that may be hidden.
type column struct {
	Key, Label string
	On         bool
}

// columnChoices are the columns, and whether they are on at first.
var columnChoices = []column{
	{"feedback", "Feedback", true}, {"latency", "Latency", true}, {"tokens", "Tokens", true}, {"cost", "Cost", true},
	{"version", "Version", true}, {"request", "Request ID", false}, {"model", "Model", false},
	{"trigger", "Trigger", false}, {"session", "Session", false}, {"user", "User", false},
}

// columnsCookie keeps the chosen columns in a browser.
const columnsCookie = "millrace-columns"

// chosenColumns returns the columns as a browser has chosen them.
func chosenColumns(r *http.Request) []column {
	all := slices.Clone(columnChoices)
	c, err := r.Cookie(columnsCookie)
	if err != nil {
		return all
	}
	keys := strings.Split(c.Value, ".")
	for i := range all {
		all[i].On = slices.Contains(keys, all[i].Key)
	}
	return all
}

// chooseColumns keeps the columns of a form, and leads back to the page of the form.
func (p *Pages) chooseColumns(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.Fail(w, r, badForm())
		return
	}
	keys := []string{"-"} // so that none at all is a choice too
	for _, c := range columnChoices {
		if slices.Contains(r.PostForm["column"], c.Key) {
			keys = append(keys, c.Key)
		}
	}
	c := p.cookie(r, columnsCookie, strings.Join(keys, "."))
	c.MaxAge = int((365 * day).Seconds())
	http.SetCookie(w, c)
	http.Redirect(w, r, local(r.PostForm.Get("next")), http.StatusSeeOther)
}

// runTable is the runs of a page.
type runTable struct {
	Rows               []runRow
	Columns            []column
	On                 map[string]bool // the columns, by key
	HasErrors, HasFile bool
	Sorts              map[string]sortLink
	Here               string // the address of the page
}

// sortLink is the address of the list in an order. It is on where the list has that order.
type sortLink struct {
	Address string
	On      bool
}

// runRow is a run with its numbers as texts.
type runRow struct {
	history.Run
	Result       string // the answer, or the error of a run without one
	Failed       bool   // the result is an error
	Took         string
	Bar          int // percent of the slowest run of the page
	Tokens, Cost string
}

func newRunTable(r *http.Request, f filters, list []history.Run) runTable {
	t := runTable{Columns: chosenColumns(r), On: map[string]bool{}, Sorts: map[string]sortLink{}, Here: r.URL.RequestURI()}
	for _, c := range t.Columns {
		t.On[c.Key] = c.On
	}
	slowest := time.Duration(1)
	for _, run := range list {
		if run.EndedAt != nil {
			slowest = max(slowest, run.EndedAt.Sub(run.StartedAt))
		}
		t.HasErrors = t.HasErrors || run.Error != nil
		t.HasFile = t.HasFile || len(run.Files) > 0 || run.FilesOmitted > 0
	}
	for _, run := range list {
		row := newRunRow(&run)
		if run.EndedAt != nil {
			row.Bar = int(100 * max(0, run.EndedAt.Sub(run.StartedAt)) / slowest)
		}
		t.Rows = append(t.Rows, row)
	}
	for _, sort := range []string{"", history.SortLatency, history.SortCost} {
		q := f.values()
		if q.Del("sort"); sort != "" {
			q.Set("sort", sort)
		}
		name := sort
		if name == "" {
			name = "time"
		}
		t.Sorts[name] = sortLink{address("/history", q), f.Sort == sort}
	}
	return t
}

func newRunRow(run *history.Run) runRow {
	row := runRow{Run: *run, Result: run.Answer, Took: duration(run.StartedAt, run.EndedAt), Cost: dollars(run.CostUSD)}
	if row.Result == "" && run.Error != nil {
		row.Result, row.Failed = run.Error.Message, true
	}
	if run.Usage != nil {
		row.Tokens = number(known(run.Usage.InputTokens) + known(run.Usage.OutputTokens))
	}
	return row
}

// panelPage is the run beside the table of runs.
type panelPage struct {
	runRow
	Same []history.Run // of the same input, in other versions
}

// Exports is the address of the run's page with the exports that it is in.
func (p panelPage) Exports() string { return runExportsOf(p.RunID, "") }

// showPanel answers with a run for the panel beside the table.
func (p *Pages) showPanel(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	id := r.URL.Query().Get("id")
	found, err := p.runs.Runs(r.Context(), history.Query{Workspace: c.Workspace, RunIDs: []string{id}, Limit: 1})
	if err == nil && len(found.Runs) == 0 {
		err = history.ErrNotFound
	}
	if errors.Is(err, history.ErrNotFound) {
		return noRun(c.Workspace, id)
	}
	if err != nil {
		return err
	}
	run := &found.Runs[0]
	same, err := p.runs.SameInput(r.Context(), c.Workspace, run)
	if err != nil {
		return err
	}
	e := c.Entry(audit.Viewed, "page /history/panel")
	e.RunID = run.RunID
	p.cfg.Trail.Note(e)
	return p.renderPanel(w, r, run, same)
}

func (p *Pages) renderPanel(w http.ResponseWriter, r *http.Request, run *history.Run, same []history.Run) error {
	row := newRunRow(run)
	return p.render(w, r, view{template: "panel.html", data: panelPage{runRow: row, Same: same}})
}
