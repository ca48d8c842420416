package record

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Names that frameworks have for the text that goes into a run or node, and for that which comes out: the most telling
// first. LangChain says output, Dify text and result, the chat APIs content, Bedrock completion.
var (
	inputNames  = []string{"question", "input", "query", "prompt", "message", "text"}
	OutputNames = []string{"answer", "output", "text", "content", "message", "response", "result", "completion", "solution"}
)

// Texts finds what tools call input, output and context, in runs and node runs. Blank texts are taken for absent, and
// what there is none of is empty. What its methods return is valid until the next row.
type Texts struct {
	Reader
	passages [][]byte
}

// Input is the question of a run. Without it, and for a node run, it is the text of the inputs, of the prompt's
// variables, and of the last message of the user, whichever of them is there first.
func (t *Texts) Input(row *Row) []byte {
	if row.Node == nil && !IsBlank(row.Question) {
		return row.Question
	}
	e := row.Subject()
	text := t.Document(e.Inputs, inputNames)
	if len(text) == 0 && row.Node != nil {
		text = t.Document(row.Node.PromptVariables, inputNames)
	}
	if len(text) == 0 {
		text = t.LastMessage(e.Messages, "user")
	}
	return text
}

// Output is the answer of a run. Without it, and for a node run, it is the text of the outputs, or else of the last
// message of the assistant.
func (t *Texts) Output(row *Row) []byte {
	if row.Node == nil && !IsBlank(row.Answer) {
		return row.Answer
	}
	e := row.Subject()
	if text := t.Document(e.Outputs, OutputNames); len(text) > 0 {
		return text
	}
	return t.LastMessage(e.Messages, "assistant")
}

// ModelOutput is what the model of a node run said: the output, but for outputs that hold no text.
func (t *Texts) ModelOutput(n *Node) []byte {
	if token := t.NamedText(n.Outputs, OutputNames); token != nil {
		return t.Text(token)
	}
	return t.LastMessage(n.Messages, "assistant")
}

// Document is the text of a document: what named finds, else the document itself, as JSON.
func (t *Texts) Document(doc []byte, names []string) []byte {
	token := t.NamedText(doc, names)
	switch {
	case token != nil:
		return t.Text(token)
	case HasNoMembers(doc):
		return nil
	}
	return doc
}

// NamedText is the text of a document, a string: that under the first of the names, else its only one. A document that is
// a string is its own text.
func (t *Texts) NamedText(doc []byte, names []string) (token []byte) {
	doc = bytes.TrimSpace(doc)
	var only []byte
	best, strings := len(names), 0
	for key, value := range t.Members(doc) {
		if !t.HasText(value) {
			continue
		}
		only, strings = value, strings+1
		for i, name := range names[:best] {
			if string(key) == name {
				token, best = value, i
				break
			}
		}
	}
	switch {
	case token != nil:
		return token
	case strings == 1:
		return only
	case t.Err == nil && t.HasText(doc):
		return doc
	}
	return nil
}

// LastMessage is the text of the last message of a role that has one.
func (t *Texts) LastMessage(messages []byte, role string) []byte {
	var last []byte
	for m := range t.Messages(messages) {
		if string(m.Role) == role {
			if token, _ := t.Content(m.Content); t.HasText(token) {
				last = token
			}
		}
	}
	return t.Text(last)
}

// Contexts are the texts of the passages that were found: for a run by its node runs, for a node run by itself. Where
// one says that it was sent to the model, those that say so; else all that do not say that they were not.
func (t *Texts) Contexts(row *Row) [][]byte {
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
func (t *Texts) take(chunks []Chunk, sent bool) {
	for i := range chunks {
		c := &chunks[i]
		if told := c.SentToLLM; (told.Valid && told.Value || !told.Valid && !sent) && !IsBlank(c.Text) {
			t.passages = append(t.passages, c.Text)
		}
	}
}

// ExpectedText is what the answer should have been: the reference, or what somebody corrected it to.
func ExpectedText(row *Row) []byte {
	if !IsBlank(row.Reference) {
		return row.Reference
	}
	if row.HasFeedback && !IsBlank(row.Feedback.CorrectedAnswer) {
		return row.Feedback.CorrectedAnswer
	}
	return nil
}

// Variable is a member of a document: the text of its name, and its value.
type Variable struct{ Name, Value []byte }

// Variables are the members of a document that are not null. They are valid until the next row.
type Variables []Variable

// AppendVariables appends the variables of a document; one that is no object has none.
func (r *Reader) AppendVariables(dst Variables, doc []byte) Variables {
	for name, value := range r.Members(doc) {
		if value[0] != 'n' {
			dst = append(dst, Variable{name, value})
		}
	}
	return dst
}

// Find returns the value of a variable, or nil.
func (v Variables) Find(name []byte) []byte {
	for i := range v {
		if bytes.Equal(v[i].Name, name) {
			return v[i].Value
		}
	}
	return nil
}

// AppendPrompt appends a prompt template in which each {{name}} has become the variable of that name: a string as its
// text, anything else as its JSON. A name that is no variable stays.
func (r *Reader) AppendPrompt(dst, template []byte, values Variables) []byte {
	for {
		start, end := NextPlaceholder(template)
		if start < 0 {
			return append(dst, template...)
		}
		value := values.Find(PlaceholderName(template[start:end]))
		switch {
		case value == nil:
			dst = append(dst, template[:end]...)
		case value[0] == '"':
			dst = append(append(dst, template[:start]...), r.Text(value)...)
		default:
			dst = append(append(dst, template[:start]...), value...)
		}
		template = template[end:]
	}
}

// NextPlaceholder finds the first {{…}} without a brace within, and where it ends; start is -1 where there is none.
func NextPlaceholder(text []byte) (start, end int) {
	for end = 0; ; {
		n := bytes.Index(text[end:], []byte("}}"))
		if n < 0 {
			return -1, -1
		}
		inner := text[:end+n]
		if i := bytes.LastIndexAny(inner, "{}"); i > 0 && inner[i] == '{' && inner[i-1] == '{' {
			return i - 1, end + n + 2
		}
		end += n + 1
	}
}

// PlaceholderName is what is between the braces, but for white space.
func PlaceholderName(placeholder []byte) []byte {
	return bytes.TrimSpace(placeholder[2 : len(placeholder)-2])
}

// AppendValue appends a value as a string: a string as it is, anything else as its JSON.
func AppendValue(dst, value []byte) []byte {
	if IsString(value) {
		return append(dst, value...)
	}
	return jsonscan.AppendString(dst, value)
}
