package format

import (
	"github.com/millrace/millrace/sinks/fragment"
)

// Purposes.
const (
	ExportDataset    = "export_dataset"
	RecipeEvaluation = "recipe_evaluation"
	NodeEvaluation   = "node_evaluation"
	NodeOptimization = "node_optimization"
	FineTuning       = "fine_tuning"
)

// Purposes are all purposes, in their order.
var Purposes = []string{ExportDataset, RecipeEvaluation, NodeEvaluation, NodeOptimization, FineTuning}

// Target is a shape of records, for one purpose or two. Its texts are what `millrace formats` and the README say;
// they are Markdown.
type Target struct {
	Name     string
	Purposes []string
	Reader   string   // who reads it, and how: "[Ragas](https://…), `EvaluationDataset.from_jsonl`"
	Shape    string   // what a record is
	Rules    []string // what the reader asks for, each held on every record
	Options  []Option // beside those of the files
	Drops    []Drop   // reasons that rows are dropped for, beside group_too_large and record_too_large
	// Formats are those that it may be written as, the default one first.
	Formats []string
	// Limits are those of a file, whatever the request says; 0 is none.
	Limits fragment.Limits
	// Least and Most are numbers of records between which its reader takes a data set, 0 is none. Outside, the
	// export ends with a warning.
	Least, Most int64
	// Load is a shell command that loads a file into its reader: {file} is its path, and {dir} the folder
	// above it, which has the sidecars in __meta__. "" leaves it to DuckDB.
	Load string
	// Sidecar is the name of a file in __meta__ that its reader needs, "" for none.
	Sidecar string

	SortedBy []string // columns by which the records ascend
	Make     func(purpose string, o *Options) Formatter
}

// Option is an option of a request.
type Option struct{ Name, Text string }

// Drop is a reason that rows are dropped for.
type Drop struct{ Reason, Text string }

// All formats, the default first.
var AnyFormat = []string{fragment.JSONL, fragment.JSON, fragment.CSV, fragment.Parquet}

// AnyTool reads canonical records.
const AnyTool = "any tool: [DuckDB](https://duckdb.org), [pandas](https://pandas.pydata.org), [Hugging Face Datasets](https://huggingface.co/docs/datasets)"

var OnlyJSONL = []string{fragment.JSONL}

// Formatter returns the formatter of the target for one of its purposes. The error says which option is wrong, and
// what is possible instead. Options of the files, which [Target.Encoder] reads, are passed over.
func (t *Target) Formatter(purpose string, values map[string]any) (Formatter, error) {
	o := &Options{Values: values}
	o.known(purpose, t.Name, t.Options)
	f := t.Make(purpose, o)
	if o.err != nil {
		return nil, o.err
	}
	return f, nil
}
