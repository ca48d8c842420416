package pages

import (
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// exportForm is the data of the form's script, as JSON.
type exportForm struct {
	Workspace string         `json:"workspace"`
	Source    string         `json:"source"`
	App       string         `json:"app"`
	Name      string         `json:"name"`    // default name of the export
	Now       time.Time      `json:"now"`     // the default end of a window
	Filters   export.Filters `json:"filters"` // as a request has them
	From      *time.Time     `json:"from,omitempty"`
	To        *time.Time     `json:"to,omitempty"`
	Applied   []string       `json:"applied"` // the filters, in words
	Purposes  []formPurpose  `json:"purposes"`
}

type formPurpose struct {
	Value   string       `json:"value"`
	Label   string       `json:"label"`
	About   string       `json:"about"`
	Nodes   string       `json:"nodes"` // required, optional, or none
	Targets []formTarget `json:"targets"`
}

type formTarget struct {
	Value   string   `json:"value"`
	Reader  string   `json:"reader"`
	Shape   string   `json:"shape"`
	Rules   []string `json:"rules"`
	Formats []string `json:"formats"` // the default first
}

func newExportForm(workspace, app string, f filters, now time.Time) exportForm {
	form := exportForm{
		Workspace: workspace, Source: f.Source, App: f.App, Now: now.UTC(),
		Name:    app + ", " + now.UTC().Format("2006-01-02 15:04"),
		Filters: f.request(), Applied: []string{}, Purposes: formPurposes(),
	}
	if !f.From.IsZero() {
		form.From = &f.From
	}
	if !f.To.IsZero() {
		form.To = &f.To
	}
	for _, c := range f.Chips() {
		form.Applied = append(form.Applied, c.Label)
	}
	return form
}

// formPurposes returns all purposes and targets of package format.
func formPurposes() (all []formPurpose) {
	for _, purpose := range format.Purposes {
		p := formPurpose{Value: purpose, Label: purposeLabel(purpose), Nodes: "none"}
		p.About, p.Nodes = aboutPurpose(purpose)
		for _, t := range targets.Targets(purpose) {
			rules := make([]string, len(t.Rules))
			for i, rule := range t.Rules {
				rules[i] = plain(rule)
			}
			p.Targets = append(p.Targets, formTarget{Value: t.Name, Reader: plain(t.Reader), Shape: plain(t.Shape), Rules: rules,
				Formats: t.Formats})
		}
		all = append(all, p)
	}
	return all
}

// aboutPurpose describes a purpose, and returns whether requests require, allow or refuse nodes.
func aboutPurpose(purpose string) (about, nodes string) {
	switch purpose {
	case format.ExportDataset:
		return "Runs as they were, for analysis.", "none"
	case format.RecipeEvaluation:
		return "The quality of whole runs, compared across versions. It downloads by itself when it is done.", "none"
	case format.NodeEvaluation:
		return "One node's part of each run, isolated.", "required"
	case format.NodeOptimization:
		return "Prompts and parameters of a node, to be tuned from real traces.", "required"
	case format.FineTuning:
		return "Conversations to train a model on: of whole runs, or of the llm nodes you choose.", "optional"
	}
	return "", "optional" // the server refuses a request that needs nodes
}
