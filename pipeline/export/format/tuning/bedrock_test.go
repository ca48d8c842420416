package tuning_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
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
		return text + `"messages":` + formattest.Chat(turns...) + `}`
	}
	const call = `<tool_call>\n{\"name\":\"f\",\"arguments\":{}}\n</tool_call>`
	checkTuned(t, "bedrock_conversation", nil, []tuned{
		{"a conversation", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x\n"), formattest.HiMessage,
			formattest.YesMessage, formattest.HiMessage, formattest.YesMessage)), line(`x\n`, "Hi", "Yes?", "Hi", "Yes?")},
		{"no system message", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			line("", "Hi", "Yes?")},
		{"two of a role", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.UserSays("a"),
			formattest.UserSays("b"), formattest.AssistantSays("c"), formattest.AssistantSays("d"))),
			line("x", `a\n\nb`, `c\n\nd`)},
		{"a call", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "{\"n\":1}"), formattest.YesMessage)),
			line("x", "Hi", call, `<tool_response>\n{\"n\":1}\n</tool_response>`, "Yes?")},
		{"calls beside text", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			calling("wait", "a", "b"), formattest.ToolResult("a", "1"), formattest.ToolResult("b", ""), formattest.HiMessage,
			formattest.YesMessage)),
			line("x", "Hi", `wait\n`+call+`\n`+call,
				`<tool_response>\n1\n</tool_response>\n\n<tool_response>\n\n</tool_response>\n\nHi`, "Yes?")},
		{"calls beside the answer", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			calling("Yes?", "a"))), line("x", "Hi", `Yes?\n`+call)},
		{"the assistant first", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.YesMessage,
			formattest.HiMessage, formattest.YesMessage)), "drop assistant_first"},
		{"tools that are none", withTools(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.YesMessage)), `[{"type":"web_search"}]`), line("x", "Hi", "Yes?")},
		{"a reserved word", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.AssistantSays("The User: said"))), "drop reserved_word"},
		{"a reserved word of the system", formattest.ChatRow(formattest.Chat(formattest.SystemSays("Thought:"),
			formattest.HiMessage, formattest.YesMessage)), "drop reserved_word"},
		{"an escaped one", formattest.ChatRow(formattest.Chat(`{"role":"user","content":"\u0042ot: x"}`,
			formattest.YesMessage)), "drop reserved_word"},
		{"a sign for images", formattest.ChatRow(formattest.Chat(formattest.UserSays("<image>"), formattest.YesMessage)),
			"drop reserved_word"},
		{"the end of a sequence", formattest.ChatRow(formattest.Chat(formattest.UserSays("a [EOS]"), formattest.YesMessage)),
			"drop reserved_word"},
		{"one in an argument", formattest.ChatRow(formattest.Chat(formattest.HiMessage, strings.Replace(calls("a"), `"{}"`,
			`"{\"q\":\"BOT:\"}"`, 1), formattest.ToolResult("a", "x"), formattest.YesMessage)), "drop reserved_word"},
		{"one in a result", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "SYSTEM: x"), formattest.YesMessage)), "drop reserved_word"},
		{"words like it", formattest.ChatRow(formattest.Chat(formattest.UserSays("user: a, User : b, Time: 10:30"),
			formattest.YesMessage)), line("", "user: a, User : b, Time: 10:30", "Yes?")},
	})
	checkTuned(t, "bedrock_conversation", map[string]any{"system": "drop"},
		[]tuned{{"a system message", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.YesMessage)), line("", "Hi", "Yes?")}})
	checkTuned(t, "bedrock_distillation", nil, []tuned{
		{"a turn", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.SystemSays("y"),
			formattest.HiMessage, formattest.YesMessage)), line(`x\n\ny`, "Hi", "Yes?")},
		{"no system message", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			"drop no_system"},
		{"two turns", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.YesMessage, formattest.HiMessage, formattest.YesMessage)), "drop not_single_turn"},
		{"two of the user", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.HiMessage, formattest.YesMessage)), "drop not_single_turn"},
		{"a call", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "1"), formattest.YesMessage)), "drop not_single_turn"},
	})
	checkTuned(t, "bedrock_distillation", map[string]any{"system": "x"},
		[]tuned{{"a text for the system", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			line("x", "Hi", "Yes?")}})
	checkTuned(t, "bedrock_distillation", map[string]any{"system": "drop"},
		[]tuned{{"no system message wanted", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"),
			formattest.HiMessage, formattest.YesMessage)), "drop no_system"}})
}
