package record

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Names that frameworks use for the text of inputs and of outputs, the most specific first.
// LangChain uses output, Dify text and result, the chat APIs content, Bedrock completion.
var (
	inputNames  = []string{"question", "input", "query", "prompt", "message", "text"}
	OutputNames = []string{"answer", "output", "text", "content", "message", "response", "result", "completion",
		"solution"}
)

// Texts finds the input, the output and the contexts of runs and node runs. Blank texts count as
// absent. Methods return an empty text for an absent one. Results are valid until the next row.
type Texts struct {
	Reader
	passages [][]byte
	partial  bool // a message that was read also has what is no text
	codes    [1]string
}

// NotTextLeftOut is the code of the warning about a record of which a text comes from a message that
// also has an image, a sound or a file.
const NotTextLeftOut = "not_text_left_out"

// Reset starts the next row. It overwrites the texts of the row before.
func (t *Texts) Reset() {
	t.Reader.Reset()
	t.partial = false
}

// Warnings returns the codes of the warnings about the texts of the row. It makes a formatter that
// has Texts a format.Warner.
func (t *Texts) Warnings(*Row) []string {
	if !t.partial {
		return nil
	}
	t.codes[0] = NotTextLeftOut
	return t.codes[:]
}

// Input returns the question of a run. For a node run, or a run without a question, it returns the
// first that is present of: the text of the inputs, the text of the prompt's variables, the last
// message of the user.
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

// Output returns the answer of a run. For a node run, or a run without an answer, it returns the
// text of the outputs, or else the last message of the assistant.
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

// ModelOutput returns what the model of a node run wrote. It differs from Output for outputs
// without a text: they do not count.
func (t *Texts) ModelOutput(n *Node) []byte {
	if token := t.NamedText(n.Outputs, OutputNames); token != nil {
		return t.Text(token)
	}
	return t.LastMessage(n.Messages, "assistant")
}

// Document returns the text of a document: the one that NamedText finds, or else the document
// itself as JSON.
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

// NamedText returns the token of the text of a document: the string under the first of the names,
// or else its only string. A document that is a string is its own text.
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

// LastMessage returns what the last message of a role says that says something. A refusal is an
// answer too.
func (t *Texts) LastMessage(messages []byte, role string) []byte {
	var last []byte
	partial := false
	for m := range t.Messages(messages) {
		if string(m.Role) == role {
			if said := t.Speech(&m); t.HasText(said.Text) {
				last, partial = said.Text, said.NotText
			}
		}
	}
	t.partial = t.partial || partial
	return t.Text(last)
}

// Contexts returns the texts of the chunks of a node run, or of all node runs of a run. If a chunk
// is marked as sent to the model, only the chunks marked as sent count. Otherwise all chunks count
// that are not marked as unsent.
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

// anySent reports whether a chunk is marked as sent to the model.
func anySent(chunks []Chunk) bool {
	for i := range chunks {
		if s := chunks[i].SentToLLM; s.Valid && s.Value {
			return true
		}
	}
	return false
}

// take adds the texts of chunks: the chunks marked as sent, and, unless sent, the unmarked ones.
func (t *Texts) take(chunks []Chunk, sent bool) {
	for i := range chunks {
		c := &chunks[i]
		if told := c.SentToLLM; (told.Valid && told.Value || !told.Valid && !sent) && !IsBlank(c.Text) {
			t.passages = append(t.passages, c.Text)
		}
	}
}

// ExpectedText returns what the answer should have been: the reference, or else the corrected
// answer.
func ExpectedText(row *Row) []byte {
	if !IsBlank(row.Reference) {
		return row.Reference
	}
	if row.HasFeedback && !IsBlank(row.Feedback.CorrectedAnswer) {
		return row.Feedback.CorrectedAnswer
	}
	return nil
}

// Variable is a member of a document: the text of its name, and the token of its value.
type Variable struct{ Name, Value []byte }

// Variables are the members of a document that are not null. They are valid until the next row.
type Variables []Variable

// AppendVariables appends the variables of a document. A document that is no object has none.
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

// AppendPrompt renders a prompt template: it replaces each {{name}} by the variable of that name. A
// string becomes its text, any other value its JSON. An unknown name stays.
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

// NextPlaceholder returns the place of the first {{…}} without a brace inside. Without one, start
// is -1.
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

// PlaceholderName returns the text between the braces, without the white space around it.
func PlaceholderName(placeholder []byte) []byte {
	return bytes.TrimSpace(placeholder[2 : len(placeholder)-2])
}

// AppendValue appends a value as a JSON string: a string unchanged, any other value as a string of
// its JSON.
func AppendValue(dst, value []byte) []byte {
	if IsString(value) {
		return append(dst, value...)
	}
	return jsonscan.AppendString(dst, value)
}
