package tuning_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
)

func TestGeminiAlternatesTextAlone(t *testing.T) {
	t.Parallel()
	line := func(turns ...string) string {
		for i := range turns {
			turns[i] = `{"role":"` + []string{"user", "model"}[i%2] + `","parts":[{"text":"` + turns[i] + `"}]}`
		}
		return `"contents":` + formattest.Chat(turns...) + `}`
	}
	checkTuned(t, "gemini", nil, []tuned{
		{"a conversation", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.HiMessage, formattest.YesMessage)), `{"systemInstruction":{"parts":[{"text":"x"}]},` + line(`Hi\n\nHi`,
			"Yes?")},
		{"no system message", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			"{" + line("Hi", "Yes?")},
		{"a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "1"),
			formattest.YesMessage)),
			"{" + line("Hi", `<tool_call>\n{\"name\":\"f\",\"arguments\":{}}\n</tool_call>`,
				`<tool_response>\n1\n</tool_response>`, "Yes?")},
		{"the assistant first", formattest.ChatRow(formattest.Chat(formattest.YesMessage, formattest.HiMessage,
			formattest.YesMessage)), "drop assistant_first"},
	})
}
