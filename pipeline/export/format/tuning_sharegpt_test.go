package format

import (
	"strings"
	"testing"
)

func TestShareGPTHasOddAndEvenPositions(t *testing.T) {
	t.Parallel()
	line := func(system, tools string, turns ...string) string {
		for i := range turns {
			from, value, _ := strings.Cut(turns[i], " ")
			turns[i] = `{"from":"` + from + `","value":"` + value + `"}`
		}
		return `{"conversations":` + chat(turns...) + `,"system":"` + system + `","tools":"` + tools + `"}`
	}
	const call = `{\"name\":\"f\",\"arguments\":{}}`
	properties := func(parameters string) *Row {
		return withTools(chatRow(chat(hi, yes)), `[{"type":"function","function":{"name":"f","parameters":`+parameters+`}}]`)
	}
	checkTuned(t, "sharegpt", nil, []tuned{
		{"a conversation", chatRow(chat(told("x"), hi, hi, yes, yes)), line("x", "", `human Hi\n\nHi`, `gpt Yes?\n\nYes?`)},
		{"a call", chatRow(chat(hi, calls("a"), result("a", "1"), yes)), line("", "", "human Hi", "function_call "+call, "observation 1", "gpt Yes?")},
		{"two calls", chatRow(chat(hi, calls("a", "b"), result("b", "2"), result("a", ""), yes)),
			line("", "", "human Hi", "function_call ["+call+","+call+"]", `observation 2\n</tool_response>\n<tool_response>\n`, "gpt Yes?")},
		{"a call after a call", chatRow(chat(hi, calls("a"), result("a", "1"), calls("b"), result("b", "2"), yes)),
			line("", "", "human Hi", "function_call "+call, "observation 1", "function_call "+call, "observation 2", "gpt Yes?")},
		{"arguments", chatRow(chat(hi, strings.Replace(calls("a"), `"{}"`, `"{\"q\": \"\\\"é\\n\"}"`, 1), result("a", "1"), yes)),
			line("", "", "human Hi", `function_call {\"name\":\"f\",\"arguments\":{\"q\": \"\\\"é\\n\"}}`, "observation 1", "gpt Yes?")},
		{"a text beside a call", chatRow(chat(hi, calling("wait", "a"), result("a", "1"), yes)), "drop text_beside_tool_calls"},
		{"a text before a call", chatRow(chat(hi, said("wait"), calls("a"), result("a", "1"), yes)), "drop text_beside_tool_calls"},
		{"calls beside the answer", chatRow(chat(hi, calling("Yes?", "a"))), line("", "", "human Hi", "gpt Yes?")},
		{"a user after a tool", chatRow(chat(hi, calls("a"), result("a", "1"), hi, yes)), "drop roles_do_not_alternate"},
		{"the assistant first", chatRow(chat(yes, hi, yes)), "drop assistant_first"},
		{"tools", properties(`{"properties":{"a":{}}}`), line("", `[{\"name\":\"f\",\"description\":\"\",\"parameters\":{\"properties\":{\"a\":{}}}}]`, "human Hi", "gpt Yes?")},
		{"no parameters", properties(`null`), line("", `[{\"name\":\"f\",\"description\":\"\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}]`, "human Hi", "gpt Yes?")},
		{"no properties", properties(`{"type":"object"}`), "drop invalid_tools"},
		{"properties that are no schemas", properties(`{"properties":{"a":true}}`), "drop invalid_tools"},
	})
}
