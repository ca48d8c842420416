package format

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// evaluationPurposes are those that share their named targets: a row is a run, or a node run with the run around it.
var evaluationPurposes = []string{RecipeEvaluation, NodeEvaluation}

// Reasons that rows of several evaluation targets are dropped for.
var (
	dropNoQuestion  = Drop{"no_question", "neither the question nor the inputs nor a message of the user has a text"}
	dropNoAnswer    = Drop{"no_answer", "neither the answer nor the outputs nor a message of the assistant has a text"}
	dropNoReference = Drop{"no_reference", "neither a reference nor a corrected answer"}
)

// evaluation is what the evaluation targets share. Each of them embeds it.
type evaluation struct {
	ids   ids
	texts evaluationTexts
	needs NodeRuns
}

// newEvaluation returns what a target starts with. Runs bring along those of their node runs that the target
// reads; a node run has its own chunks and messages.
func newEvaluation(purpose, target string, nodes NodeRuns) evaluation {
	if purpose == NodeEvaluation {
		nodes = NoNodes
	}
	return evaluation{ids: newIDs(purpose, target), needs: nodes}
}

// Needs implements [Formatter].
func (f *evaluation) Needs() Needs { return Needs{Nodes: f.needs} }

// Columns implements [Formatter]: keys that a row has no value for are left out, so there are none.
func (f *evaluation) Columns() []fragment.Column { return nil }

// appendID appends the quoted id of the row's record.
func (f *evaluation) appendID(dst []byte, row *Row) []byte {
	return f.ids.append(dst, row.WorkspaceID, row.RunID, row.NodeRunID())
}

// expectedText is what the answer should have been: the reference, or what somebody corrected it to.
func expectedText(row *Row) []byte {
	if !blankText(row.Reference) {
		return row.Reference
	}
	if row.HasFeedback && !blankText(row.Feedback.CorrectedAnswer) {
		return row.Feedback.CorrectedAnswer
	}
	return nil
}

// appendInputs appends the inputs as an object for readers that want one: a run's inputs with its question in front,
// a node run's inputs, or else its prompt's variables; and where there is none of these, the text that stands in for
// them. It says whether there is anything.
func (f *evaluation) appendInputs(dst []byte, row *Row) (out []byte, some bool, err error) {
	if row.Node != nil {
		for _, doc := range [...][]byte{row.Node.Inputs, row.Node.PromptVariables} {
			if !noMembers(doc) {
				return appendOneLine(dst, doc), true, nil
			}
		}
	} else if !noMembers(row.Inputs) || !blankText(row.Question) {
		out, err = appendWithFirst(dst, "question", row.Question, row.Inputs, row)
		return out, true, err
	}
	text, err := f.texts.input(row)
	if err != nil || len(text) == 0 {
		return dst, false, err
	}
	if row.Node != nil {
		dst = append(dst, `{"input":`...)
	} else {
		dst = append(dst, `{"question":`...)
	}
	return append(jsontext.AppendString(dst, text), '}'), true, nil
}

// appendWithFirst appends an object with a text put in front under a key, where the object has no such key and the text
// is not blank. Doc is the object, or absent.
func appendWithFirst(dst []byte, key string, text, doc []byte, row *Row) ([]byte, error) {
	if blankText(text) {
		if len(doc) == 0 {
			return append(dst, "{}"...), nil
		}
		return appendOneLine(dst, doc), nil
	}
	empty := true
	if len(doc) > 0 {
		var m docMembers
		if !m.object(doc) {
			return dst, evaluationError(row, m.scan.Error("an object"))
		}
		for {
			name, _, more, err := m.next()
			if err != nil {
				return dst, evaluationError(row, err)
			}
			if !more {
				break
			}
			if string(name) == key {
				return appendOneLine(dst, doc), nil
			}
			empty = false
		}
	}
	dst = append(dst, '{', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	dst = jsontext.AppendString(dst, text)
	if empty {
		return append(dst, '}'), nil
	}
	dst = append(dst, ',')
	return appendOneLine(dst, doc[bytes.IndexByte(doc, '{')+1:]), nil
}

// originKeys are the keys of appendOrigin that are not the producer's.
var originKeys = []string{"run_id", "node_run_id", "node_id", "app_id", "app_version", "model", "status", "score", "rating"}

// appendOrigin appends where a record comes from and how it was judged, and then the metadata of the producer, flat, so
// that readers can filter by any of it. Of the producer's keys those that are taken get "metadata." in front. With
// texts, the score is a string too.
func appendOrigin(dst []byte, row *Row, texts bool) []byte {
	e := row.Subject()
	dst = append(dst, `{"run_id":`...)
	dst = jsontext.AppendString(dst, row.RunID)
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
				dst = append(jsontext.AppendFloat(append(dst, '"'), score.Value), '"')
			} else {
				dst = jsontext.AppendFloat(dst, score.Value)
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
			dst = jsontext.AppendString(dst[:at], p.Key)
			dst[at] = '.'
		} else {
			dst = jsontext.AppendString(dst, p.Key)
		}
		dst = append(dst, ':')
		dst = jsontext.AppendString(dst, p.Value)
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
	return jsontext.AppendString(dst, text)
}

// evaluationError names the run whose document is at fault.
func evaluationError(row *Row, err error) error {
	if row.Node != nil {
		return fmt.Errorf("node run %s of run %s: %w", row.Node.NodeRunID, row.RunID, err)
	}
	return fmt.Errorf("run %s: %w", row.RunID, err)
}

// both returns input and output, or the reason to drop a row that lacks one of them.
func (f *evaluation) both(row *Row) (input, output []byte, drop string, err error) {
	if input, err = f.texts.input(row); err != nil {
		return nil, nil, "", err
	}
	if len(input) == 0 {
		return nil, nil, dropNoQuestion.Reason, nil
	}
	if output, err = f.texts.output(row); err != nil {
		return nil, nil, "", err
	}
	if len(output) == 0 {
		return nil, nil, dropNoAnswer.Reason, nil
	}
	return input, output, "", nil
}
