package format

import (
	"strings"
	"testing"
)

func TestBedrockAlternatesTextAlone(t *testing.T) {
	t.Parallel()
	line := func(system string, turns ...string) string {
		text := `{"schemaVersion":"bedrock-conversation-2024",`
		if system != "" {
			text += `"system":[{"text":"` + system + `"}],`
		}
		for i := range turns {
			turns[i] = `{"role":"` + []string{"user", "assistant"}[i%2] + `","content":[{"text":"` + turns[i] + `"}]}`
		}
		return text + `"messages":` + chat(turns...) + `}`
	}
	const call = `<tool_call>\n{\"name\":\"f\",\"arguments\":{}}\n</tool_call>`
	checkTuned(t, "bedrock_conversation", nil, []tuned{
		{"a conversation", chatRow(chat(told("x\n"), hi, yes, hi, yes)), line(`x\n`, "Hi", "Yes?", "Hi", "Yes?")},
		{"no system message", chatRow(chat(hi, yes)), line("", "Hi", "Yes?")},
		{"two of a role", chatRow(chat(told("x"), user("a"), user("b"), said("c"), said("d"))), line("x", `a\n\nb`, `c\n\nd`)},
		{"a call", chatRow(chat(told("x"), hi, calls("a"), result("a", "{\"n\":1}"), yes)), line("x", "Hi", call, `<tool_response>\n{\"n\":1}\n</tool_response>`, "Yes?")},
		{"calls beside text", chatRow(chat(told("x"), hi, calling("wait", "a", "b"), result("a", "1"), result("b", ""), hi, yes)),
			line("x", "Hi", `wait\n`+call+`\n`+call, `<tool_response>\n1\n</tool_response>\n\n<tool_response>\n\n</tool_response>\n\nHi`, "Yes?")},
		{"calls beside the answer", chatRow(chat(told("x"), hi, calling("Yes?", "a"))), line("x", "Hi", `Yes?\n`+call)},
		{"the assistant first", chatRow(chat(told("x"), yes, hi, yes)), "drop assistant_first"},
		{"tools that are none", withTools(chatRow(chat(told("x"), hi, yes)), `[{"type":"web_search"}]`), line("x", "Hi", "Yes?")},
		{"a reserved word", chatRow(chat(told("x"), hi, said("The User: said"))), "drop reserved_word"},
		{"a reserved word of the system", chatRow(chat(told("Thought:"), hi, yes)), "drop reserved_word"},
		{"an escaped one", chatRow(chat(`{"role":"user","content":"\u0042ot: x"}`, yes)), "drop reserved_word"},
		{"a sign for images", chatRow(chat(user("<image>"), yes)), "drop reserved_word"},
		{"the end of a sequence", chatRow(chat(user("a [EOS]"), yes)), "drop reserved_word"},
		{"one in an argument", chatRow(chat(hi, strings.Replace(calls("a"), `"{}"`, `"{\"q\":\"BOT:\"}"`, 1), result("a", "x"), yes)), "drop reserved_word"},
		{"one in a result", chatRow(chat(hi, calls("a"), result("a", "SYSTEM: x"), yes)), "drop reserved_word"},
		{"words like it", chatRow(chat(user("user: a, User : b, Time: 10:30"), yes)), line("", "user: a, User : b, Time: 10:30", "Yes?")},
	})
	checkTuned(t, "bedrock_conversation", map[string]any{"system": "drop"}, []tuned{{"a system message", chatRow(chat(told("x"), hi, yes)), line("", "Hi", "Yes?")}})
	checkTuned(t, "bedrock_distillation", nil, []tuned{
		{"a turn", chatRow(chat(told("x"), told("y"), hi, yes)), line(`x\n\ny`, "Hi", "Yes?")},
		{"no system message", chatRow(chat(hi, yes)), "drop no_system"},
		{"two turns", chatRow(chat(told("x"), hi, yes, hi, yes)), "drop not_single_turn"},
		{"two of the user", chatRow(chat(told("x"), hi, hi, yes)), "drop not_single_turn"},
		{"a call", chatRow(chat(told("x"), hi, calls("a"), result("a", "1"), yes)), "drop not_single_turn"},
	})
	checkTuned(t, "bedrock_distillation", map[string]any{"system": "x"}, []tuned{{"a text for the system", chatRow(chat(hi, yes)), line("x", "Hi", "Yes?")}})
	checkTuned(t, "bedrock_distillation", map[string]any{"system": "drop"}, []tuned{{"no system message wanted", chatRow(chat(told("x"), hi, yes)), "drop no_system"}})
}
