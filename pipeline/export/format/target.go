package format

import (
	"fmt"
	"slices"
	"strings"

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

// Canonical is the target of every purpose but fine_tuning that keeps what the producer sent.
const Canonical = "canonical"

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

	sortedBy []string // columns by which the records ascend
	make     func(purpose string, o *options) Formatter
}

// Option is an option of a request.
type Option struct{ Name, Text string }

// Drop is a reason that rows are dropped for.
type Drop struct{ Reason, Text string }

// All formats, the default first.
var anyFormat = []string{fragment.JSONL, fragment.JSON, fragment.CSV, fragment.Parquet}

var onlyJSONL = []string{fragment.JSONL}

// targets are all there are. The first one of a purpose is its default.
var targets = []*Target{
	&exportDatasetCanonical,
	&exportDatasetInsights,
	&recipeEvaluationCanonical, &nodeEvaluationCanonical, // and then for both
	&recipeEvaluationKarini, &nodeEvaluationKarini,
	&evaluationRagas,
	&evaluationDeepEval,
	&evaluationLangSmith,
	&evaluationLangfuse,
	&evaluationMLflow,
	&evaluationInspect,
	&evaluationOpenAI,
	&evaluationPromptfoo,
	&evaluationBedrock,
	&evaluationBedrockRAG,
	&nodeOptimizationCanonical,
	&nodeOptimizationDSPy,
	&nodeOptimizationBedrockAPO,
	&fineTuningOpenAIChat,
	&fineTuningTogether,
	&fineTuningMistral,
	&fineTuningBedrockConversation,
	&fineTuningBedrockDistillation,
	&fineTuningGemini,
	&fineTuningShareGPT,
	&fineTuningTRLPromptCompletion,
	&fineTuningTRLKTO,
	&fineTuningOpenAIDPO,
	&fineTuningTRLDPO,
	&fineTuningGeminiPreference,
}

// Purposes are all purposes, in their order.
var Purposes = []string{ExportDataset, RecipeEvaluation, NodeEvaluation, NodeOptimization, FineTuning}

// Targets returns the targets of a purpose, the default first.
func Targets(purpose string) (all []*Target) {
	for _, t := range targets {
		if slices.Contains(t.Purposes, purpose) {
			all = append(all, t)
		}
	}
	return all
}

// Names are the names of targets.
func Names(all []*Target) []string {
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.Name
	}
	return names
}

// Find returns a target. The error says what is possible instead.
func Find(purpose, target string) (*Target, error) {
	possible := Targets(purpose)
	for _, t := range possible {
		if t.Name == target {
			return t, nil
		}
	}
	if possible == nil {
		return nil, fmt.Errorf("there is no purpose %.100q; there are %s", purpose, strings.Join(Purposes, ", "))
	}
	return nil, fmt.Errorf("%s has the targets %s", purpose, strings.Join(Names(possible), ", "))
}

// New returns the formatter of a purpose and target. The error says what is possible instead. Options of
// the files, which [NewEncoder] reads, are passed over.
func New(purpose, target string, values map[string]any) (Formatter, error) {
	t, err := Find(purpose, target)
	if err != nil {
		return nil, err
	}
	o := &options{values: values}
	o.known(purpose, target, t.Options)
	f := t.make(purpose, o)
	if o.err != nil {
		return nil, o.err
	}
	return f, nil
}
