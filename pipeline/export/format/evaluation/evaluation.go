package evaluation

import (
	"bytes"
	"errors"
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// purposes are those that share their named targets: a row is a run, or a node run with the run around it.
var purposes = []string{format.RecipeEvaluation, format.NodeEvaluation}

// Reasons that rows of several evaluation targets are dropped for.
var (
	dropNoQuestion  = format.Drop{Reason: "no_question", Text: "neither the question nor the inputs nor a message of the user has a text"}
	dropNoAnswer    = format.Drop{Reason: "no_answer", Text: "neither the answer nor the outputs nor a message of the assistant has a text"}
	dropNoReference = format.Drop{Reason: "no_reference", Text: "neither a reference nor a corrected answer"}
)

// formatter writes a record for each row that has what its reader asks for.
type formatter struct {
	record.Texts
	ids   record.IDs
	needs record.NodeRuns
	write writeFunc
}

// writeFunc appends the record of a row, or says why its reader cannot take it.
type writeFunc func(f *formatter, dst []byte, row *record.Row) (out []byte, drop string)

// newFormatter makes the formatter of a target. Runs bring along those of their node runs that the target reads; a
// node run has its own chunks and messages.
func newFormatter(purpose, target string, nodes record.NodeRuns, write writeFunc) *formatter {
	if purpose == format.NodeEvaluation {
		nodes = record.NoNodes
	}
	return &formatter{ids: record.NewIDs(purpose, target), needs: nodes, write: write}
}

// makeFunc is what makes the formatter of a target that has nothing of its own.
func makeFunc(target string, nodes record.NodeRuns, write writeFunc) func(string, *format.Options) format.Formatter {
	return func(purpose string, _ *format.Options) format.Formatter {
		return newFormatter(purpose, target, nodes, write)
	}
}

// Needs implements [Formatter].
func (f *formatter) Needs() record.Needs { return record.Needs{Nodes: f.needs} }

// Columns implements [Formatter]: keys that a row has no value for are left out, so there are none.
func (f *formatter) Columns() []fragment.Column { return nil }

// Append implements [RowFormatter].
func (f *formatter) Append(dst []byte, row *record.Row) (out []byte, drop string, err error) {
	f.Reset()
	out, drop = f.write(f, dst, row)
	return f.Finish(row, dst, out, drop)
}

// inputAndOutput returns input and output, or the reason to drop a row that lacks one of them.
func (f *formatter) inputAndOutput(row *record.Row) (input, output []byte, drop string) {
	if input = f.Input(row); len(input) == 0 {
		return nil, nil, dropNoQuestion.Reason
	}
	if output = f.Output(row); len(output) == 0 {
		return nil, nil, dropNoAnswer.Reason
	}
	return input, output, ""
}

// appendInputs appends the inputs as an object for readers that want one: a run's inputs with its question in front,
// a node run's inputs, or else its prompt's variables; and where there is none of these, the text that stands in for
// them. It says whether there is anything.
func (f *formatter) appendInputs(dst []byte, row *record.Row) (out []byte, some bool) {
	if row.Node != nil {
		for _, doc := range [...][]byte{row.Node.Inputs, row.Node.PromptVariables} {
			if !record.HasNoMembers(doc) {
				return record.AppendOneLine(dst, doc), true
			}
		}
	} else if !record.HasNoMembers(row.Inputs) || !record.IsBlank(row.Question) {
		return appendWithFirst(&f.Reader, dst, "question", row.Question, row.Inputs), true
	}
	text := f.Input(row)
	if len(text) == 0 {
		return dst, false
	}
	dst = append(append(dst, '{'), inputKey(row)...)
	return append(jsonscan.AppendString(dst, text), '}'), true
}

// inputKey is what comes before the text that stands in for inputs.
func inputKey(row *record.Row) string {
	if row.Node != nil {
		return `"input":`
	}
	return `"question":`
}

// appendWithFirst appends an object with a text put in front under a key, where the object has no such key and the text
// is not blank. Doc is the object, or absent.
func appendWithFirst(r *record.Reader, dst []byte, key string, text, doc []byte) []byte {
	switch {
	case record.HasNoMembers(doc) && record.IsBlank(text):
		return append(dst, "{}"...)
	case record.IsOtherKind('{', doc):
		r.Err = errors.New("a document is no object")
		return dst
	case record.IsBlank(text) || r.Member(doc, key) != nil:
		return record.AppendOneLine(dst, doc)
	}
	dst = append(append(append(dst, `{"`...), key...), `":`...)
	dst = jsonscan.AppendString(dst, text)
	if record.HasNoMembers(doc) {
		return append(dst, '}')
	}
	return record.AppendOneLine(append(dst, ','), doc[bytes.IndexByte(doc, '{')+1:])
}

// originKeys are the keys of appendOrigin that are not the producer's.
var originKeys = []string{"run_id", "node_run_id", "node_id", "app_id", "app_version", "model", "status", "score", "rating"}

// appendOrigin appends where a record comes from and how it was judged, and then the metadata of the producer, flat, so
// that readers can filter by any of it. Of the producer's keys those that are taken get "metadata." in front. With
// texts, the score is a string too.
func appendOrigin(dst []byte, row *record.Row, texts bool) []byte {
	e := row.Subject()
	dst = append(dst, `{"run_id":`...)
	dst = jsonscan.AppendString(dst, row.RunID)
	if row.Node != nil {
		dst = record.AppendOptional(dst, "node_run_id", row.Node.NodeRunID)
		dst = record.AppendOptional(dst, "node_id", row.Node.NodeID)
	}
	dst = record.AppendOptional(dst, "app_id", row.AppID)
	dst = record.AppendOptional(dst, "app_version", e.AppVersion)
	dst = record.AppendOptional(dst, "model", e.Model)
	dst = record.AppendOptional(dst, "status", e.Status)
	if row.HasFeedback {
		if score := row.Feedback.Score; score.Valid {
			dst = append(dst, `,"score":`...)
			if texts {
				dst = append(jsonscan.AppendFloat(append(dst, '"'), score.Value), '"')
			} else {
				dst = jsonscan.AppendFloat(dst, score.Value)
			}
		}
		dst = record.AppendOptional(dst, "rating", row.Feedback.Rating)
	}
	for _, p := range e.Metadata {
		dst = append(dst, ',')
		if bytes.HasPrefix(p.Key, []byte("metadata.")) || slices.Contains(originKeys, string(p.Key)) {
			dst = append(dst, `"metadata.`...)
			// The quote that the key would begin with is the dot's place.
			at := len(dst) - 1
			dst = jsonscan.AppendString(dst[:at], p.Key)
			dst[at] = '.'
		} else {
			dst = jsonscan.AppendString(dst, p.Key)
		}
		dst = append(dst, ':')
		dst = jsonscan.AppendString(dst, p.Value)
	}
	return append(dst, '}')
}
