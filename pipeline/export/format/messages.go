package format

import (
	"github.com/millrace/millrace/pipeline/jsonscan"
	"iter"
)

// Messages are in the shape of OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat/create).

// message is a chat message: the text of its role, and tokens, nil where there are none.
type message struct {
	role, content, calls, callID []byte
	functionCall                 []byte // what came before tool_calls
}

// messages goes over the messages of an array. What is no object is a message that is not ok, and has nothing.
func (r *reader) messages(doc []byte) iter.Seq2[message, bool] {
	return func(yield func(m message, ok bool) bool) { r.walkMessages(doc, yield) }
}

// walkMessages reads each byte once, which for conversations of megabytes is what takes the time.
func (r *reader) walkMessages(doc []byte, yield func(m message, ok bool) bool) {
	var s jsonscan.Scanner
	if r.open(&s, doc, '[') && r.scan(&s, ']', false, func(_, _ []byte) bool {
		m, ok := r.message(&s)
		return r.err == nil && yield(m, ok)
	}) {
		r.err = s.End()
	}
}

func (r *reader) message(s *jsonscan.Scanner) (m message, ok bool) {
	if !s.Take('{') {
		_, r.err = s.Value()
		return m, false
	}
	r.scan(s, '}', true, func(key, value []byte) bool {
		switch string(key) {
		case "role":
			m.role = r.text(value)
		case "content":
			m.content = value
		case "tool_calls":
			m.calls = value
		case "tool_call_id":
			m.callID = value
		case "function_call":
			m.functionCall = value
		}
		return true
	})
	return m, true
}

// content reads the content of a message, which is a text or parts: those of text become one, a line each. Text is nil
// where there is none, and only false where there is something else, such as an image.
func (r *reader) content(content []byte) (text []byte, only bool) {
	switch {
	case len(content) == 0 || content[0] == 'n':
		return nil, true
	case content[0] == '"':
		return content, true
	case content[0] != '[':
		return nil, false
	}
	only = true
	for _, part := range r.elements(content) {
		var kind []byte
		said := part // some frameworks write a string instead of a part
		if part[0] == '{' {
			said = nil
			for key, value := range r.members(part) {
				switch string(key) {
				case "type":
					kind = r.text(value)
				case "text":
					said = value
				}
			}
		}
		only = only && string(kind) == "text" && isString(said)
		if isString(said) && len(said) > len(`""`) {
			text = r.join(text, said, lineBreak)
		}
	}
	return text, only
}

// call is a call of a tool: tokens, nil where there are none.
type call struct{ id, kind, name, arguments []byte }

func (r *reader) call(value []byte) (c call) {
	for key, value := range r.members(value) {
		switch string(key) {
		case "id":
			c.id = value
		case "type":
			c.kind = value
		case "function":
			for key, value := range r.members(value) {
				switch string(key) {
				case "name":
					c.name = value
				case "arguments":
					c.arguments = value
				}
			}
		}
	}
	return c
}
