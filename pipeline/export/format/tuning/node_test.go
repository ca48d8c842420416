package tuning_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestANodeRunIsItsMessagesOrItsPromptAndOutput(t *testing.T) {
	t.Parallel()
	node := func(messages, template, variables, outputs string) *record.Row {
		return llmNode(func(_ *record.Row, n *record.Node) {
			n.Messages, n.PromptTemplate, n.PromptVariables, n.Outputs = []byte(messages), []byte(template), []byte(variables),
				[]byte(outputs)
		})
	}
	const ok = `{"answer":"Yes?"}`
	checkTuned(t, "openai_chat", nil, []tuned{
		{"messages", node(formattest.Chat(formattest.HiMessage, formattest.YesMessage), "", "", `{"answer":"other"}`),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"a prompt", node("", "Say {{greeting}} to {{ name }}", `{"greeting":"\u0048i","name":"\"A\"\n"}`, ok),
			openAILine(formattest.UserSays("Say Hi to \"A\"\n"), formattest.YesMessage)},
		{"variables that are no text", node("", "{{n}} {{list}} {{o}} {{none}}",
			`{"n":1E400,"list":[1, "a"],"o":{"k":"v"},"none":null}`, ok),
			openAILine(`{"role":"user","content":"1E400 [1, \"a\"] {\"k\":\"v\"} {{none}}"}`, formattest.YesMessage)},
		{"a variable without a value", node("", "{{a}} {{b}}{{", `{"a":"{{b}}"}`, ok),
			openAILine(formattest.UserSays("{{b}} {{b}}{{"), formattest.YesMessage)},
		{"no variables", node("", "Hi", "", ok), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"variables that are an array", node("", "Hi {{a}}", "[]", ok), openAILine(formattest.UserSays("Hi {{a}}"),
			formattest.YesMessage)},
		{"no prompt", node("", "", "", ok), "drop no_user_message"},
		{"no output", node("", "Hi", "", ""), "drop no_assistant_message"},
		{"an output of the likelier name", node("", "Hi", "", `{"solution":"x","note":"z","output":"Yes?","text":"y"}`),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"the likelier name is empty", node("", "Hi", "", `{"answer":" ","output":null,"text":"Yes?"}`),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"the only text", node("", "Hi", "", `{"score":1E400,"label":"Yes?","list":[]}`), openAILine(formattest.HiMessage,
			formattest.YesMessage)},
		{"two texts of other names", node("", "Hi", "", `{"a":"x","b":"y"}`), "drop no_assistant_message"},
		{"outputs that are nothing", node("", "Hi", "", `{}`), "drop no_assistant_message"},
		{"messages of the prompt only", node(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage), "", "", ok),
			openAILine(formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)},
		{"messages with an earlier answer", node(formattest.Chat(formattest.HiMessage, formattest.AssistantSays("earlier"),
			formattest.HiMessage), "", "", ok), openAILine(formattest.HiMessage, formattest.AssistantSays("earlier"),
			formattest.HiMessage, formattest.YesMessage)},
		{"messages that go on after the answer", node(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.HiMessage), "", "", ok), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"a text and calls", node(formattest.Chat(formattest.HiMessage), "", "",
			`{"message":"wait","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`),
			openAILine(formattest.HiMessage, calling("wait", "a"))},
		{"calls only", node(formattest.Chat(formattest.HiMessage), "", "",
			`{"message":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`),
			openAILine(formattest.HiMessage, calls("a"))},
		{"calls of another shape", node(formattest.Chat(formattest.HiMessage), "", "",
			`{"message":"x","tool_calls":[{"tool":"f"}]}`), "drop invalid_tool_call"},
		{"no calls", node(formattest.Chat(formattest.HiMessage), "", "", `{"message":"Yes?","tool_calls":[]}`),
			openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"a template that was the system message", node(formattest.Chat(formattest.HiMessage, formattest.YesMessage), "x",
			`{}`, ""), openAILine(formattest.SystemSays("x"), formattest.HiMessage, formattest.YesMessage)},
		{"a template with variables", node(formattest.Chat(formattest.HiMessage, formattest.YesMessage), "{{x}}",
			`{"x":"Hi"}`, ""), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"a template beside a system message", node(formattest.Chat(formattest.SystemSays("y"), formattest.HiMessage,
			formattest.YesMessage), "x", `{}`, ""), openAILine(formattest.SystemSays("y"), formattest.HiMessage,
			formattest.YesMessage)},
		{"a template that is a message", node(formattest.Chat(`{"role":"user","content":"\u0048i"}`, formattest.YesMessage),
			"Hi", `{}`, ""), openAILine(`{"role":"user","content":"\u0048i"}`, formattest.YesMessage)},
		{"a template within a message", node(formattest.Chat(formattest.UserSays("Answer.\n\nHi"), formattest.YesMessage),
			"Answer.", `{}`, ""), openAILine(formattest.UserSays("Answer.\n\nHi"), formattest.YesMessage)},
		{"a result whose call is not told", node(formattest.Chat(formattest.ToolResult("a", "x"), formattest.YesMessage),
			"policy", `{}`, ""), "drop orphan_tool_message"},
		{"a node of another type", with(node(formattest.Chat(formattest.HiMessage, formattest.YesMessage), "", "", ""),
			func(r *record.Row) { r.Node.NodeType = []byte("tool") }), "drop not_an_llm_node"},
		{"the run's messages do not matter", with(node(formattest.Chat(formattest.HiMessage, formattest.YesMessage), "", "",
			""), func(r *record.Row) { r.Messages = []byte("[1") }), openAILine(formattest.HiMessage, formattest.YesMessage)},
		{"tools of the node", with(node(formattest.Chat(formattest.HiMessage, formattest.YesMessage), "", "", ""),
			func(r *record.Row) { r.Node.Tools = []byte("[" + formattest.ToolF + "]") }),
			strings.TrimSuffix(openAILine(formattest.HiMessage, formattest.YesMessage), "}") + `,"tools":[` + formattest.ToolF +
				`]}`},
	})
}

func TestARunsCorrectionIsNotThatOfItsNodes(t *testing.T) {
	t.Parallel()
	node := func(answer string, onNode bool) *record.Row {
		return corrected(llmNode(func(row *record.Row, n *record.Node) {
			n.Messages, row.Answer, row.Feedback.CorrectionOnNode = []byte(formattest.Chat(formattest.HiMessage,
				`{"role":"assistant","content":"b\u0061d"}`)), []byte(answer), onNode
		}), "good")
	}
	as := openAILine(formattest.HiMessage, `{"role":"assistant","content":"b\u0061d"}`)
	checkTuned(t, "openai_chat", nil, []tuned{
		{"of another node", node("The run's answer", false), as},
		{"of the node that answered", node(" bad\n", false), openAILine(formattest.HiMessage,
			formattest.AssistantSays("good"))},
		{"on the node", node("The run's answer", true), openAILine(formattest.HiMessage, formattest.AssistantSays("good"))},
	})
}
