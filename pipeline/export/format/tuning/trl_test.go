package tuning_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestTRLHasAPromptAndACompletion(t *testing.T) {
	t.Parallel()
	empty := strings.Replace(calls("a"), `"assistant",`, `"assistant","content":"",`, 1)
	line := func(answer string, prompt ...string) string {
		return `{"prompt":` + formattest.Chat(prompt...) + `,"completion":[` + answer + `]}`
	}
	tests := []tuned{
		{"a question", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.YesMessage)), line(formattest.YesMessage, formattest.SystemSays("x"), formattest.HiMessage)},
		{"a conversation", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.HiMessage, formattest.YesMessage)), line(formattest.YesMessage, formattest.HiMessage,
			formattest.YesMessage, formattest.HiMessage)},
		{"a call", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "1"), formattest.YesMessage)), `[`+formattest.ToolF+`]`),
			line(formattest.YesMessage, formattest.HiMessage, empty, formattest.ToolResult("a", "1"))},
		{"calls beside the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("wait", "a"))),
			line(calling("wait", "a"), formattest.HiMessage)},
		{"an answer in two messages", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.YesMessage)), "drop assistant_before_answer"},
	}
	checkTuned(t, "trl_prompt_completion", nil, tests)
	for i := range tests {
		tests[i].row = formattest.Rated(tests[i].row, "thumbsUp")
		if tests[i].want[0] == '{' {
			tests[i].want = strings.TrimSuffix(tests[i].want, "}") + `,"label":true}`
		}
	}
	checkTuned(t, "trl_kto", nil, tests)
	bad := strings.TrimSuffix(line(formattest.YesMessage, formattest.HiMessage), "}") + `,"label":false}`
	checkTuned(t, "trl_kto", nil, []tuned{
		{"a bad answer", formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			"thumbsDown"), bad},
		{"a bad answer that was corrected", corrected(formattest.Rated(
			formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)), "thumbsDown"), "good"), bad},
		{"no rating", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)), "drop not_rated"},
		{"a score", with(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			func(r *record.Row) {
				r.HasFeedback, r.Feedback.Score = true, record.Null[float64]{Value: 1, Valid: true}
			}), "drop not_rated"},
		{"an unknown rating", formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage)), "meh"), "drop not_rated"},
	})
}
