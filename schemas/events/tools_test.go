package events

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := FS.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustSchema(t *testing.T, eventType string) []byte {
	t.Helper()
	b, ok := Schema(eventType)
	if !ok {
		t.Fatalf("no schema for %s", eventType)
	}
	return b
}

func parse(t *testing.T, b []byte) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%v in %.200s", err, b)
	}
	return doc
}

func schemaDoc(t *testing.T, eventType string) map[string]any {
	t.Helper()
	return parse(t, mustSchema(t, eventType)).(map[string]any)
}

// compiled returns a schema whose texts may be short: validators take seconds for texts of the
// contract's length.
func compiled(t *testing.T, eventType string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	id := "urn:millrace:schema:" + eventType
	if err := c.AddResource(id, shorten(t, schemaDoc(t, eventType))); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(id)
	if err != nil {
		t.Fatalf("%s: %v", eventType, err)
	}
	return schema
}

// maxText is the length of the longest text in the schemas, and shortText that in compiled schemas.
const (
	maxText   = "16777216"
	shortText = 100_000
)

// shorten replaces the length of the longest text of a schema, which every other length is below.
func shorten(t *testing.T, v any) any {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			n, isNumber := item.(json.Number)
			switch {
			case key != "maxLength" || !isNumber:
				v[key] = shorten(t, item)
			case n.String() == maxText:
				v[key] = json.Number(strconv.Itoa(shortText))
			case len(n.String()) > 4:
				t.Errorf("maxLength %s is neither a short one nor %s", n, maxText)
			}
		}
	case []any:
		for i, item := range v {
			v[i] = shorten(t, item)
		}
	}
	return v
}

// documents returns fresh copies of the example and of its variants.
func (c contract) documents(t *testing.T) []any {
	t.Helper()
	example := readFile(t, c.eventType+".example.json")
	docs := []any{parse(t, example)}
	for patches := json.NewDecoder(strings.NewReader(c.variants)); patches.More(); {
		var patch any
		if err := patches.Decode(&patch); err != nil {
			t.Fatalf("%s: variants: %v", c.eventType, err)
		}
		docs = append(docs, merge(parse(t, example), patch))
	}
	return docs
}

// merge applies a merge patch (RFC 7396): null removes a key.
func merge(target, patch any) any {
	keys, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for key, value := range keys {
		if value == nil {
			delete(object, key)
		} else {
			object[key] = merge(object[key], value)
		}
	}
	return object
}

// place is the place of a value in a document.
type place struct {
	object map[string]any
	key    string
	array  []any // if the last step of the path is "[]": place is the first element
}

func (p *place) set(v any) {
	if p.array != nil {
		p.array[0] = v
	} else {
		p.object[p.key] = v
	}
}

func (p *place) remove() { delete(p.object, p.key) }

// find returns the first place of a path such as files[].name in a document, or nil.
func find(doc any, path string) *place {
	step, rest, more := strings.Cut(path, ".")
	name, inArray := strings.CutSuffix(step, "[]")
	object, ok := doc.(map[string]any)
	if !ok {
		return nil
	}
	value, ok := object[name]
	switch {
	case !ok:
		return nil
	case inArray:
		array, _ := value.([]any)
		if len(array) == 0 {
			return nil
		}
		if !more {
			return &place{array: array}
		}
		for _, element := range array {
			if p := find(element, rest); p != nil {
				return p
			}
		}
		return nil
	case more:
		return find(value, rest)
	}
	return &place{object: object, key: name}
}

// subschemas calls f with every schema in a schema.
func subschemas(schema any, at string, f func(at string, schema map[string]any)) {
	object, ok := schema.(map[string]any)
	if !ok {
		return
	}
	f(at, object)
	for word, value := range object {
		switch word {
		case "properties", "$defs":
			for name, sub := range value.(map[string]any) {
				subschemas(sub, at+"/"+word+"/"+name, f)
			}
		case "allOf", "anyOf", "oneOf":
			for _, sub := range value.([]any) {
				subschemas(sub, at+"/"+word, f)
			}
		case "items", "additionalProperties", "propertyNames", "not", "if", "then":
			subschemas(value, at+"/"+word, f)
		}
	}
}

// properties returns the schema of every property of a schema by its path, through $ref and items.
func properties(t *testing.T, doc map[string]any) map[string]map[string]any {
	t.Helper()
	found := map[string]map[string]any{}
	var walk func(schema map[string]any, at string)
	walk = func(schema map[string]any, at string) {
		for ref, ok := schema["$ref"].(string); ok; ref, ok = schema["$ref"].(string) {
			target := doc["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
			merged := maps.Clone(schema)
			delete(merged, "$ref")
			for word, value := range target {
				if _, ok := merged[word]; !ok {
					merged[word] = value
				}
			}
			schema = merged
		}
		if items, ok := schema["items"].(map[string]any); ok {
			found[at+"[]"] = items
			walk(items, at+"[]")
		}
		for name, sub := range asObject(schema["properties"]) {
			path := strings.TrimPrefix(at+"."+name, ".")
			found[path] = sub.(map[string]any)
			walk(found[path], path)
		}
	}
	walk(doc, "")
	return found
}

func asObject(v any) map[string]any {
	object, _ := v.(map[string]any)
	return object
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal(err)
	return ""
}
