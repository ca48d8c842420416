package evaluation_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Where a run has no answer of its own, its messages have it: the last one that says something.
func TestAnAnswerOfMessagesIsWhatWasSaidLast(t *testing.T) {
	t.Parallel()
	const refusal = `{"role":"assistant","content":null,"refusal":"I cannot."}`
	const image = `{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"u"}}]}`
	for _, test := range []struct {
		name, messages, want string
		partial              int64
	}{
		{"a refusal after an answer", formattest.Chat(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage,
			refusal), `"response":"I cannot."`, 0},
		{"an answer about an image", formattest.Chat(image, formattest.YesMessage), `"response":"Yes?"`, 1},
	} {
		o := formattest.StreamRows(t, format.RecipeEvaluation, "ragas", nil, []*record.Row{formattest.ChatRow(test.messages)})
		if len(o.Records) != 1 || !strings.Contains(string(o.Records[0]), test.want) ||
			o.Warned[record.NotTextLeftOut] != test.partial {
			t.Errorf("%s: %s, dropped %v, warned %v", test.name, o.Records, o.Dropped, o.Warned)
		}
	}
}

func TestDeepEvalKnowsCallsOfEveryShape(t *testing.T) {
	t.Parallel()
	row := formattest.ChatRow(formattest.Chat(formattest.HiMessage,
		`{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"sql","input":"SELECT 1"}}]}`,
		formattest.ToolResult("a", "1"), `{"role":"assistant","function_call":{"name":"f","arguments":"{\"q\":1}"}}`,
		`{"role":"function","name":"f","content":"2"}`, formattest.YesMessage))
	o := formattest.StreamRows(t, format.RecipeEvaluation, "deepeval", nil, []*record.Row{row})
	want := `"tools_called":[{"name":"sql","input_parameters":{"arguments":"SELECT 1"},"output":"1"},` +
		`{"name":"f","input_parameters":{"q":1},"output":"2"}]`
	if len(o.Records) != 1 || !strings.Contains(string(o.Records[0]), want) {
		t.Errorf("%s, dropped %v", o.Records, o.Dropped)
	}
}
