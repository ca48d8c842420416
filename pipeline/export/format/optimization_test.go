package format

import (
	"bytes"
	"encoding/json"
	"testing"
)

// nodeRow is a node run that has everything, with a change.
func nodeRow(change func(*Row)) *Row {
	r := &Row{
		WorkspaceID: b("acme"), RunID: b("run-1"), Source: b("recipe"), AppID: b("invoices"),
		Execution: Execution{Status: b("succeeded"), InputGroup: b("00112233445566778899aabbccddeeff")},
		Question:  b("What is due?"), Answer: b("12 €"), Reference: b("13 €"),
		HasFeedback: true,
		Feedback:    Feedback{Rating: b("thumbsDown"), Score: Null[float64]{0.25, true}, Comment: b("wrong sum"), CorrectedAnswer: b("13.00 €")},
		Node: &Node{
			NodeRunID: b("n-1"), NodeID: b("extract"), NodeName: b("Extract"), NodeType: b("llm"), Sequence: Null[int64]{3, true},
			PromptTemplate: b("In {{language}}: {{question}}"), PromptVariables: b(`{"language":"en","question":"What is due?"}`),
			Parameters: []Pair{{b("temperature"), b("0.20")}, {b("stop"), b(`["\n"]`)}},
			Chunks: []Chunk{{b("c-1"), b("Sum: 12 €"), Null[float64]{1, true}, b("s3://b/1"), b("One"), Null[bool]{true, true}, Null[bool]{false, true}},
				{ChunkID: b("c-2")}},
			Execution: Execution{
				AppVersion: b("v3"), Status: b("failed"), StartedAt: 1_793_491_200_001, EndedAt: Null[int64]{1_793_491_202_150, true}, UpdatedAt: 1_793_491_202_151,
				Inputs: b(`{"question":"What is due?"}`), Outputs: b(`{"answer":"12 €","n":1.50}`),
				Messages: b(`[{"role":"user","content":"In en: What is due?"},{"role":"assistant","content":"12 €"}]`),
				Model:    b("m-1"), InputTokens: Null[int64]{1200, true}, OutputTokens: Null[int64]{34, true}, CostUSD: Null[float64]{0.00042, true},
				ErrorType: b("timeout"), ErrorMessage: b("the model did not answer"),
				InputGroup: b("ffeeddccbbaa99887766554433221100"),
			},
		},
	}
	if change != nil {
		change(r)
	}
	return r
}

// bareNodeRow has nothing but what is required.
func bareNodeRow() *Row {
	return &Row{
		WorkspaceID: b("acme"), RunID: b("run-0"), Source: b("recipe"), AppID: b("invoices"), Execution: Execution{Status: b("running")},
		Node: &Node{NodeRunID: b("n-0"), NodeID: b("extract"), Execution: Execution{Status: b("running"), UpdatedAt: 7_258_118_399_999}},
	}
}

// hostileText has every kind of character that may do harm.
const hostileText = "\"\\\b\f\n\r\t\x01\x1f\x7f /</script> \u2028\u2029 \ufeff żółw 漢字 👩\u200d👩\u200d👧 \U0010ffff ${x} {{y}} '--"

// asJSON reads a record as encoding/json does, and checks that it is one line.
func asJSON(t *testing.T, record []byte) (v map[string]any) {
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

func quoted(text string) []byte {
	q, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return q
}
