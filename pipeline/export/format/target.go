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

// Purposes has all purposes, in the order in which they are shown.
var Purposes = []string{ExportDataset, RecipeEvaluation, NodeEvaluation, NodeOptimization, FineTuning}

// Target is a shape of records, for one purpose or two. `millrace formats` and README.md show its
// texts, which are Markdown.
type Target struct {
	Name     string
	Purposes []string
	Reader   string   // the tool that reads it, and how: "[Ragas](https://…), `EvaluationDataset.from_jsonl`"
	Shape    string   // what a record is
	Rules    []string // what the reader requires; every record is checked
	Options  []Option // beside FileOptions
	Drops    []Drop   // reasons to drop a row, beside group_too_large and record_too_large
	// Formats are the possible file formats, the default first.
	Formats []string
	// Keys are the keys that a record may have, for records without columns: see
	// [Formatter]. Nil if any key is possible.
	Keys []fragment.Column
	// Limits of a file hold whatever the request says. 0 is no limit.
	Limits fragment.Limits
	// Least and Most are the smallest and the largest number of records that the reader accepts; 0
	// is no limit. An export outside these limits ends with a warning.
	Least, Most int64
	// Labels are the labels of which the reader needs a record each, see [Labelled].
	Labels []string
	// Load is a shell command that loads a file into the reader. {file} is the path of the file,
	// and {dir} is the folder above it, which has the sidecars in __meta__. "" stands for a command
	// with DuckDB.
	Load string
	// Sidecar is the name of a file in __meta__ that the reader needs, or "".
	Sidecar string

	SortedBy []string // columns by which records ascend
	// Make returns a formatter for one of the purposes. It reports wrong options with
	// [Options.Fail].
	Make func(purpose string, o *Options) Formatter
}

// Option is an option of a request.
type Option struct {
	Name, Text string
	Kind       OptionKind
	// Default is the value of an option that is not given, as a request has it. nil: Text says what happens.
	Default any
	// Values are the possible values of a Choice, and those of Names. nil: any, or the columns of the target.
	Values []string
	// Formats are the file formats that can have the option; nil is all of the target.
	Formats []string
}

// OptionKind is the type of an option's values.
type OptionKind string

// The types of options: a text is the zero value.
const (
	Text   OptionKind = ""
	Flag   OptionKind = "flag"   // true or false
	Whole  OptionKind = "whole"  // a whole number
	Choice OptionKind = "choice" // one of Values
	Names  OptionKind = "names"  // a list of texts
)

// Drop is a reason to drop a row, and its explanation.
type Drop struct{ Reason, Text string }

// AnyFormat has all file formats, the default first.
var AnyFormat = []string{fragment.JSONL, fragment.JSON, fragment.CSV, fragment.Parquet}

// AnyTool is the Reader of canonical targets.
const AnyTool = "any tool: [DuckDB](https://duckdb.org), [pandas](https://pandas.pydata.org), [Hugging Face " +
	"Datasets](https://huggingface.co/docs/datasets)"

// OnlyJSONL is for targets whose reader takes JSON Lines only.
var OnlyJSONL = []string{fragment.JSONL}

// Texts returns keys whose values are texts.
func Texts(names ...string) []fragment.Column { return keys(fragment.Text, names) }

// Documents returns keys whose values are objects or arrays.
func Documents(names ...string) []fragment.Column { return keys(fragment.Document, names) }

func keys(t fragment.Type, names []string) []fragment.Column {
	all := make([]fragment.Column, len(names))
	for i, name := range names {
		all[i] = fragment.Column{Name: name, Type: t}
	}
	return all
}

// Formatter returns the formatter of the target for one of its purposes. The error names the wrong
// option and the possible values. Formatter ignores FileOptions, which [Target.Encoder] reads.
func (t *Target) Formatter(purpose string, values map[string]any) (Formatter, error) {
	o := &Options{Values: values}
	o.known(purpose, t.Name, t.Options)
	f := t.Make(purpose, o)
	if o.err != nil {
		return nil, o.err
	}
	return f, nil
}
