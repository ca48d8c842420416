// Package toolschema checks the parameters of tools against the rules of those who read definitions
// of tools.
//
//	toolschema.go   Checker: the rules of a reader, and what was found out about parameters
//	pattern.go      patterns that Python compiles
package toolschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Rules are what a reader asks of the parameters of a tool. Every reader asks for a JSON Schema of an
// object.
type Rules byte

const (
	// Loose takes a JSON Schema of draft 7 or 2020-12.
	Loose Rules = iota
	// OpenAI takes the same, and for a strict tool what OpenAI's strict mode takes.
	OpenAI
	// Mistral takes what mistral-common does: a JSON Schema of draft 7, with patterns that Python
	// compiles.
	Mistral
)

// Checker checks parameters by the rules of one reader. It remembers what it found: the runs of an
// app mostly have the same tools. The zero value is ready. It is not safe for concurrent use.
type Checker struct {
	known map[string]verdict // by parameters, as they are in rows
	bytes int                // of the keys
}

// verdict is what was found out about parameters.
type verdict struct{ valid, strict bool }

// maxKnown bounds the memory for keys, in case every row has other tools.
const maxKnown = 8 << 20

// Valid reports whether a reader takes parameters, which are a JSON document. Strict says whether
// the tool is strict. For known parameters, Valid allocates nothing.
func (c *Checker) Valid(rules Rules, parameters []byte, strict bool) bool {
	v, ok := c.known[string(parameters)]
	if !ok {
		v = judge(rules, parameters)
		if c.bytes += len(parameters); c.known == nil || c.bytes > maxKnown {
			c.known, c.bytes = map[string]verdict{}, len(parameters)
		}
		c.known[string(parameters)] = v
	}
	return v.valid && (v.strict || rules != OpenAI || !strict)
}

func judge(rules Rules, parameters []byte) (v verdict) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(parameters))
	if err != nil {
		return v
	}
	schema, ok := doc.(map[string]any)
	if kind, typed := schema["type"]; !ok || typed && kind != "object" {
		return v
	}
	if rules == Mistral {
		v.valid = finite(doc) && draft7OfPython().Validate(doc) == nil
		return v
	}
	v.valid = draft7().Validate(doc) == nil || draft2020().Validate(doc) == nil
	v.strict = v.valid && schema["type"] == "object" && strict(schema)
	return v
}

// The schemas that JSON Schemas are valid against.
var (
	draft7         = metaSchema("http://json-schema.org/draft-07/schema", func(string) bool { return true })
	draft2020      = metaSchema("https://json-schema.org/draft/2020-12/schema", func(string) bool { return true })
	draft7OfPython = metaSchema("http://json-schema.org/draft-07/schema", pythonPattern)
)

// metaSchema returns the schema of a draft. Patterns of schemas must be such that compiles returns
// true. References may be any text, as in jsonschema of Python, and are not looked up.
func metaSchema(draft string, compiles func(pattern string) bool) func() *jsonschema.Schema {
	return sync.OnceValue(func() *jsonschema.Schema {
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		for _, name := range []string{"uri", "uri-reference"} {
			c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(any) error { return nil }})
		}
		c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) {
			if !compiles(pattern) {
				return nil, errors.New("a pattern that the reader may not compile")
			}
			re, err := regexp.Compile(pattern)
			if err != nil {
				return nil, nil //nolint:nilnil,nilerr // only the patterns of the draft are ever matched
			}
			return re, nil
		})
		return c.MustCompile(draft)
	})
}

// finite reports whether Python reads every number of a document as one that is not infinite.
func finite(doc any) bool {
	switch doc := doc.(type) {
	case json.Number:
		_, err := doc.Float64()
		return err == nil
	case []any:
		return !slices.ContainsFunc(doc, func(v any) bool { return !finite(v) })
	case map[string]any:
		for _, v := range doc {
			if !finite(v) {
				return false
			}
		}
	}
	return true
}

// strict reports whether OpenAI's strict mode takes a valid schema: objects are closed and all their
// properties are required, and schemas are not composed but by anyOf
// (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas).
func strict(schema map[string]any) bool {
	for _, keyword := range []string{"allOf", "oneOf", "not", "if", "then", "else", "dependencies", "dependentRequired",
		"dependentSchemas", "patternProperties"} {
		if schema[keyword] != nil {
			return false
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	if isObject(schema["type"]) || properties != nil {
		required, _ := schema["required"].([]any)
		if schema["additionalProperties"] != false || len(required) != len(properties) {
			return false
		}
		for _, name := range required {
			if name, ok := name.(string); !ok || properties[name] == nil {
				return false
			}
		}
	}
	for _, keyword := range []string{"properties", "$defs", "definitions"} {
		if inner, ok := schema[keyword].(map[string]any); ok && !every(inner, strictValue) {
			return false
		}
	}
	choices, _ := schema["anyOf"].([]any)
	items, has := schema["items"]
	return !slices.ContainsFunc(choices, notStrict) && (!has || strictValue(items))
}

func isObject(kind any) bool {
	kinds, _ := kind.([]any)
	return kind == "object" || slices.Contains(kinds, any("object"))
}

func strictValue(v any) bool {
	schema, ok := v.(map[string]any)
	return ok && strict(schema)
}

func notStrict(v any) bool { return !strictValue(v) }

func every(values map[string]any, holds func(v any) bool) bool {
	for _, v := range values {
		if !holds(v) {
			return false
		}
	}
	return true
}
