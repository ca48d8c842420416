package optimization_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/optimization"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestDSPyRecordsAreFlat(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.NodeOptimization, "dspy", nil)
	noFeedback := func(r *record.Row) { r.HasFeedback = false }
	for _, test := range []struct {
		name   string
		change func(*record.Row)
		want   string // or the reason of the drop
		keys   string
	}{
		{"everything", nil, `{"language":"en","question":"What is due?","output":"12 €","score":0.25,"feedback":"wrong sum"}`,
			"language question"},
		{"no feedback", noFeedback, `{"language":"en","question":"What is due?","output":"12 €"}`, "language question"},
		{"a score is a number with a fraction", func(r *record.Row) {
			r.Feedback = record.Feedback{
				Score: record.Null[float64]{Value: 1, Valid: true}}
		},
			`{"language":"en","question":"What is due?","output":"12 €","score":1.0}`, "language question"},
		{"a rating without a comment", func(r *record.Row) { r.Feedback = record.Feedback{Rating: []byte("thumbsUp")} },
			`{"language":"en","question":"What is due?","output":"12 €","feedback":"thumbsUp"}`, "language question"},
		{"variables of other types are JSON", func(r *record.Row) {
			noFeedback(r)
			r.Node.PromptVariables = []byte("{\"n\":1E400,\"b\":true,\"list\":[1,\n{\"a\":\"x\"}],\"none\":null,\"empty\":\"\"}")
		}, `{"n":"1E400","b":"true","list":"[1,\n{\"a\":\"x\"}]","empty":"","output":"12 €"}`, "n b list empty"},
		{"names that the record has", func(r *record.Row) {
			noFeedback(r)
			r.Node.PromptVariables = []byte(`{"output":"a","score":2,"feedback":[],"output_":"b","\u006futput__":"c"}`)
		}, `{"output___":"a","score_":"2","feedback_":"[]","output_":"b","output__":"c","output":"12 €"}`,
			"output___ score_ feedback_ output_ output__"},
		{"without variables, the texts of the inputs", func(r *record.Row) {
			noFeedback(r)
			r.Node.PromptVariables = nil
			r.Node.Inputs = []byte(`{"query":"q","top_k":5,"output":"o","deep":{"a":"b"}}`)
		}, `{"query":"q","output_":"o","output":"12 €"}`, "query output_"},
		{"an empty object is no variable", func(r *record.Row) { noFeedback(r); r.Node.PromptVariables = []byte(`{}`) },
			`{"question":"What is due?","output":"12 €"}`, "question"},
		{"only null is no variable", func(r *record.Row) { noFeedback(r); r.Node.PromptVariables = []byte(`{"x":null}`) },
			`{"question":"What is due?","output":"12 €"}`, "question"},
		{"without either, what the user said last", func(r *record.Row) {
			noFeedback(r)
			r.Node.PromptVariables, r.Node.Inputs = nil, []byte(`{"n":1}`)
		}, `{"input":"In en: What is due?","output":"12 €"}`, "input"},
		{"nothing that goes in", func(r *record.Row) {
			r.Node.PromptVariables, r.Node.Inputs, r.Node.Messages = nil, nil,
				nil
		}, "no_variables", ""},
		{"inputs that are no object", func(r *record.Row) {
			r.Node.PromptVariables, r.Node.Inputs, r.Node.Messages = []byte(`[]`), []byte(`"x"`), []byte(`{}`)
		}, "no_variables", ""},
		{"nothing that comes out", func(r *record.Row) { r.Node.Outputs, r.Node.Messages = nil, nil }, "no_output",
			"language question"},
		{"outputs null", func(r *record.Row) { r.Node.Outputs, r.Node.Messages = []byte(`null`), []byte(`null`) },
			"no_output", "language question"},
	} {
		out, drop, err := f.Append([]byte("before"), formattest.NodeRow(test.change))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if drop != "" {
			if drop != test.want || string(out) != "before" {
				t.Errorf("%s: dropped as %s, with %s", test.name, drop, out)
			}
			continue
		}
		if string(out) != "before"+test.want {
			t.Errorf("%s: %s\nwant %s", test.name, out, test.want)
		}
		if keys := f.(format.Keyed).Keys(); !slices.Equal(keys, strings.Fields(test.keys)) {
			t.Errorf("%s: keys %v", test.name, keys)
		}
	}
}

func TestDSPyRecordsHaveTextsButForTheScore(t *testing.T) {
	t.Parallel()
	got := formattest.StreamHistory(t, format.NodeOptimization, "dspy", nil, formattest.SampleHistory(t, 3000))
	for _, record := range got.Records {
		for key, value := range formattest.AsJSON(t, record) {
			if _, isText := value.(string); isText == (key == "score") {
				t.Fatalf("%s is %v in %.300s", key, value, record)
			}
		}
	}
	if len(got.Records) == 0 || len(got.Keys) == 0 || slices.Contains(got.Keys, "output") ||
		!slices.Contains(got.Keys, "question") {
		t.Errorf("%d records, keys %v, dropped %v", len(got.Records), got.Keys, got.Dropped)
	}
	for reason := range got.Dropped {
		if !slices.ContainsFunc(optimization.DSPy.Drops, func(d format.Drop) bool { return d.Reason == reason }) {
			t.Errorf("drop reason %q is not told", reason)
		}
	}
}
