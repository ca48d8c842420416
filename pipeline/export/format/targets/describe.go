package targets

import (
	_ "embed" // the examples
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/pipeline/export/format"
)

// examplesText has a record of each target. The golden test makes them of sample runs.
//
//go:embed examples.jsonl
var examplesText string

var examples = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(examplesText) {
		var e struct{ Purpose, Target, Example string }
		if json.Unmarshal([]byte(line), &e) == nil {
			all[e.Purpose+"/"+e.Target] = e.Example
		}
	}
	return all
})

// Example is a record of a target, or "".
func Example(purpose, target string) string { return examples()[purpose+"/"+target] }

// purposeTexts say what a purpose is for.
var purposeTexts = map[string]string{
	format.ExportDataset:    "runs as they were, for analysis",
	format.RecipeEvaluation: "the quality of runs, compared across versions",
	format.NodeEvaluation:   "one node, isolated",
	format.NodeOptimization: "prompts and parameters of a node, tuned from real traces",
	format.FineTuning:       "conversations to train a model on",
}

// About returns what a purpose is for.
func About(purpose string) string { return purposeTexts[purpose] }

// Describe returns all about a target in Markdown: who reads it, the shape of a record, rules,
// options, reasons to drop a row, and an example. It returns only the options of all targets if
// there is no such target.
func Describe(purpose, target string) string {
	var b strings.Builder
	for i, t := range Targets(purpose) {
		if t.Name == target {
			describe(&b, t, purpose, i == 0)
		}
	}
	fmt.Fprintf(&b, "\nOptions of all targets:\n\n")
	items(&b, format.FileOptions)
	return b.String()
}

func describe(b *strings.Builder, t *format.Target, purpose string, first bool) {
	fmt.Fprintf(b, "# %s for %s", t.Name, purpose)
	if first {
		b.WriteString(" (default)")
	}
	fmt.Fprintf(b, "\n\n%s\n\nread by:  %s\nformats:  %s\n", t.Shape, t.Reader, strings.Join(t.Formats, ", "))
	var limits []string
	limit := func(n int64, text string) {
		if n > 0 {
			limits = append(limits, fmt.Sprintf(text, n))
		}
	}
	limit(t.Limits.MaxRecords, "%d records a file")
	limit(t.Limits.MaxBytes, "%d bytes a file")
	limit(t.Least, "a warning below %d records")
	limit(t.Most, "a warning above %d records")
	if len(t.Labels) > 0 {
		limits = append(limits, "a warning where no record has one of the labels "+strings.Join(t.Labels, ", "))
	}
	if limits != nil {
		fmt.Fprintf(b, "limits:   %s\n", strings.Join(limits, "; "))
	}
	if len(t.Rules) > 0 {
		b.WriteString("\nRules:\n\n")
		for _, rule := range t.Rules {
			fmt.Fprintf(b, "- %s\n", rule)
		}
	}
	if len(t.Options) > 0 {
		b.WriteString("\nOptions:\n\n")
		items(b, t.Options)
	}
	if drops := slices.Concat(t.Drops, commonDrops); len(drops) > 0 {
		b.WriteString("\nDropped, and counted:\n\n")
		for _, d := range drops {
			fmt.Fprintf(b, "- `%s`: %s\n", d.Reason, d.Text)
		}
	}
	if example := Example(purpose, t.Name); example != "" {
		fmt.Fprintf(b, "\nExample:\n\n    %s\n", example)
	}
}

// commonDrops are the reasons that every target has.
var commonDrops = []format.Drop{{Reason: format.RecordTooLarge, Text: "the record has more than 64 MiB"}}

// DropReasons returns the reasons under which the targets of a purpose drop rows, sorted.
func DropReasons(purpose string) (reasons []string) {
	for _, t := range Targets(purpose) {
		for _, d := range slices.Concat(t.Drops, commonDrops) {
			reasons = append(reasons, d.Reason)
		}
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}

func items(b *strings.Builder, options []format.Option) {
	for _, o := range options {
		fmt.Fprintf(b, "- `%s`: %s\n", o.Name, o.Text)
	}
}
