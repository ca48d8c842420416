package tuning_test

import (
	"hash/fnv"
	"math/big"
	"strings"
	"testing"
	"unicode"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
)

func TestMistralHasCallsAlone(t *testing.T) {
	t.Parallel()
	// Nine digits of base 62 of a hash of the id.
	short := func(id string) string {
		h := fnv.New64a()
		h.Write([]byte(id))
		n := new(big.Int).SetUint64(h.Sum64())
		text := "000000000" + n.Text(62) // whose digits are 0-9a-zA-Z
		return strings.Map(func(r rune) rune {
			if unicode.IsLower(r) {
				return unicode.ToUpper(r)
			}
			return unicode.ToLower(r)
		}, text[len(text)-9:])
	}
	a, b := short("a"), short("b")
	full := `{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","properties":{}}}}`
	checkTuned(t, "mistral", nil, []tuned{
		{"a conversation", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.HiMessage, formattest.YesMessage, formattest.YesMessage)), openAILine(formattest.SystemSays("x"),
			formattest.HiMessage, formattest.HiMessage, formattest.YesMessage, formattest.YesMessage)},
		{"a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"),
			formattest.YesMessage)), openAILine(formattest.HiMessage, calls(a), formattest.ToolResult(a, "x"),
			formattest.YesMessage)},
		{"two calls", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a", "b"),
			formattest.ToolResult("b", "y"), formattest.ToolResult("a", "x"), formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls(a, b), formattest.ToolResult(b, "y"), formattest.ToolResult(a, "x"),
				formattest.YesMessage)},
		{"a text beside a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("wait", "a"),
			formattest.ToolResult("a", "x"), formattest.YesMessage)), "drop text_beside_tool_calls"},
		{"a text before a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.AssistantSays("wait"),
			calls("a"), formattest.ToolResult("a", "x"), formattest.YesMessage)), "drop text_beside_tool_calls"},
		{"calls beside the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("Yes?", "a"),
			formattest.ToolResult("a", "x"))), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"a user after a tool", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "x"), formattest.HiMessage, formattest.YesMessage)), "drop tool_without_reply"},
		{"a call after a tool", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "x"), calls("b"), formattest.ToolResult("b", "y"), formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls(a), formattest.ToolResult(a, "x"), calls(b), formattest.ToolResult(b, "y"),
				formattest.YesMessage)},
		{"a tool with a name only", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage)), `[{"type":"function","function":{"name":"f","strict":true}}]`),
			strings.TrimSuffix(openAILine(formattest.HiMessage, formattest.YesMessage), "}") + `,"tools":[` + full + `]}`},
		{"a tool of another kind", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			`[{"type":"web_search"}]`), "drop invalid_tools"},
	})
}
