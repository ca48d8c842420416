package tuning_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestOpenAIChatDefinesTheToolsOfTheRun(t *testing.T) {
	t.Parallel()
	line := func(tools string) string {
		return strings.TrimSuffix(openAILine(formattest.HiMessage, formattest.YesMessage), "}") + `,"tools":[` + tools + `]}`
	}
	run := func(tools string) *record.Row {
		return withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)), tools)
	}
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a tool", run(`[` + formattest.ToolF + `]`), line(formattest.ToolF)},
		{"a tool in many lines", run("[\n\t" + strings.ReplaceAll(formattest.ToolF, ",", ",\r\n") + "\n]"),
			line(strings.Replace(formattest.ToolF, `"object",`, `"object",  `, 1))},
		{"no tools", run(`[]`), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"tools that are null", run(`null`), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"only a name", run(
			`[{"type":"function","function":{"name":"f","description":null,"parameters":null,"strict":null}}]`),
			line(`{"type":"function","function":{"name":"f"}}`)},
		{"everything", run(
			`[{"function":{"strict":true,"parameters":{"type":"object","properties":{"a":{"enum":[1E400]}},"required":["a"],"additionalProperties":false},"name":"\u0066","description":"\"","x":1},"type":"function","y":2}]`),
			line(`{"type":"function","function":{"name":"f","description":"\"","parameters":{"type":"object","properties":{"a":{"enum":[1E400]}},"required":["a"],"additionalProperties":false},"strict":true}}`)},
		{"two", run(`[` + formattest.ToolF + `, ` + formattest.ToolF + `]`), line(formattest.ToolF + "," + formattest.ToolF)},
		{"a tool of another kind", run(`[` + formattest.ToolF + `,{"type":"web_search"}]`), "drop invalid_tools"},
		{"a name with a dot", run(`[{"type":"function","function":{"name":"a.b"}}]`), "drop invalid_tools"},
		{"a long name", run(`[{"type":"function","function":{"name":"` + strings.Repeat("f", 65) + `"}}]`),
			"drop invalid_tools"},
		{"parameters that are a text", run(`[{"type":"function","function":{"name":"f","parameters":"{}"}}]`),
			"drop invalid_tools"},
		{"a description that is an object", run(`[{"type":"function","function":{"name":"f","description":{}}}]`),
			"drop invalid_tools"},
		{"strict that is a text", run(`[{"type":"function","function":{"name":"f","strict":"yes"}}]`), "drop invalid_tools"},
		{"a tool that is a text", run(`["f"]`), "drop invalid_tools"},
		{"tools that are an object", run(`{}`), "drop invalid_tools"},
		{"a call of a tool that is not defined", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			strings.ReplaceAll(calls("a"), `"f"`, `"g"`), formattest.ToolResult("a", "x"), formattest.YesMessage)),
			`[`+formattest.ToolF+`]`),
			strings.TrimSuffix(openAILine(formattest.HiMessage, strings.ReplaceAll(calls("a"), `"f"`, `"g"`),
				formattest.ToolResult("a", "x"), formattest.YesMessage), "}") + `,"tools":[` + formattest.ToolF + `]}`},
	})
}
