package tuning_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
)

func TestTogetherTakesNoTwoAdjacentMessagesOfARole(t *testing.T) {
	t.Parallel()
	empty := strings.Replace(calls("a", "b"), `"assistant",`, `"assistant","content":"",`, 1)
	both := formattest.Chat(formattest.HiMessage, calls("a", "b"), formattest.ToolResult("a", "x"),
		formattest.ToolResult("b", "y"), formattest.YesMessage)
	checkTuned(t, "together", nil, []tuned{
		{"a conversation", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.YesMessage)), openAILine(formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)},
		{"two of the user", formattest.ChatRow(formattest.Chat(formattest.UserSays("a"), formattest.UserSays("b"),
			formattest.YesMessage)), openAILine(`{"role":"user","content":"a\n\nb"}`, formattest.YesMessage)},
		{"three of the assistant", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.AssistantSays("a"),
			formattest.AssistantSays(""), formattest.AssistantSays("b"), formattest.AssistantSays("c"))),
			openAILine(formattest.HiMessage, `{"role":"assistant","content":"a\n\nb\n\nc"}`)},
		{"the assistant first", formattest.ChatRow(formattest.Chat(formattest.YesMessage, formattest.HiMessage,
			formattest.YesMessage)), openAILine(formattest.YesMessage, formattest.HiMessage, formattest.YesMessage)},
		{"tool traffic", formattest.ChatRow(both), "drop tool_traffic"},
		{"calls beside the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("Yes?", "a"),
			formattest.ToolResult("a", "x"))), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"tools that are not called", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage)), `[{"type":"web_search"}]`), openAILine(formattest.HiMessage, formattest.YesMessage)},
	})
	checkTuned(t, "together", map[string]any{"tools": true}, []tuned{
		{"tool traffic", withTools(formattest.ChatRow(both), `[`+formattest.ToolF+`]`),
			strings.TrimSuffix(openAILine(formattest.HiMessage, empty, formattest.ToolResult("a", "x"),
				formattest.ToolResult("b", "y"), formattest.YesMessage), "}") + `,"tools":[` + formattest.ToolF + `]}`},
		{"a text before a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.AssistantSays("wait"),
			calls("a"), formattest.ToolResult("a", "x"), formattest.YesMessage)), openAILine(formattest.HiMessage,
			calling("wait", "a"), formattest.ToolResult("a", "x"), formattest.YesMessage)},
		{"a text before a text and a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.AssistantSays("wait"), calling("more", "a"), formattest.ToolResult("a", "x"), formattest.YesMessage)),
			openAILine(formattest.HiMessage, strings.Replace(calling("wait", "a"), `wait`, `wait\n\nmore`, 1),
				formattest.ToolResult("a", "x"), formattest.YesMessage)},
		{"no tools", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"a tool of another kind", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			`[{"type":"web_search"}]`), "drop invalid_tools"},
	})
}
