package format

import (
	"slices"

	"github.com/millrace/millrace/sinks/fragment"
)

var exportDatasetCanonical = Target{
	Name: Canonical, Purposes: []string{ExportDataset},
	Reader:  anyTool,
	Shape:   "one record a run, with every key; documents as the producer sent them",
	Options: []Option{{"columns", "a list of the columns to keep"}, {"with_nodes", "`true`: a column `nodes` at the end has the node runs of the run, in order"}},
	Formats: anyFormat, sortedBy: []string{"started_at", "run_id"}, make: newDatasetCanonical,
}

// anyTool reads canonical records.
const anyTool = "any tool: [DuckDB](https://duckdb.org), [pandas](https://pandas.pydata.org), [Hugging Face Datasets](https://huggingface.co/docs/datasets)"

// nodesName is the column that option with_nodes of export_dataset adds.
const nodesName = "nodes"

// newDatasetCanonical returns what writes a run as it is in the history. All files of all exports have the same columns.
//
// Option columns keeps only the columns that it names. They stay in their usual order, so that two
// exports of the same columns have the same files however they were asked for. Option with_nodes adds column nodes.
func newDatasetCanonical(_ string, o *options) Formatter {
	f := newRecords(ExportDataset, Needs{})
	all := datasetFields(f)
	if o.boolean("with_nodes", false) {
		all = append(all, newNodesField())
	} else if names, ok := o.values["columns"].([]any); ok && slices.Contains(names, any(nodesName)) {
		o.fail(`option "columns" has %q, a column that is there with option "with_nodes": true`, nodesName)
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	if keep := o.names("columns", "column", names); keep != nil {
		all = slices.DeleteFunc(all, func(c field[Row]) bool { return !slices.Contains(keep, c.Name) })
	}
	if slices.ContainsFunc(all, func(c field[Row]) bool { return c.Name == nodesName }) {
		f.needs.Nodes = AllNodes
	}
	f.fields = newObject(all...)
	return f
}

// datasetFields are the fields of a run, in the order of the contract.
func datasetFields(f *records) []field[Row] {
	return []field[Row]{
		f.idField(),
		runIDField,
		requestIDField,
		text(column{Name: "source", Required: true, Dictionary: true}, func(r *Row) []byte { return r.Source }),
		text(column{Name: "app_id", Required: true, Dictionary: true}, func(r *Row) []byte { return r.AppID }),
		text(column{Name: "app_name", Dictionary: true}, func(r *Row) []byte { return r.AppName }),
		appVersionField,
		sessionIDField,
		text(column{Name: "user_id"}, func(r *Row) []byte { return r.UserID }),
		text(column{Name: "trigger", Dictionary: true}, func(r *Row) []byte { return r.Trigger }),
		statusField,
		startedAtField,
		endedAtField,
		updatedAtField,
		latencyField,
		text(column{Name: "question", Long: true}, func(r *Row) []byte { return r.Question }),
		inputsField,
		systemInputsField,
		messagesField,
		toolsField,
		text(column{Name: "answer", Long: true}, func(r *Row) []byte { return r.Answer }),
		outputsField,
		referenceField,
		failureField,
		filesField,
		feedbackField,
		modelField,
		usageField,
		costField,
		metadataField,
		traceIDField,
	}
}

// newNodesField returns the field of a run's node runs, which have every field of a node event but those of the run
// around it, and latency_ms. Prompt is null where the node has neither template nor variables.
func newNodesField() field[Row] {
	o := newObject(
		text(column{Name: "node_run_id", Required: true}, (*Row).NodeRunID),
		text(column{Name: "node_id", Required: true, Dictionary: true}, func(r *Row) []byte { return r.Node.NodeID }),
		text(column{Name: "node_name", Dictionary: true}, func(r *Row) []byte { return r.Node.NodeName }),
		text(column{Name: "node_type", Dictionary: true}, func(r *Row) []byte { return r.Node.NodeType }),
		text(column{Name: "parent_node_run_id"}, func(r *Row) []byte { return r.Node.ParentNodeRunID }),
		integer("sequence", func(r *Row) Null[int64] { return r.Node.Sequence }),
		appVersionField,
		statusField,
		startedAtField,
		endedAtField,
		updatedAtField,
		latencyField,
		inputsField,
		outputsField,
		nested("prompt", func(r *Row) *Node {
			if len(r.Node.PromptTemplate)+len(r.Node.PromptVariables) > 0 {
				return r.Node
			}
			return nil
		},
			text(column{Name: "template", Dictionary: true, Long: true}, func(n *Node) []byte { return n.PromptTemplate }),
			document("variables", func(n *Node) []byte { return n.PromptVariables }),
		),
		messagesField,
		toolsField,
		modelField,
		parametersField,
		chunksField,
		failureField,
		filesField,
		usageField,
		costField,
		metadataField,
	)
	row := &Row{} // that is about the node run at hand
	return list(nodesName, column{Type: fragment.Struct, Required: true, Fields: o.columns}, func(r *Row) []Node { return r.Nodes },
		func(dst []byte, n *Node) []byte {
			row.Node = n
			return o.append(dst, row)
		})
}
