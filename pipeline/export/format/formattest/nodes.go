package formattest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// NodeRow returns a node run with every field, after a change.
func NodeRow(change func(*record.Row)) *record.Row {
	r := &record.Row{
		WorkspaceID: []byte("acme"), RunID: []byte("run-1"), Source: []byte("recipe"), AppID: []byte("invoices"),
		Execution: record.Execution{Status: []byte("succeeded"), InputGroup: []byte("00112233445566778899aabbccddeeff")},
		Question:  []byte("What is due?"), Answer: []byte("12 €"), Reference: []byte("13 €"),
		HasFeedback: true,
		Feedback: record.Feedback{Rating: []byte("thumbsDown"), Score: record.Null[float64]{Value: 0.25, Valid: true},
			Comment: []byte("wrong sum"), CorrectedAnswer: []byte("13.00 €")},
		Node: &record.Node{
			NodeRunID: []byte("n-1"), NodeID: []byte("extract"), NodeName: []byte("Extract"), NodeType: []byte("llm"),
			Sequence:        record.Null[int64]{Value: 3, Valid: true},
			PromptTemplate:  []byte("In {{language}}: {{question}}"),
			PromptVariables: []byte(`{"language":"en","question":"What is due?"}`),
			Parameters: []record.Pair{{Key: []byte("temperature"), Value: []byte("0.20")},
				{Key: []byte("stop"), Value: []byte(`["\n"]`)}},
			Chunks: []record.Chunk{{ChunkID: []byte("c-1"), Text: []byte("Sum: 12 €"), Score: record.Null[float64]{Value: 1,
				Valid: true}, SourceURI: []byte("s3://b/1"), Title: []byte("One"), SentToLLM: record.Null[bool]{Value: true,
				Valid: true}, UsedInAnswer: record.Null[bool]{Value: false, Valid: true}},
				{ChunkID: []byte("c-2")}},
			Execution: record.Execution{
				AppVersion: []byte("v3"), Status: []byte("failed"), StartedAt: 1_793_491_200_001,
				EndedAt: record.Null[int64]{Value: 1_793_491_202_150, Valid: true}, UpdatedAt: 1_793_491_202_151,
				Inputs: []byte(`{"question":"What is due?"}`), Outputs: []byte(`{"answer":"12 €","n":1.50}`),
				Messages: []byte(`[{"role":"user","content":"In en: What is due?"},{"role":"assistant","content":"12 €"}]`),
				Model:    []byte("m-1"), InputTokens: record.Null[int64]{Value: 1200, Valid: true},
				OutputTokens: record.Null[int64]{Value: 34, Valid: true}, CostUSD: record.Null[float64]{Value: 0.00042,
					Valid: true},
				ErrorType: []byte("timeout"), ErrorMessage: []byte("the model did not answer"),
				InputGroup: []byte("ffeeddccbbaa99887766554433221100"),
			},
		},
	}
	if change != nil {
		change(r)
	}
	return r
}

// BareNodeRow returns a node run with only the required fields.
func BareNodeRow() *record.Row {
	return &record.Row{
		WorkspaceID: []byte("acme"), RunID: []byte("run-0"), Source: []byte("recipe"), AppID: []byte("invoices"),
		Execution: record.Execution{Status: []byte("running")},
		Node: &record.Node{NodeRunID: []byte("n-0"), NodeID: []byte("extract"),
			Execution: record.Execution{Status: []byte("running"), UpdatedAt: 7_258_118_399_999}},
	}
}

// HostileText has every kind of character that a formatter could mishandle.
const HostileText = "\"\\\b\f\n\r\t\x01\x1f\x7f /</script> \u2028\u2029 \ufeff żółw 漢字 👩\u200d👩\u200d👧 \U0010ffff " +
	"${x} {{y}} '--"

// AsJSON decodes a record with encoding/json, and checks that the record is one line.
func AsJSON(t *testing.T, record []byte) (v map[string]any) {
	t.Helper()
	if bytes.ContainsAny(record, "\n\r") {
		t.Errorf("a line break in %.300s", record)
	}
	d := json.NewDecoder(bytes.NewReader(record))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %.300s", err, record)
	}
	return v
}

// Quoted returns a text as a JSON string.
func Quoted(text string) []byte {
	q, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return q
}

// EvaluationRun returns a run with the fields that evaluation targets read, after changes.
func EvaluationRun(changes ...func(*record.Row)) *record.Row {
	r := &record.Row{
		WorkspaceID: []byte("acme"), RunID: []byte("r1"), Source: []byte("copilot"), AppID: []byte("helper"),
		AppName: []byte("Helper"),
		Execution: record.Execution{
			AppVersion: []byte("v2"), Status: []byte("succeeded"), StartedAt: 1_793_491_200_000, UpdatedAt: 1_793_491_200_000,
			Model:  []byte("m-1"),
			Inputs: []byte(`{"question":"Q?","n":5}`), Outputs: []byte(`{"answer":"A."}`),
			InputGroup: []byte(strings.Repeat("0a", 16)),
		},
		Question: []byte("Q?"), Answer: []byte("A."),
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

// EvaluationNode returns a node run of the run of EvaluationRun, after changes.
func EvaluationNode(changes ...func(*record.Row)) *record.Row {
	r := EvaluationRun()
	r.Node = &record.Node{
		NodeRunID: []byte("n1"), NodeID: []byte("compose"), NodeName: []byte("Compose"), NodeType: []byte("llm"),
		Execution:      r.Execution,
		PromptTemplate: []byte("Answer {{q}}"), PromptVariables: []byte(`{"q":"Q?"}`),
	}
	r.Node.Inputs, r.Node.Outputs = []byte(`{"query":"NQ?"}`), []byte(`{"text":"NA."}`)
	r.Execution = record.Execution{Status: []byte("succeeded"), InputGroup: r.InputGroup}
	for _, change := range changes {
		change(r)
	}
	return r
}
