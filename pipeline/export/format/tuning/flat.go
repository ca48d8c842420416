package tuning

import "github.com/millrace/millrace/pipeline/export/format/record"

// turnShape is how a reader that does not know tools writes a turn of a conversation: what comes
// before and after the text of the turn, which is inside a JSON string.
type turnShape struct{ user, model, end string }

// appendFlat appends messages as turns of text, separated by commas. Adjacent turns of one role
// become one turn, with a blank line between them. Tool traffic is written in the format of Hermes
// (https://github.com/NousResearch/Hermes-Function-Calling#prompt-format-for-function-calling): a
// call is an object in <tool_call> of the assistant, and its answer is <tool_response> of the user.
func (c *conversation) appendFlat(dst []byte, messages []message, w turnShape) []byte {
	before := roleUnknown
	for i := range messages {
		m := &messages[i]
		role := m.role
		if role == roleTool {
			role = roleUser
		}
		switch {
		case role == before:
			dst = append(dst, record.BlankLine...)
		case before != roleUnknown:
			dst = append(append(dst, w.end...), ',')
			fallthrough
		default:
			dst = append(dst, w.open(role)...)
		}
		before = role
		dst = c.appendFlatText(dst, m)
	}
	return append(dst, w.end...)
}

func (w *turnShape) open(role role) string {
	if role == roleUser {
		return w.user
	}
	return w.model
}

// appendFlatText appends the text of a message inside a JSON string. The arguments of a call are
// the JSON string of an object, so the text between its quotes is that object, escaped.
func (c *conversation) appendFlatText(dst []byte, m *message) []byte {
	if m.role == roleTool {
		dst = append(dst, `<tool_response>\n`...)
		dst = append(dst, m.text[1:len(m.text)-1]...)
		return append(dst, `\n</tool_response>`...)
	}
	if m.text != nil {
		dst = append(dst, m.text[1:len(m.text)-1]...)
	}
	for i, call := range c.callsOf(m) {
		if i > 0 || m.text != nil {
			dst = append(dst, record.LineBreak...)
		}
		dst = append(dst, `<tool_call>\n`...)
		dst = append(call.appendFlat(dst), `\n</tool_call>`...)
	}
	return dst
}

// appendFlat appends the call as an object inside a JSON string.
func (call *toolCall) appendFlat(dst []byte) []byte {
	dst = append(dst, `{\"name\":\"`...)
	dst = append(dst, call.name...)
	dst = append(dst, `\",\"arguments\":`...)
	dst = append(dst, call.arguments[1:len(call.arguments)-1]...)
	return append(dst, '}')
}

// userFirst reports whether the first message is the user's. Readers with alternating turns require
// this.
func (c *conversation) userFirst() bool { return c.messages[0].role == roleUser }
