package e2etest

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// Object is a JSON object, with numbers as they are written.
type Object = map[string]any

// ParseObject reads one JSON object.
func ParseObject(t *testing.T, text string) Object {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var o Object
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("more than one document in %.200s", text)
	}
	return o
}

// JSONLines reads a JSON object from each line.
func JSONLines(t *testing.T, text string) (list []Object) {
	t.Helper()
	for line := range strings.Lines(text) {
		list = append(list, ParseObject(t, line))
	}
	return list
}

// Decode reads JSON into a value.
func Decode(t *testing.T, text []byte, to any) {
	t.Helper()
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
}

// JSONText writes a value as JSON.
func JSONText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
