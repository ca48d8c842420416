package tuning

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// ofNode reads the messages of a node run, or else its rendered prompt. It adds the output if the
// messages do not end with it.
func (c *conversation) ofNode(n *record.Node) (drop string) {
	if string(n.NodeType) != "llm" {
		return dropNotLLM
	}
	if drop = c.readMessages(n.Messages); drop != "" {
		return drop
	}
	if len(c.messages) > 0 {
		c.takeTemplate(n.PromptTemplate)
	} else {
		c.variables = c.AppendVariables(c.variables[:0], n.PromptVariables)
		c.scratch = c.AppendPrompt(c.scratch[:0], n.PromptTemplate, c.variables)
		c.add(roleUser, c.Quote(c.scratch))
	}
	if len(c.messages) == 0 || c.answer().role != roleAssistant {
		c.takeOutput(n.Outputs)
	} else if text := bytes.TrimSpace(c.Text(c.NamedText(n.Outputs, record.OutputNames))); len(text) > 0 && !c.says(text) {
		c.notes |= noteElsewhere
	}
	return ""
}

// takeTemplate adds the prompt template as the system message if it must have been one: the
// conversation has no system message, the template has no placeholders, and no message has its
// text. Some producers do not log the system message.
func (c *conversation) takeTemplate(template []byte) {
	if start, _ := record.NextPlaceholder(template); start >= 0 || slices.ContainsFunc(c.messages, func(m message) bool {
		return m.role == roleSystem || bytes.Contains(c.Text(m.text), template)
	}) {
		return
	}
	if text := c.Quote(template); text != nil {
		c.messages = slices.Insert(c.messages, 0, message{role: roleSystem, text: text})
	}
}

// takeOutput adds the output of the node as a message of the assistant: a text, tool calls in
// OpenAI's shape, or both.
func (c *conversation) takeOutput(outputs []byte) {
	m := message{role: roleAssistant, text: c.NamedText(outputs, record.OutputNames), first: len(c.calls),
		last: len(c.calls)}
	if calls := c.Member(outputs, "tool_calls"); len(calls) > 0 && calls[0] == '[' {
		c.readCalls(&m, calls)
	}
	if m.text == nil && m.first == m.last {
		return
	}
	// Messages may contain the answer of the node already.
	if m.text != nil && c.says(bytes.TrimSpace(c.Text(m.text))) {
		if m.first < m.last {
			c.notes |= noteElsewhere
		}
		return
	}
	c.messages = append(c.messages, m)
}
