package pages

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
)

// runPage shows a run.
type runPage struct {
	*history.Detail
	Name     string // of the app
	Title    string // of the History view
	Parent   string
	Section  string
	Timeline timeline
	Raw      json.RawMessage // the run as the API has it, where it is not large
	In       *runExports     // nil on the page that has not looked for them
}

// History is the address of the runs of the same app.
func (d runPage) History() string { return historyOf(d.Source, d.AppID) }

// OfSession is the address of the runs of the same session.
func (d runPage) OfSession() string {
	return address("/history", url.Values{"source": {d.Source}, "app": {d.AppID}, "session": {d.SessionID}})
}

// Exports is the address of the page with the exports that the run is in.
func (d runPage) Exports() string { return runExportsOf(d.RunID, "") }

func (p *Pages) showRun(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	run, err := p.viewRun(r, c, "page /history/run")
	if err != nil {
		return err
	}
	return p.renderRun(w, r, run, nil)
}

// showRunExports shows a run with the exports that it is in.
func (p *Pages) showRunExports(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	if !c.Has(auth.ExportsRead) {
		return forbidden(auth.ExportsRead)
	}
	run, err := p.viewRun(r, c, "page /history/run/exports")
	if err != nil {
		return err
	}
	in, err := p.exportsOfRun(r.Context(), run, r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	return p.renderRun(w, r, run, in)
}

// viewRun returns the run that the address names, and notes that it was viewed.
func (p *Pages) viewRun(r *http.Request, c *auth.Caller, operation string) (*history.Detail, error) {
	id := r.URL.Query().Get("id")
	run, err := p.runs.Run(r.Context(), c.Workspace, id)
	if errors.Is(err, history.ErrNotFound) {
		return nil, noRun(c.Workspace, id)
	}
	if err == nil {
		e := c.Entry(audit.Viewed, operation)
		e.RunID = run.RunID
		p.cfg.Trail.Note(e)
	}
	return run, err
}

func noRun(workspace, id string) error {
	return notFound("run", fmt.Sprintf("Workspace %s has no run %q. It may be in another workspace, or its retention "+
		"has passed.", workspace, jsonview.Short(128, id)))
}

func (p *Pages) renderRun(w http.ResponseWriter, r *http.Request, run *history.Detail, in *runExports) error {
	page := runPage{Detail: run, Name: run.AppName, Section: sectionOf(run.Source), Timeline: newTimeline(run), In: in}
	if page.Name == "" {
		page.Name = run.AppID
	}
	page.Title, page.Parent = historyTitle(run.Source)
	page.Raw = raw(run)
	return p.render(w, r, view{template: "run.html", title: "Run " + run.RunID, section: page.Section, data: page})
}

// raw returns a run as JSON, or nil if it is too large to be shown whole.
func raw(run *history.Detail) json.RawMessage {
	size := len(run.Question) + len(run.Answer) + len(run.Reference) + len(run.Inputs) + len(run.SystemInputs) +
		len(run.Outputs) + len(run.Messages) + len(run.Tools)
	for _, n := range run.Nodes {
		size += len(n.PromptTemplate) + len(n.PromptVariables) + len(n.Inputs) + len(n.Outputs) + len(n.Messages)
		for _, c := range n.Chunks {
			size += len(c.Text)
		}
	}
	if size > jsonview.MaxShown/2 {
		return nil
	}
	document, err := json.Marshal(run)
	if err != nil {
		return nil // a document is not JSON: it is shown by itself
	}
	return document
}

// A look for the exports of a run covers a page of them, reads at most so many bytes of their files, and begins
// no other after so long.
const (
	exportsLooked = 20
	bytesLooked   = 64 << 20
	timeLooked    = 5 * time.Second
)

// errLate says that the time of a look was over.
var errLate = errors.New("other exports took the time to look through it")

// runExports are the exports that have a record of a run, of a page of those that may have one.
type runExports struct {
	In, Maybe []runExport
	Looked    int
	Since     time.Time // when the oldest of them was asked for
	Newest    bool      // they are the newest
	Next      string    // address of the page of older ones
}

// Covers says where was looked.
func (a runExports) Covers() string {
	since := "since " + when(a.Since) + " UTC"
	switch {
	case a.Looked == 0 && a.Newest:
		return "No export of this app has succeeded yet."
	case a.Looked == 0:
		return "There are no older exports of this app."
	case a.Newest && a.Next == "":
		return "Looked in all exports of this app that succeeded, " + number(int64(a.Looked)) + " " + since + "."
	case a.Newest:
		return "Looked in the " + number(int64(a.Looked)) + " newest exports of this app that succeeded, " + since + "."
	}
	return "Looked in " + number(int64(a.Looked)) + " older exports of this app that succeeded, " + since + "."
}

// runExport is an export that has a record of a run, or may have one.
type runExport struct {
	exportRow
	Record int64
	Why    string // it is not known
}

// Address is that of the record, or of the export.
func (e runExport) Address() string {
	if e.Record == 0 {
		return exportAddress(e.ExportID, "")
	}
	return exportAddress(e.ExportID, "records") + "&from=" + strconv.FormatInt(e.Record, 10)
}

// runExportsOf is the address of the exports that a run is in, after a cursor; "" begins with the newest.
func runExportsOf(run, after string) string {
	q := url.Values{"id": {run}}
	if after != "" {
		q.Set("after", after)
	}
	return address("/history/run/exports", q) + "#exports"
}

// exportsOfRun looks for a run in the exports of its app that succeeded, a page of them.
func (p *Pages) exportsOfRun(ctx context.Context, run *history.Detail, after string) (*runExports, error) {
	q := live.Query{Workspace: run.WorkspaceID, Source: run.Source, AppID: run.AppID, OfAll: true,
		Status: []string{string(export.StatusSucceeded)}, Cursor: after, Limit: exportsLooked}
	page, err := p.exports.List(ctx, q)
	if err != nil {
		return nil, err
	}
	until, left, sought := p.now().Add(timeLooked), int64(bytesLooked), soughtRun(run)
	all := newRunExports(run, after == "", page, func(id export.ID) (int64, error) {
		if p.now().After(until) {
			return 0, errLate
		}
		d, err := p.exports.Dataset(ctx, id)
		if err != nil {
			return 0, err
		}
		return d.FindRun(ctx, sought, &left)
	})
	return all, ctx.Err()
}

// newRunExports looks for a run in a page of exports. Find returns the number of its record. An export that cannot be
// read hides no other one.
func newRunExports(run *history.Detail, newest bool, page *live.Page, find func(export.ID) (int64, error)) *runExports {
	all := &runExports{Looked: len(page.Exports), Newest: newest}
	if page.Next != "" {
		all.Next = runExportsOf(run.RunID, page.Next)
	}
	for i := range page.Exports {
		e := &page.Exports[i]
		all.Since = e.RequestedAt
		found := runExport{exportRow: exportRow{Export: e, Title: cmp.Or(e.Name, "Untitled")}}
		var err error
		if found.Record, err = find(e.ID); err != nil {
			found.Why = "its files cannot be read now"
			for _, known := range []error{files.ErrDeleted, files.ErrUnnamed, files.ErrTooMuch, errLate} {
				if errors.Is(err, known) {
					found.Why = known.Error()
				}
			}
			all.Maybe = append(all.Maybe, found)
		} else if found.Record > 0 {
			all.In = append(all.In, found)
		}
	}
	return all
}

// soughtRun is the run for a look into an export's files.
func soughtRun(run *history.Detail) *files.SoughtRun {
	s := &files.SoughtRun{ID: run.RunID, StartedAt: run.StartedAt}
	for _, n := range run.Nodes {
		if s.FirstNode.IsZero() || n.StartedAt.Before(s.FirstNode) {
			s.FirstNode = n.StartedAt
		}
		if n.StartedAt.After(s.LastNode) {
			s.LastNode = n.StartedAt
		}
	}
	if run.NodesOmitted > 0 {
		s.FirstNode, s.LastNode = time.Time{}, time.Time{}
	}
	return s
}
