package pages

import (
	"context"
	"strings"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
)

// trailRows is how many entries a trail shows.
const trailRows = 200

// trailTab is the trail of an export.
type trailTab struct {
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

func (p *Pages) newTrailTab(ctx context.Context, id export.ID) (*trailTab, error) {
	entries, err := p.cfg.Audit.OfExport(ctx, id, trailRows)
	if err != nil {
		return nil, err
	}
	return newTrailTab(entries), nil
}

func newTrailTab(entries []audit.Entry) *trailTab {
	t := &trailTab{}
	for _, entry := range entries {
		t.Entries = append(t.Entries, trailEntry{entry})
	}
	if len(entries) == trailRows {
		t.Limit = trailRows
	}
	return t
}
