package evaluation_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// evaluationSchema returns the schema of a target's records. It was written from the rules of the
// reader.
func evaluationSchema(t *testing.T, purpose, target string) *jsonschema.Schema {
	t.Helper()
	path := filepath.Join("testdata", "schemas", purpose+"_"+target+".schema.json")
	if _, err := os.Stat(path); err != nil {
		path = filepath.Join("testdata", "schemas", "both_"+target+".schema.json")
	}
	schema, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func documentOf(t *testing.T, record []byte) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(record))
	if err != nil {
		t.Fatalf("%v in %.300s", err, record)
	}
	return doc
}

func TestEvaluationRecordsAreWhatTheirReadersTake(t *testing.T) {
	t.Parallel()
	h := formattest.SampleHistory(t, 3000)
	for _, purpose := range bothPurposes {
		for _, target := range targets.Targets(purpose) {
			t.Run(purpose+"/"+target.Name, func(t *testing.T) {
				t.Parallel()
				schema := evaluationSchema(t, purpose, target.Name)
				o := formattest.StreamHistory(t, purpose, target.Name, nil, h)
				if len(o.Records) < 100 {
					t.Errorf("%d records are too few to show anything; dropped %v", len(o.Records), o.Dropped)
				}
				ids := map[any]bool{}
				for _, record := range o.Records {
					if bytes.ContainsAny(record, "\n\r") {
						t.Fatalf("a line break in %.500s", record)
					}
					doc := documentOf(t, record)
					if err := schema.Validate(doc); err != nil {
						t.Fatalf("%v\nin %.1000s", err, record)
					}
					if id, ok := doc.(map[string]any)["id"]; ok && ids[id] {
						t.Fatalf("id %v twice", id)
					} else if ok {
						ids[id] = true
					}
				}
				for reason := range o.Dropped {
					if !tellsOfDrop(target, reason) {
						t.Errorf("%s is not among the reasons that users are told of", reason)
					}
				}
			})
		}
	}
}

func tellsOfDrop(target *format.Target, reason string) bool {
	for _, d := range target.Drops {
		if d.Reason == reason {
			return true
		}
	}
	return false
}

// A schema that refuses nothing would check nothing.
func TestEvaluationSchemasRefuseOtherRecords(t *testing.T) {
	t.Parallel()
	for _, purpose := range bothPurposes {
		for _, target := range targets.Targets(purpose) {
			t.Run(purpose+"/"+target.Name, func(t *testing.T) {
				t.Parallel()
				schema := evaluationSchema(t, purpose, target.Name)
				row := formattest.EvaluationRun(fullVerdict)
				if purpose == format.NodeEvaluation {
					row = formattest.EvaluationNode(fullVerdict)
				}
				rec, drop, err := formattest.NewRowFormatter(t, purpose, target.Name, nil).Append(nil, row)
				if drop != "" || err != nil {
					t.Fatal(drop, err)
				}
				if err := schema.Validate(documentOf(t, rec)); err != nil {
					t.Fatal(err)
				}
				for _, key := range formattest.KeysOf(t, rec) {
					doc := documentOf(t, rec).(map[string]any)
					doc[key] = true
					if schema.Validate(doc) == nil {
						t.Errorf("true for %s is let through", key)
					}
					if target.Name != record.Canonical {
						doc[key] = nil
						if schema.Validate(doc) == nil {
							t.Errorf("null for %s is let through", key)
						}
					}
				}
				doc := documentOf(t, rec).(map[string]any)
				doc["surplus"] = map[string]any{}
				if schema.Validate(doc) == nil {
					t.Error("another key is let through")
				}
			})
		}
	}
}

func TestPromptfooSchemaTellsTemplatesFromTexts(t *testing.T) {
	t.Parallel()
	schema := evaluationSchema(t, format.RecipeEvaluation, "promptfoo")
	for text, ok := range map[string]bool{
		"plain": true, "": true, "{": true, "#": true, "{x}": true, "a } }} %} #": true, `{{ "{" }}{x}}`: true,
		`a ##{{ "#" }}}`: true, "#{x": true,
		"{{x}}": false, "{% x %}": false, "{# x": false, "x #}": false, "##}": false, `{{ env.HOME }}`: false,
		`{{ "{" }}{{x}}`:     false,
		"file:///etc/passwd": false, "package:x:y": false, `{{ "f" }}ile:///etc/passwd`: true,
	} {
		doc := map[string]any{"description": "d", "vars": map[string]any{"question": text},
			"metadata": map[string]any{"run_id": "r"}}
		if err := schema.Validate(doc); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// fullVerdict adds a reference, a verdict, passages, a trace and metadata.
func fullVerdict(r *record.Row) {
	r.Reference, r.TraceID = []byte("The answer."), []byte("t1")
	r.HasFeedback = true
	r.Feedback = record.Feedback{Rating: []byte("thumbsUp"), Score: record.Null[float64]{Value: 1, Valid: true},
		CorrectedAnswer: []byte("Corrected.")}
	r.Subject().Metadata = []record.Pair{{Key: []byte("region"), Value: []byte("eu")}}
	r.Subject().Messages = []byte(
		`[{"role":"user","content":"Q?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"found"},{"role":"assistant","content":"A."}]`)
	r.Comparison = record.Comparison{Versions: [][]byte{[]byte("v1"), []byte("v2")}, RunsInGroup: 3, Rank: 1,
		BestVersion: []byte("v2"),
		HasPrevious: true, PreviousVersion: []byte("v1"), PreviousAnswer: []byte("Old."),
		PreviousScore: record.Null[float64]{Value: 0.5, Valid: true}}
	chunks := []record.Chunk{{ChunkID: []byte("k1"), Text: []byte("one")}, {ChunkID: []byte("k2"), Text: []byte("two"),
		SentToLLM: record.Null[bool]{Value: true, Valid: true}}}
	if r.Node != nil {
		r.Node.Chunks = chunks
		r.Comparison.PreviousAnswer = []byte(`{"text":"Old."}`)
	} else {
		r.Nodes = []record.Node{{NodeType: []byte("retrieval"), Chunks: chunks}}
	}
}
