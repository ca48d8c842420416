package tuning_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Each is a conversation of what some target has no place for, with its record for openai_chat and
// what the record warns of.
func TestWhatATargetCannotSayIsSaidOtherwiseOrCounted(t *testing.T) {
	t.Parallel()
	const refusal = `{"role":"assistant","content":null,"refusal":"I can't.","annotations":[],"audio":null}`
	for _, test := range []struct {
		name, target string
		row          *record.Row
		want         string
		warnings     string
	}{
		{"a refusal", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage, refusal)),
			openAILine(formattest.HiMessage, formattest.AssistantSays("I can't.")), "refusal_as_text"},
		{"a refusal in parts", "gemini", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":[{"type":"text","text":"Hm."},{"type":"refusal","refusal":"I can't."}]}`)),
			`{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"Hm.\nI can't."}]}]}`,
			"refusal_as_text"},
		{"a spoken answer", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":null,"audio":{"id":"a","data":"UklG","transcript":"Yes?"}}`)),
			openAILine(formattest.HiMessage, formattest.YesMessage), "transcript_as_text"},
		{"a spoken answer that is written too", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":"Yes?","audio":{"id":"a","transcript":"Yes?"}}`)),
			openAILine(formattest.HiMessage, formattest.YesMessage), "transcript_as_text"},
		{"a sound without a transcript", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","audio":{"id":"a"}}`)), "drop not_text", ""},
		{"a file of the user", "openai_chat", formattest.ChatRow(formattest.Chat(
			`{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}`, formattest.YesMessage)), "drop not_text", ""},
		{"reasoning", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":"Yes?","reasoning_content":"They greet."}`)),
			openAILine(formattest.HiMessage, formattest.YesMessage), "reasoning_left_out"},
		{"reasoning that was cut off", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage, formattest.HiMessage, `{"role":"assistant","content":"","reasoning":"They greet."}`)),
			openAILine(formattest.HiMessage, formattest.YesMessage), "trimmed_tail"},
		{"a name", "openai_chat", formattest.ChatRow(formattest.Chat(`{"role":"user","name":"ann","content":"Hi"}`,
			formattest.YesMessage)), openAILine(`{"role":"user","name":"ann","content":"Hi"}`, formattest.YesMessage), ""},
		{"a name that OpenAI does not take", "openai_chat", formattest.ChatRow(formattest.Chat(
			`{"role":"user","name":"Ann B.","content":"Hi"}`, formattest.YesMessage)),
			openAILine(formattest.HiMessage, formattest.YesMessage), "name_left_out"},
		{"a name elsewhere", "mistral", formattest.ChatRow(formattest.Chat(`{"role":"user","name":"ann","content":"Hi"}`,
			formattest.YesMessage)), openAILine(formattest.HiMessage, formattest.YesMessage), "name_left_out"},
		{"the name of the tool that was called", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			calls("a"), `{"role":"tool","name":"f","tool_call_id":"a","content":"x"}`, formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"), formattest.YesMessage), ""},
		{"the name of another tool", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"),
			`{"role":"tool","name":"g","tool_call_id":"a","content":"x"}`, formattest.YesMessage)),
			openAILine(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"), formattest.YesMessage),
			"name_left_out"},
		{"an empty answer", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.AssistantSays(""), formattest.HiMessage, formattest.YesMessage)),
			openAILine(formattest.HiMessage, formattest.HiMessage, formattest.YesMessage), "empty_message_left_out"},
		{"calls beside the answer", "mistral", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			calling("Yes?", "a"))), openAILine(formattest.HiMessage, formattest.YesMessage), "calls_left_out"},
		{"definitions of tools", "gemini", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage)), "["+formattest.ToolF+"]"),
			`{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"Yes?"}]}]}`,
			"tools_left_out"},
		{"another field of a message", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			`{"role":"assistant","content":"Yes?","annotations":[{"type":"url_citation"}]}`)),
			openAILine(formattest.HiMessage, formattest.YesMessage), "field_left_out"},
		{"another field of a part", "openai_chat", formattest.ChatRow(formattest.Chat(
			`{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}`,
			formattest.YesMessage)), openAILine(formattest.HiMessage, formattest.YesMessage), "field_left_out"},
		{"another field of a call", "openai_chat", formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			strings.Replace(calls("a"), `"id"`, `"index":0,"id"`, 1))), openAILine(formattest.HiMessage, calls("a")),
			"field_left_out"},
		{"another field of a tool", "openai_chat", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage)), "["+strings.Replace(formattest.ToolF, `"name"`, `"returns":{"type":"null"},"name"`, 1)+"]"),
			strings.TrimSuffix(openAILine(formattest.HiMessage, formattest.YesMessage), "}") + `,"tools":[` + formattest.ToolF +
				`]}`, "field_left_out"},
		{"an answer that is not in the messages", "openai_chat", with(formattest.ChatRow(formattest.Chat(
			formattest.HiMessage, formattest.YesMessage)), func(r *record.Row) { r.Answer = []byte("No!") }),
			openAILine(formattest.HiMessage, formattest.YesMessage), "answer_not_in_messages"},
		{"an answer after messages that wait for it", "openai_chat", with(formattest.ChatRow(formattest.Chat(
			formattest.HiMessage, formattest.AssistantSays("earlier"), formattest.HiMessage)),
			func(r *record.Row) { r.Answer = []byte("Yes?") }), openAILine(formattest.HiMessage,
			formattest.AssistantSays("earlier"), formattest.HiMessage, formattest.YesMessage), ""},
		{"a corrected answer", "openai_chat", corrected(formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.AssistantSays("bad"))), "Yes?"), openAILine(formattest.HiMessage, formattest.YesMessage),
			"answer_corrected"},
	} {
		f := formattest.NewRowFormatter(t, format.FineTuning, test.target, nil)
		got, drop, err := f.Append(nil, test.row)
		if drop != "" {
			got = []byte("drop " + drop)
		}
		if string(got) != test.want || err != nil {
			t.Errorf("%s:\n got %s, %v\nwant %s", test.name, got, err, test.want)
		}
		if codes := strings.Join(f.(format.Warner).Warnings(test.row), " "); drop == "" && codes != test.warnings {
			t.Errorf("%s: warned %q, want %q", test.name, codes, test.warnings)
		}
	}
}

func TestAnAnswerOfWeightZeroIsLearntByNobody(t *testing.T) {
	t.Parallel()
	weighed := func(text, weight string) string {
		return strings.TrimSuffix(formattest.AssistantSays(text), "}") + `,"weight":` + weight + `}`
	}
	bad, good, last := weighed("5", "0"), weighed("4", "1"), weighed("4", "0")
	badRow := formattest.ChatRow(formattest.Chat(formattest.HiMessage, bad, formattest.HiMessage, good))
	adjacent := formattest.ChatRow(formattest.Chat(formattest.HiMessage, bad, good))
	lastIs := formattest.Chat(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage, last)
	lastRow := formattest.ChatRow(lastIs)
	line := openAILine(formattest.HiMessage, bad, formattest.HiMessage, good)
	for target, want := range map[string][3]string{
		"openai_chat": {line, openAILine(formattest.HiMessage, bad, good),
			openAILine(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage, last)},
		"together": {line, "drop unwanted_answer",
			openAILine(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage, last)},
		"mistral": {line, openAILine(formattest.HiMessage, bad, good),
			openAILine(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage, last)},
		"bedrock_conversation": {"drop unwanted_answer", "drop unwanted_answer", "drop unwanted_answer"},
		"gemini":               {"drop unwanted_answer", "drop unwanted_answer", "drop unwanted_answer"},
		"sharegpt":             {"drop unwanted_answer", "drop unwanted_answer", "drop unwanted_answer"},
		"trl_prompt_completion": {`{"prompt":[` + formattest.HiMessage + `,` + formattest.AssistantSays("5") + `,` +
			formattest.HiMessage + `],"completion":[` + formattest.AssistantSays("4") + `]}`,
			"drop assistant_before_answer", "drop nothing_to_learn"},
	} {
		checkTuned(t, target, nil, []tuned{{target + ", earlier", badRow, want[0]},
			{target + ", adjacent", adjacent, want[1]},
			{target + ", the last", lastRow, want[2]},
			{target + ", of no weight", formattest.ChatRow(formattest.Chat(formattest.HiMessage, last)), "drop nothing_to_learn"},
			{target + ", of another weight", formattest.ChatRow(formattest.Chat(formattest.HiMessage, weighed("4", "0.5"))),
				"drop invalid_weight"}})
	}
	checkTuned(t, "mistral", nil, []tuned{{"the last, with tools", withTools(formattest.ChatRow(lastIs),
		"["+formattest.ToolF+"]"), "drop nothing_to_learn"}})
	checkTuned(t, "openai_chat", nil, []tuned{{"corrected", corrected(formattest.ChatRow(lastIs),
		"good"), openAILine(formattest.HiMessage,
		formattest.YesMessage, formattest.HiMessage, formattest.AssistantSays("good"))}})
}

func TestACallIsTheLastTurnWhereItsReaderLearnsIt(t *testing.T) {
	t.Parallel()
	only := formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("callid001")))
	later := formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage, formattest.HiMessage,
		calls("callid001"), formattest.ToolResult("callid001", "x")))
	targets := []string{"openai_chat", "together", "mistral", "sharegpt", "bedrock_conversation", "gemini",
		"trl_prompt_completion"}
	for i, target := range targets {
		var options map[string]any
		if target == "together" {
			options = map[string]any{"tools": true}
		}
		f := formattest.NewRowFormatter(t, format.FineTuning, target, options)
		for _, row := range []*record.Row{only, later} {
			got, drop, err := f.Append(nil, row)
			if err != nil {
				t.Fatal(err)
			}
			learns := i < slices.Index(targets, "bedrock_conversation")
			if kept := strings.Contains(string(got), `arguments`); kept != learns || (drop != "") != (!learns && row == only) {
				t.Errorf("%s: %s, dropped as %q", target, got, drop)
			}
		}
	}
	checkTuned(t, "openai_chat", nil, []tuned{{"a call that cannot be written", formattest.ChatRow(formattest.Chat(
		formattest.HiMessage, formattest.YesMessage, formattest.HiMessage,
		`{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]}`)),
		"drop invalid_tool_call"}, {"a correction of a call", corrected(only, "good"), "drop no_assistant_message"}})
}
