package evaluation_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// evaluationKeys are the keys of the records in their contractual order; node_evaluation has the
// same plus its own, and no system_inputs, which are the run's.
var evaluationKeys = map[string][]string{
	format.RecipeEvaluation: strings.Fields(
		`id run_id request_id session_id trace_id app_version inputs system_inputs files outputs expectations
		retrieved_contexts scores feedback status error latency_ms usage cost_usd comparison metadata started_at`),
	format.NodeEvaluation: strings.Fields(
		`id run_id node node_run_id request_id session_id trace_id app_version prompt_template variables inputs files
		outputs expectations retrieved_contexts chunks scores feedback run status error latency_ms usage cost_usd comparison metadata started_at`),
}

func TestCanonicalEvaluationsHaveEveryKey(t *testing.T) {
	t.Parallel()
	for purpose, keys := range evaluationKeys {
		f := formattest.NewRowFormatter(t, purpose, record.Canonical, nil)
		var columns []string
		for _, c := range f.Columns() {
			columns = append(columns, c.Name)
		}
		if !slices.Equal(columns, keys) {
			t.Errorf("%s: columns %v", purpose, columns)
		}
		for _, changes := range [][]func(*record.Row){{fullVerdict}, {withoutQuestion, withoutAnswer},
			{fullVerdict, hostileRow}} {
			row := formattest.EvaluationRun(changes...)
			if purpose == format.NodeEvaluation {
				row = formattest.EvaluationNode(changes...)
			}
			record, drop, err := f.Append(nil, row)
			if drop != "" || err != nil {
				t.Fatalf("%s: %q, %v", purpose, drop, err)
			}
			if got := formattest.KeysOf(t, record); !slices.Equal(got, keys) {
				t.Errorf("%s: keys %v", purpose, got)
			}
		}
	}
}

func TestCanonicalEvaluationsHoldTheRow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, key, run, node string // what is under the key, as JSON; "" where the purpose has no such key
		change               func(*record.Row)
	}{
		{"as it is", "inputs", `{"question":"Q?","n":5}`, `{"query":"NQ?"}`, nil},
		{"question in front", "inputs", `{"question":"Q?","n":5,"s":"\u0041"}`, `{"n":5,"s":"\u0041"}`,
			func(r *record.Row) { r.Subject().Inputs = []byte(`{"n":5,"s":"\u0041"}`) }},
		{"a question that is there stays, whatever it is", "inputs", `{"n":5,"\u0071uestion":null}`,
			`{"n":5,"\u0071uestion":null}`, func(r *record.Row) { r.Subject().Inputs = []byte(`{"n":5,"\u0071uestion":null}`) }},
		{"a question deeper is none", "inputs", `{"question":"Q?","a":{"question":1}}`, `{"a":{"question":1}}`,
			func(r *record.Row) { r.Subject().Inputs = []byte(`{"a":{"question":1}}`) }},
		{"empty inputs", "inputs", `{"question":"Q?"}`, `{}`, func(r *record.Row) { r.Subject().Inputs = []byte(`{}`) }},
		{"no inputs", "inputs", `{"question":"Q?"}`, `null`, func(r *record.Row) { r.Subject().Inputs = nil }},
		{"neither inputs nor question", "inputs", `{}`, `null`, withoutQuestion},
		{"answer in front", "outputs", `{"answer":"A.","n":1}`, `{"n":1}`,
			func(r *record.Row) { r.Subject().Outputs = []byte(`{"n":1}`) }},
		{"neither outputs nor answer", "outputs", `{}`, `null`, withoutAnswer},
		{"a reference", "expectations", `{"expected_response":"The answer."}`, `{"expected_response":"The answer."}`,
			fullVerdict},
		{"nothing expected", "expectations", `null`, `null`, nil},
		{"passages that were sent", "retrieved_contexts", `["two"]`, `["two"]`, fullVerdict},
		{"no passages", "retrieved_contexts", `[]`, `[]`, nil},
		{"passages whole", "chunks", ``,
			`[{"chunk_id":"k1","text":"one","score":null,"source_uri":null,"title":null,"sent_to_llm":null,"used_in_answer":null},{"chunk_id":"k2","text":"two","score":null,"source_uri":null,"title":null,"sent_to_llm":true,"used_in_answer":null}]`, fullVerdict},
		{"score and rating", "scores",
			`[{"name":"score","value":1.0,"label":null},{"name":"rating","value":1.0,"label":"thumbsUp"}]`,
			`[{"name":"score","value":1.0,"label":null},{"name":"rating","value":1.0,"label":"thumbsUp"}]`, fullVerdict},
		{"only a rating", "scores", `[{"name":"rating","value":0.0,"label":"thumbsDown"}]`,
			`[{"name":"rating","value":0.0,"label":"thumbsDown"}]`, func(r *record.Row) {
				r.HasFeedback,
					r.Feedback.Rating = true, []byte("thumbsDown")
			}},
		{"only a score", "scores", `[{"name":"score","value":-0.5,"label":null}]`,
			`[{"name":"score","value":-0.5,"label":null}]`, func(r *record.Row) {
				r.HasFeedback, r.Feedback.Score = true, record.Null[float64]{Value: -0.5, Valid: true}
			}},
		{"feedback of a row before", "scores", `[]`, `[]`, func(r *record.Row) { r.Feedback.Rating = []byte("thumbsUp") }},
		{"the node", "node", ``, `{"id":"compose","name":"Compose","type":"llm","version":"v2"}`, nil},
		{"the run around", "run", ``, `{"question":"Q?","answer":"A.","status":"succeeded"}`, nil},
		{"the template", "prompt_template", ``, `"Answer {{q}}"`, nil},
		{"variables", "variables", ``, `{"q":"Q?"}`, nil},
		{"status of the subject", "status", `"failed"`, `"failed"`,
			func(r *record.Row) { r.Subject().Status = []byte("failed") }},
		{"latency of the subject", "latency_ms", `7`, `7`, func(r *record.Row) {
			e := r.Subject()
			e.EndedAt = record.Null[int64]{Value: e.StartedAt + 7, Valid: true}
		}},
		{"comparison", "comparison", `{"input_group":"` + strings.Repeat("0a", 16) +
			`","versions":["v1","v2"],"runs_in_group":3,"rank":1,"best_version":"v2","previous_version":"v1","previous_answer":"Old.","previous_score":0.5}`, `{"input_group":"` + strings.Repeat("0a", 16) + `","versions":["v1","v2"],"runs_in_group":3,"rank":1,"best_version":"v2","previous_version":"v1","previous_answer":"Old.","previous_score":0.5}`, fullVerdict},
		{"the first version, and one without a name", "comparison",
			`{"input_group":null,"versions":[null],"runs_in_group":1,"rank":1,"best_version":null,"previous_version":null,"previous_answer":null,"previous_score":null}`, `{"input_group":null,"versions":[null],"runs_in_group":1,"rank":1,"best_version":null,"previous_version":null,"previous_answer":null,"previous_score":null}`, func(r *record.Row) {
				r.Subject().InputGroup = nil
				r.Comparison = record.Comparison{Versions: [][]byte{nil}, RunsInGroup: 1, Rank: 1, PreviousAnswer: []byte("stale"),
					PreviousScore: record.Null[float64]{Value: 1, Valid: true}}
			}},
	} {
		for purpose, want := range map[string]string{format.RecipeEvaluation: test.run, format.NodeEvaluation: test.node} {
			if want == "" {
				continue
			}
			row := formattest.EvaluationRun()
			if purpose == format.NodeEvaluation {
				row = formattest.EvaluationNode()
			}
			if test.change != nil {
				test.change(row)
			}
			record, _, err := formattest.NewRowFormatter(t, purpose, record.Canonical, nil).Append(nil, row)
			var got map[string]json.RawMessage
			if err != nil || json.Unmarshal(record, &got) != nil || string(got[test.key]) != want {
				t.Errorf("%s, %s: %s is %s, want %s (%v)", purpose, test.name, test.key, got[test.key], want, err)
			}
		}
	}
}

func TestCanonicalEvaluationsSetVersionsSideBySide(t *testing.T) {
	t.Parallel()
	h := formattest.SampleHistory(t, 3000)
	for _, purpose := range bothPurposes {
		previous, groups := 0, map[string][]int{}
		var order []string
		for _, record := range formattest.StreamHistory(t, purpose, record.Canonical, nil, h).Records {
			var r struct {
				Comparison struct {
					Group    string   `json:"input_group"`
					Versions []string `json:"versions"`
					Rank     int      `json:"rank"`
					Runs     int      `json:"runs_in_group"`
					Previous *string  `json:"previous_version"`
				}
			}
			if err := json.Unmarshal(record, &r); err != nil {
				t.Fatal(err)
			}
			c := r.Comparison
			if groups[c.Group] == nil {
				order = append(order, c.Group)
			}
			if groups[c.Group] = append(groups[c.Group], c.Rank); c.Previous != nil {
				previous++
			}
		}
		if previous == 0 || len(order) == 0 {
			t.Errorf("%s: no version has one before it", purpose)
		}
		if !slices.IsSorted(order) {
			t.Errorf("%s: groups do not ascend", purpose)
		}
		for group, ranks := range groups {
			slices.Sort(ranks)
			want := make([]int, len(ranks))
			for i := range want {
				want[i] = i + 1
			}
			if !reflect.DeepEqual(ranks, want) {
				t.Errorf("%s: group %s has ranks %v", purpose, group, ranks)
			}
		}
	}
}
