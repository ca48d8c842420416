package pages

import (
	"net/http"
	"strings"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export/live"
)

// trailRows is how many entries the page of a trail shows.
const trailRows = 200

// trailPage is the trail of an export.
type trailPage struct {
	Export  *live.Export
	Title   string
	Entries []trailEntry
	Limit   int // of entries; 0 where all are there
}

type trailEntry struct{ audit.Entry }

// What tells the action for people, such as "signed out".
func (e trailEntry) What() string {
	what := strings.ReplaceAll(e.Action, "_", " ")
	if e.File != "" {
		what += " " + e.File
	}
	return what
}

// How tells the outcome for people.
func (e trailEntry) How() string { return strings.ReplaceAll(e.Outcome, "_", " ") }

func (p *Pages) showTrail(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	e, err := p.export(r, c)
	if err != nil {
		return err
	}
	entries, err := p.cfg.Audit.OfExport(r.Context(), e.ID, trailRows)
	if err != nil {
		return err
	}
	return p.renderTrail(w, r, e, entries)
}

func (p *Pages) renderTrail(w http.ResponseWriter, r *http.Request, e *live.Export, entries []audit.Entry) error {
	page := trailPage{Export: e, Title: e.Name}
	if page.Title == "" {
		page.Title = "Untitled"
	}
	for _, entry := range entries {
		page.Entries = append(page.Entries, trailEntry{entry})
	}
	if len(entries) == trailRows {
		page.Limit = trailRows
	}
	return p.render(w, r, view{template: "trail.html", title: "Trail of " + page.Title, section: "exports", data: page})
}
