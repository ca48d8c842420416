package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/audit"
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
}

// History is the address of the runs of the same app.
func (d runPage) History() string { return historyOf(d.Source, d.AppID) }

// OfSession is the address of the runs of the same session.
func (d runPage) OfSession() string {
	return address("/history", url.Values{"source": {d.Source}, "app": {d.AppID}, "session": {d.SessionID}})
}

func (p *Pages) showRun(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	id := r.URL.Query().Get("id")
	run, err := p.runs.Run(r.Context(), c.Workspace, id)
	if errors.Is(err, history.ErrNotFound) {
		return noRun(c.Workspace, id)
	}
	if err != nil {
		return err
	}
	e := c.Entry(audit.Viewed, "page /history/run")
	e.RunID = run.RunID
	p.cfg.Trail.Note(e)
	return p.renderRun(w, r, run)
}

func noRun(workspace, id string) error {
	return notFound("run", fmt.Sprintf("Workspace %s has no run %q. It may be in another workspace, or its retention "+
		"has passed.", workspace, jsonview.Short(128, id)))
}

func (p *Pages) renderRun(w http.ResponseWriter, r *http.Request, run *history.Detail) error {
	page := runPage{Detail: run, Name: run.AppName, Section: sectionOf(run.Source), Timeline: newTimeline(run)}
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
