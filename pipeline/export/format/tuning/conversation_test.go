package tuning_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// openAILine is the record of openai_chat with these messages.
func openAILine(messages ...string) string {
	return `{"messages":` + formattest.Chat(messages...) + `}`
}

func TestAConversationIsWhatTheRunSaid(t *testing.T) {
	t.Parallel()
	odd := "\"\\\b\f\n\r\t /</script> \u2028\u2029 \ufeff 漢字 👩\u200d👧 \U0010ffff {{x}}"
	quoted, err := json.Marshal(odd)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long “text” \\ \n", 80_000)
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a question and its answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"white space between tokens", formattest.ChatRow("[ {\n\t\"role\" : \"user\" , \"content\" : \"Hi\" }\r\n, " +
			formattest.YesMessage + " ]"), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"keys in another order, and others", formattest.ChatRow(formattest.Chat(
			`{"content":"Hi","name":"u1","x":{"role":"tool"},"role":"user"}`, formattest.YesMessage)),
			openAILine(`{"role":"user","name":"u1","content":"Hi"}`, formattest.YesMessage)},
		{"escaped keys and roles", formattest.ChatRow(formattest.Chat(`{"r\u006fle":"us\u0065r","content":"Hi"}`,
			formattest.YesMessage)), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"odd text as it was sent", formattest.ChatRow(formattest.Chat(`{"role":"user","content":`+string(quoted)+`}`,
			`{"role":"assistant","content":"\u0041\/\ud83d\ude00"}`)),
			openAILine(`{"role":"user","content":`+string(quoted)+`}`, `{"role":"assistant","content":"\u0041\/\ud83d\ude00"}`)},
		{"a long text", with(formattest.EmptyRow(), func(r *record.Row) {
			r.Question, r.Answer = []byte(long),
				[]byte("ok")
		}),
			openAILine(`{"role":"user","content":`+string(record.AppendText(nil, []byte(long)))+`}`,
				formattest.AssistantSays("ok"))},
		{"parts of text", formattest.ChatRow(formattest.Chat(
			`{"role":"user","content":[{"type":"text","text":"a\""},{"type":"text","text":""},{"text":"b","type":"text"}]}`,
			formattest.YesMessage)),
			openAILine(`{"role":"user","content":"a\"\nb"}`, formattest.YesMessage)},
		{"an image", formattest.ChatRow(formattest.Chat(
			`{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}`,
			formattest.YesMessage)), "drop not_text"},
		{"a part that is no object", formattest.ChatRow(formattest.Chat(`{"role":"user","content":["a"]}`,
			formattest.YesMessage)), "drop not_text"},
		{"a part without text", formattest.ChatRow(formattest.Chat(`{"role":"user","content":[{"type":"text","text":null}]}`,
			formattest.YesMessage)), "drop not_text"},
		{"content that is a number", formattest.ChatRow(formattest.Chat(`{"role":"user","content":1E400}`,
			formattest.YesMessage)), "drop not_text"},
		{"content that is an object", formattest.ChatRow(formattest.Chat(`{"role":"user","content":{}}`,
			formattest.YesMessage)), "drop not_text"},
		{"an answer that is a sound", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.HiMessage, `{"role":"assistant","content":[{"type":"audio"}]}`)), "drop not_text"},
		{"an empty message of the user", formattest.ChatRow(formattest.Chat(`{"role":"user","content":""}`,
			formattest.YesMessage)), "drop empty_message"},
		{"white space of the user", formattest.ChatRow(formattest.Chat(`{"role":"user","content":" \n\t"}`,
			formattest.YesMessage)), "drop empty_message"},
		{"no content of the user", formattest.ChatRow(formattest.Chat(formattest.HiMessage, `{"role":"user"}`,
			formattest.YesMessage)), "drop empty_message"},
		{"no parts", formattest.ChatRow(formattest.Chat(`{"role":"user","content":[]}`, formattest.YesMessage)),
			"drop empty_message"},
		{"an assistant that says nothing", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":null,"tool_calls":[]}`, formattest.YesMessage)), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
		{"an assistant that says nothing at the end", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage, `{"role":"assistant","content":" ","tool_calls":null}`)), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
		{"two of a role", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.HiMessage,
			formattest.YesMessage, formattest.YesMessage)), openAILine(formattest.HiMessage, formattest.HiMessage,
			formattest.YesMessage, formattest.YesMessage)},
		{"an assistant that greets", formattest.ChatRow(formattest.Chat(formattest.YesMessage, formattest.HiMessage,
			formattest.YesMessage)), openAILine(formattest.YesMessage, formattest.HiMessage, formattest.YesMessage)},
		{"an unknown role", formattest.ChatRow(formattest.Chat(formattest.HiMessage, `{"role":"critic","content":"x"}`,
			formattest.YesMessage)), "drop unknown_role"},
		{"no role", formattest.ChatRow(formattest.Chat(formattest.HiMessage, `{"content":"x"}`, formattest.YesMessage)),
			"drop unknown_role"},
		{"a role that is no text", formattest.ChatRow(formattest.Chat(formattest.HiMessage, `{"role":1,"content":"x"}`,
			formattest.YesMessage)), "drop unknown_role"},
		{"a function that answers", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"function","name":"f","content":"x"}`, formattest.YesMessage)), "drop legacy_function_call"},
		{"a function that is called", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}`, formattest.YesMessage)),
			"drop legacy_function_call"},
		{"no function that is called", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":"Yes?","function_call":null}`)), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
		{"nobody asks", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.YesMessage)),
			"drop no_user_message"},
		{"nobody asks before the answer", formattest.ChatRow(formattest.Chat(formattest.YesMessage, formattest.HiMessage)),
			"drop no_user_message"},
		{"nobody answers", formattest.ChatRow(formattest.Chat(formattest.HiMessage)), "drop no_assistant_message"},
		{"only calls", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"))),
			openAILine(formattest.HiMessage, calls("a"))},
		{"messages that are an object", formattest.ChatRow(`{}`), "drop invalid_messages"},
		{"messages that are texts", formattest.ChatRow(`["Hi"]`), "drop invalid_messages"},
		{"nothing at all", formattest.EmptyRow(), "drop no_assistant_message"},
		{"an answer beside messages without one", with(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"),
			formattest.HiMessage)), func(r *record.Row) { r.Answer = []byte("Yes?") }), openAILine(formattest.SystemSays("x"),
			formattest.HiMessage, formattest.YesMessage)},
		{"an answer beside messages with one", with(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage)), func(r *record.Row) { r.Answer = []byte("No!") }), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
	})
}

func TestARunWithoutMessagesIsItsQuestionAndAnswer(t *testing.T) {
	t.Parallel()
	run := func(system, inputs, question, answer string) *record.Row {
		return with(formattest.EmptyRow(), func(r *record.Row) {
			r.SystemInputs, r.Inputs, r.Question, r.Answer = []byte(system), []byte(inputs), []byte(question), []byte(answer)
		})
	}
	checkTuned(t, "openai_chat", nil, []tuned{
		{"no system input", run("", "", "Hi", "Yes?"), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"a system input", run(`{"day":1, "system":"x"}`, `{"system":"y"}`, "Hi", "Yes?"),
			openAILine(formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)},
		{"an input for the system", run(`{"system":null}`, `{"system":"y"}`, "Hi", "Yes?"),
			openAILine(formattest.SystemSays("y"), formattest.HiMessage, formattest.YesMessage)},
		{"an empty system input", run(`{"system":" "}`, `{}`, "Hi", "Yes?"), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
		{"a system input that is no text", run(`{"system":{"a":[1E400]}}`, `{"x":{"system":"y"}}`, "Hi", "Yes?"),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"inputs that are no object", run(`[]`, `"system"`, "Hi", "Yes?"), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
		{"empty messages", with(run("", "", "Hi", "Yes?"), func(r *record.Row) { r.Messages = []byte(" [ ] ") }),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"messages that are null", with(run("", "", "Hi", "Yes?"), func(r *record.Row) { r.Messages = []byte("null") }),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"no question", run("", "", " \n", "Yes?"), "drop no_user_message"},
		{"no answer", run("", "", "Hi", ""), "drop no_assistant_message"},
	})
}

func TestSystemMessagesComeFirst(t *testing.T) {
	t.Parallel()
	tests := []tuned{
		{"one", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)),
			openAILine(formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)},
		{"of the developer", formattest.ChatRow(formattest.Chat(`{"role":"developer","content":"x"}`, formattest.HiMessage,
			formattest.YesMessage)), openAILine(formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)},
		{"several", formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.SystemSays(""),
			formattest.SystemSays("y\"\n"), formattest.HiMessage, formattest.YesMessage)),
			openAILine(`{"role":"system","content":"x\n\ny\"\n"}`, formattest.HiMessage, formattest.YesMessage)},
		{"an empty one", formattest.ChatRow(formattest.Chat(formattest.SystemSays(" "), formattest.HiMessage,
			formattest.YesMessage)), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"one in the middle", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)), "drop system_in_the_middle"},
		{"one after the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.SystemSays("x"))), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"one that is an image", formattest.ChatRow(formattest.Chat(`{"role":"system","content":[{"type":"image_url"}]}`,
			formattest.HiMessage, formattest.YesMessage)), "drop not_text"},
	}
	checkTuned(t, "openai_chat", nil, tests)
	checkTuned(t, "openai_chat", map[string]any{"system": "keep"}, tests)
	for i := range tests {
		tests[i].want = openAILine(formattest.HiMessage, formattest.YesMessage)
		if tests[i].name == "one in the middle" {
			tests[i].want = openAILine(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage, formattest.YesMessage)
		}
	}
	checkTuned(t, "openai_chat", map[string]any{"system": "drop"}, tests)
	for i := range tests {
		tests[i].want = strings.Replace(tests[i].want, `[`, `[{"role":"system","content":"Be \"brief\"."},`, 1)
	}
	checkTuned(t, "openai_chat", map[string]any{"system": `Be "brief".`}, tests)
}

func TestEveryCallHasItsAnswer(t *testing.T) {
	t.Parallel()
	args := func(arguments string) *record.Row {
		return formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f"`+arguments+`}}]}`,
			formattest.ToolResult("a", "x"), formattest.YesMessage))
	}
	line := func(arguments string) string {
		return openAILine(formattest.HiMessage, strings.Replace(calls("a"), `"{}"`, arguments, 1),
			formattest.ToolResult("a", "x"), formattest.YesMessage)
	}
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"),
			formattest.YesMessage)), openAILine(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"),
			formattest.YesMessage)},
		{"with the name of the tool", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			`{"role":"tool","name":"f","content":"x","tool_call_id":"a"}`, formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"), formattest.YesMessage)},
		{"a text beside it", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("wait", "a"),
			formattest.ToolResult("a", "x"), formattest.YesMessage)), openAILine(formattest.HiMessage, calling("wait", "a"),
			formattest.ToolResult("a", "x"), formattest.YesMessage)},
		{"a tool with nothing to say", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			`{"role":"tool","tool_call_id":"a","content":null}`, formattest.YesMessage)), openAILine(formattest.HiMessage,
			calls("a"), formattest.ToolResult("a", ""), formattest.YesMessage)},
		{"two at once, answered in another order", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a", "b"),
			formattest.ToolResult("b", "y"), formattest.ToolResult("a", "x"), formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls("a", "b"), formattest.ToolResult("b", "y"), formattest.ToolResult("a", "x"),
				formattest.YesMessage)},
		{"an id that comes back", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "x"), formattest.YesMessage, formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "y"), formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls("call_1"), formattest.ToolResult("call_1", "x"), formattest.YesMessage,
				formattest.HiMessage, calls("call_2"), formattest.ToolResult("call_2", "y"), formattest.YesMessage)},
		{"an id twice in a message", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a", "a"),
			formattest.ToolResult("a", "x"), formattest.ToolResult("a", "y"), formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls("call_1", "call_2"), formattest.ToolResult("call_1", "x"),
				formattest.ToolResult("call_2", "y"), formattest.YesMessage)},
		{"numbers that are there already", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("call_2", "b", "b"),
			formattest.ToolResult("b", "x"), formattest.ToolResult("call_2", "y"), formattest.ToolResult("b", "z"),
			formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls("call_1", "call_2", "call_3"), formattest.ToolResult("call_2", "x"),
				formattest.ToolResult("call_1", "y"), formattest.ToolResult("call_3", "z"), formattest.YesMessage)},
		{"an escaped id", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			`{"role":"tool","tool_call_id":"\u0061","content":"x"}`, formattest.YesMessage)), openAILine(formattest.HiMessage,
			calls("a"), formattest.ToolResult("a", "x"), formattest.YesMessage)},
		{"no ids", formattest.ChatRow(formattest.Chat(formattest.HiMessage, strings.ReplaceAll(calls("", ""), `"id":"",`, ``),
			formattest.ToolResult("", "x"), formattest.YesMessage)), "drop orphan_tool_message"},
		{"an empty id", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls(""), formattest.ToolResult("", "x"),
			formattest.YesMessage)), openAILine(formattest.HiMessage, calls("call_1"), formattest.ToolResult("call_1", "x"),
			formattest.YesMessage)},
		{"no id beside the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			strings.Replace(calling("wait", "a"), `"id":"a",`, ``, 1))), openAILine(formattest.HiMessage,
			calling("wait", "call_1"))},
		{"an id that comes back after the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "x"), formattest.YesMessage, formattest.HiMessage, calls("a"))),
			openAILine(formattest.HiMessage, calls("call_1"), formattest.ToolResult("call_1", "x"), formattest.YesMessage,
				formattest.HiMessage, calls("call_2"))},
		{"an answer to nothing", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.ToolResult("a", "x"),
			formattest.YesMessage)), "drop orphan_tool_message"},
		{"an answer to another call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("b", "x"), formattest.YesMessage)), "drop orphan_tool_message"},
		{"an answer twice", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "x"), formattest.ToolResult("a", "x"), formattest.YesMessage)),
			"drop orphan_tool_message"},
		{"an answer to an older call", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "x"), calls("b"), formattest.ToolResult("a", "x"), formattest.ToolResult("b", "y"),
			formattest.YesMessage)), "drop orphan_tool_message"},
		{"an answer without an id", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			`{"role":"tool","content":"x"}`, formattest.YesMessage)), "drop orphan_tool_message"},
		{"a call and an answer without an id", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}`, `{"role":"tool","content":"x"}`,
			formattest.YesMessage)), "drop orphan_tool_message"},
		{"a call without an answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.YesMessage)), "drop unanswered_tool_call"},
		{"one of two calls without", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a", "b"),
			formattest.ToolResult("a", "x"), formattest.YesMessage)), "drop unanswered_tool_call"},
		{"a user before the answer", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			formattest.HiMessage, formattest.ToolResult("a", "x"), formattest.YesMessage)), "drop unanswered_tool_call"},
		{"arguments as an object", args(`,"arguments":{ "a":"b\n", "n": 1E400 }`),
			line(`"{ \"a\":\"b\\n\", \"n\": 1E400 }"`)},
		{"arguments with line breaks", args(`,"arguments":"{\n  \"a\": 1\n}"`), line(`"{\n  \"a\": 1\n}"`)},
		{"no arguments", args(``), line(`"{}"`)},
		{"arguments that are null", args(`,"arguments":null`), line(`"{}"`)},
		{"arguments that are empty", args(`,"arguments":""`), line(`"{}"`)},
		{"arguments that are no JSON", args(`,"arguments":"{a}"`), "drop invalid_tool_call"},
		{"arguments that are no object", args(`,"arguments":"[1]"`), "drop invalid_tool_call"},
		{"arguments and more", args(`,"arguments":"{} {}"`), "drop invalid_tool_call"},
		{"arguments that are a number", args(`,"arguments":1`), "drop invalid_tool_call"},
		{"a name with a space", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f g"}}]}`, formattest.ToolResult("a", "x"),
			formattest.YesMessage)), "drop invalid_tool_call"},
		{"no name", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","tool_calls":[{"id":"a","function":{}}]}`, formattest.ToolResult("a", "x"),
			formattest.YesMessage)), "drop invalid_tool_call"},
		{"no function", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{}}]}`, formattest.ToolResult("a", "x"),
			formattest.YesMessage)), "drop invalid_tool_call"},
		{"calls that are an object", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","tool_calls":{}}`, formattest.YesMessage)), "drop invalid_tool_call"},
		{"calls that are texts", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","tool_calls":["f"]}`, formattest.YesMessage)), "drop invalid_tool_call"},
		{"calls of a user", formattest.ChatRow(formattest.Chat(`{"role":"user","content":"Hi","tool_calls":[{}]}`,
			formattest.YesMessage)), openAILine(formattest.HiMessage, formattest.YesMessage)},
	})
}

func TestTheTailIsCutOff(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.FineTuning, "openai_chat", nil)
	for _, test := range []struct {
		name, messages, want string
		trimmed              bool
	}{
		{"no tail", formattest.Chat(formattest.HiMessage, formattest.YesMessage), openAILine(formattest.HiMessage,
			formattest.YesMessage), false},
		{"thanks", formattest.Chat(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage),
			openAILine(formattest.HiMessage, formattest.YesMessage), true},
		{"a call without an answer", formattest.Chat(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage,
			calls("a")), openAILine(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage, calls("a")), false},
		{"a call and its result", formattest.Chat(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage,
			calls("a"), formattest.ToolResult("a", "x")), openAILine(formattest.HiMessage, formattest.YesMessage,
			formattest.HiMessage, calls("a")), true},
		{"what would not be taken elsewhere", formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.ToolResult("?", "x"), `{"role":"critic"}`, `{"role":"user","content":[{"type":"image_url"}]}`),
			openAILine(formattest.HiMessage, formattest.YesMessage), true},
		{"results of calls beside the answer", formattest.Chat(formattest.HiMessage, calling("wait", "a"),
			formattest.ToolResult("a", "x"), formattest.HiMessage), openAILine(formattest.HiMessage, calling("wait", "a")),
			true},
	} {
		got, drop, err := f.Append(nil, formattest.ChatRow(test.messages))
		if string(got) != test.want || drop != "" || err != nil {
			t.Errorf("%s: %s, dropped as %q, %v", test.name, got, drop, err)
		}
		if warned := len(f.(format.Warner).Warnings(formattest.ChatRow(test.messages))) > 0; warned != test.trimmed {
			t.Errorf("%s: warned %v", test.name, warned)
		}
	}
}

func TestACorrectedAnswerReplacesTheAnswer(t *testing.T) {
	t.Parallel()
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a run", corrected(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.HiMessage, formattest.AssistantSays("bad"), formattest.HiMessage)), "good"),
			openAILine(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage, formattest.AssistantSays("good"))},
		{"without messages", corrected(with(formattest.EmptyRow(), func(r *record.Row) {
			r.Question, r.Answer = []byte("Hi"),
				[]byte("bad")
		}), "Yes?"), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"of nothing", corrected(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)), " \n"),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"calls beside the answer", corrected(formattest.ChatRow(formattest.Chat(formattest.HiMessage, calling("bad", "a"))),
			"Yes?"), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"no answer", corrected(formattest.ChatRow(formattest.Chat(formattest.HiMessage)), "good"),
			"drop no_assistant_message"},
		{"feedback that means nothing", with(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			func(r *record.Row) { r.Feedback.CorrectedAnswer = []byte("stale") }), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
	})
}

func TestDocumentsThatAreNotJSONEndTheExport(t *testing.T) {
	t.Parallel()
	for _, target := range targets.Targets(format.FineTuning) {
		for _, messages := range []string{`[{"role":"user"`, `[{"role":"user","content":"a"}`, `[{"role" "user"}]`,
			`[{"role":"user"} {}]`, `[tru]`, `[{"role":"assistant","content":"\x"}]`, `[] []`} {
			f, err := targets.New(format.FineTuning, target.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			row := formattest.Rated(formattest.ChatRow(messages), "thumbsUp")
			switch f := f.(type) {
			case format.RowFormatter:
				_, _, err = f.Append(nil, row)
			case format.GroupFormatter:
				_, err = f.Add(row)
			}
			if err == nil || !strings.Contains(err.Error(), "run-0") {
				t.Errorf("%s: %s: %v", target.Name, messages, err)
			}
		}
	}
}
