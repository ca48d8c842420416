// Package evaluation has the targets of recipe_evaluation and node_evaluation, a file each.
// evaluation.go has the formatter that all targets but canonical share.
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

// purposes are the two purposes that share most targets. A row is a run, or a node run with the run
// around it.
var purposes = []string{format.RecipeEvaluation, format.NodeEvaluation}

// Reasons to drop a row that several targets share.
var (
	dropNoQuestion = format.Drop{Reason: "no_question",
		Text: "neither the question nor the inputs nor a message of the user has a text"}
	dropNoAnswer = format.Drop{Reason: "no_answer",
		Text: "neither the answer nor the outputs nor a message of the assistant has a text"}
	dropNoReference = format.Drop{Reason: "no_reference", Text: "neither a reference nor a corrected answer"}
)

// formatter writes a record for each row that has what the reader requires.
type formatter struct {
	record.Texts
	ids   record.IDs
	needs record.NodeRuns
	write writeFunc
}

// writeFunc appends the record of a row, or returns the reason to drop it.
type writeFunc func(f *formatter, dst []byte, row *record.Row) (out []byte, drop string)

// newFormatter returns the formatter of a target. Nodes selects the node runs of a run that the
// target reads. A node run needs no others: it has its own chunks and messages.
func newFormatter(purpose, target string, nodes record.NodeRuns, write writeFunc) *formatter {
	if purpose == format.NodeEvaluation {
		nodes = record.NoNodes
	}
	return &formatter{ids: record.NewIDs(purpose, target), needs: nodes, write: write}
}

// makeFunc returns the Make of a target without options and state.
func makeFunc(target string, nodes record.NodeRuns, write writeFunc) func(string, *format.Options) format.Formatter {
	return func(purpose string, _ *format.Options) format.Formatter {
		return newFormatter(purpose, target, nodes, write)
	}
}

// Needs implements [format.Formatter].
func (f *formatter) Needs() record.Needs { return record.Needs{Nodes: f.needs} }

// Columns implements [format.Formatter]: absent values are left out, so records have no columns.
func (f *formatter) Columns() []fragment.Column { return nil }

// Append implements [format.RowFormatter].
func (f *formatter) Append(dst []byte, row *record.Row) (out []byte, drop string, err error) {
	f.Reset()
	out, drop = f.write(f, dst, row)
	return f.Finish(row, dst, out, drop)
}

// inputAndOutput returns the input and the output of a row, or the reason to drop a row without one
// of them.
func (f *formatter) inputAndOutput(row *record.Row) (input, output []byte, drop string) {
	if input = f.Input(row); len(input) == 0 {
		return nil, nil, dropNoQuestion.Reason
	}
	if output = f.Output(row); len(output) == 0 {
		return nil, nil, dropNoAnswer.Reason
	}
	return input, output, ""
}

// appendInputs appends the inputs of a row as an object. For a run, that is the question and the
// inputs. For a node run, it is the inputs, or else the variables of the prompt. If these are
// absent, the object has the text that Input finds. Some is false if the row has no input.
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

// inputKey returns the key of the text that replaces absent inputs.
func inputKey(row *record.Row) string {
	if row.Node != nil {
		return `"input":`
	}
	return `"question":`
}

// appendWithFirst appends the object doc, which may be absent. It puts key and text in front,
// unless the object has the key or the text is blank.
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

// originKeys are the keys that appendOrigin writes before the metadata of the producer.
var originKeys = []string{"run_id", "node_run_id", "node_id", "app_id", "app_version", "model", "status", "score",
	"rating"}

// appendOrigin appends the origin of a record, its feedback and the metadata of the producer as one
// flat object, so that readers can filter by any of them. A key of the producer that is already
// used gets the prefix "metadata.". With texts, the score is a string.
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
			// The dot of the prefix takes the place of the opening quote of the key.
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

// listOfTexts returns the key of a list of texts.
func listOfTexts(name string) []fragment.Column {
	return []fragment.Column{{Name: name, Type: fragment.List, Element: &fragment.Column{Type: fragment.Text}}}
}
