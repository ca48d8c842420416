package format

import (
	"testing"
)

func TestGeminiAlternatesTextAlone(t *testing.T) {
	t.Parallel()
	line := func(turns ...string) string {
		for i := range turns {
			turns[i] = `{"role":"` + []string{"user", "model"}[i%2] + `","parts":[{"text":"` + turns[i] + `"}]}`
		}
		return `"contents":` + chat(turns...) + `}`
	}
	checkTuned(t, "gemini", nil, []tuned{
		{"a conversation", chatRow(chat(told("x"), hi, hi, yes)), `{"systemInstruction":{"parts":[{"text":"x"}]},` + line(`Hi\n\nHi`, "Yes?")},
		{"no system message", chatRow(chat(hi, yes)), "{" + line("Hi", "Yes?")},
		{"a call", chatRow(chat(hi, calls("a"), result("a", "1"), yes)),
			"{" + line("Hi", `<tool_call>\n{\"name\":\"f\",\"arguments\":{}}\n</tool_call>`, `<tool_response>\n1\n</tool_response>`, "Yes?")},
		{"the assistant first", chatRow(chat(yes, hi, yes)), "drop assistant_first"},
	})
}
