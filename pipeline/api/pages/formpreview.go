package pages

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace/millrace/pipeline/api/pages/exportform"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/format"
)

// formPreview is what the request of a form would come to.
type formPreview struct {
	State   string   // "": nobody has counted; done or refused
	Reasons []string // why it is refused
	// Of the rows that were read, which are the newest of the planned ones.
	Rows, Read, Records int64
	About               int64 // the estimated number of records of all rows, in round numbers
	Noun                string
	Nouns               string
	Funnel              []funnelStep
	Changes             []exportform.Proposal // about rows that are left out
	Warnings            []formWarning
	Data                *recordsTab // nil: no record
}

// formWarning is a warning with what can be done about it.
type formWarning struct {
	export.Warning
	Changes []exportform.Proposal
}

// IsEstimate reports whether only some of the rows were read.
func (p formPreview) IsEstimate() bool { return p.Read < p.Rows }

func refusedPreview(page *formPage) (p formPreview) {
	p.State = "refused"
	for _, at := range formFields {
		if text := page.Mistakes[at.field]; text != "" {
			p.Reasons = append(p.Reasons, at.label+": "+text)
		}
	}
	for _, m := range moreFilters {
		if text := page.In.Mistakes[m.Key]; text != "" {
			p.Reasons = append(p.Reasons, m.Label+": "+text)
		}
	}
	p.Reasons = append(p.Reasons, page.Top...)
	return p
}

// formFields are the fields of the form in its order, but for those of moreFilters.
var formFields = []struct{ field, label string }{
	{"name", "Export Name"}, {"purpose", "Purpose"}, {"target", "Target"}, {"nodes", "Nodes"}, {"app", "Apps"},
	{"limit", "Limit"}, {"sample", "Sample"}, {"window", "Time range"}, {"from", "From"}, {"to", "Until"},
	{"filters", "Filters"}, {"q", "Question or answer contains"}, {"status", "Status"}, {"version", "Version"},
	{"feedback", "Feedback"}, {"session", "Session"}, {"format", "Format"}, {"compression", "Compression"},
	{"split", "Split"}, {"options", "Options"},
}

func newFormPreview(page *formPage, r *export.Request, d *dryrun.DryRun) formPreview {
	p := formPreview{State: "done", Rows: d.Rows, Read: d.Read, Records: d.Records, About: d.Records, Noun: "run",
		Nouns: "runs"}
	if len(r.Nodes) > 0 {
		p.Noun, p.Nouns = "node run", "node runs"
	}
	if p.IsEstimate() && d.Read > 0 {
		p.About = round(float64(d.Records) / float64(d.Read) * float64(d.Rows))
	}
	p.Funnel = previewFunnel(page, p, d)
	for _, step := range p.Funnel {
		if step.Kind == "drop" {
			p.Changes = append(p.Changes, page.ForDrop(step.Label)...)
		}
	}
	for _, w := range d.Warnings {
		p.Warnings = append(p.Warnings, formWarning{w, page.ForWarning(w)})
	}
	if len(d.Shown) > 0 {
		p.Data = newRecordsTab(spanPage{Total: d.Records, N: len(d.Shown)}, &files.Preview{Records: d.Shown}, page.Get("as"))
	}
	return p
}

// round rounds an estimate to two digits: more of them would say that it is known.
func round(x float64) int64 {
	if x < 100 {
		return int64(math.Round(x))
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return int64(math.Round(x/unit) * unit)
}

// previewFunnel returns what became of the rows that were read.
func previewFunnel(page *formPage, p formPreview, d *dryrun.DryRun) (all []funnelStep) {
	rows := p.Nouns
	if p.IsEstimate() {
		rows = "newest " + p.Nouns + ", which were read"
	}
	of := max(d.Read, 1)
	all = append(all, funnelStep{Kind: "rows", Label: rows, Count: d.Read, Of: of})
	left := d.Read
	var drops []drop
	for reason, n := range d.Dropped {
		drops = append(drops, drop{reason, dropText(page.Purpose(), page.Target().Name, reason), n})
	}
	slices.SortFunc(drops, func(a, b drop) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Reason, b.Reason))
	})
	for _, x := range drops {
		left -= x.Count
		all = append(all, funnelStep{Kind: "drop", Label: x.Reason, Text: x.Text, Count: x.Count, Of: of,
			Before: max(0, left)})
	}
	all = append(all, funnelStep{Kind: "records", Label: "records", Count: d.Records, Of: max(of, d.Records)})
	if len(d.Splits) < 2 {
		return all
	}
	before := int64(0)
	for _, split := range []string{format.Train, format.Validation, format.Test} {
		if n := d.Splits[split]; n > 0 {
			all = append(all, funnelStep{Kind: "split", Label: split, Count: n, Of: max(d.Records, 1), Before: before})
			before += n
		}
	}
	return all
}
