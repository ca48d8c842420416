package format

import (
	"encoding/json"
	"strings"
	"testing"
)

// openAILine is the record of openai_chat with these messages.
func openAILine(messages ...string) string { return `{"messages":` + chat(messages...) + `}` }

func TestAConversationIsWhatTheRunSaid(t *testing.T) {
	t.Parallel()
	odd := "\"\\\b\f\n\r\t /</script> \u2028\u2029 \ufeff 漢字 👩\u200d👧 \U0010ffff {{x}}"
	quoted, err := json.Marshal(odd)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long “text” \\ \n", 80_000)
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a question and its answer", chatRow(chat(hi, yes)), openAILine(hi, yes)},
		{"white space between tokens", chatRow("[ {\n\t\"role\" : \"user\" , \"content\" : \"Hi\" }\r\n, " + yes + " ]"), openAILine(hi, yes)},
		{"keys in another order, and others", chatRow(chat(`{"content":"Hi","name":"u1","x":{"role":"tool"},"role":"user"}`, yes)), openAILine(hi, yes)},
		{"escaped keys and roles", chatRow(chat(`{"r\u006fle":"us\u0065r","content":"Hi"}`, yes)), openAILine(hi, yes)},
		{"odd text as it was sent", chatRow(chat(`{"role":"user","content":`+string(quoted)+`}`, `{"role":"assistant","content":"\u0041\/\ud83d\ude00"}`)),
			openAILine(`{"role":"user","content":`+string(quoted)+`}`, `{"role":"assistant","content":"\u0041\/\ud83d\ude00"}`)},
		{"a long text", with(emptyRow(), func(r *Row) { r.Question, r.Answer = b(long), b("ok") }),
			openAILine(`{"role":"user","content":`+string(appendText(nil, b(long)))+`}`, said("ok"))},
		{"parts of text", chatRow(chat(`{"role":"user","content":[{"type":"text","text":"a\""},{"type":"text","text":""},{"text":"b","type":"text"}]}`, yes)),
			openAILine(`{"role":"user","content":"a\"\nb"}`, yes)},
		{"an image", chatRow(chat(`{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}`, yes)), "drop not_text"},
		{"a part that is no object", chatRow(chat(`{"role":"user","content":["a"]}`, yes)), "drop not_text"},
		{"a part without text", chatRow(chat(`{"role":"user","content":[{"type":"text","text":null}]}`, yes)), "drop not_text"},
		{"content that is a number", chatRow(chat(`{"role":"user","content":1E400}`, yes)), "drop not_text"},
		{"content that is an object", chatRow(chat(`{"role":"user","content":{}}`, yes)), "drop not_text"},
		{"an answer that is a sound", chatRow(chat(hi, yes, hi, `{"role":"assistant","content":[{"type":"audio"}]}`)), "drop not_text"},
		{"an empty message of the user", chatRow(chat(`{"role":"user","content":""}`, yes)), "drop empty_message"},
		{"white space of the user", chatRow(chat(`{"role":"user","content":" \n\t"}`, yes)), "drop empty_message"},
		{"no content of the user", chatRow(chat(hi, `{"role":"user"}`, yes)), "drop empty_message"},
		{"no parts", chatRow(chat(`{"role":"user","content":[]}`, yes)), "drop empty_message"},
		{"an assistant that says nothing", chatRow(chat(hi, `{"role":"assistant","content":null,"tool_calls":[]}`, yes)), openAILine(hi, yes)},
		{"an assistant that says nothing at the end", chatRow(chat(hi, yes, `{"role":"assistant","content":" ","tool_calls":null}`)), openAILine(hi, yes)},
		{"two of a role", chatRow(chat(hi, hi, yes, yes)), openAILine(hi, hi, yes, yes)},
		{"an assistant that greets", chatRow(chat(yes, hi, yes)), openAILine(yes, hi, yes)},
		{"an unknown role", chatRow(chat(hi, `{"role":"critic","content":"x"}`, yes)), "drop unknown_role"},
		{"no role", chatRow(chat(hi, `{"content":"x"}`, yes)), "drop unknown_role"},
		{"a role that is no text", chatRow(chat(hi, `{"role":1,"content":"x"}`, yes)), "drop unknown_role"},
		{"a function that answers", chatRow(chat(hi, `{"role":"function","name":"f","content":"x"}`, yes)), "drop legacy_function_call"},
		{"a function that is called", chatRow(chat(hi, `{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}`, yes)), "drop legacy_function_call"},
		{"no function that is called", chatRow(chat(hi, `{"role":"assistant","content":"Yes?","function_call":null}`)), openAILine(hi, yes)},
		{"nobody asks", chatRow(chat(told("x"), yes)), "drop no_user_message"},
		{"nobody asks before the answer", chatRow(chat(yes, hi)), "drop no_user_message"},
		{"nobody answers", chatRow(chat(hi)), "drop no_assistant_message"},
		{"only calls", chatRow(chat(hi, calls("a"), result("a", "x"))), "drop no_assistant_message"},
		{"messages that are an object", chatRow(`{}`), "drop invalid_messages"},
		{"messages that are texts", chatRow(`["Hi"]`), "drop invalid_messages"},
		{"nothing at all", emptyRow(), "drop no_assistant_message"},
		{"an answer beside messages without one", with(chatRow(chat(told("x"), hi)), func(r *Row) { r.Answer = b("Yes?") }), openAILine(told("x"), hi, yes)},
		{"an answer beside messages with one", with(chatRow(chat(hi, yes)), func(r *Row) { r.Answer = b("No!") }), openAILine(hi, yes)},
	})
}

func TestARunWithoutMessagesIsItsQuestionAndAnswer(t *testing.T) {
	t.Parallel()
	run := func(system, inputs, question, answer string) *Row {
		return with(emptyRow(), func(r *Row) {
			r.SystemInputs, r.Inputs, r.Question, r.Answer = b(system), b(inputs), b(question), b(answer)
		})
	}
	checkTuned(t, "openai_chat", nil, []tuned{
		{"no system input", run("", "", "Hi", "Yes?"), openAILine(hi, yes)},
		{"a system input", run(`{"day":1, "system":"x"}`, `{"system":"y"}`, "Hi", "Yes?"), openAILine(told("x"), hi, yes)},
		{"an input for the system", run(`{"system":null}`, `{"system":"y"}`, "Hi", "Yes?"), openAILine(told("y"), hi, yes)},
		{"an empty system input", run(`{"system":" "}`, `{}`, "Hi", "Yes?"), openAILine(hi, yes)},
		{"a system input that is no text", run(`{"system":{"a":[1E400]}}`, `{"x":{"system":"y"}}`, "Hi", "Yes?"), openAILine(hi, yes)},
		{"inputs that are no object", run(`[]`, `"system"`, "Hi", "Yes?"), openAILine(hi, yes)},
		{"empty messages", with(run("", "", "Hi", "Yes?"), func(r *Row) { r.Messages = b(" [ ] ") }), openAILine(hi, yes)},
		{"messages that are null", with(run("", "", "Hi", "Yes?"), func(r *Row) { r.Messages = b("null") }), openAILine(hi, yes)},
		{"no question", run("", "", " \n", "Yes?"), "drop no_user_message"},
		{"no answer", run("", "", "Hi", ""), "drop no_assistant_message"},
	})
}

func TestSystemMessagesComeFirst(t *testing.T) {
	t.Parallel()
	tests := []tuned{
		{"one", chatRow(chat(told("x"), hi, yes)), openAILine(told("x"), hi, yes)},
		{"of the developer", chatRow(chat(`{"role":"developer","content":"x"}`, hi, yes)), openAILine(told("x"), hi, yes)},
		{"several", chatRow(chat(told("x"), told(""), told("y\"\n"), hi, yes)), openAILine(`{"role":"system","content":"x\n\ny\"\n"}`, hi, yes)},
		{"an empty one", chatRow(chat(told(" "), hi, yes)), openAILine(hi, yes)},
		{"one in the middle", chatRow(chat(hi, yes, told("x"), hi, yes)), "drop system_in_the_middle"},
		{"one after the answer", chatRow(chat(hi, yes, told("x"))), openAILine(hi, yes)},
		{"one that is an image", chatRow(chat(`{"role":"system","content":[{"type":"image_url"}]}`, hi, yes)), "drop not_text"},
	}
	checkTuned(t, "openai_chat", nil, tests)
	checkTuned(t, "openai_chat", map[string]any{"system": "keep"}, tests)
	for i := range tests {
		tests[i].want = openAILine(hi, yes)
		if tests[i].name == "one in the middle" {
			tests[i].want = openAILine(hi, yes, hi, yes)
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
	args := func(arguments string) *Row {
		return chatRow(chat(hi, `{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f"`+arguments+`}}]}`, result("a", "x"), yes))
	}
	line := func(arguments string) string {
		return openAILine(hi, strings.Replace(calls("a"), `"{}"`, arguments, 1), result("a", "x"), yes)
	}
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a call", chatRow(chat(hi, calls("a"), result("a", "x"), yes)), openAILine(hi, calls("a"), result("a", "x"), yes)},
		{"with the name of the tool", chatRow(chat(hi, calls("a"), `{"role":"tool","name":"f","content":"x","tool_call_id":"a"}`, yes)), openAILine(hi, calls("a"), result("a", "x"), yes)},
		{"a text beside it", chatRow(chat(hi, calling("wait", "a"), result("a", "x"), yes)), openAILine(hi, calling("wait", "a"), result("a", "x"), yes)},
		{"a tool with nothing to say", chatRow(chat(hi, calls("a"), `{"role":"tool","tool_call_id":"a","content":null}`, yes)), openAILine(hi, calls("a"), result("a", ""), yes)},
		{"two at once, answered in another order", chatRow(chat(hi, calls("a", "b"), result("b", "y"), result("a", "x"), yes)),
			openAILine(hi, calls("a", "b"), result("b", "y"), result("a", "x"), yes)},
		{"an id that comes back", chatRow(chat(hi, calls("a"), result("a", "x"), yes, hi, calls("a"), result("a", "y"), yes)),
			openAILine(hi, calls("call_1"), result("call_1", "x"), yes, hi, calls("call_2"), result("call_2", "y"), yes)},
		{"an id twice in a message", chatRow(chat(hi, calls("a", "a"), result("a", "x"), result("a", "y"), yes)),
			openAILine(hi, calls("call_1", "call_2"), result("call_1", "x"), result("call_2", "y"), yes)},
		{"numbers that are there already", chatRow(chat(hi, calls("call_2", "b", "b"), result("b", "x"), result("call_2", "y"), result("b", "z"), yes)),
			openAILine(hi, calls("call_1", "call_2", "call_3"), result("call_2", "x"), result("call_1", "y"), result("call_3", "z"), yes)},
		{"an escaped id", chatRow(chat(hi, calls("a"), `{"role":"tool","tool_call_id":"\u0061","content":"x"}`, yes)), openAILine(hi, calls("a"), result("a", "x"), yes)},
		{"no ids", chatRow(chat(hi, strings.ReplaceAll(calls("", ""), `"id":"",`, ``), result("", "x"), yes)), "drop orphan_tool_message"},
		{"an empty id", chatRow(chat(hi, calls(""), result("", "x"), yes)), openAILine(hi, calls("call_1"), result("call_1", "x"), yes)},
		{"no id beside the answer", chatRow(chat(hi, strings.Replace(calling("wait", "a"), `"id":"a",`, ``, 1))), openAILine(hi, calling("wait", "call_1"))},
		{"an id that comes back after the answer", chatRow(chat(hi, calls("a"), result("a", "x"), yes, hi, calls("a"))), openAILine(hi, calls("a"), result("a", "x"), yes)},
		{"an answer to nothing", chatRow(chat(hi, result("a", "x"), yes)), "drop orphan_tool_message"},
		{"an answer to another call", chatRow(chat(hi, calls("a"), result("b", "x"), yes)), "drop orphan_tool_message"},
		{"an answer twice", chatRow(chat(hi, calls("a"), result("a", "x"), result("a", "x"), yes)), "drop orphan_tool_message"},
		{"an answer to an older call", chatRow(chat(hi, calls("a"), result("a", "x"), calls("b"), result("a", "x"), result("b", "y"), yes)), "drop orphan_tool_message"},
		{"an answer without an id", chatRow(chat(hi, calls("a"), `{"role":"tool","content":"x"}`, yes)), "drop orphan_tool_message"},
		{"a call and an answer without an id", chatRow(chat(hi, `{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}`, `{"role":"tool","content":"x"}`, yes)), "drop orphan_tool_message"},
		{"a call without an answer", chatRow(chat(hi, calls("a"), yes)), "drop unanswered_tool_call"},
		{"one of two calls without", chatRow(chat(hi, calls("a", "b"), result("a", "x"), yes)), "drop unanswered_tool_call"},
		{"a user before the answer", chatRow(chat(hi, calls("a"), hi, result("a", "x"), yes)), "drop unanswered_tool_call"},
		{"arguments as an object", args(`,"arguments":{ "a":"b\n", "n": 1E400 }`), line(`"{ \"a\":\"b\\n\", \"n\": 1E400 }"`)},
		{"arguments with line breaks", args(`,"arguments":"{\n  \"a\": 1\n}"`), line(`"{\n  \"a\": 1\n}"`)},
		{"no arguments", args(``), line(`"{}"`)},
		{"arguments that are null", args(`,"arguments":null`), line(`"{}"`)},
		{"arguments that are empty", args(`,"arguments":""`), line(`"{}"`)},
		{"arguments that are no JSON", args(`,"arguments":"{a}"`), "drop invalid_tool_call"},
		{"arguments that are no object", args(`,"arguments":"[1]"`), "drop invalid_tool_call"},
		{"arguments and more", args(`,"arguments":"{} {}"`), "drop invalid_tool_call"},
		{"arguments that are a number", args(`,"arguments":1`), "drop invalid_tool_call"},
		{"a name with a space", chatRow(chat(hi, `{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f g"}}]}`, result("a", "x"), yes)), "drop invalid_tool_call"},
		{"no name", chatRow(chat(hi, `{"role":"assistant","tool_calls":[{"id":"a","function":{}}]}`, result("a", "x"), yes)), "drop invalid_tool_call"},
		{"no function", chatRow(chat(hi, `{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{}}]}`, result("a", "x"), yes)), "drop invalid_tool_call"},
		{"calls that are an object", chatRow(chat(hi, `{"role":"assistant","tool_calls":{}}`, yes)), "drop invalid_tool_call"},
		{"calls that are texts", chatRow(chat(hi, `{"role":"assistant","tool_calls":["f"]}`, yes)), "drop invalid_tool_call"},
		{"calls of a user", chatRow(chat(`{"role":"user","content":"Hi","tool_calls":[{}]}`, yes)), openAILine(hi, yes)},
	})
}

func TestTheTailIsCutOff(t *testing.T) {
	t.Parallel()
	f := newRowFormatter(t, FineTuning, "openai_chat", nil)
	for _, test := range []struct {
		name, messages, want string
		trimmed              bool
	}{
		{"no tail", chat(hi, yes), openAILine(hi, yes), false},
		{"thanks", chat(hi, yes, hi), openAILine(hi, yes), true},
		{"a call without an answer", chat(hi, yes, hi, calls("a")), openAILine(hi, yes), true},
		{"a call and its result", chat(hi, yes, hi, calls("a"), result("a", "x")), openAILine(hi, yes), true},
		{"what would not be taken elsewhere", chat(hi, yes, result("?", "x"), `{"role":"critic"}`, `{"role":"user","content":[{"type":"image_url"}]}`), openAILine(hi, yes), true},
		{"results of calls beside the answer", chat(hi, calling("wait", "a"), result("a", "x"), hi), openAILine(hi, calling("wait", "a")), true},
	} {
		got, drop, err := f.Append(nil, chatRow(test.messages))
		if string(got) != test.want || drop != "" || err != nil {
			t.Errorf("%s: %s, dropped as %q, %v", test.name, got, drop, err)
		}
		if warned := len(f.(Warner).Warnings(chatRow(test.messages))) > 0; warned != test.trimmed {
			t.Errorf("%s: warned %v", test.name, warned)
		}
	}
}

func TestACorrectedAnswerReplacesTheAnswer(t *testing.T) {
	t.Parallel()
	checkTuned(t, "openai_chat", nil, []tuned{
		{"a run", corrected(chatRow(chat(hi, yes, hi, said("bad"), hi)), "good"), openAILine(hi, yes, hi, said("good"))},
		{"without messages", corrected(with(emptyRow(), func(r *Row) { r.Question, r.Answer = b("Hi"), b("bad") }), "Yes?"), openAILine(hi, yes)},
		{"of nothing", corrected(chatRow(chat(hi, yes)), " \n"), openAILine(hi, yes)},
		{"calls beside the answer", corrected(chatRow(chat(hi, calling("bad", "a"))), "Yes?"), openAILine(hi, yes)},
		{"no answer", corrected(chatRow(chat(hi)), "good"), "drop no_assistant_message"},
		{"feedback that means nothing", with(chatRow(chat(hi, yes)), func(r *Row) { r.Feedback.CorrectedAnswer = b("stale") }), openAILine(hi, yes)},
	})
}

func TestDocumentsThatAreNotJSONEndTheExport(t *testing.T) {
	t.Parallel()
	for _, target := range Targets(FineTuning) {
		for _, messages := range []string{`[{"role":"user"`, `[{"role":"user","content":"a"}`, `[{"role" "user"}]`, `[{"role":"user"} {}]`, `[tru]`, `[{"role":"assistant","content":"\x"}]`, `[] []`} {
			f, err := New(FineTuning, target.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			row := rated(chatRow(messages), "thumbsUp")
			switch f := f.(type) {
			case RowFormatter:
				_, _, err = f.Append(nil, row)
			case GroupFormatter:
				_, err = f.Add(row)
			}
			if err == nil || !strings.Contains(err.Error(), "run-0") {
				t.Errorf("%s: %s: %v", target.Name, messages, err)
			}
		}
	}
}
