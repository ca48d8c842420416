package format

import (
	"slices"
	"strings"
	"testing"
)

func TestDSPyRecordsAreFlat(t *testing.T) {
	t.Parallel()
	f := newRowFormatter(t, NodeOptimization, "dspy", nil)
	noFeedback := func(r *Row) { r.HasFeedback = false }
	for _, test := range []struct {
		name   string
		change func(*Row)
		want   string // or the reason of the drop
		keys   string
	}{
		{"everything", nil, `{"language":"en","question":"What is due?","output":"12 €","score":0.25,"feedback":"wrong sum"}`, "language question"},
		{"no feedback", noFeedback, `{"language":"en","question":"What is due?","output":"12 €"}`, "language question"},
		{"a score is a number with a fraction", func(r *Row) { r.Feedback = Feedback{Score: Null[float64]{1, true}} },
			`{"language":"en","question":"What is due?","output":"12 €","score":1.0}`, "language question"},
		{"a rating without a comment", func(r *Row) { r.Feedback = Feedback{Rating: b("thumbsUp")} },
			`{"language":"en","question":"What is due?","output":"12 €","feedback":"thumbsUp"}`, "language question"},
		{"variables of other types are JSON", func(r *Row) {
			noFeedback(r)
			r.Node.PromptVariables = b("{\"n\":1E400,\"b\":true,\"list\":[1,\n{\"a\":\"x\"}],\"none\":null,\"empty\":\"\"}")
		}, `{"n":"1E400","b":"true","list":"[1,\n{\"a\":\"x\"}]","empty":"","output":"12 €"}`, "n b list empty"},
		{"names that the record has", func(r *Row) {
			noFeedback(r)
			r.Node.PromptVariables = b(`{"output":"a","score":2,"feedback":[],"output_":"b","\u006futput__":"c"}`)
		}, `{"output___":"a","score_":"2","feedback_":"[]","output_":"b","output__":"c","output":"12 €"}`, "output___ score_ feedback_ output_ output__"},
		{"without variables, the texts of the inputs", func(r *Row) {
			noFeedback(r)
			r.Node.PromptVariables = nil
			r.Node.Inputs = b(`{"query":"q","top_k":5,"output":"o","deep":{"a":"b"}}`)
		}, `{"query":"q","output_":"o","output":"12 €"}`, "query output_"},
		{"an empty object is no variable", func(r *Row) { noFeedback(r); r.Node.PromptVariables = b(`{}`) }, `{"question":"What is due?","output":"12 €"}`, "question"},
		{"only null is no variable", func(r *Row) { noFeedback(r); r.Node.PromptVariables = b(`{"x":null}`) }, `{"question":"What is due?","output":"12 €"}`, "question"},
		{"without either, what the user said last", func(r *Row) {
			noFeedback(r)
			r.Node.PromptVariables, r.Node.Inputs = nil, b(`{"n":1}`)
		}, `{"input":"In en: What is due?","output":"12 €"}`, "input"},
		{"nothing that goes in", func(r *Row) { r.Node.PromptVariables, r.Node.Inputs, r.Node.Messages = nil, nil, nil }, "no_variables", ""},
		{"inputs that are no object", func(r *Row) { r.Node.PromptVariables, r.Node.Inputs, r.Node.Messages = b(`[]`), b(`"x"`), b(`{}`) }, "no_variables", ""},
		{"nothing that comes out", func(r *Row) { r.Node.Outputs, r.Node.Messages = nil, nil }, "no_output", "language question"},
		{"outputs null", func(r *Row) { r.Node.Outputs, r.Node.Messages = b(`null`), b(`null`) }, "no_output", "language question"},
	} {
		out, drop, err := f.Append(b("before"), nodeRow(test.change))
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
		if keys := f.(Keyed).Keys(); !slices.Equal(keys, strings.Fields(test.keys)) {
			t.Errorf("%s: keys %v", test.name, keys)
		}
	}
}

func TestDSPyRecordsHaveTextsButForTheScore(t *testing.T) {
	t.Parallel()
	got := streamed(t, NodeOptimization, "dspy", nil, sampleHistory(t, 3000))
	for _, record := range got.records {
		for key, value := range asJSON(t, record) {
			if _, isText := value.(string); isText == (key == "score") {
				t.Fatalf("%s is %v in %.300s", key, value, record)
			}
		}
	}
	if len(got.records) == 0 || len(got.keys) == 0 || slices.Contains(got.keys, "output") || !slices.Contains(got.keys, "question") {
		t.Errorf("%d records, keys %v, dropped %v", len(got.records), got.keys, got.dropped)
	}
	for reason := range got.dropped {
		if !slices.ContainsFunc(nodeOptimizationDSPy.Drops, func(d Drop) bool { return d.Reason == reason }) {
			t.Errorf("drop reason %q is not told", reason)
		}
	}
}

func TestDSPyKeysAreBounded(t *testing.T) {
	t.Parallel()
	f := newOptimizationDSPy("", nil).(*optimizationDSPy)
	for i := range 3 * maxKnownKeys {
		row := nodeRow(func(r *Row) {
			r.Node.PromptVariables = append(append(b(`{`), quoted(strings.Repeat("x", i%7)+string(rune('a'+i%26))+string(rune(0x4e00+i%20000)))...), `:"v"}`...)
		})
		if _, _, err := f.Append(nil, row); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.known) > maxKnownKeys {
		t.Errorf("%d keys are kept", len(f.known))
	}
}
