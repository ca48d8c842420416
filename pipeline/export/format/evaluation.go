package format

import (
	"bytes"
	"errors"
	"slices"

	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// evaluationPurposes are those that share their named targets: a row is a run, or a node run with the run around it.
var evaluationPurposes = []string{RecipeEvaluation, NodeEvaluation}

// Reasons that rows of several evaluation targets are dropped for.
var (
	dropNoQuestion  = Drop{"no_question", "neither the question nor the inputs nor a message of the user has a text"}
	dropNoAnswer    = Drop{"no_answer", "neither the answer nor the outputs nor a message of the assistant has a text"}
	dropNoReference = Drop{"no_reference", "neither a reference nor a corrected answer"}
)

// evaluation writes a record for each row that has what its reader asks for.
type evaluation struct {
	texts
	ids   ids
	needs NodeRuns
	write evaluationWrite
}

// evaluationWrite appends the record of a row, or says why its reader cannot take it.
type evaluationWrite func(f *evaluation, dst []byte, row *Row) (out []byte, drop string)

// newEvaluation makes the formatter of a target. Runs bring along those of their node runs that the target reads; a
// node run has its own chunks and messages.
func newEvaluation(purpose, target string, nodes NodeRuns, write evaluationWrite) *evaluation {
	if purpose == NodeEvaluation {
		nodes = NoNodes
	}
	return &evaluation{ids: newIDs(purpose, target), needs: nodes, write: write}
}

// evaluationOf is what makes the formatter of a target that has nothing of its own.
func evaluationOf(target string, nodes NodeRuns, write evaluationWrite) func(string, *options) Formatter {
	return func(purpose string, _ *options) Formatter { return newEvaluation(purpose, target, nodes, write) }
}

// Needs implements [Formatter].
func (f *evaluation) Needs() Needs { return Needs{Nodes: f.needs} }

// Columns implements [Formatter]: keys that a row has no value for are left out, so there are none.
func (f *evaluation) Columns() []fragment.Column { return nil }

// Append implements [RowFormatter].
func (f *evaluation) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	f.begin()
	out, drop = f.write(f, dst, row)
	return f.done(row, dst, out, drop)
}

// both returns input and output, or the reason to drop a row that lacks one of them.
func (f *evaluation) both(row *Row) (input, output []byte, drop string) {
	if input = f.input(row); len(input) == 0 {
		return nil, nil, dropNoQuestion.Reason
	}
	if output = f.output(row); len(output) == 0 {
		return nil, nil, dropNoAnswer.Reason
	}
	return input, output, ""
}

// appendInputs appends the inputs as an object for readers that want one: a run's inputs with its question in front,
// a node run's inputs, or else its prompt's variables; and where there is none of these, the text that stands in for
// them. It says whether there is anything.
func (f *evaluation) appendInputs(dst []byte, row *Row) (out []byte, some bool) {
	if row.Node != nil {
		for _, doc := range [...][]byte{row.Node.Inputs, row.Node.PromptVariables} {
			if !noMembers(doc) {
				return appendOneLine(dst, doc), true
			}
		}
	} else if !noMembers(row.Inputs) || !blank(row.Question) {
		return f.appendWithFirst(dst, "question", row.Question, row.Inputs), true
	}
	text := f.input(row)
	if len(text) == 0 {
		return dst, false
	}
	dst = append(append(dst, '{'), inputKey(row)...)
	return append(jsonscan.AppendString(dst, text), '}'), true
}

// inputKey is what comes before the text that stands in for inputs.
func inputKey(row *Row) string {
	if row.Node != nil {
		return `"input":`
	}
	return `"question":`
}

// appendWithFirst appends an object with a text put in front under a key, where the object has no such key and the text
// is not blank. Doc is the object, or absent.
func (r *reader) appendWithFirst(dst []byte, key string, text, doc []byte) []byte {
	switch {
	case noMembers(doc) && blank(text):
		return append(dst, "{}"...)
	case otherThan('{', doc):
		r.err = errors.New("a document is no object")
		return dst
	case blank(text) || r.member(doc, key) != nil:
		return appendOneLine(dst, doc)
	}
	dst = append(append(append(dst, `{"`...), key...), `":`...)
	dst = jsonscan.AppendString(dst, text)
	if noMembers(doc) {
		return append(dst, '}')
	}
	return appendOneLine(append(dst, ','), doc[bytes.IndexByte(doc, '{')+1:])
}

// originKeys are the keys of appendOrigin that are not the producer's.
var originKeys = []string{"run_id", "node_run_id", "node_id", "app_id", "app_version", "model", "status", "score", "rating"}

// appendOrigin appends where a record comes from and how it was judged, and then the metadata of the producer, flat, so
// that readers can filter by any of it. Of the producer's keys those that are taken get "metadata." in front. With
// texts, the score is a string too.
func appendOrigin(dst []byte, row *Row, texts bool) []byte {
	e := row.Subject()
	dst = append(dst, `{"run_id":`...)
	dst = jsonscan.AppendString(dst, row.RunID)
	if row.Node != nil {
		dst = appendOptional(dst, "node_run_id", row.Node.NodeRunID)
		dst = appendOptional(dst, "node_id", row.Node.NodeID)
	}
	dst = appendOptional(dst, "app_id", row.AppID)
	dst = appendOptional(dst, "app_version", e.AppVersion)
	dst = appendOptional(dst, "model", e.Model)
	dst = appendOptional(dst, "status", e.Status)
	if row.HasFeedback {
		if score := row.Feedback.Score; score.Valid {
			dst = append(dst, `,"score":`...)
			if texts {
				dst = append(jsonscan.AppendFloat(append(dst, '"'), score.Value), '"')
			} else {
				dst = jsonscan.AppendFloat(dst, score.Value)
			}
		}
		dst = appendOptional(dst, "rating", row.Feedback.Rating)
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

// appendOptional appends a key with a text, and the comma before it, unless the text is empty.
func appendOptional(dst []byte, key string, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return jsonscan.AppendString(dst, text)
}
