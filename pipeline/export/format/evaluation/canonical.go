package evaluation

import (
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// The records of both targets ascend by input group, which is no column of its own, so SortedBy is
// empty.
var (
	RecipeCanonical = format.Target{
		Name: record.Canonical, Purposes: []string{format.RecipeEvaluation},
		Reader: format.AnyTool,
		Shape: "one record a run, with every key: what went in, what came out, what was expected, the verdict, and how " +
			"other versions did on the same input",
		Rules: []string{
			"runs of the same input come one after another; `comparison.rank` orders them, 1 is the best",
			"`inputs` are those of the producer with `question` in front, and `outputs` those with `answer`, unless they have " +
				"such a key",
			"`expectations.expected_response` is the reference, or else the corrected answer",
		},
		Options: []format.Option{format.ColumnsOption},
		Formats: format.AnyFormat, Make: newCanonical,
	}
	NodeCanonical = format.Target{
		Name: record.Canonical, Purposes: []string{format.NodeEvaluation},
		Reader: format.AnyTool,
		Shape: "one record a node run, with every key: its prompt, what went in, what came out, what was expected, the " +
			"verdict, and how other versions did on the same input; `run` is what is around it",
		Rules: []string{
			"node runs of the same input come one after another; `comparison.rank` orders them, 1 is the best",
			"`inputs` and `outputs` are as the producer sent them; `status`, `error`, `usage` and times are those of the node " +
				"run",
			"`expectations.expected_response` is the reference of the run, or else the corrected answer",
		},
		Options: []format.Option{format.ColumnsOption},
		Formats: format.AnyFormat, Make: newCanonical,
	}
)

// newCanonical returns the formatter of runs or node runs, each compared with the others of the
// same input.
func newCanonical(purpose string, o *format.Options) format.Formatter {
	f := record.NewRecords(purpose, record.Needs{Group: record.ByInput, Comparison: true})
	fields := format.Kept(o, canonicalFields(f, purpose == format.NodeEvaluation))
	for _, field := range fields {
		if field.Name == contextsName && purpose == format.RecipeEvaluation {
			f.RowNeeds.Nodes = record.WithChunks
		}
	}
	f.Fields = record.NewObject(fields...)
	return f
}

// contextsName is the column of the chunks that reached the model, which node runs of a run have.
const contextsName = "retrieved_contexts"

// canonicalFields returns the fields of the record, in order.
func canonicalFields(f *record.Records, node bool) (fields []record.Field[record.Row]) {
	add := func(more ...record.Field[record.Row]) { fields = append(fields, more...) }
	with := func(name, key string, get func(r *record.Row) (text, doc []byte)) record.Field[record.Row] {
		return record.PlainField(record.Column{Name: name, Type: fragment.Document, Required: true},
			func(dst []byte, r *record.Row) []byte {
				text, doc := get(r)
				return appendWithFirst(&f.Reader, dst, key, text, doc)
			})
	}

	add(f.IDField(), record.RunIDField)
	if node {
		add(record.NodeField, record.NodeRunIDField)
	}
	add(record.RequestIDField, record.SessionIDField, record.TraceIDField, record.AppVersionField)
	if node {
		add(record.PromptTemplateField, record.VariablesField, record.InputsField, record.FilesField, record.OutputsField)
	} else {
		add(with("inputs", "question", func(r *record.Row) (text, doc []byte) { return r.Question, r.Inputs }),
			record.SystemInputsField, record.FilesField)
		add(with("outputs", "answer", func(r *record.Row) (text, doc []byte) { return r.Answer, r.Outputs }))
	}
	add(record.NestedField("expectations", func(r *record.Row) *record.Row {
		if record.ExpectedText(r) == nil {
			return nil
		}
		return r
	},
		record.TextField(record.Column{Name: "expected_response", Required: true, Long: true}, record.ExpectedText),
	))
	add(record.TextListField(contextsName, record.Column{Required: true, Long: true}, f.Contexts))
	if node {
		add(record.ChunksField)
	}
	add(record.NewScoresField(), record.FeedbackField)
	if node {
		// the run around the node run
		add(record.Required(record.NestedField("run", func(r *record.Row) *record.Row { return r },
			record.TextField(record.Column{Name: "question", Long: true}, func(r *record.Row) []byte { return r.Question }),
			record.TextField(record.Column{Name: "answer", Long: true}, func(r *record.Row) []byte { return r.Answer }),
			record.TextField(record.Column{Name: "status", Dictionary: true}, func(r *record.Row) []byte { return r.Status }),
		)))
	}
	add(record.StatusField, record.ErrorField, record.LatencyField, record.UsageField, record.CostField)
	add(record.Required(record.NestedField("comparison", func(r *record.Row) *record.Row { return r },
		comparisonFields(f)...)))
	add(record.MetadataField, record.StartedAtField)
	return fields
}

// comparisonFields returns the fields that compare the row with the others of the same input.
func comparisonFields(f *record.Records) []record.Field[record.Row] {
	return []record.Field[record.Row]{
		record.TextField(record.Column{Name: "input_group"}, func(r *record.Row) []byte { return r.Subject().InputGroup }),
		record.TextListField("versions", record.Column{Dictionary: true},
			func(r *record.Row) [][]byte { return r.Comparison.Versions }),
		record.RequiredIntegerField("runs_in_group", func(r *record.Row) int64 { return r.Comparison.RunsInGroup }),
		record.RequiredIntegerField("rank", func(r *record.Row) int64 { return r.Comparison.Rank }),
		record.TextField(record.Column{Name: "best_version", Dictionary: true},
			func(r *record.Row) []byte { return r.Comparison.BestVersion }),
		record.TextField(record.Column{Name: "previous_version", Dictionary: true},
			func(r *record.Row) []byte { return previousOf(r).PreviousVersion }),
		record.TextField(record.Column{Name: "previous_answer", Long: true}, func(r *record.Row) []byte {
			answer := previousOf(r).PreviousAnswer
			if r.Node == nil {
				return answer
			}
			return f.Document(answer, record.OutputNames) // the outputs of a node run
		}),
		record.FloatField("previous_score", func(r *record.Row) record.Null[float64] { return previousOf(r).PreviousScore }),
	}
}

var noPrevious record.Comparison

// previousOf returns the comparison with the previous version. If there is none, the fields of the
// row are stale, so previousOf returns an empty comparison.
func previousOf(r *record.Row) *record.Comparison {
	if r.Comparison.HasPrevious {
		return &r.Comparison
	}
	return &noPrevious
}
