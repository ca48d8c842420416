package tuning

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/tuning/toolschema"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// tuningTool is the definition of a function.
type tuningTool struct {
	name        []byte
	description []byte // a JSON string; nil if absent
	parameters  []byte // a JSON Schema; nil if absent
	strict      []byte // true or false; nil if absent
	others      bool   // it has values under other keys
}

// readTools reads the definitions of tools. Tools that are no functions are a reason to drop the
// row: readers reject them, and without them the conversation is incomplete.
func (c *conversation) readTools(rules toolschema.Rules) (drop string) {
	c.defined = c.defined[:0]
	if record.IsOtherKind('[', c.tools) {
		drop = dropTools
	}
	for _, value := range c.Elements(c.tools) {
		t, ok := c.readTool(value)
		if !ok || t.parameters != nil && !c.schemas.Valid(rules, t.parameters, string(t.strict) == "true") {
			drop = dropTools
		}
		if t.others || rules != toolschema.OpenAI && string(t.strict) == "true" {
			c.notes |= noteField
		}
		c.defined = append(c.defined, t)
	}
	return drop
}

func (c *conversation) readTool(doc []byte) (t tuningTool, ok bool) {
	var kind, function []byte
	for key, value := range c.Members(doc) {
		switch string(key) {
		case "type":
			kind = value
		case "function":
			function = value
		default:
			t.others = t.others || !record.IsNothing(value)
		}
	}
	ok = string(c.Text(kind)) == "function"
	for key, value := range c.Members(function) {
		if value[0] == 'n' {
			continue // null counts as absent
		}
		switch string(key) {
		case "name":
			t.name = c.Text(value)
		case "description":
			t.description, ok = value, ok && value[0] == '"'
		case "parameters":
			t.parameters, ok = value, ok && value[0] == '{'
		case "strict":
			t.strict, ok = value, ok && (value[0] == 't' || value[0] == 'f')
		default:
			t.others = t.others || !record.IsNothing(value)
		}
	}
	return t, ok && functionName(t.name)
}

// hasTools reports whether the row has definitions of tools. It does not read them.
func (c *conversation) hasTools() bool {
	doc := bytes.TrimSpace(c.tools)
	if record.IsNothing(doc) {
		return false
	}
	return doc[0] != '[' || len(bytes.TrimSpace(doc[1:len(doc)-1])) > 0
}

// hasProperties reports whether parameters has properties, each an object.
func (c *conversation) hasProperties(t *tuningTool) bool {
	properties := c.Member(t.parameters, "properties")
	for _, property := range c.Members(properties) {
		if property[0] != '{' {
			return false
		}
	}
	return len(properties) > 0 && properties[0] == '{'
}

// appendTools appends ,"tools":[…] in OpenAI's shape, or nothing if there are no tools. For full
// see tuningTool.append.
func (c *conversation) appendTools(dst []byte, full bool) []byte {
	if len(c.defined) == 0 {
		return dst
	}
	dst = append(dst, `,"tools":[`...)
	for i := range c.defined {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"type":"function","function":`...)
		dst = append(c.defined[i].append(dst, full), '}')
	}
	return append(dst, ']')
}

// noParameters is the schema of a function without parameters.
const noParameters = `{"type":"object","properties":{}}`

// append appends the function. With full, it always writes a description and parameters, and never
// strict, which not all readers know.
func (t *tuningTool) append(dst []byte, full bool) []byte {
	dst = append(dst, `{"name":`...)
	dst = jsonscan.AppendString(dst, t.name)
	switch {
	case t.description != nil:
		dst = append(dst, `,"description":`...)
		dst = append(dst, t.description...)
	case full:
		dst = append(dst, `,"description":""`...)
	}
	switch {
	case t.parameters != nil:
		dst = append(dst, `,"parameters":`...)
		dst = record.AppendOneLine(dst, t.parameters)
	case full:
		dst = append(dst, `,"parameters":`+noParameters...)
	}
	if t.strict != nil && !full {
		dst = append(dst, `,"strict":`...)
		dst = append(dst, t.strict...)
	}
	return append(dst, '}')
}
