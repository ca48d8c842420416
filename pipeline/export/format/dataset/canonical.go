// Package dataset has the targets of export_dataset, a file each: runs as they were, for analysis.
package dataset

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// Canonical is target canonical of export_dataset.
var Canonical = format.Target{
	Name: record.Canonical, Purposes: []string{format.ExportDataset},
	Reader: format.AnyTool,
	Shape:  "one record a run, with every key; documents as the producer sent them",
	Rules: []string{
		"`feedback` merges the judgements on the run: each field is that of the newest judgement that has it, a person's " +
			"before a model's and code's",
		"`scores` has the score, the rating as 1 or 0, and the newest score of each name; `judgements` has the judgements as " +
			"they were given, the newest first, at most 1,000",
	},
	Options: []format.Option{format.ColumnsOption,
		{Name: "with_nodes", Kind: format.Flag, Default: false,
			Text: "`true`: a column `nodes` at the end has the node runs of the run, in order"}},
	Formats: format.AnyFormat, SortedBy: []string{"started_at", "run_id"}, Make: newCanonical,
}

// nodesName is the column that the option with_nodes adds.
const nodesName = "nodes"

// newCanonical returns the formatter of runs as they are in the history. All files of all exports
// have the same columns.
//
// The option with_nodes adds the column nodes.
func newCanonical(_ string, o *format.Options) format.Formatter {
	f := record.NewRecords(format.ExportDataset, record.Needs{})
	all := canonicalFields(f)
	if o.Boolean("with_nodes", false) {
		all = append(all, newNodesField())
	} else if names, ok := o.Values[format.ColumnsOption.Name].([]any); ok && slices.Contains(names, any(nodesName)) {
		o.Fail(`option "columns" has %q, a column that is there with option "with_nodes": true`, nodesName)
	}
	all = format.Kept(o, all)
	for _, field := range all {
		switch field.Name {
		case nodesName:
			f.RowNeeds.Nodes = record.AllNodes
		case record.JudgementsField.Name:
			f.RowNeeds.Judgements = true
		}
	}
	f.Fields = record.NewObject(all...)
	return f
}

// canonicalFields returns the fields of a run, in the order of the contract.
func canonicalFields(f *record.Records) []record.Field[record.Row] {
	return []record.Field[record.Row]{
		f.IDField(),
		record.RunIDField,
		record.RequestIDField,
		record.TextField(record.Column{Name: "source", Required: true, Dictionary: true},
			func(r *record.Row) []byte { return r.Source }),
		record.TextField(record.Column{Name: "app_id", Required: true, Dictionary: true},
			func(r *record.Row) []byte { return r.AppID }),
		record.TextField(record.Column{Name: "app_name", Dictionary: true}, func(r *record.Row) []byte { return r.AppName }),
		record.AppVersionField,
		record.SessionIDField,
		record.TextField(record.Column{Name: "user_id"}, func(r *record.Row) []byte { return r.UserID }),
		record.TextField(record.Column{Name: "trigger", Dictionary: true}, func(r *record.Row) []byte { return r.Trigger }),
		record.StatusField,
		record.StartedAtField,
		record.EndedAtField,
		record.UpdatedAtField,
		record.LatencyField,
		record.TextField(record.Column{Name: "question", Long: true}, func(r *record.Row) []byte { return r.Question }),
		record.InputsField,
		record.SystemInputsField,
		record.MessagesField,
		record.ToolsField,
		record.TextField(record.Column{Name: "answer", Long: true}, func(r *record.Row) []byte { return r.Answer }),
		record.OutputsField,
		record.ReferenceField,
		record.ErrorField,
		record.FilesField,
		record.FeedbackField,
		record.NewScoresField(),
		record.JudgementsField,
		record.ModelField,
		record.UsageField,
		record.CostField,
		record.MetadataField,
		record.TraceIDField,
	}
}

// newNodesField returns the field of the node runs of a run. A node run has every field of a node
// event, except the fields of the run, and latency_ms. Prompt is null if the node has neither
// template nor variables.
func newNodesField() record.Field[record.Row] {
	o := record.NewObject(
		record.TextField(record.Column{Name: "node_run_id", Required: true}, (*record.Row).NodeRunID),
		record.TextField(record.Column{Name: "node_id", Required: true, Dictionary: true},
			func(r *record.Row) []byte { return r.Node.NodeID }),
		record.TextField(record.Column{Name: "node_name", Dictionary: true},
			func(r *record.Row) []byte { return r.Node.NodeName }),
		record.TextField(record.Column{Name: "node_type", Dictionary: true},
			func(r *record.Row) []byte { return r.Node.NodeType }),
		record.TextField(record.Column{Name: "parent_node_run_id"},
			func(r *record.Row) []byte { return r.Node.ParentNodeRunID }),
		record.IntegerField("sequence", func(r *record.Row) record.Null[int64] { return r.Node.Sequence }),
		record.AppVersionField,
		record.StatusField,
		record.StartedAtField,
		record.EndedAtField,
		record.UpdatedAtField,
		record.LatencyField,
		record.InputsField,
		record.OutputsField,
		record.NestedField("prompt", func(r *record.Row) *record.Node {
			if len(r.Node.PromptTemplate)+len(r.Node.PromptVariables) > 0 {
				return r.Node
			}
			return nil
		},
			record.TextField(record.Column{Name: "template", Dictionary: true, Long: true},
				func(n *record.Node) []byte { return n.PromptTemplate }),
			record.DocumentField("variables", func(n *record.Node) []byte { return n.PromptVariables }),
		),
		record.MessagesField,
		record.ToolsField,
		record.ModelField,
		record.ParametersField,
		record.ChunksField,
		record.ErrorField,
		record.FilesField,
		record.UsageField,
		record.CostField,
		record.MetadataField,
	)
	row := &record.Row{} // about the current node run
	return record.ListField(nodesName, record.Column{Type: fragment.Struct, Required: true, Fields: o.Columns},
		func(r *record.Row) []record.Node { return r.Nodes },
		func(dst []byte, n *record.Node) []byte {
			row.Node = n
			return o.Append(dst, row)
		})
}
