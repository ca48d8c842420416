package format

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

var nodeOptimizationCanonical = Target{
	Name: Canonical, Purposes: []string{NodeOptimization},
	Reader: "any tool: [DuckDB](https://duckdb.org), [pandas](https://pandas.pydata.org), [Hugging Face Datasets](https://huggingface.co/docs/datasets)",
	Shape:  "one record a node run, with every key: the prompt template and its variables, unrendered; what came out; the verdict; the cost",
	Rules: []string{
		"`template_id` is the same for the same template, so that results group by prompt version",
		"`reference` and `downstream` are those of the run; `feedback` is that on the node, else that on the run",
	},
	Formats: anyFormat, sortedBy: []string{"started_at", "run_id", "node_run_id"}, make: newOptimizationCanonical,
}

// newOptimizationCanonical returns what writes a node run as it is in the history: every key in every record, null
// where it has no value.
//
//   - node.version is the node run's app_version.
//   - template_id are the first 16 hexadecimal digits of the SHA-256 of the template, null where there is none.
//   - output is a text, see nodeTexts.appendOutput.
//   - scores are those that an optimizer takes, by name: "score", and "rating" as 1.0 for thumbsUp and 0.0 for thumbsDown.
//   - parameters is {} and chunks are [] where there are none.
func newOptimizationCanonical(purpose string, _ *options) Formatter {
	return newNodeRecords(purpose, optimizationColumns())
}

// nodeRecords writes a record of the same columns for each node run.
type nodeRecords struct {
	ids     ids
	columns []nodeRecordColumn
	texts   nodeTexts
	err     error // of the record at hand
}

// nodeRecordColumn is a key of the record and what appends its value.
type nodeRecordColumn struct {
	fragment.Column
	key   []byte // with what is before it: `,"run_id":`
	value func(f *nodeRecords, dst []byte, row *Row) []byte
}

func newNodeRecords(purpose string, columns []nodeRecordColumn) *nodeRecords {
	for i := range columns {
		c := &columns[i]
		if i > 0 {
			c.key = append(c.key, ',')
		}
		c.key = append(jsontext.AppendString(c.key, []byte(c.Name)), ':')
	}
	return &nodeRecords{ids: newIDs(purpose, Canonical), columns: columns}
}

// Needs implements [Formatter].
func (f *nodeRecords) Needs() Needs { return Needs{} }

func (f *nodeRecords) Columns() []fragment.Column {
	columns := make([]fragment.Column, len(f.columns))
	for i := range f.columns {
		columns[i] = f.columns[i].Column
	}
	return columns
}

func (f *nodeRecords) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	start := len(dst)
	dst = append(dst, '{')
	for i := range f.columns {
		c := &f.columns[i]
		dst = append(dst, c.key...)
		dst = c.value(f, dst, row)
	}
	if f.err != nil {
		err, f.err = f.err, nil
		return dst[:start], "", storeFault(row, err)
	}
	return append(dst, '}'), "", nil
}

func optimizationColumns() []nodeRecordColumn {
	type column = fragment.Column
	var columns []nodeRecordColumn
	add := func(c column, value func(f *nodeRecords, dst []byte, row *Row) []byte) {
		columns = append(columns, nodeRecordColumn{Column: c, value: value})
	}
	text := func(c column, of func(row *Row) []byte) {
		add(c, func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendText(dst, of(row)) })
	}
	document := func(name string, of func(n *Node) []byte) {
		add(column{Name: name, Type: fragment.Document}, func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendDoc(dst, of(row.Node)) })
	}

	add(column{Name: "id", Required: true, Bloom: true}, func(f *nodeRecords, dst []byte, row *Row) []byte {
		return f.ids.append(dst, row.WorkspaceID, row.RunID, row.Node.NodeRunID)
	})
	text(column{Name: "run_id", Required: true, Bloom: true}, func(row *Row) []byte { return row.RunID })
	text(column{Name: "node_run_id", Required: true, Bloom: true}, func(row *Row) []byte { return row.Node.NodeRunID })
	add(nodeNameColumn(), func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendNodeName(dst, row.Node) })

	text(column{Name: "prompt_template", Dictionary: true, Long: true}, func(row *Row) []byte { return row.Node.PromptTemplate })
	add(column{Name: "template_id", Dictionary: true}, func(_ *nodeRecords, dst []byte, row *Row) []byte {
		return appendTemplateID(dst, row.Node.PromptTemplate)
	})
	document("variables", func(n *Node) []byte { return n.PromptVariables })
	document("messages", func(n *Node) []byte { return n.Messages })
	add(column{Name: "output", Long: true}, func(f *nodeRecords, dst []byte, row *Row) []byte {
		dst, _, f.err = f.texts.appendOutput(dst, row.Node)
		return dst
	})
	text(column{Name: "reference", Long: true}, func(row *Row) []byte { return row.Reference })
	add(scoresColumn(), func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendScores(dst, row) })
	add(judgementColumn(), func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendJudgement(dst, row) })

	text(column{Name: "model", Dictionary: true}, func(row *Row) []byte { return row.Node.Model })
	add(parametersColumn(), func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendParameters(dst, row.Node.Parameters) })
	add(usageColumn(), func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendUsage(dst, &row.Node.Execution) })
	add(column{Name: "cost_usd", Type: fragment.Float}, func(_ *nodeRecords, dst []byte, row *Row) []byte {
		return appendFloat(dst, row.Node.CostUSD)
	})
	add(column{Name: "latency_ms", Type: fragment.Integer}, func(_ *nodeRecords, dst []byte, row *Row) []byte {
		return appendInt(dst, row.Node.Latency())
	})
	add(errorColumn(), func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendError(dst, &row.Node.Execution) })
	add(passagesColumn(), func(_ *nodeRecords, dst []byte, row *Row) []byte { return appendPassages(dst, row.Node.Chunks) })
	add(downstreamColumn(), appendDownstream)
	add(column{Name: "started_at", Type: fragment.Time, Required: true}, func(_ *nodeRecords, dst []byte, row *Row) []byte {
		return jsontext.AppendTime(dst, row.Node.StartedAt)
	})
	return columns
}

func downstreamColumn() fragment.Column {
	return fragment.Column{Name: "downstream", Type: fragment.Struct, Required: true, Fields: []fragment.Column{
		{Name: "status", Dictionary: true},
		{Name: "answer", Long: true},
	}}
}

// appendDownstream appends what became of the run that the node run was part of.
func appendDownstream(_ *nodeRecords, dst []byte, row *Row) []byte {
	dst = append(dst, `{"status":`...)
	dst = appendText(dst, row.Status)
	dst = append(dst, `,"answer":`...)
	dst = appendText(dst, row.Answer)
	return append(dst, '}')
}

// appendTemplateID appends what a prompt template is known by, null if there is none: the first 8 bytes of its
// SHA-256, in hexadecimal digits.
func appendTemplateID(dst, template []byte) []byte {
	if len(template) == 0 {
		return append(dst, "null"...)
	}
	sum := sha256.Sum256(template)
	return append(hex.AppendEncode(append(dst, '"'), sum[:8]), '"')
}
