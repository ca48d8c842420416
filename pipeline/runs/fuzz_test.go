package runs_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// FuzzDecode: whatever the data, decoding does not panic; an error is a refusal with a code and a
// rule; what is accepted is valid JSON with the required fields, and what is kept of it as
// documents is valid JSON of the right kind, which decodes to the same again.
func FuzzDecode(f *testing.F) {
	types := []string{runs.TypeRun, runs.TypeNode, runs.TypeFeedback}
	for i, eventType := range types {
		f.Add(byte(i), []byte(minimal[eventType].String()))
		f.Add(byte(i), []byte(full[eventType].String()))
		for _, field := range optional(eventType) {
			f.Add(byte(i), []byte(minimal[eventType].with(field, full[eventType][field]).String()))
		}
	}
	f.Add(byte(0), []byte("{\"question\":\"\xff\"}"))
	f.Add(byte(0), []byte(`{"inputs": {"a" : 1 , "a":2}}`))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		eventType := types[int(kind)%len(types)]
		e, err := decode(eventType, string(data))
		var refusal *strictjson.Refusal
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Rule == "" {
				t.Fatalf("not a refusal: %#v", err)
			}
			if refusal.Code == strictjson.InvalidJSON && json.Valid(data) {
				t.Fatalf("valid JSON is called invalid: %v", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		var required []string
		var objects, arrays []runs.Doc
		switch e := e.(type) {
		case *runs.Run:
			required = []string{e.WorkspaceID, e.RunID, e.Source, e.AppID, e.Status}
			objects, arrays = []runs.Doc{e.Inputs, e.SystemInputs, e.Outputs}, []runs.Doc{e.Messages, e.Tools}
		case *runs.Node:
			required = []string{e.WorkspaceID, e.RunID, e.NodeRunID, e.Source, e.AppID, e.NodeID, e.Status}
			objects, arrays = []runs.Doc{e.Inputs, e.Outputs, e.PromptVariables}, []runs.Doc{e.Messages, e.Tools}
			for _, p := range e.Parameters {
				if !json.Valid([]byte(p.Value)) {
					t.Fatalf("a parameter is no JSON: %q", p.Value)
				}
			}
		case *runs.Feedback:
			required = []string{e.WorkspaceID, e.RunID, e.FeedbackID}
			if e.Rating == "" && e.Score == nil {
				t.Fatal("neither a rating nor a score")
			}
		}
		for _, field := range required {
			if field == "" {
				t.Fatalf("a required field is empty: %+v", e)
			}
		}
		for i, doc := range append(objects, arrays...) {
			first := "{"
			if i >= len(objects) {
				first = "["
			}
			if doc != "" && (!json.Valid([]byte(doc)) || !strings.HasPrefix(doc, first)) {
				t.Fatalf("a document that is none: %q", doc)
			}
			if err := strictjson.Check([]byte(doc)); doc != "" && err != nil {
				t.Fatalf("a document that would be refused: %v: %q", err, doc)
			}
		}
	})
}
