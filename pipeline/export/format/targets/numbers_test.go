package targets_test

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// A number that 64 bits do not hold is in the record as it was sent, and the record is counted in a
// warning that names its run, in every target that writes numbers of free JSON.
func TestNumbersBeyond64BitsAreCountedAndNamed(t *testing.T) {
	t.Parallel()
	const doc = `{"question":"Hi","order":100000000000000000000000000000,"far":1e400}`
	tools := `[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"number","maximum":1e400}}}}}]`
	chat := formattest.Chat(formattest.HiMessage, formattest.YesMessage)
	found := map[string]int64{}
	for purpose, target := range formattest.EveryTarget() {
		var rows []*record.Row
		for _, rating := range []string{record.RatedDown, record.RatedUp} {
			row := fuzzedRow(formattest.NodesFor(purpose) != nil, rating, doc, `{"answer":"`+rating+`","x":1e400}`, chat, tools,
				doc, "Say {{question}}")
			if purpose == format.FineTuning {
				row.Messages = []byte(formattest.Chat(formattest.HiMessage, `{"role":"assistant","content":"`+rating+`"}`))
			}
			rows = append(rows, row)
		}
		got := formattest.StreamRows(t, purpose, target.Name, fuzzedOptions(purpose, target), rows)
		wide := int64(0)
		for _, record := range got.Records {
			if jsonscan.WideNumber(record) != nil {
				wide++
			}
		}
		named := got.WarnedRuns[format.WideNumber]
		if got.Warned[format.WideNumber] != wide || int64(len(named)) != wide || slices.Contains(named, "") {
			t.Errorf("%s/%s: %d records with such a number, %v warnings about %v", purpose, target.Name, wide, got.Warned, named)
		}
		found[purpose+"/"+target.Name] += wide
	}
	for name, records := range map[string]int64{
		"export_dataset/canonical": 2, "recipe_evaluation/canonical": 2, "node_evaluation/canonical": 2,
		"node_optimization/canonical": 2, "recipe_evaluation/langsmith": 2, "recipe_evaluation/langfuse": 2,
		"recipe_evaluation/mlflow": 2, "fine_tuning/openai_chat": 1, "fine_tuning/openai_dpo": 1,
		"recipe_evaluation/ragas": 0, "fine_tuning/gemini": 0,
	} {
		if found[name] != records {
			t.Errorf("%s: %d records with such a number, want %d", name, found[name], records)
		}
	}
}
