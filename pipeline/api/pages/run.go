package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/millrace/millrace/pipeline/api/auth"
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
		"has passed.", workspace, short(128, id)))
}

func (p *Pages) renderRun(w http.ResponseWriter, r *http.Request, run *history.Detail) error {
	page := runPage{Detail: run, Name: run.AppName, Section: sectionOf(run.Source), Timeline: newTimeline(run)}
	if page.Name == "" {
		page.Name = run.AppID
	}
	page.Title, page.Parent = historyTitle(run.Source)
	return p.render(w, r, view{template: "run.html", title: "Run " + run.RunID, section: page.Section, data: page})
}
