package tuning_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestShareGPTHasOddAndEvenPositions(t *testing.T) {
	t.Parallel()
	line := func(system, tools string, turns ...string) string {
		for i := range turns {
			from, value, _ := strings.Cut(turns[i], " ")
			turns[i] = `{"from":"` + from + `","value":"` + value + `"}`
		}
		return `{"conversations":` + formattest.Chat(turns...) + `,"system":"` + system + `","tools":"` + tools + `"}`
	}
	const call = `{\"name\":\"f\",\"arguments\":{}}`
	properties := func(parameters string) *record.Row {
		return withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			`[{"type":"function","function":{"name":"f","parameters":`+parameters+`}}]`)
	}
	checkTuned(t, "sharegpt", nil, []tuned{
		{"a conversation", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.HiMessage, formattest.YesMessage, formattest.YesMessage)), line("x", "", `human Hi\n\nHi`,
			`gpt Yes?\n\nYes?`)},
		{"a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "1"),
			formattest.YesMessage)), line("", "", "human Hi", "function_call "+call, "observation 1", "gpt Yes?")},
		{"two calls", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a", "b"),
			formattest.ToolResult("b", "2"), formattest.ToolResult("a", ""), formattest.YesMessage)),
			line("", "", "human Hi", "function_call ["+call+","+call+"]", `observation 2\n</tool_response>\n<tool_response>\n`,
				"gpt Yes?")},
		{"a call after a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "1"), calls("b"), formattest.ToolResult("b", "2"), formattest.YesMessage)),
			line("", "", "human Hi", "function_call "+call, "observation 1", "function_call "+call, "observation 2",
				"gpt Yes?")},
		{"arguments", formattest.ChatRow(formattest.Chat(formattest.HiMessage, strings.Replace(calls("a"), `"{}"`,
			`"{\"q\": \"\\\"é\\n\"}"`, 1), formattest.ToolResult("a", "1"), formattest.YesMessage)),
			line("", "", "human Hi", `function_call {\"name\":\"f\",\"arguments\":{\"q\": \"\\\"é\\n\"}}`, "observation 1",
				"gpt Yes?")},
		{"a text beside a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("wait", "a"),
			formattest.ToolResult("a", "1"), formattest.YesMessage)), "drop text_beside_tool_calls"},
		{"a text before a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.AssistantSays("wait"),
			calls("a"), formattest.ToolResult("a", "1"), formattest.YesMessage)), "drop text_beside_tool_calls"},
		{"calls beside the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("Yes?", "a"))),
			line("", "", "human Hi", "gpt Yes?")},
		{"a user after a tool", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "1"), formattest.HiMessage, formattest.YesMessage)), "drop roles_do_not_alternate"},
		{"the assistant first", formattest.ChatRow(formattest.Chat(formattest.YesMessage, formattest.HiMessage,
			formattest.YesMessage)), "drop assistant_first"},
		{"tools", properties(`{"properties":{"a":{}}}`),
			line("", `[{\"name\":\"f\",\"description\":\"\",\"parameters\":{\"properties\":{\"a\":{}}}}]`, "human Hi",
				"gpt Yes?")},
		{"no parameters", properties(`null`), line("",
			`[{\"name\":\"f\",\"description\":\"\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}]`, "human Hi",
			"gpt Yes?")},
		{"no properties", properties(`{"type":"object"}`), "drop invalid_tools"},
		{"properties that are no schemas", properties(`{"properties":{"a":true}}`), "drop invalid_tools"},
	})
}
