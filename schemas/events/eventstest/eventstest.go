// Package eventstest checks the data of events against their JSON Schemas, for tests.
package eventstest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/schemas/events"
)

var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	schemas := map[string]*jsonschema.Schema{}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, eventType := range events.Types() {
		text, _ := events.Schema(eventType)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", eventType, err)
		}
		if err := compiler.AddResource(eventType, doc); err != nil {
			return nil, err
		}
		if schemas[eventType], err = compiler.Compile(eventType); err != nil {
			return nil, err
		}
	}
	return schemas, nil
})

// Check returns nil if the schema of the event type allows the data.
func Check(t *testing.T, eventType string, data []byte) error {
	t.Helper()
	schemas, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return schemas[eventType].Validate(doc)
}

// Validate fails the test unless the schema of the event type allows the data.
func Validate(t *testing.T, eventType string, data []byte) {
	t.Helper()
	if err := Check(t, eventType, data); err != nil {
		t.Errorf("%s: %v\n%s", eventType, err, data)
	}
}
