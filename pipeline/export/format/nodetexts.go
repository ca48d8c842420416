package format

import (
	"bytes"
	"fmt"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// nodeTexts finds the texts of node runs. A text is a JSON string with its quotes, a view into the row or into a buffer
// that the next call reuses, and nil where there is none; an empty text is none. An error is a document that is no JSON.
type nodeTexts struct {
	scan   jsontext.Scanner
	buffer []byte
	parts  []byte
}

// outputNames are the keys of outputs that hold a node's text, the most telling first. They are what frameworks call it:
// LangChain output, Dify text and result, the chat APIs content, Bedrock completion.
var outputNames = []string{"answer", "output", "text", "content", "message", "response", "result", "completion", "solution"}

// appendOutput appends what a node run gave as a text, or null and false: see said; where outputs hold no such text, they
// are the text as JSON. Texts are escaped as jsontext does it, so that they read back from every format as they are.
func (t *nodeTexts) appendOutput(dst []byte, n *Node) (out []byte, there bool, err error) {
	text, there, err := t.named(n.Outputs)
	switch {
	case err != nil:
		return dst, false, err
	case text == nil && there:
		return jsontext.AppendString(dst, n.Outputs), true, nil
	case text == nil:
		if text, err = t.message(n.Messages, "assistant"); err != nil {
			return dst, false, err
		}
	}
	switch {
	case text == nil:
		return append(dst, "null"...), false, nil
	case jsontext.Plain(text):
		return append(dst, text...), true, nil
	}
	if t.buffer, err = jsontext.AppendText(t.buffer[:0], text); err != nil {
		return dst, false, err
	}
	return jsontext.AppendString(dst, t.buffer), true, nil
}

// said is the text that a node run gave: that under the first of outputNames in its outputs, else the only text in
// them, else that of its last message from the assistant.
func (t *nodeTexts) said(n *Node) ([]byte, error) {
	text, _, err := t.named(n.Outputs)
	if err != nil || text != nil {
		return text, err
	}
	return t.message(n.Messages, "assistant")
}

// named returns the text of outputs, and whether they hold anything.
func (t *nodeTexts) named(outputs []byte) (text []byte, there bool, err error) {
	t.scan.Reset(outputs)
	switch t.scan.Peek() {
	case 0, 'n':
		return nil, false, nil
	case '{':
	default: // the contract asks for an object
		value, err := t.scan.Value()
		if err == nil && value[0] == '"' {
			return nonEmpty(value), len(value) > 2, nil
		}
		return nil, true, err
	}
	best, texts := len(outputNames), 0
	var only []byte
	err = eachMember(&t.scan, func(key, value []byte) error {
		there = true
		if value[0] != '"' || len(value) == 2 {
			return nil
		}
		texts++
		only = value
		for i, name := range outputNames[:best] {
			if isText(key, name) {
				best, text = i, value
				break
			}
		}
		return nil
	})
	if text == nil && texts == 1 {
		text = only
	}
	return text, there, err
}

// message returns the text of the last message of a role that has content. Messages are an array in OpenAI's shape:
// content is a text or parts, of which those of type text count, each from a new line.
func (t *nodeTexts) message(messages []byte, role string) (text []byte, err error) {
	t.scan.Reset(messages)
	if t.scan.Peek() != '[' {
		return nil, nil // absent, or null
	}
	err = eachElement(&t.scan, func() error {
		if t.scan.Peek() != '{' {
			_, err := t.scan.Value()
			return err
		}
		var content []byte
		matches := false
		err := eachMember(&t.scan, func(key, value []byte) error {
			switch {
			case isText(key, "role"):
				matches = isText(value, role)
			case isText(key, "content"):
				content = value
			}
			return nil
		})
		if err == nil && matches && len(content) > 2 && (content[0] == '"' || content[0] == '[') {
			text = content
		}
		return err
	})
	if err != nil || text == nil || text[0] == '"' {
		return text, err
	}
	return t.joined(text)
}

// joined returns the text of the parts of a content.
func (t *nodeTexts) joined(content []byte) ([]byte, error) {
	t.scan.Reset(content)
	t.parts = append(t.parts[:0], '"', '"')
	err := eachElement(&t.scan, func() error {
		if t.scan.Peek() != '{' {
			_, err := t.scan.Value()
			return err
		}
		return eachMember(&t.scan, func(key, value []byte) error {
			if value[0] == '"' && len(value) > 2 && isText(key, "text") {
				if len(t.parts) > 2 {
					t.parts = joinText(t.parts, []byte{'\n'})
				}
				t.parts = joinToken(t.parts, value)
			}
			return nil
		})
	})
	return nonEmpty(t.parts), err
}

// variable is a member of a document: its name, and its value as JSON.
type variable struct{ name, value []byte }

// variables are the members of a document that are not null. They are views into it, valid until read is called again.
type variables struct {
	list []variable
	scan jsontext.Scanner
	text []byte // names that had escapes
}

// read takes the variables of a document; one that is no object has none.
func (v *variables) read(doc []byte) error {
	v.list, v.text = v.list[:0], v.text[:0]
	v.scan.Reset(doc)
	if v.scan.Peek() != '{' {
		return nil
	}
	return eachMember(&v.scan, func(key, value []byte) error {
		if value[0] == 'n' {
			return nil
		}
		name := key[1 : len(key)-1]
		if !jsontext.Plain(key) {
			start := len(v.text)
			var err error
			if v.text, err = jsontext.AppendText(v.text, key); err != nil {
				return err
			}
			name = v.text[start:]
		}
		v.list = append(v.list, variable{name, value})
		return nil
	})
}

// find returns the value of a variable, or nil.
func (v *variables) find(name []byte) []byte {
	for i := range v.list {
		if bytes.Equal(v.list[i].name, name) {
			return v.list[i].value
		}
	}
	return nil
}

// appendValue appends a JSON value as a JSON string: a string as it is, anything else as its JSON text.
func appendValue(dst, value []byte) []byte {
	if len(value) > 0 && value[0] == '"' {
		return append(dst, value...)
	}
	return jsontext.AppendString(dst, value)
}

// appendPrompt appends a prompt template, as a JSON string, in which each {{name}} has become the variable of that
// name: a text as it is, anything else as its JSON. A name that is no variable stays.
func appendPrompt(dst, template []byte, values *variables) []byte {
	dst = append(dst, '"', '"')
	for {
		end := bytes.Index(template, []byte("}}"))
		if end < 0 {
			return joinText(dst, template)
		}
		start := bytes.LastIndex(template[:end], []byte("{{"))
		var value []byte
		if start >= 0 {
			value = values.find(bytes.TrimSpace(template[start+2 : end]))
		}
		switch {
		case value == nil:
			dst = joinText(dst, template[:end+2])
		case value[0] == '"':
			dst = joinToken(joinText(dst, template[:start]), value)
		default:
			dst = joinText(joinText(dst, template[:start]), value)
		}
		template = template[end+2:]
	}
}

// joinToken adds a JSON string to the one at the end of dst.
func joinToken(dst, token []byte) []byte { return append(dst[:len(dst)-1], token[1:]...) }

// joinText adds a text to the JSON string at the end of dst: the quote that AppendString begins with goes where the
// last byte before the closing quote is, which is then put back.
func joinText(dst, text []byte) []byte {
	at := len(dst) - 2
	last := dst[at]
	dst = jsontext.AppendString(dst[:at], text)
	dst[at] = last
	return dst
}

// isText says whether a JSON string is that text, which has no character that must be escaped.
func isText(token []byte, text string) bool {
	if len(token) < 2 || token[0] != '"' {
		return false
	}
	if inner := token[1 : len(token)-1]; len(inner) <= len(text) || jsontext.Plain(token) {
		return string(inner) == text
	}
	if len(token) > 6*len(text)+2 { // longer than all of it as \u escapes
		return false
	}
	var room [64]byte
	decoded, err := jsontext.AppendText(room[:0], token)
	return err == nil && string(decoded) == text
}

// nonEmpty returns a JSON string, nil if it is empty.
func nonEmpty(token []byte) []byte {
	if len(token) <= 2 {
		return nil
	}
	return token
}

// eachMember reads the object at the cursor, and calls f with each key, quoted, and its value.
func eachMember(scan *jsontext.Scanner, f func(key, value []byte) error) error {
	if !scan.Take('{') {
		return scan.Error("an object")
	}
	for first := true; !scan.Take('}'); first = false {
		if !first && !scan.Take(',') {
			return scan.Error("a comma or }")
		}
		key, err := scan.Key()
		if err != nil {
			return err
		}
		value, err := scan.Value()
		if err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// eachElement reads the array at the cursor, and calls f at each element, which f must read.
func eachElement(scan *jsontext.Scanner, f func() error) error {
	if !scan.Take('[') {
		return scan.Error("an array")
	}
	for first := true; !scan.Take(']'); first = false {
		if !first && !scan.Take(',') {
			return scan.Error("a comma or ]")
		}
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// storeFault is the error of a row whose documents are no JSON, which ingest would have refused.
func storeFault(row *Row, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("run %s, node run %s: %w", row.RunID, row.NodeRunID(), err)
}
