package format

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// ofNode takes the messages of a node run, or else its rendered prompt, and its output where they do not end with
// it.
func (c *conversation) ofNode(n *Node) (drop string, err error) {
	if string(n.NodeType) != "llm" {
		return dropNotLLM, nil
	}
	if drop, err = c.readMessages(n.Messages); drop != "" || err != nil {
		return drop, err
	}
	if len(c.messages) > 0 {
		c.takeTemplate(n.PromptTemplate)
	} else if err = c.render(n); err != nil {
		return "", err
	}
	if len(c.messages) > 0 && c.answer().role == roleAssistant {
		return "", nil
	}
	return "", c.takeOutput(n.Outputs)
}

// takeTemplate makes a template the system message where it was one: there is none, nothing is to be filled in,
// and no message has its text. Some producers log messages without the system message.
func (c *conversation) takeTemplate(template []byte) {
	if _, _, _, found := nextPlaceholder(template); found || slices.ContainsFunc(c.messages, func(m tuningMessage) bool {
		return m.role == roleSystem || bytes.Contains(c.plain(m.text), template)
	}) {
		return
	}
	if text := c.quote(template); text != nil {
		c.messages = slices.Insert(c.messages, 0, tuningMessage{role: roleSystem, text: text})
	}
}

// nextPlaceholder finds the first {{name}} of a template.
func nextPlaceholder(template []byte) (before, name, after []byte, found bool) {
	before, rest, found := bytes.Cut(template, []byte("{{"))
	if found {
		name, after, found = bytes.Cut(rest, []byte("}}"))
	}
	if !found {
		return template, nil, nil, false
	}
	return before, bytes.TrimSpace(name), after, true
}

// render adds the prompt: the template with its variables filled in, strings as they are and others as JSON text.
// A name without a value stays as it is written.
func (c *conversation) render(n *Node) error {
	c.scratch = c.scratch[:0]
	rest := n.PromptTemplate
	for {
		before, name, after, found := nextPlaceholder(rest)
		c.scratch = append(c.scratch, before...)
		if !found {
			break
		}
		value, err := c.variable(n.PromptVariables, name)
		switch {
		case err != nil:
			return err
		case value == nil:
			c.scratch = append(c.scratch, rest[len(before):len(rest)-len(after)]...)
		case value[0] == '"':
			if c.scratch, err = jsontext.AppendText(c.scratch, value); err != nil {
				return err
			}
		default:
			c.scratch = append(c.scratch, value...)
		}
		rest = after
	}
	c.add(roleUser, c.quote(c.scratch))
	return nil
}

func (c *conversation) variable(doc, name []byte) (found []byte, err error) {
	err = c.eachMember(doc, func(key, value []byte) error {
		if bytes.Equal(key, name) {
			found = value
		}
		return nil
	})
	return found, err
}

// takeOutput adds what the node said as the assistant's message: a text, tool calls of OpenAI's shape, or both.
func (c *conversation) takeOutput(outputs []byte) error {
	var text, only, calls []byte
	best, texts := len(outputNames), 0
	err := c.eachMember(outputs, func(key, value []byte) error {
		if value[0] == '[' && string(key) == "tool_calls" {
			calls = value
		}
		if value[0] != '"' || blank(value) {
			return nil
		}
		only, texts = value, texts+1
		if n := slices.Index(outputNames, string(key)); n >= 0 && n < best {
			text, best = value, n
		}
		return nil
	})
	if err != nil {
		return err
	}
	if text == nil && texts == 1 {
		text = only
	}
	m := tuningMessage{role: roleAssistant, text: text, first: len(c.calls), last: len(c.calls)}
	if err := c.readCalls(&m, calls); err != nil {
		return err
	}
	if text == nil && m.first == m.last {
		return nil
	}
	// Messages that go on after the node's answer have it already.
	if text != nil && slices.ContainsFunc(c.messages, func(said tuningMessage) bool {
		return said.role == roleAssistant && bytes.Equal(c.plain(said.text), c.plain(text))
	}) {
		return nil
	}
	c.messages = append(c.messages, m)
	return nil
}
