package format

import (
	"bytes"

	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// Both have records that ascend by input group first, which is no column of its own, so they claim no order.
var (
	recipeEvaluationCanonical = Target{
		Name: Canonical, Purposes: []string{RecipeEvaluation},
		Reader: "any tool: [DuckDB](https://duckdb.org), [pandas](https://pandas.pydata.org), [Hugging Face Datasets](https://huggingface.co/docs/datasets)",
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
		Reader: "any tool: [DuckDB](https://duckdb.org), [pandas](https://pandas.pydata.org), [Hugging Face Datasets](https://huggingface.co/docs/datasets)",
		Shape:  "one record a node run, with every key: its prompt, what went in, what came out, what was expected, the verdict, and how other versions did on the same input; `run` is what is around it",
		Rules: []string{
			"node runs of the same input come one after another; `comparison.rank` orders them, 1 is the best",
			"`inputs` and `outputs` are as the producer sent them; `status`, `error`, `usage` and times are those of the node run",
			"`expectations.expected_response` is the reference of the run, or else the corrected answer",
		},
		Formats: anyFormat, make: newEvaluationCanonical,
	}
)

// evaluationCanonical writes a run or a node run beside the others of the same input. Every key is in every record, null
// where there is no value; lists are [] and metadata is {} where there is nothing. Times are RFC 3339, UTC.
type evaluationCanonical struct {
	evaluation
	columns []evaluationColumn
}

// evaluationColumn is a key of the record and what writes its value.
type evaluationColumn struct {
	fragment.Column
	key   []byte // with what is before it: `,"run_id":`
	value func(f *evaluationCanonical, dst []byte, row *Row) ([]byte, error)
}

func newEvaluationCanonical(purpose string, _ *options) Formatter {
	f := &evaluationCanonical{evaluation: newEvaluation(purpose, Canonical, WithChunks)}
	f.columns = evaluationColumns(purpose == NodeEvaluation)
	for i := range f.columns {
		c := &f.columns[i]
		if i > 0 {
			c.key = append(c.key, ',')
		}
		c.key = append(jsontext.AppendString(c.key, []byte(c.Name)), ':')
	}
	return f
}

// Needs implements [Formatter].
func (f *evaluationCanonical) Needs() Needs {
	return Needs{Group: ByInput, Comparison: true, Nodes: f.needs}
}

func (f *evaluationCanonical) Columns() []fragment.Column {
	columns := make([]fragment.Column, len(f.columns))
	for i, c := range f.columns {
		columns[i] = c.Column
	}
	return columns
}

func (f *evaluationCanonical) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	out = append(dst, '{')
	for i := range f.columns {
		c := &f.columns[i]
		out = append(out, c.key...)
		if out, err = c.value(f, out, row); err != nil {
			return dst, "", err
		}
	}
	return append(out, '}'), "", nil
}

// evaluationColumns are the columns of the record, in their order.
func evaluationColumns(node bool) []evaluationColumn {
	type column = fragment.Column
	var columns []evaluationColumn
	add := func(c column, value func(f *evaluationCanonical, dst []byte, row *Row) ([]byte, error)) {
		columns = append(columns, evaluationColumn{Column: c, value: value})
	}
	plain := func(c column, value func(dst []byte, row *Row) []byte) {
		add(c, func(_ *evaluationCanonical, dst []byte, row *Row) ([]byte, error) { return value(dst, row), nil })
	}
	text := func(c column, of func(row *Row) []byte) {
		plain(c, func(dst []byte, row *Row) []byte { return appendText(dst, of(row)) })
	}
	document := func(name string, of func(row *Row) []byte) {
		plain(column{Name: name, Type: fragment.Document}, func(dst []byte, row *Row) []byte { return appendDoc(dst, of(row)) })
	}

	add(column{Name: "id", Required: true, Bloom: true}, func(f *evaluationCanonical, dst []byte, row *Row) ([]byte, error) {
		return f.appendID(dst, row), nil
	})
	text(column{Name: "run_id", Required: true, Bloom: true}, func(row *Row) []byte { return row.RunID })
	if node {
		plain(nodeNameColumn(), func(dst []byte, row *Row) []byte { return appendNodeName(dst, row.Node) })
		text(column{Name: "node_run_id", Required: true, Bloom: true}, func(row *Row) []byte { return row.Node.NodeRunID })
	}
	text(column{Name: "request_id"}, func(row *Row) []byte { return row.RequestID })
	text(column{Name: "session_id"}, func(row *Row) []byte { return row.SessionID })
	text(column{Name: "trace_id"}, func(row *Row) []byte { return row.TraceID })
	text(column{Name: "app_version", Dictionary: true}, func(row *Row) []byte { return row.Subject().AppVersion })
	if node {
		text(column{Name: "prompt_template", Dictionary: true, Long: true}, func(row *Row) []byte { return row.Node.PromptTemplate })
		document("variables", func(row *Row) []byte { return row.Node.PromptVariables })
		document("inputs", func(row *Row) []byte { return row.Node.Inputs })
	} else {
		add(column{Name: "inputs", Type: fragment.Document, Required: true}, func(_ *evaluationCanonical, dst []byte, row *Row) ([]byte, error) {
			return appendWithFirst(dst, "question", row.Question, row.Inputs, row)
		})
		document("system_inputs", func(row *Row) []byte { return row.SystemInputs })
	}
	plain(filesColumn(), func(dst []byte, row *Row) []byte { return appendFiles(dst, row.Subject().Files) })
	if node {
		document("outputs", func(row *Row) []byte { return row.Node.Outputs })
	} else {
		add(column{Name: "outputs", Type: fragment.Document, Required: true}, func(_ *evaluationCanonical, dst []byte, row *Row) ([]byte, error) {
			return appendWithFirst(dst, "answer", row.Answer, row.Outputs, row)
		})
	}
	plain(expectationsColumn(), appendExpectations)
	passage := column{Required: true, Long: true}
	add(column{Name: "retrieved_contexts", Type: fragment.List, Required: true, Element: &passage}, func(f *evaluationCanonical, dst []byte, row *Row) ([]byte, error) {
		return appendStrings(dst, f.texts.contexts(row)), nil
	})
	if node {
		plain(passagesColumn(), func(dst []byte, row *Row) []byte { return appendPassages(dst, row.Node.Chunks) })
	}
	plain(scoresColumn(), appendScores)
	plain(feedbackColumn(), appendFeedback)
	if node {
		plain(evaluationRunColumn(), appendEvaluationRun)
	}
	text(column{Name: "status", Required: true, Dictionary: true}, func(row *Row) []byte { return row.Subject().Status })
	plain(errorColumn(), func(dst []byte, row *Row) []byte { return appendError(dst, row.Subject()) })
	plain(column{Name: "latency_ms", Type: fragment.Integer}, func(dst []byte, row *Row) []byte { return appendInt(dst, row.Subject().Latency()) })
	plain(usageColumn(), func(dst []byte, row *Row) []byte { return appendUsage(dst, row.Subject()) })
	plain(column{Name: "cost_usd", Type: fragment.Float}, func(dst []byte, row *Row) []byte { return appendFloat(dst, row.Subject().CostUSD) })
	add(comparisonColumn(), (*evaluationCanonical).appendComparison)
	plain(column{Name: "metadata", Type: fragment.Document, Required: true}, func(dst []byte, row *Row) []byte {
		return appendPairs(dst, row.Subject().Metadata)
	})
	plain(column{Name: "started_at", Type: fragment.Time, Required: true}, func(dst []byte, row *Row) []byte {
		return jsontext.AppendTime(dst, row.Subject().StartedAt)
	})
	return columns
}

// appendComparison appends how the row stands among those of the same input.
func (f *evaluationCanonical) appendComparison(dst []byte, row *Row) ([]byte, error) {
	c := &row.Comparison
	dst = append(dst, `{"input_group":`...)
	dst = appendText(dst, row.Subject().InputGroup)
	dst = append(dst, `,"versions":[`...)
	for i, version := range c.Versions {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, version)
	}
	dst = append(dst, `],"runs_in_group":`...)
	dst = appendInt(dst, Null[int64]{c.RunsInGroup, true})
	dst = append(dst, `,"rank":`...)
	dst = appendInt(dst, Null[int64]{c.Rank, true})
	dst = append(dst, `,"best_version":`...)
	dst = appendText(dst, c.BestVersion)
	if !c.HasPrevious {
		return append(dst, `,"previous_version":null,"previous_answer":null,"previous_score":null}`...), nil
	}
	dst = append(dst, `,"previous_version":`...)
	dst = appendText(dst, c.PreviousVersion)
	dst = append(dst, `,"previous_answer":`...)
	answer, err := f.texts.previous(row)
	if err != nil {
		return dst, err
	}
	dst = appendText(dst, answer)
	dst = append(dst, `,"previous_score":`...)
	dst = appendFloat(dst, c.PreviousScore)
	return append(dst, '}'), nil
}

// isThumbsUp says which way a rating goes, and whether it goes one.
func isThumbsUp(rating []byte) (up, is bool) {
	up = bytes.Equal(rating, []byte("thumbsUp"))
	return up, up || bytes.Equal(rating, []byte("thumbsDown"))
}
