package format

import "github.com/millrace/millrace/sinks/fragment"

// Both have records that ascend by input group first, which is no column of its own, so they claim no order.
var (
	recipeEvaluationCanonical = Target{
		Name: Canonical, Purposes: []string{RecipeEvaluation},
		Reader: anyTool,
		Shape:  "one record a run, with every key: what went in, what came out, what was expected, the verdict, and how other versions did on the same input",
		Rules: []string{
			"runs of the same input come one after another; `comparison.rank` orders them, 1 is the best",
			"`inputs` are those of the producer with `question` in front, and `outputs` those with `answer`, unless they have such a key",
			"`expectations.expected_response` is the reference, or else the corrected answer",
		},
		Formats: anyFormat, make: newEvaluationCanonical,
	}
	nodeEvaluationCanonical = Target{
		Name: Canonical, Purposes: []string{NodeEvaluation},
		Reader: anyTool,
		Shape:  "one record a node run, with every key: its prompt, what went in, what came out, what was expected, the verdict, and how other versions did on the same input; `run` is what is around it",
		Rules: []string{
			"node runs of the same input come one after another; `comparison.rank` orders them, 1 is the best",
			"`inputs` and `outputs` are as the producer sent them; `status`, `error`, `usage` and times are those of the node run",
			"`expectations.expected_response` is the reference of the run, or else the corrected answer",
		},
		Formats: anyFormat, make: newEvaluationCanonical,
	}
)

// newEvaluationCanonical returns what writes a run or a node run beside the others of the same input.
func newEvaluationCanonical(purpose string, _ *options) Formatter {
	needs := Needs{Group: ByInput, Comparison: true}
	if purpose == RecipeEvaluation {
		needs.Nodes = WithChunks
	}
	f := newRecords(purpose, needs)
	f.fields = newObject(evaluationFields(f, purpose == NodeEvaluation)...)
	return f
}

// evaluationFields are the fields of the record, in their order.
func evaluationFields(f *records, node bool) (fields []field[Row]) {
	add := func(more ...field[Row]) { fields = append(fields, more...) }
	with := func(name, key string, get func(r *Row) (text, doc []byte)) field[Row] {
		return plain(column{Name: name, Type: fragment.Document, Required: true}, func(dst []byte, r *Row) []byte {
			text, doc := get(r)
			return f.appendWithFirst(dst, key, text, doc)
		})
	}

	add(f.idField(), runIDField)
	if node {
		add(nodeNameField, nodeRunIDField)
	}
	add(requestIDField, sessionIDField, traceIDField, appVersionField)
	if node {
		add(promptTemplateField, variablesField, inputsField, filesField, outputsField)
	} else {
		add(with("inputs", "question", func(r *Row) (text, doc []byte) { return r.Question, r.Inputs }), systemInputsField, filesField)
		add(with("outputs", "answer", func(r *Row) (text, doc []byte) { return r.Answer, r.Outputs }))
	}
	add(nested("expectations", func(r *Row) *Row {
		if expectedText(r) == nil {
			return nil
		}
		return r
	},
		text(column{Name: "expected_response", Required: true, Long: true}, expectedText),
	))
	add(textList("retrieved_contexts", column{Required: true, Long: true}, f.contexts))
	if node {
		add(chunksField)
	}
	add(newScoresField(), feedbackField)
	if node {
		add(required(nested("run", func(r *Row) *Row { return r }, // what is around the node run
			text(column{Name: "question", Long: true}, func(r *Row) []byte { return r.Question }),
			text(column{Name: "answer", Long: true}, func(r *Row) []byte { return r.Answer }),
			text(column{Name: "status", Dictionary: true}, func(r *Row) []byte { return r.Status }),
		)))
	}
	add(statusField, failureField, latencyField, usageField, costField)
	add(required(nested("comparison", func(r *Row) *Row { return r }, comparisonFields(f)...)))
	add(metadataField, startedAtField)
	return fields
}

// comparisonFields say how the row stands among those of the same input.
func comparisonFields(f *records) []field[Row] {
	return []field[Row]{
		text(column{Name: "input_group"}, func(r *Row) []byte { return r.Subject().InputGroup }),
		textList("versions", column{Dictionary: true}, func(r *Row) [][]byte { return r.Comparison.Versions }),
		whole("runs_in_group", func(r *Row) int64 { return r.Comparison.RunsInGroup }),
		whole("rank", func(r *Row) int64 { return r.Comparison.Rank }),
		text(column{Name: "best_version", Dictionary: true}, func(r *Row) []byte { return r.Comparison.BestVersion }),
		text(column{Name: "previous_version", Dictionary: true}, func(r *Row) []byte { return previousOf(r).PreviousVersion }),
		text(column{Name: "previous_answer", Long: true}, func(r *Row) []byte {
			answer := previousOf(r).PreviousAnswer
			if r.Node == nil {
				return answer
			}
			return f.document(answer, outputNames) // it is a node run's outputs
		}),
		float("previous_score", func(r *Row) Null[float64] { return previousOf(r).PreviousScore }),
	}
}

var noPrevious Comparison

// previousOf is the comparison with the version before. Without one, what a row has there is of a row before.
func previousOf(r *Row) *Comparison {
	if r.Comparison.HasPrevious {
		return &r.Comparison
	}
	return &noPrevious
}
