package record

import (
	"bytes"
	"iter"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Messages are in the shape of OpenAI's chat completions
// (https://platform.openai.com/docs/api-reference/chat/create).

// Message is a chat message: the text of its role, and tokens, which are nil if absent.
type Message struct {
	Role, Content, Calls, CallID []byte
	FunctionCall                 []byte // the predecessor of tool_calls
	Name, Weight                 []byte
	Reasoning                    bool // it has the thoughts of the model, under a name that some API has for them
	Others                       bool // it has values under keys that no field of Message is for

	refusal, audio []byte
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
		case "refusal":
			m.refusal = value
		case "audio":
			m.audio = value
		case "name":
			m.Name = value
		case "weight":
			m.Weight = value
		case "reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_blocks":
			m.Reasoning = m.Reasoning || !IsNothing(value)
		default:
			m.Others = m.Others || !IsNothing(value)
		}
		return true
	})
	return m, true
}

// IsNothing reports whether a token is null or empty: APIs write such values for what is absent.
func IsNothing(token []byte) bool {
	switch string(token) {
	case "", "null", `""`, "[]", "{}":
		return true
	}
	return false
}

// Speech is what a message says, as one text.
type Speech struct {
	Text    []byte // token; nil if the message says nothing
	NotText bool   // the message also has what is no text, such as an image or a sound
	Refused bool   // the text has a refusal, which the API keeps apart from content
	Spoken  bool   // the text has the transcript of a sound
	Others  bool   // the message has values that Speech and the fields of Message have no place for
}

// Speech returns what a message says. The text is that of content: a text, or the texts of its
// parts, a line each. For the assistant, a refusal and the transcript of a sound follow.
func (r *Reader) Speech(m *Message) (s Speech) {
	r.speakContent(&s, m.Content)
	s.Others = s.Others || m.Others
	if IsNothing(m.refusal) && IsNothing(m.audio) {
		return s
	}
	if string(m.Role) != "assistant" {
		s.Others = true
		return s
	}
	if r.HasText(m.refusal) {
		s.Refused = true
		r.say(&s, m.refusal)
	}
	if !IsNothing(m.audio) {
		transcript := r.Member(m.audio, "transcript")
		s.Spoken = r.HasText(transcript)
		s.NotText = s.NotText || !s.Spoken
		if s.Spoken && (s.Text == nil || !bytes.Equal(r.Text(s.Text), r.Text(transcript))) {
			r.say(&s, transcript)
		}
	}
	return s
}

// say adds a line.
func (r *Reader) say(s *Speech, text []byte) {
	if !r.HasText(s.Text) {
		s.Text = nil
	}
	s.Text = r.Join(s.Text, text, LineBreak)
}

func (r *Reader) speakContent(s *Speech, content []byte) {
	switch {
	case len(content) == 0 || content[0] == 'n':
		return
	case content[0] == '"':
		s.Text = content
		return
	case content[0] != '[':
		s.NotText = true
		return
	}
	for _, part := range r.Elements(content) {
		var kind []byte
		said := part // some frameworks write a string instead of a part
		if part[0] == '{' {
			said = nil
			for key, value := range r.Members(part) {
				switch string(key) {
				case "type":
					kind = r.Text(value)
				case "text", "refusal":
					said = value
				default:
					s.Others = s.Others || !IsNothing(value)
				}
			}
		}
		switch string(kind) {
		case "text":
		case "refusal":
			s.Refused = true
		default:
			s.NotText = true
		}
		s.NotText = s.NotText || !IsString(said)
		if IsString(said) && len(said) > len(`""`) {
			s.Text = r.Join(s.Text, said, LineBreak)
		}
	}
}

// Call is a call of a tool: tokens, which are nil if absent.
type Call struct {
	ID, Type, Name, Arguments []byte
	Others                    bool // it has values under other keys
}

// ParseCall reads an element of tool_calls. The input of a custom tool counts as its arguments.
func (r *Reader) ParseCall(value []byte) (c Call) {
	for key, value := range r.Members(value) {
		switch string(key) {
		case "id":
			c.ID = value
		case "type":
			c.Type = value
		case "function":
			r.readFunction(&c, value, "arguments")
		case "custom":
			r.readFunction(&c, value, "input")
		default:
			c.Others = c.Others || !IsNothing(value)
		}
	}
	return c
}

// ParseFunctionCall reads function_call, the predecessor of tool_calls.
func (r *Reader) ParseFunctionCall(value []byte) (c Call) {
	r.readFunction(&c, value, "arguments")
	return c
}

func (r *Reader) readFunction(c *Call, value []byte, arguments string) {
	for key, value := range r.Members(value) {
		switch string(key) {
		case "name":
			c.Name = value
		case arguments:
			c.Arguments = value
		default:
			c.Others = c.Others || !IsNothing(value)
		}
	}
}
