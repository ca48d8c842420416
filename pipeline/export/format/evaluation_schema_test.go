package format

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// evaluationSchema is the schema of a target's record, which was written from the rules of its reader.
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
	h := sampleHistory(t, 3000)
	for _, purpose := range evaluationPurposes {
		for _, target := range Targets(purpose) {
			t.Run(purpose+"/"+target.Name, func(t *testing.T) {
				t.Parallel()
				schema := evaluationSchema(t, purpose, target.Name)
				o := streamed(t, purpose, target.Name, nil, h)
				if len(o.records) < 500 {
					t.Errorf("%d records are too few to show anything; dropped %v", len(o.records), o.dropped)
				}
				ids := map[any]bool{}
				for _, record := range o.records {
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
				for reason := range o.dropped {
					if !tellsOfDrop(target, reason) {
						t.Errorf("%s is not among the reasons that users are told of", reason)
					}
				}
			})
		}
	}
}

func tellsOfDrop(target *Target, reason string) bool {
	for _, d := range target.Drops {
		if d.Reason == reason {
			return true
		}
	}
	return false
}

// The schemas are of use only if they refuse something.
func TestEvaluationSchemasRefuseOtherRecords(t *testing.T) {
	t.Parallel()
	for _, purpose := range evaluationPurposes {
		for _, target := range Targets(purpose) {
			t.Run(purpose+"/"+target.Name, func(t *testing.T) {
				t.Parallel()
				schema := evaluationSchema(t, purpose, target.Name)
				row := evaluationRun(fullVerdict)
				if purpose == NodeEvaluation {
					row = evaluationNode(fullVerdict)
				}
				record, drop, err := newRowFormatter(t, purpose, target.Name, nil).Append(nil, row)
				if drop != "" || err != nil {
					t.Fatal(drop, err)
				}
				if err := schema.Validate(documentOf(t, record)); err != nil {
					t.Fatal(err)
				}
				for _, key := range keysOf(t, record) {
					doc := documentOf(t, record).(map[string]any)
					doc[key] = true
					if schema.Validate(doc) == nil {
						t.Errorf("true for %s is let through", key)
					}
					if target.Name != Canonical {
						doc[key] = nil
						if schema.Validate(doc) == nil {
							t.Errorf("null for %s is let through", key)
						}
					}
				}
				doc := documentOf(t, record).(map[string]any)
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
	schema := evaluationSchema(t, RecipeEvaluation, "promptfoo")
	for text, ok := range map[string]bool{
		"plain": true, "": true, "{": true, "#": true, "{x}": true, "a } }} %} #": true, `{{ "{" }}{x}}`: true, `a ##{{ "#" }}}`: true, "#{x": true,
		"{{x}}": false, "{% x %}": false, "{# x": false, "x #}": false, "##}": false, `{{ env.HOME }}`: false, `{{ "{" }}{{x}}`: false,
		"file:///etc/passwd": false, "package:x:y": false, `{{ "f" }}ile:///etc/passwd`: true,
	} {
		doc := map[string]any{"description": "d", "vars": map[string]any{"question": text}, "metadata": map[string]any{"run_id": "r"}}
		if err := schema.Validate(doc); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// evaluationRun is a run with what evaluation targets read, and changes to it.
func evaluationRun(changes ...func(*Row)) *Row {
	r := &Row{
		WorkspaceID: b("acme"), RunID: b("r1"), Source: b("copilot"), AppID: b("helper"), AppName: b("Helper"),
		Execution: Execution{
			AppVersion: b("v2"), Status: b("succeeded"), StartedAt: 1_793_491_200_000, UpdatedAt: 1_793_491_200_000, Model: b("m-1"),
			Inputs: b(`{"question":"Q?","n":5}`), Outputs: b(`{"answer":"A."}`), InputGroup: b(strings.Repeat("0a", 16)),
		},
		Question: b("Q?"), Answer: b("A."),
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

// evaluationNode is a node run of it.
func evaluationNode(changes ...func(*Row)) *Row {
	r := evaluationRun()
	r.Node = &Node{
		NodeRunID: b("n1"), NodeID: b("compose"), NodeName: b("Compose"), NodeType: b("llm"),
		Execution:      r.Execution,
		PromptTemplate: b("Answer {{q}}"), PromptVariables: b(`{"q":"Q?"}`),
	}
	r.Node.Inputs, r.Node.Outputs = b(`{"query":"NQ?"}`), b(`{"text":"NA."}`)
	r.Execution = Execution{Status: b("succeeded"), InputGroup: r.InputGroup}
	for _, change := range changes {
		change(r)
	}
	return r
}

// fullVerdict adds a reference, a verdict, passages, a trace and metadata.
func fullVerdict(r *Row) {
	r.Reference, r.TraceID = b("The answer."), b("t1")
	r.HasFeedback = true
	r.Feedback = Feedback{Rating: b("thumbsUp"), Score: Null[float64]{1, true}, CorrectedAnswer: b("Corrected.")}
	r.Subject().Metadata = []Pair{{b("region"), b("eu")}}
	r.Subject().Messages = b(`[{"role":"user","content":"Q?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"found"},{"role":"assistant","content":"A."}]`)
	r.Comparison = Comparison{Versions: [][]byte{b("v1"), b("v2")}, RunsInGroup: 3, Rank: 1, BestVersion: b("v2"),
		HasPrevious: true, PreviousVersion: b("v1"), PreviousAnswer: b("Old."), PreviousScore: Null[float64]{0.5, true}}
	chunks := []Chunk{{ChunkID: b("k1"), Text: b("one")}, {ChunkID: b("k2"), Text: b("two"), SentToLLM: Null[bool]{true, true}}}
	if r.Node != nil {
		r.Node.Chunks = chunks
		r.Comparison.PreviousAnswer = b(`{"text":"Old."}`)
	} else {
		r.Nodes = []Node{{NodeType: b("retrieval"), Chunks: chunks}}
	}
}
