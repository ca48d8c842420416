package format

import (
	"strings"
	"testing"
)

func TestTRLHasAPromptAndACompletion(t *testing.T) {
	t.Parallel()
	empty := strings.Replace(calls("a"), `"assistant",`, `"assistant","content":"",`, 1)
	line := func(answer string, prompt ...string) string {
		return `{"prompt":` + chat(prompt...) + `,"completion":[` + answer + `]}`
	}
	tests := []tuned{
		{"a question", chatRow(chat(told("x"), hi, yes)), line(yes, told("x"), hi)},
		{"a conversation", chatRow(chat(hi, yes, hi, yes)), line(yes, hi, yes, hi)},
		{"a call", withTools(chatRow(chat(hi, calls("a"), result("a", "1"), yes)), `[`+toolF+`]`), line(yes, hi, empty, result("a", "1"))},
		{"calls beside the answer", chatRow(chat(hi, calling("wait", "a"))), line(calling("wait", "a"), hi)},
		{"an answer in two messages", chatRow(chat(hi, yes, yes)), "drop assistant_before_answer"},
	}
	checkTuned(t, "trl_prompt_completion", nil, tests)
	for i := range tests {
		tests[i].row = rated(tests[i].row, "thumbsUp")
		if tests[i].want[0] == '{' {
			tests[i].want = strings.TrimSuffix(tests[i].want, "}") + `,"label":true}`
		}
	}
	checkTuned(t, "trl_kto", nil, tests)
	bad := strings.TrimSuffix(line(yes, hi), "}") + `,"label":false}`
	checkTuned(t, "trl_kto", nil, []tuned{
		{"a bad answer", rated(chatRow(chat(hi, yes)), "thumbsDown"), bad},
		{"a bad answer that was corrected", corrected(rated(chatRow(chat(hi, yes)), "thumbsDown"), "good"), bad},
		{"no rating", chatRow(chat(hi, yes)), "drop not_rated"},
		{"a score", with(chatRow(chat(hi, yes)), func(r *Row) { r.HasFeedback, r.Feedback.Score = true, Null[float64]{1, true} }), "drop not_rated"},
		{"an unknown rating", rated(chatRow(chat(hi, yes)), "meh"), "drop not_rated"},
	})
}
