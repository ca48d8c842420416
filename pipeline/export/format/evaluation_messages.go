package format

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// evaluationMessage is a chat message in the shape of OpenAI. Its fields are values as they are in the document, nil where absent.
type evaluationMessage struct {
	role, content, toolCalls, toolCallID []byte
	members                              docMembers
}

// read reads a message. Something that is none has no role.
func (m *evaluationMessage) read(value []byte) error {
	m.role, m.content, m.toolCalls, m.toolCallID = nil, nil, nil, nil
	if !m.members.object(value) {
		return nil
	}
	for {
		key, value, more, err := m.members.next()
		if err != nil || !more {
			return err
		}
		switch string(key) {
		case "role":
			m.role = value
		case "content":
			m.content = value
		case "tool_calls":
			m.toolCalls = value
		case "tool_call_id":
			m.toolCallID = value
		}
	}
}

// is says whether the message is one of that role.
func (m *evaluationMessage) is(role string) bool {
	return len(m.role) == len(role)+2 && string(m.role[1:len(m.role)-1]) == role
}

// docMember returns the value under a key of an object, nil where there is none.
func docMember(object []byte, name string) ([]byte, error) {
	var m docMembers
	if !m.object(object) {
		return nil, nil
	}
	for {
		key, value, more, err := m.next()
		if err != nil || !more {
			return nil, err
		}
		if string(key) == name {
			return value, nil
		}
	}
}

// evaluationCall is a call of a tool: values as they are in the messages.
type evaluationCall struct{ id, name, arguments, output []byte }

// evaluationCalls finds the calls that led to the answer.
type evaluationCalls struct {
	calls          []evaluationCall
	messages, list docMembers
	message        evaluationMessage
}

// read reads the calls of the assistant since the last message of the user: those before belong to questions before. Each
// has the content of the tool message that answers it.
func (t *evaluationCalls) read(messages []byte) error {
	t.calls = t.calls[:0]
	if len(messages) == 0 {
		return nil
	}
	if !t.messages.array(messages) {
		return t.messages.scan.Error("an array")
	}
	for {
		_, value, more, err := t.messages.next()
		if err != nil || !more {
			return err
		}
		if err := t.message.read(value); err != nil {
			return err
		}
		switch {
		case t.message.is("user"):
			t.calls = t.calls[:0]
		case t.message.is("assistant"):
			err = t.add(t.message.toolCalls)
		case t.message.is("tool"):
			t.answer()
		}
		if err != nil {
			return err
		}
	}
}

// add adds the calls of a message. One without a name is none.
func (t *evaluationCalls) add(list []byte) error {
	if !t.list.array(list) {
		return nil
	}
	for {
		_, value, more, err := t.list.next()
		if err != nil || !more {
			return err
		}
		var c evaluationCall
		if c.id, err = docMember(value, "id"); err != nil {
			return err
		}
		function, err := docMember(value, "function")
		if err != nil {
			return err
		}
		if c.name, err = docMember(function, "name"); err != nil {
			return err
		}
		if c.arguments, err = docMember(function, "arguments"); err != nil {
			return err
		}
		if len(c.name) > 0 && textToken(c.name) {
			t.calls = append(t.calls, c)
		}
	}
}

// answer gives the content of a tool message to the call that it answers. Where a call id was used twice, it is the first
// call without an answer.
func (t *evaluationCalls) answer() {
	for i := range t.calls {
		c := &t.calls[i]
		if c.output == nil && len(c.id) > 0 && bytes.Equal(c.id, t.message.toolCallID) {
			c.output = t.message.content
			return
		}
	}
}

// appendArguments appends the arguments of a call as an object. They are one written into a string; a string that
// holds no object is kept under the key "arguments", as it is. Text is a buffer.
func appendArguments(dst, arguments, text []byte) (out, buffer []byte, err error) {
	if arguments[0] == '{' {
		return appendOneLine(dst, arguments), text, nil
	}
	if arguments[0] == '"' {
		if text, err = jsontext.AppendText(text[:0], arguments); err != nil {
			return dst, text, err
		}
		// A model wrote it, and ingest took it for a text: it is held to what ingest holds documents to.
		if object := bytes.TrimSpace(text); len(object) > 0 && object[0] == '{' && strictjson.Check(object) == nil {
			return appendOneLine(dst, object), text, nil
		}
	}
	dst = append(dst, `{"arguments":`...)
	if arguments[0] == '"' {
		dst = append(dst, arguments...)
	} else {
		dst = jsontext.AppendString(dst, arguments)
	}
	return append(dst, '}'), text, nil
}
