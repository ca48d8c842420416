package format

import "github.com/millrace/millrace/sinks/fragment/jsontext"

// tuningTool is the definition of a function.
type tuningTool struct {
	name        []byte
	description []byte // a JSON string; nil: none
	parameters  []byte // a JSON Schema; nil: none
	strict      []byte // true or false; nil: none
	properties  bool   // parameters has properties, each an object
}

// readTools reads the definitions of tools. Readers reject what is no function, and without it the conversation
// would be half of what it was.
func (c *conversation) readTools() (drop string) {
	c.defined = c.defined[:0]
	switch kindOf(c.tools) {
	case 0, 'n':
		return ""
	case '[':
	default:
		return dropTools
	}
	valid := true
	err := elementsOf(c.tools, func(value []byte) error {
		t, ok, err := c.readTool(value)
		valid = valid && ok
		c.defined = append(c.defined, t)
		return err
	})
	if err != nil || !valid {
		return dropTools
	}
	return ""
}

func (c *conversation) readTool(doc []byte) (t tuningTool, ok bool, err error) {
	var kind, function []byte
	err = c.eachMember(doc, func(key, value []byte) error {
		switch string(key) {
		case "type":
			kind = c.plain(value)
		case "function":
			function = value
		}
		return nil
	})
	if err != nil || string(kind) != "function" {
		return t, false, err
	}
	ok = true
	err = c.eachMember(function, func(key, value []byte) error {
		if value[0] == 'n' {
			return nil // null is as good as absent
		}
		switch string(key) {
		case "name":
			t.name = c.plain(value)
		case "description":
			t.description, ok = value, ok && value[0] == '"'
		case "parameters":
			t.parameters, ok = value, ok && value[0] == '{'
		case "strict":
			t.strict, ok = value, ok && (value[0] == 't' || value[0] == 'f')
		}
		return nil
	})
	if err != nil || !ok || !functionName(t.name) {
		return t, false, err
	}
	t.properties, err = c.hasProperties(t.parameters)
	return t, true, err
}

func (c *conversation) hasProperties(schema []byte) (has bool, err error) {
	err = c.eachMember(schema, func(key, value []byte) error {
		if string(key) != "properties" || value[0] != '{' {
			return nil
		}
		has = true
		return c.eachMember(value, func(_, property []byte) error {
			has = has && property[0] == '{'
			return nil
		})
	})
	return has, err
}

// appendTools appends ,"tools":[…] as OpenAI defines them, or nothing where there are none. For full see
// tuningTool.append.
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

// noParameters is the schema of a function without any.
const noParameters = `{"type":"object","properties":{}}`

// append appends the function; where full, with a description and parameters whatever the producer left out, and
// without strict, which not all readers know.
func (t *tuningTool) append(dst []byte, full bool) []byte {
	dst = append(dst, `{"name":`...)
	dst = jsontext.AppendString(dst, t.name)
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
		dst = appendCompact(dst, t.parameters)
	case full:
		dst = append(dst, `,"parameters":`+noParameters...)
	}
	if t.strict != nil && !full {
		dst = append(dst, `,"strict":`...)
		dst = append(dst, t.strict...)
	}
	return append(dst, '}')
}
