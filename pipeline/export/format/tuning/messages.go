package tuning

import (
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// JSON strings for values that are absent in the row.
var (
	emptyText   = []byte(`""`)
	noArguments = []byte(`"{}"`)
)

// readMessages reads messages. Each message keeps its own fault, because settle may cut the message
// off.
func (c *conversation) readMessages(doc []byte) (drop string) {
	if record.IsOtherKind('[', doc) {
		drop = dropShape
	}
	for m, ok := range c.Messages(doc) {
		if ok {
			c.readMessage(&m)
		} else {
			drop = dropShape // reads on, because the rest may be malformed
		}
	}
	return drop
}

func (c *conversation) readMessage(told *record.Message) {
	m := message{role: roleOf(told.Role), first: len(c.calls), last: len(c.calls), id: c.readID(told.CallID)}
	switch {
	case string(told.Role) == "function" || told.FunctionCall != nil && told.FunctionCall[0] != 'n':
		m.fault = dropLegacy
	case m.role == roleUnknown:
		m.fault = dropRole
	}
	text, only := c.Content(told.Content)
	switch {
	case m.role == roleTool && text == nil:
		m.text = emptyText // a tool may return nothing
	case m.role == roleTool || c.HasText(text):
		m.text = text
	}
	if !only {
		m.fail(dropNotText)
	}
	if m.role == roleAssistant {
		c.readCalls(&m, told.Calls)
	}
	c.messages = append(c.messages, m)
}

func roleOf(text []byte) role {
	switch string(text) {
	case "system", "developer": // OpenAI's newer name of system
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

// fail remembers the first fault of a message.
func (m *message) fail(fault string) {
	if m.fault == "" {
		m.fault = fault
	}
}

// readCalls reads tool_calls: null, or an array of calls of functions.
func (c *conversation) readCalls(m *message, doc []byte) {
	if len(doc) == 0 || doc[0] == 'n' {
		return
	}
	if doc[0] != '[' {
		m.fail(dropCall)
	}
	for _, value := range c.Elements(doc) {
		call, ok := c.readCall(value)
		if !ok {
			m.fail(dropCall)
		}
		c.calls = append(c.calls, call)
	}
	m.last = len(c.calls)
}

func (c *conversation) readCall(value []byte) (call toolCall, ok bool) {
	told := c.ParseCall(value)
	call = toolCall{id: c.readID(told.ID), name: c.Text(told.Name)}
	if told.Type != nil && string(c.Text(told.Type)) != "function" { // some producers leave the type out
		return call, false
	}
	call.arguments, ok = c.readArguments(told.Arguments)
	return call, ok && functionName(call.name)
}

// readArguments returns arguments as the JSON string of an object. The producer may have parsed
// them.
func (c *conversation) readArguments(value []byte) (token []byte, ok bool) {
	switch {
	case value == nil || value[0] == 'n':
		return noArguments, true // none
	case value[0] == '{':
		return c.Quote(value), true
	case value[0] != '"':
		return nil, false
	case !c.HasText(value):
		return noArguments, true
	}
	var s jsonscan.Scanner
	s.Reset(c.Text(value))
	if s.Peek() != '{' {
		return nil, false
	}
	_, err := s.Value()
	return value, err == nil && s.End() == nil
}

// readID returns an id in canonical form, so that ids can be compared.
func (c *conversation) readID(value []byte) []byte {
	switch {
	case !record.IsString(value):
		return nil
	case jsonscan.IsPlain(value):
		return value
	}
	return c.Quote(c.Text(value))
}

// functionName reports whether a name is accepted by all readers
// (https://platform.openai.com/docs/api-reference/chat/create, tools[].function.name).
func functionName(name []byte) bool {
	for _, b := range name {
		if (b|0x20 < 'a' || b|0x20 > 'z') && (b < '0' || b > '9') && b != '_' && b != '-' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 64
}
