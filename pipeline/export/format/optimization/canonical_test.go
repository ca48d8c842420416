package optimization_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestOptimizationRecordsHoldTheNodeRun(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.NodeOptimization, record.Canonical, nil)
	keys := strings.Fields(
		`id run_id node_run_id node prompt_template template_id variables messages output reference scores feedback model parameters
		usage cost_usd latency_ms error chunks downstream started_at`)
	template := "In {{language}}: {{question}}"
	sum := sha256.Sum256([]byte(template))
	full := fmt.Sprintf(
		`{"id":"%s","run_id":"run-1","node_run_id":"n-1","node":{"id":"extract","name":"Extract","type":"llm","version":"v3"},`+
			`"prompt_template":"%s","template_id":"%x","variables":{"language":"en","question":"What is due?"},`+
			`"messages":[{"role":"user","content":"In en: What is due?"},{"role":"assistant","content":"12 €"}],"output":"12 €","reference":"13 €",`+
			`"scores":[{"name":"score","value":0.25,"label":null},{"name":"rating","value":0.0,"label":"thumbsDown"}],`+
			`"feedback":{"rating":"thumbsDown","score":0.25,"comment":"wrong sum","corrected_answer":"13.00 €"},"model":"m-1",`+
			`"parameters":{"temperature":0.20,"stop":["\n"]},"usage":{"input_tokens":1200,"output_tokens":34},"cost_usd":0.00042,"latency_ms":2149,`+
			`"error":{"type":"timeout","message":"the model did not answer"},`+
			`"chunks":[{"chunk_id":"c-1","text":"Sum: 12 €","score":1.0,"source_uri":"s3://b/1","title":"One","sent_to_llm":true,"used_in_answer":false},`+
			`{"chunk_id":"c-2","text":null,"score":null,"source_uri":null,"title":null,"sent_to_llm":null,"used_in_answer":null}],`+
			`"downstream":{"status":"succeeded","answer":"12 €"},"started_at":"2026-11-01T00:00:00.001Z"}`,
		uuid.NewSHA1(formattest.IDNamespace, []byte("acme/run-1/n-1/node_optimization/canonical")), template, sum[:8])
	bare := fmt.Sprintf(
		`{"id":"%s","run_id":"run-0","node_run_id":"n-0","node":{"id":"extract","name":null,"type":null,"version":null},`+
			`"prompt_template":null,"template_id":null,"variables":null,"messages":null,"output":null,"reference":null,"scores":[],"feedback":null,"model":null,`+
			`"parameters":{},"usage":null,"cost_usd":null,"latency_ms":null,"error":null,"chunks":[],"downstream":{"status":"running","answer":null},`+
			`"started_at":"1970-01-01T00:00:00.000Z"}`, uuid.NewSHA1(formattest.IDNamespace,
			[]byte("acme/run-0/n-0/node_optimization/canonical")))
	for _, test := range []struct {
		name, want string
		row        *record.Row
	}{{"everything", full, formattest.NodeRow(nil)}, {"only what is required", bare, formattest.BareNodeRow()},
		{"everything again", full, formattest.NodeRow(nil)}} {
		record, drop, err := f.Append([]byte("before"), test.row)
		if err != nil || drop != "" || string(record) != "before"+test.want {
			t.Errorf("%s: %s\nwant %s; %q, %v", test.name, record, test.want, drop, err)
			continue
		}
		if got := formattest.KeysOf(t, record[len("before"):]); !reflect.DeepEqual(got, keys) {
			t.Errorf("%s: keys %v", test.name, got)
		}
	}
}

func TestScoresOfAVerdict(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		has  bool
		record.Feedback
		want string
	}{
		{"no feedback, whatever its fields are", false, record.Feedback{Rating: []byte("thumbsUp"),
			Score: record.Null[float64]{Value: 1, Valid: true}}, `[]`},
		{"a score", true, record.Feedback{Score: record.Null[float64]{Value: 2, Valid: true}},
			`[{"name":"score","value":2.0,"label":null}]`},
		{"thumbs up", true, record.Feedback{Rating: []byte("thumbsUp")},
			`[{"name":"rating","value":1.0,"label":"thumbsUp"}]`},
		{"thumbs down", true, record.Feedback{Rating: []byte("thumbsDown")},
			`[{"name":"rating","value":0.0,"label":"thumbsDown"}]`},
		{"a rating that is none", true, record.Feedback{Rating: []byte("so-so"), Comment: []byte("hm")}, `[]`},
		{"a score and a rating that is none", true, record.Feedback{Rating: []byte(formattest.HostileText),
			Score: record.Null[float64]{Value: 0, Valid: true}}, `[{"name":"score","value":0.0,"label":null}]`},
	} {
		if got := record.NewScoresField().Value(nil, &record.Row{HasFeedback: test.has, Feedback: test.Feedback}); string(
			got) != test.want {
			t.Errorf("%s: %s", test.name, got)
		}
	}
}

func TestOptimizationRecordsTakeAnyTextAndDocument(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.NodeOptimization, record.Canonical, nil)
	row := formattest.NodeRow(func(r *record.Row) {
		n := r.Node
		for _, field := range []*[]byte{&n.NodeName, &n.NodeType, &n.AppVersion, &n.PromptTemplate, &r.Reference, &r.Answer,
			&n.Model, &n.ErrorType, &n.ErrorMessage,
			&r.Feedback.Comment, &r.Feedback.CorrectedAnswer, &n.Parameters[0].Key, &n.Chunks[0].ChunkID, &n.Chunks[0].Text,
			&n.Chunks[0].SourceURI, &n.Chunks[0].Title} {
			*field = []byte(formattest.HostileText)
		}
		n.PromptVariables = []byte("{\n \"a\" :\r\n 1E400 }")
		n.Parameters[1].Value = []byte("{\"a\":\n[]}")
		n.Outputs = append(append([]byte(`{"solution":`), formattest.Quoted(formattest.HostileText)...), '}')
	})
	record, _, err := f.Append(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	got := formattest.AsJSON(t, record)
	for _, value := range []any{got["prompt_template"], got["output"], got["reference"], got["model"],
		got["downstream"].(map[string]any)["answer"],
		got["node"].(map[string]any)["name"], got["chunks"].([]any)[0].(map[string]any)["text"],
		got["feedback"].(map[string]any)["comment"]} {
		if value != formattest.HostileText {
			t.Errorf("%q", value)
		}
	}
	if v := fmt.Sprint(got["variables"]); v != "map[a:1E400]" {
		t.Errorf("variables %s", v)
	}
}

func TestOptimizationRecordsAllocateNothing(t *testing.T) {
	for _, target := range []string{record.Canonical, "dspy"} {
		f := formattest.NewRowFormatter(t, format.NodeOptimization, target, nil)
		rows := []*record.Row{formattest.NodeRow(nil),
			formattest.NodeRow(func(r *record.Row) { r.Node.Outputs = []byte(`{"a":"\u0041","b":"\n"}`) }),
			formattest.NodeRow(func(r *record.Row) { r.Node.Outputs = nil })}
		buf := make([]byte, 0, 1<<14)
		if n := testing.AllocsPerRun(100, func() {
			for _, row := range rows {
				_, _, _ = f.Append(buf[:0], row)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
}
