package format

import (
	"fmt"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// rowError names the row whose documents are no JSON: a fault of its store, since ingest checks them.
func rowError(row *Row, err error) error {
	if row.Node != nil {
		return fmt.Errorf("run %s, node run %s: %w", row.RunID, row.NodeRunID(), err)
	}
	return fmt.Errorf("run %s: %w", row.RunID, err)
}

// JSON strings of what is there without being written.
var (
	emptyText   = []byte(`""`)
	noArguments = []byte(`"{}"`)
)

// eachMember calls do with the members of an object, the key without its quotes. It does nothing with a document
// that is absent or no object.
func (c *conversation) eachMember(doc []byte, do func(key, value []byte) error) error {
	var s jsontext.Scanner
	s.Reset(doc)
	if !s.Take('{') {
		return nil
	}
	for first := true; !s.Take('}'); first = false {
		if !first && !s.Take(',') {
			return s.Error("a comma")
		}
		key, err := s.Key()
		if err != nil {
			return err
		}
		value, err := s.Value()
		if err != nil {
			return err
		}
		if err := do(c.plain(key), value); err != nil {
			return err
		}
	}
	return s.End()
}

// elementsOf calls do with the elements of an array. It does nothing with a document that is absent or no array.
func elementsOf(doc []byte, do func(value []byte) error) error {
	var s jsontext.Scanner
	s.Reset(doc)
	if !s.Take('[') {
		return nil
	}
	for first := true; !s.Take(']'); first = false {
		if !first && !s.Take(',') {
			return s.Error("a comma")
		}
		value, err := s.Value()
		if err != nil {
			return err
		}
		if err := do(value); err != nil {
			return err
		}
	}
	return s.End()
}

// kindOf returns the first byte of a document, 0 where there is none.
func kindOf(doc []byte) byte {
	var s jsontext.Scanner
	s.Reset(doc)
	return s.Peek()
}

// readMessages reads messages in the shape of OpenAI's chat completions
// (https://platform.openai.com/docs/api-reference/chat/create). What is wrong with a message is kept with it: it
// may be one that is cut off.
func (c *conversation) readMessages(doc []byte) (drop string, err error) {
	switch kindOf(doc) {
	case 0, 'n': // absent, or null
		return "", nil
	case '[':
	default:
		return dropShape, nil
	}
	err = elementsOf(doc, func(value []byte) error {
		if value[0] != '{' {
			drop = dropShape
			return nil
		}
		return c.readMessage(value)
	})
	return drop, err
}

func (c *conversation) readMessage(doc []byte) error {
	m := tuningMessage{first: len(c.calls), last: len(c.calls)}
	var content, calls []byte
	legacy := false
	err := c.eachMember(doc, func(key, value []byte) error {
		switch string(key) {
		case "role":
			m.role, legacy = roleOf(c.plain(value)), legacy || string(c.plain(value)) == "function"
		case "content":
			content = value
		case "tool_calls":
			calls = value
		case "tool_call_id":
			m.id = c.readID(value)
		case "function_call":
			legacy = legacy || value[0] != 'n'
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case legacy:
		m.fault = dropLegacy
	case m.role == roleUnknown:
		m.fault = dropRole
	}
	if err := c.readContent(&m, content); err != nil {
		return err
	}
	if m.role == roleAssistant {
		if err := c.readCalls(&m, calls); err != nil {
			return err
		}
	}
	c.messages = append(c.messages, m)
	return nil
}

func roleOf(text []byte) tuningRole {
	switch string(text) {
	case "system", "developer": // OpenAI's newer name of it
		return roleSystem
	case "user":
		return roleUser
	case "assistant":
		return roleAssistant
	case "tool":
		return roleTool
	}
	return roleUnknown
}

// readContent reads content: a text, null or parts, of which those of text become one, a line each.
func (c *conversation) readContent(m *tuningMessage, content []byte) error {
	switch {
	case content == nil || content[0] == 'n':
	case content[0] == '"':
		m.text = content
	case content[0] == '[':
		err := elementsOf(content, func(part []byte) error {
			var kind, text []byte
			err := c.eachMember(part, func(key, value []byte) error {
				switch string(key) {
				case "type":
					kind = c.plain(value)
				case "text":
					text = value
				}
				return nil
			})
			switch {
			case string(kind) != "text" || text == nil || text[0] != '"':
				m.fail(dropNotText)
			case len(text) > len(`""`):
				m.text = c.join(m.text, text, lineBreak)
			}
			return err
		})
		if err != nil {
			return err
		}
	default:
		m.fail(dropNotText)
	}
	switch {
	case m.role == roleTool && m.text == nil:
		m.text = emptyText // a tool may have nothing to say
	case m.role != roleTool && m.text != nil && blank(m.text):
		m.text = nil
	}
	return nil
}

// fail remembers the first fault of a message.
func (m *tuningMessage) fail(fault string) {
	if m.fault == "" {
		m.fault = fault
	}
}

// readCalls reads tool_calls: null, or an array of calls of functions.
func (c *conversation) readCalls(m *tuningMessage, doc []byte) error {
	if doc == nil || doc[0] == 'n' {
		return nil
	}
	if doc[0] != '[' {
		m.fail(dropCall)
		return nil
	}
	err := elementsOf(doc, func(value []byte) error {
		call, ok, err := c.readCall(value)
		if !ok {
			m.fail(dropCall)
		}
		c.calls = append(c.calls, call)
		return err
	})
	m.last = len(c.calls)
	return err
}

func (c *conversation) readCall(doc []byte) (call tuningCall, ok bool, err error) {
	var function []byte
	isFunction := true // some leave the type out
	err = c.eachMember(doc, func(key, value []byte) error {
		switch string(key) {
		case "id":
			call.id = c.readID(value)
		case "type":
			isFunction = string(c.plain(value)) == "function"
		case "function":
			function = value
		}
		return nil
	})
	if err != nil || !isFunction {
		return call, false, err
	}
	call.arguments = noArguments
	valid := true
	err = c.eachMember(function, func(key, value []byte) error {
		switch string(key) {
		case "name":
			call.name = c.plain(value)
		case "arguments":
			call.arguments, valid = c.readArguments(value)
		}
		return nil
	})
	return call, valid && functionName(call.name), err
}

// readArguments returns the JSON string of an object, which the model wrote as one or the producer has parsed.
func (c *conversation) readArguments(value []byte) (token []byte, ok bool) {
	switch value[0] {
	case 'n':
		return noArguments, true // none
	case '{':
		from := len(c.memory)
		c.scratch = appendCompact(c.scratch[:0], value)
		c.memory = jsontext.AppendString(c.memory, c.scratch)
		return c.memory[from:len(c.memory):len(c.memory)], true
	case '"':
		if blank(value) {
			return noArguments, true
		}
		var err error
		if c.scratch, err = jsontext.AppendText(c.scratch[:0], value); err != nil {
			return nil, false
		}
		var s jsontext.Scanner
		s.Reset(c.scratch)
		if s.Peek() != '{' {
			return nil, false
		}
		if _, err := s.Value(); err != nil || s.End() != nil {
			return nil, false
		}
		return value, true
	}
	return nil, false
}

// readID returns an id in the one way to write it, so that ids can be compared.
func (c *conversation) readID(value []byte) []byte {
	switch {
	case value[0] != '"':
		return nil
	case jsontext.Plain(value):
		return value
	}
	return c.quote(c.plain(value))
}

// functionName says whether it is a name that all readers take
// (https://platform.openai.com/docs/api-reference/chat/create, tools[].function.name).
func functionName(name []byte) bool {
	for _, b := range name {
		if (b|0x20 < 'a' || b|0x20 > 'z') && (b < '0' || b > '9') && b != '_' && b != '-' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 64
}

// appendCompact appends a document without line breaks and tabs, which JSON has between tokens only.
func appendCompact(dst, doc []byte) []byte {
	for _, b := range doc {
		if b != '\n' && b != '\r' && b != '\t' {
			dst = append(dst, b)
		}
	}
	return dst
}
