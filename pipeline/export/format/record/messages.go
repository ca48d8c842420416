package record

import (
	"iter"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Messages are in the shape of OpenAI's chat completions
// (https://platform.openai.com/docs/api-reference/chat/create).

// Message is a chat message: the text of its role, and tokens, which are nil if absent.
type Message struct {
	Role, Content, Calls, CallID []byte
	FunctionCall                 []byte // the predecessor of tool_calls
}

// Messages iterates over the messages of an array. For an element that is no object, ok is false.
func (r *Reader) Messages(doc []byte) iter.Seq2[Message, bool] {
	return func(yield func(m Message, ok bool) bool) { r.walkMessages(doc, yield) }
}

// walkMessages reads each byte once: conversations may have megabytes.
func (r *Reader) walkMessages(doc []byte, yield func(m Message, ok bool) bool) {
	var s jsonscan.Scanner
	if r.open(&s, doc, '[') && r.scan(&s, ']', false, func(_, _ []byte) bool {
		m, ok := r.message(&s)
		return r.Err == nil && yield(m, ok)
	}) {
		r.Err = s.End()
	}
}

func (r *Reader) message(s *jsonscan.Scanner) (m Message, ok bool) {
	if !s.Take('{') {
		_, r.Err = s.Value()
		return m, false
	}
	r.scan(s, '}', true, func(key, value []byte) bool {
		switch string(key) {
		case "role":
			m.Role = r.Text(value)
		case "content":
			m.Content = value
		case "tool_calls":
			m.Calls = value
		case "tool_call_id":
			m.CallID = value
		case "function_call":
			m.FunctionCall = value
		}
		return true
	})
	return m, true
}

// Content returns the text of the content of a message. Content is a text, or parts, whose texts
// become one text with a line each. Text is nil if there is none. Only is false if there is another
// part, such as an image.
func (r *Reader) Content(content []byte) (text []byte, only bool) {
	switch {
	case len(content) == 0 || content[0] == 'n':
		return nil, true
	case content[0] == '"':
		return content, true
	case content[0] != '[':
		return nil, false
	}
	only = true
	for _, part := range r.Elements(content) {
		var kind []byte
		said := part // some frameworks write a string instead of a part
		if part[0] == '{' {
			said = nil
			for key, value := range r.Members(part) {
				switch string(key) {
				case "type":
					kind = r.Text(value)
				case "text":
					said = value
				}
			}
		}
		only = only && string(kind) == "text" && IsString(said)
		if IsString(said) && len(said) > len(`""`) {
			text = r.Join(text, said, LineBreak)
		}
	}
	return text, only
}

// Call is a call of a tool: tokens, which are nil if absent.
type Call struct{ ID, Type, Name, Arguments []byte }

// ParseCall reads an element of tool_calls.
func (r *Reader) ParseCall(value []byte) (c Call) {
	for key, value := range r.Members(value) {
		switch string(key) {
		case "id":
			c.ID = value
		case "type":
			c.Type = value
		case "function":
			for key, value := range r.Members(value) {
				switch string(key) {
				case "name":
					c.Name = value
				case "arguments":
					c.Arguments = value
				}
			}
		}
	}
	return c
}
