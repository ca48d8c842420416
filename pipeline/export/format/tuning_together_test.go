package format

import (
	"strings"
	"testing"
)

func TestTogetherTakesNoTwoAdjacentMessagesOfARole(t *testing.T) {
	t.Parallel()
	empty := strings.Replace(calls("a", "b"), `"assistant",`, `"assistant","content":"",`, 1)
	both := chat(hi, calls("a", "b"), result("a", "x"), result("b", "y"), yes)
	checkTuned(t, "together", nil, []tuned{
		{"a conversation", chatRow(chat(told("x"), hi, yes)), openAILine(told("x"), hi, yes)},
		{"two of the user", chatRow(chat(user("a"), user("b"), yes)), openAILine(`{"role":"user","content":"a\n\nb"}`, yes)},
		{"three of the assistant", chatRow(chat(hi, said("a"), said(""), said("b"), said("c"))), openAILine(hi, `{"role":"assistant","content":"a\n\nb\n\nc"}`)},
		{"the assistant first", chatRow(chat(yes, hi, yes)), openAILine(yes, hi, yes)},
		{"tool traffic", chatRow(both), "drop tool_traffic"},
		{"calls beside the answer", chatRow(chat(hi, calling("Yes?", "a"), result("a", "x"))), openAILine(hi, yes)},
		{"tools that are not called", withTools(chatRow(chat(hi, yes)), `[{"type":"web_search"}]`), openAILine(hi, yes)},
	})
	checkTuned(t, "together", map[string]any{"tools": true}, []tuned{
		{"tool traffic", withTools(chatRow(both), `[`+toolF+`]`),
			strings.TrimSuffix(openAILine(hi, empty, result("a", "x"), result("b", "y"), yes), "}") + `,"tools":[` + toolF + `]}`},
		{"a text before a call", chatRow(chat(hi, said("wait"), calls("a"), result("a", "x"), yes)), openAILine(hi, calling("wait", "a"), result("a", "x"), yes)},
		{"a text before a text and a call", chatRow(chat(hi, said("wait"), calling("more", "a"), result("a", "x"), yes)),
			openAILine(hi, strings.Replace(calling("wait", "a"), `wait`, `wait\n\nmore`, 1), result("a", "x"), yes)},
		{"no tools", chatRow(chat(hi, yes)), openAILine(hi, yes)},
		{"a tool of another kind", withTools(chatRow(chat(hi, yes)), `[{"type":"web_search"}]`), "drop invalid_tools"},
	})
}
