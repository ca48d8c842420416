package format

import (
	"slices"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// inputNames are the keys of inputs that hold the text that goes in, the most telling first.
var inputNames = []string{"question", "input", "query", "prompt", "message", "text"}

// evaluationTexts finds what evaluation tools call input, output and context, in runs and node runs. Texts of white space
// are taken for absent. What its methods return is valid until the same one is called again.
type evaluationTexts struct {
	in, out, before []byte
	passages        [][]byte
	members, parts  docMembers
	message         evaluationMessage
}

// input is the question of a run. Without it, and for a node run, it is the text of the inputs, of the prompt's
// variables, and of the last message of the user, whichever of them is there first; see document. It is empty where
// there is none.
func (t *evaluationTexts) input(row *Row) (text []byte, err error) {
	if row.Node == nil && !blankText(row.Question) {
		return row.Question, nil
	}
	e := row.Subject()
	t.in, err = t.document(t.in[:0], e.Inputs, inputNames)
	if len(t.in) == 0 && err == nil && row.Node != nil {
		t.in, err = t.document(t.in, row.Node.PromptVariables, inputNames)
	}
	if len(t.in) == 0 && err == nil {
		t.in, err = t.lastMessage(t.in, e.Messages, "user")
	}
	if err != nil {
		return nil, evaluationError(row, err)
	}
	if blankText(t.in) {
		return nil, nil
	}
	return t.in, nil
}

// output is the answer of a run. Without it, and for a node run, it is the text of the outputs, and of the last message
// of the assistant, whichever of them is there first. It is empty where there is none.
func (t *evaluationTexts) output(row *Row) (text []byte, err error) {
	if row.Node == nil && !blankText(row.Answer) {
		return row.Answer, nil
	}
	e := row.Subject()
	t.out, err = t.document(t.out[:0], e.Outputs, outputNames)
	if len(t.out) == 0 && err == nil {
		t.out, err = t.lastMessage(t.out, e.Messages, "assistant")
	}
	if err != nil {
		return nil, evaluationError(row, err)
	}
	if blankText(t.out) {
		return nil, nil
	}
	return t.out, nil
}

// previous is the answer of the version before: of a run a text already, of a node run its outputs.
func (t *evaluationTexts) previous(row *Row) (text []byte, err error) {
	if row.Node == nil {
		return row.Comparison.PreviousAnswer, nil
	}
	if t.before, err = t.document(t.before[:0], row.Comparison.PreviousAnswer, outputNames); err != nil {
		return nil, evaluationError(row, err)
	}
	return t.before, nil
}

// contexts are the texts of the passages that were found: for a run by its node runs, for a node run by itself. Where
// one says that it was sent to the model, those that say so; else all that do not say that they were not.
func (t *evaluationTexts) contexts(row *Row) [][]byte {
	t.passages = t.passages[:0]
	if row.Node != nil {
		t.take(row.Node.Chunks, anySent(row.Node.Chunks))
		return t.passages
	}
	sent := false
	for i := range row.Nodes {
		sent = sent || anySent(row.Nodes[i].Chunks)
	}
	for i := range row.Nodes {
		t.take(row.Nodes[i].Chunks, sent)
	}
	return t.passages
}

// anySent says whether one of the chunks says that it was sent to the model.
func anySent(chunks []Chunk) bool {
	for i := range chunks {
		if s := chunks[i].SentToLLM; s.Valid && s.Value {
			return true
		}
	}
	return false
}

// take adds the texts of chunks: those that were sent, or those that do not say that they were not.
func (t *evaluationTexts) take(chunks []Chunk, sent bool) {
	for i := range chunks {
		c := &chunks[i]
		if told := c.SentToLLM; (told.Valid && told.Value || !told.Valid && !sent) && !blankText(c.Text) {
			t.passages = append(t.passages, c.Text)
		}
	}
}

// document appends the text of a document: the string under the first of the names, else its only string, else the
// document itself, as JSON. It appends nothing for an empty document.
func (t *evaluationTexts) document(dst, doc []byte, names []string) ([]byte, error) {
	if noMembers(doc) {
		return dst, nil
	}
	m := &t.members
	if !m.object(doc) {
		return dst, m.scan.Error("an object")
	}
	var named, only []byte
	best, texts := len(names), 0
	for {
		key, value, more, err := m.next()
		if err != nil {
			return dst, err
		}
		if !more {
			break
		}
		if !textToken(value) {
			continue
		}
		only, texts = value, texts+1
		if rank := slices.Index(names[:best], string(key)); rank >= 0 {
			named, best = value, rank
		}
	}
	switch {
	case named != nil:
		return jsontext.AppendText(dst, named)
	case texts == 1:
		return jsontext.AppendText(dst, only)
	}
	return appendOneLine(dst, doc), nil
}

// lastMessage appends the text of the last message of a role that has one.
func (t *evaluationTexts) lastMessage(dst, messages []byte, role string) ([]byte, error) {
	if len(messages) == 0 {
		return dst, nil
	}
	if !t.members.array(messages) {
		return dst, t.members.scan.Error("an array")
	}
	start := len(dst)
	for {
		_, value, more, err := t.members.next()
		if err != nil || !more {
			return dst, err
		}
		if err := t.message.read(value); err != nil {
			return dst, err
		}
		if !t.message.is(role) {
			continue
		}
		end := len(dst)
		if dst, err = t.appendContent(dst, t.message.content); err != nil {
			return dst, err
		}
		if blankText(dst[end:]) {
			dst = dst[:end]
		} else {
			dst = append(dst[:start], dst[end:]...) // the later one takes the place of the earlier one
		}
	}
}

// appendContent appends the text of a message's content: a string, or parts, of which those that have a text are
// joined by line breaks. It appends nothing for any other.
func (t *evaluationTexts) appendContent(dst, content []byte) ([]byte, error) {
	switch {
	case len(content) == 0:
		return dst, nil
	case content[0] == '"':
		return jsontext.AppendText(dst, content)
	case content[0] != '[':
		return dst, nil
	}
	t.parts.array(content)
	start := len(dst)
	for {
		_, part, more, err := t.parts.next()
		if err != nil || !more {
			return dst, err
		}
		text := part
		if part[0] == '{' {
			if text, err = docMember(part, "text"); err != nil {
				return dst, err
			}
		}
		if len(text) == 0 || text[0] != '"' {
			continue
		}
		if len(dst) > start {
			dst = append(dst, '\n')
		}
		if dst, err = jsontext.AppendText(dst, text); err != nil {
			return dst, err
		}
	}
}
