package export_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/schemas/events"
)

var schemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	compiled := map[string]*jsonschema.Schema{}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, name := range events.Types() {
		text, _ := events.Schema(name)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		if err := compiler.AddResource(name, doc); err != nil {
			return nil, err
		}
		if compiled[name], err = compiler.Compile(name); err != nil {
			return nil, err
		}
	}
	return compiled, nil
})

// valid says whether data is what the JSON Schema of its type allows.
func valid(t *testing.T, eventType string, data []byte) error {
	t.Helper()
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return all[eventType].Validate(doc)
}

func validate(t *testing.T, eventType string, data []byte) {
	t.Helper()
	if err := valid(t, eventType, data); err != nil {
		t.Errorf("%s: %v\n%s", eventType, err, data)
	}
}
