package format

import (
	"strings"
	"testing"
)

func TestOpenAIChatDefinesTheToolsOfTheRun(t *testing.T) {
	t.Parallel()
	line := func(tools string) string {
		return strings.TrimSuffix(openAILine(hi, yes), "}") + `,"tools":[` + tools + `]}`
	}
	run := func(tools string) *Row { return withTools(chatRow(chat(hi, yes)), tools) }
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a tool", run(`[` + toolF + `]`), line(toolF)},
		{"a tool in many lines", run("[\n\t" + strings.ReplaceAll(toolF, ",", ",\r\n") + "\n]"), line(strings.Replace(toolF, `"object",`, `"object",  `, 1))},
		{"no tools", run(`[]`), openAILine(hi, yes)},
		{"tools that are null", run(`null`), openAILine(hi, yes)},
		{"only a name", run(`[{"type":"function","function":{"name":"f","description":null,"parameters":null,"strict":null}}]`), line(`{"type":"function","function":{"name":"f"}}`)},
		{"everything", run(`[{"function":{"strict":true,"parameters":{"a":1E400},"name":"\u0066","description":"\"","x":1},"type":"function","y":2}]`),
			line(`{"type":"function","function":{"name":"f","description":"\"","parameters":{"a":1E400},"strict":true}}`)},
		{"two", run(`[` + toolF + `, ` + toolF + `]`), line(toolF + "," + toolF)},
		{"a tool of another kind", run(`[` + toolF + `,{"type":"web_search"}]`), "drop invalid_tools"},
		{"a name with a dot", run(`[{"type":"function","function":{"name":"a.b"}}]`), "drop invalid_tools"},
		{"a long name", run(`[{"type":"function","function":{"name":"` + strings.Repeat("f", 65) + `"}}]`), "drop invalid_tools"},
		{"parameters that are a text", run(`[{"type":"function","function":{"name":"f","parameters":"{}"}}]`), "drop invalid_tools"},
		{"a description that is an object", run(`[{"type":"function","function":{"name":"f","description":{}}}]`), "drop invalid_tools"},
		{"strict that is a text", run(`[{"type":"function","function":{"name":"f","strict":"yes"}}]`), "drop invalid_tools"},
		{"a tool that is a text", run(`["f"]`), "drop invalid_tools"},
		{"tools that are an object", run(`{}`), "drop invalid_tools"},
		{"a call of a tool that is not defined", withTools(chatRow(chat(hi, strings.ReplaceAll(calls("a"), `"f"`, `"g"`), result("a", "x"), yes)), `[`+toolF+`]`),
			strings.TrimSuffix(openAILine(hi, strings.ReplaceAll(calls("a"), `"f"`, `"g"`), result("a", "x"), yes), "}") + `,"tools":[` + toolF + `]}`},
	})
}
