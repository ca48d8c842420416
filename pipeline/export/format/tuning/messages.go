package tuning

import (
	"strconv"

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
	said := c.Speech(told)
	switch {
	case m.role == roleTool && said.Text == nil:
		m.text = emptyText // a tool may return nothing
	case m.role == roleTool || c.HasText(said.Text):
		m.text = said.Text
	}
	if said.NotText {
		m.fail(dropNotText)
	}
	m.note(noteRefusal, said.Refused)
	m.note(noteSound, said.Spoken)
	m.note(noteReasoning, told.Reasoning)
	m.note(noteField, said.Others || m.role != roleTool && !record.IsNothing(told.CallID) ||
		m.role != roleAssistant && (!record.IsNothing(told.Calls) || !record.IsNothing(told.Weight)))
	if !record.IsNothing(told.Name) {
		m.name = c.readName(&m, told.Name)
	}
	if m.role == roleAssistant {
		c.readWeight(&m, told.Weight)
		c.readCalls(&m, told.Calls)
	}
	c.messages = append(c.messages, m)
}

// readName returns the name of a speaker in canonical form. A name that OpenAI does not take is
// left out.
func (c *conversation) readName(m *message, token []byte) []byte {
	if functionName(c.Text(token)) {
		return c.readID(token)
	}
	m.note(noteName, true)
	return nil
}

// readWeight reads whether a message is learnt: 0 or 1.
func (c *conversation) readWeight(m *message, token []byte) {
	if record.IsNothing(token) {
		return
	}
	switch n, err := strconv.ParseFloat(string(token), 64); {
	case err == nil && n == 0:
		m.weight = weightZero
	case err == nil && n == 1:
		m.weight = weightOne
	default:
		m.fail(dropWeight)
	}
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
		c.calls = append(c.calls, c.readCall(m, value))
	}
	m.last = len(c.calls)
}

func (c *conversation) readCall(m *message, value []byte) toolCall {
	told := c.ParseCall(value)
	call := toolCall{id: c.readID(told.ID), name: c.Text(told.Name)}
	ok := told.Type == nil || string(c.Text(told.Type)) == "function" // some producers leave the type out
	if call.arguments = noArguments; ok {
		call.arguments, ok = c.readArguments(told.Arguments)
	}
	if !ok || !functionName(call.name) {
		m.fail(dropCall)
	}
	m.note(noteField, told.Others)
	return call
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
