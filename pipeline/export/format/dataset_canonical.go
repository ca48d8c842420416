package format

import (
	"slices"

	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

var exportDatasetCanonical = Target{
	Name: Canonical, Purposes: []string{ExportDataset},
	Reader:  "any tool: [DuckDB](https://duckdb.org), [pandas](https://pandas.pydata.org), [Hugging Face Datasets](https://huggingface.co/docs/datasets)",
	Shape:   "one record a run, with every key; documents as the producer sent them",
	Options: []Option{{"columns", "a list of the columns to keep"}, {"with_nodes", "`true`: a column `nodes` at the end has the node runs of the run, in order"}},
	Formats: anyFormat, sortedBy: []string{"started_at", "run_id"}, make: newDatasetCanonical,
}

// datasetCanonical writes a run as it is in the history: every key in every record, null where the run has
// no value, so that all files of all exports have the same columns. Documents are spliced in as the
// producer wrote them. Times are RFC 3339, UTC, with milliseconds; latency_ms is ended_at - started_at;
// files and feedback.tags are [] and metadata is {} where there are none.
//
// Option columns keeps only the columns that it names. They stay in their usual order, so that two
// exports of the same columns have the same files however they were asked for. Option with_nodes adds column nodes.
type datasetCanonical struct {
	ids     ids
	columns []datasetColumn
	needs   Needs
}

// datasetColumn is a key of the record and what writes its value.
type datasetColumn struct {
	fragment.Column
	key   []byte // with what is before it: `,"run_id":`
	value func(f *datasetCanonical, dst []byte, row *Row) []byte
}

func newDatasetCanonical(_ string, o *options) Formatter {
	f := &datasetCanonical{ids: newIDs(ExportDataset, Canonical)}
	all := datasetColumns()
	if o.boolean("with_nodes", false) {
		all = append(all, newNodesColumn())
	} else if names, ok := o.values["columns"].([]any); ok && slices.Contains(names, any(nodesName)) {
		o.fail(`option "columns" has %q, a column that is there with option "with_nodes": true`, nodesName)
	}
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	keep := o.names("columns", "column", names)
	for _, c := range all {
		if keep != nil && !slices.Contains(keep, c.Name) {
			continue
		}
		if len(f.columns) > 0 {
			c.key = append(c.key, ',')
		}
		c.key = append(jsontext.AppendString(c.key, []byte(c.Name)), ':')
		f.columns = append(f.columns, c)
		if c.Name == nodesName {
			f.needs.Nodes = AllNodes
		}
	}
	return f
}

// Needs implements [Formatter].
func (f *datasetCanonical) Needs() Needs { return f.needs }

func (f *datasetCanonical) Columns() []fragment.Column {
	columns := make([]fragment.Column, len(f.columns))
	for i, c := range f.columns {
		columns[i] = c.Column
	}
	return columns
}

func (f *datasetCanonical) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	dst = append(dst, '{')
	for i := range f.columns {
		c := &f.columns[i]
		dst = append(dst, c.key...)
		dst = c.value(f, dst, row)
	}
	return append(dst, '}'), "", nil
}

// datasetColumns are the columns of the record, in their order.
func datasetColumns() []datasetColumn {
	type column = fragment.Column
	var columns []datasetColumn
	add := func(c column, value func(f *datasetCanonical, dst []byte, row *Row) []byte) {
		columns = append(columns, datasetColumn{Column: c, value: value})
	}
	text := func(c column, of func(row *Row) []byte) {
		add(c, func(_ *datasetCanonical, dst []byte, row *Row) []byte { return appendText(dst, of(row)) })
	}
	document := func(name string, of func(row *Row) []byte) {
		add(column{Name: name, Type: fragment.Document}, func(_ *datasetCanonical, dst []byte, row *Row) []byte { return appendDoc(dst, of(row)) })
	}

	add(column{Name: "id", Required: true, Bloom: true}, func(f *datasetCanonical, dst []byte, row *Row) []byte {
		return f.ids.append(dst, row.WorkspaceID, row.RunID, nil)
	})
	text(column{Name: "run_id", Required: true, Bloom: true}, func(row *Row) []byte { return row.RunID })
	text(column{Name: "request_id"}, func(row *Row) []byte { return row.RequestID })
	text(column{Name: "source", Required: true, Dictionary: true}, func(row *Row) []byte { return row.Source })
	text(column{Name: "app_id", Required: true, Dictionary: true}, func(row *Row) []byte { return row.AppID })
	text(column{Name: "app_name", Dictionary: true}, func(row *Row) []byte { return row.AppName })
	text(column{Name: "app_version", Dictionary: true}, func(row *Row) []byte { return row.AppVersion })
	text(column{Name: "session_id"}, func(row *Row) []byte { return row.SessionID })
	text(column{Name: "user_id"}, func(row *Row) []byte { return row.UserID })
	text(column{Name: "trigger", Dictionary: true}, func(row *Row) []byte { return row.Trigger })
	text(column{Name: "status", Required: true, Dictionary: true}, func(row *Row) []byte { return row.Status })

	add(column{Name: "started_at", Type: fragment.Time, Required: true}, func(_ *datasetCanonical, dst []byte, row *Row) []byte {
		return jsontext.AppendTime(dst, row.StartedAt)
	})
	add(column{Name: "ended_at", Type: fragment.Time}, func(_ *datasetCanonical, dst []byte, row *Row) []byte {
		if !row.EndedAt.Valid {
			return append(dst, "null"...)
		}
		return jsontext.AppendTime(dst, row.EndedAt.Value)
	})
	add(column{Name: "updated_at", Type: fragment.Time, Required: true}, func(_ *datasetCanonical, dst []byte, row *Row) []byte {
		return jsontext.AppendTime(dst, row.UpdatedAt)
	})
	add(column{Name: "latency_ms", Type: fragment.Integer}, func(_ *datasetCanonical, dst []byte, row *Row) []byte {
		return appendInt(dst, Null[int64]{row.EndedAt.Value - row.StartedAt, row.EndedAt.Valid})
	})

	text(column{Name: "question", Long: true}, func(row *Row) []byte { return row.Question })
	document("inputs", func(row *Row) []byte { return row.Inputs })
	document("system_inputs", func(row *Row) []byte { return row.SystemInputs })
	document("messages", func(row *Row) []byte { return row.Messages })
	document("tools", func(row *Row) []byte { return row.Tools })
	text(column{Name: "answer", Long: true}, func(row *Row) []byte { return row.Answer })
	document("outputs", func(row *Row) []byte { return row.Outputs })
	text(column{Name: "reference", Long: true}, func(row *Row) []byte { return row.Reference })

	add(errorColumn(), func(_ *datasetCanonical, dst []byte, row *Row) []byte { return appendError(dst, &row.Execution) })
	add(filesColumn(), func(_ *datasetCanonical, dst []byte, row *Row) []byte { return appendFiles(dst, row.Files) })
	add(feedbackColumn(), func(_ *datasetCanonical, dst []byte, row *Row) []byte { return appendFeedback(dst, row) })
	text(column{Name: "model", Dictionary: true}, func(row *Row) []byte { return row.Model })
	add(usageColumn(), func(_ *datasetCanonical, dst []byte, row *Row) []byte { return appendUsage(dst, &row.Execution) })
	add(column{Name: "cost_usd", Type: fragment.Float}, func(_ *datasetCanonical, dst []byte, row *Row) []byte {
		return appendFloat(dst, row.CostUSD)
	})
	add(column{Name: "metadata", Type: fragment.Document, Required: true}, func(_ *datasetCanonical, dst []byte, row *Row) []byte {
		return appendPairs(dst, row.Metadata)
	})
	text(column{Name: "trace_id"}, func(row *Row) []byte { return row.TraceID })
	return columns
}
