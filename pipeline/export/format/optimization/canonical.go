// Package optimization has the targets of node_optimization, a file each: prompts and parameters of
// a node, tuned from real traces. bedrock_apo.go has two helpers: the queue of samples, and the
// parser of templates.
package optimization

import (
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Canonical is target canonical of node_optimization.
var Canonical = format.Target{
	Name: record.Canonical, Purposes: []string{format.NodeOptimization},
	Reader: format.AnyTool,
	Shape: "one record a node run, with every key: the prompt template and its variables, unrendered; what came out; " +
		"the verdict; the cost",
	Rules: []string{
		"`template_id` is the same for the same template, so that results group by prompt version",
		"`reference` and `downstream` are those of the run",
		"each field of `feedback` is that of the newest judgement that has it, on the node run or its node, and then on the " +
			"run; a person's before a model's and code's",
	},
	Options: []format.Option{format.ColumnsOption},
	Formats: format.AnyFormat, SortedBy: []string{"started_at", "run_id", "node_run_id"}, Make: newCanonical,
}

// newCanonical returns the formatter of node runs as they are in the history.
//
//   - node.version is the app_version of the node run.
//   - template_id is the first 16 hexadecimal digits of the SHA-256 of the template, or null.
//   - output is a text: see [record.Texts.Output].
//   - scores are numbers for an optimizer, by name: "score", "rating" as 1.0 for thumbsUp and 0.0 for
//     thumbsDown, and the newest score of each other name.
func newCanonical(purpose string, o *format.Options) format.Formatter {
	f := record.NewRecords(purpose, record.Needs{})
	f.Fields = record.NewObject(format.Kept(o, []record.Field[record.Row]{
		f.IDField(),
		record.RunIDField,
		record.NodeRunIDField,
		record.NodeField,
		record.PromptTemplateField,
		record.PlainField(record.Column{Name: "template_id", Dictionary: true}, func(dst []byte, r *record.Row) []byte {
			return record.AppendTemplateID(dst, r.Node.PromptTemplate)
		}),
		record.VariablesField,
		record.MessagesField,
		record.TextField(record.Column{Name: "output", Long: true}, f.Output),
		record.ReferenceField,
		record.NewScoresField(),
		record.FeedbackWithoutTagsField,
		record.ModelField,
		record.ParametersField,
		record.UsageField,
		record.CostField,
		record.LatencyField,
		record.ErrorField,
		record.ChunksField,
		// the outcome of the run around the node run
		record.Required(record.NestedField("downstream", func(r *record.Row) *record.Row { return r },
			record.TextField(record.Column{Name: "status", Dictionary: true}, func(r *record.Row) []byte { return r.Status }),
			record.TextField(record.Column{Name: "answer", Long: true}, func(r *record.Row) []byte { return r.Answer }),
		)),
		record.StartedAtField,
	})...)
	return f
}
