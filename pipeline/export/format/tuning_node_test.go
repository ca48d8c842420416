package format

import (
	"strings"
	"testing"
)

func TestANodeRunIsItsMessagesOrItsPromptAndOutput(t *testing.T) {
	t.Parallel()
	node := func(messages, template, variables, outputs string) *Row {
		return llmNode(func(_ *Row, n *Node) {
			n.Messages, n.PromptTemplate, n.PromptVariables, n.Outputs = b(messages), b(template), b(variables), b(outputs)
		})
	}
	const ok = `{"answer":"Yes?"}`
	checkTuned(t, "openai_chat", nil, []tuned{
		{"messages", node(chat(hi, yes), "", "", `{"answer":"other"}`), openAILine(hi, yes)},
		{"a prompt", node("", "Say {{greeting}} to {{ name }}", `{"greeting":"\u0048i","name":"\"A\"\n"}`, ok), openAILine(user("Say Hi to \"A\"\n"), yes)},
		{"variables that are no text", node("", "{{n}} {{list}} {{o}} {{none}}", `{"n":1E400,"list":[1, "a"],"o":{"k":"v"},"none":null}`, ok),
			openAILine(`{"role":"user","content":"1E400 [1, \"a\"] {\"k\":\"v\"} {{none}}"}`, yes)},
		{"a variable without a value", node("", "{{a}} {{b}}{{", `{"a":"{{b}}"}`, ok), openAILine(user("{{b}} {{b}}{{"), yes)},
		{"no variables", node("", "Hi", "", ok), openAILine(hi, yes)},
		{"variables that are an array", node("", "Hi {{a}}", "[]", ok), openAILine(user("Hi {{a}}"), yes)},
		{"no prompt", node("", "", "", ok), "drop no_user_message"},
		{"no output", node("", "Hi", "", ""), "drop no_assistant_message"},
		{"an output of the likelier name", node("", "Hi", "", `{"solution":"x","note":"z","output":"Yes?","text":"y"}`), openAILine(hi, yes)},
		{"the likelier name is empty", node("", "Hi", "", `{"answer":" ","output":null,"text":"Yes?"}`), openAILine(hi, yes)},
		{"the only text", node("", "Hi", "", `{"score":1E400,"label":"Yes?","list":[]}`), openAILine(hi, yes)},
		{"two texts of other names", node("", "Hi", "", `{"a":"x","b":"y"}`), "drop no_assistant_message"},
		{"outputs that are nothing", node("", "Hi", "", `{}`), "drop no_assistant_message"},
		{"messages of the prompt only", node(chat(told("x"), hi), "", "", ok), openAILine(told("x"), hi, yes)},
		{"messages with an earlier answer", node(chat(hi, said("earlier"), hi), "", "", ok), openAILine(hi, said("earlier"), hi, yes)},
		{"messages that go on after the answer", node(chat(hi, yes, hi), "", "", ok), openAILine(hi, yes)},
		{"a text and calls", node(chat(hi), "", "", `{"message":"wait","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`),
			openAILine(hi, calling("wait", "a"))},
		{"calls only", node(chat(hi), "", "", `{"message":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`), "drop no_assistant_message"},
		{"calls of another shape", node(chat(hi), "", "", `{"message":"x","tool_calls":[{"tool":"f"}]}`), "drop invalid_tool_call"},
		{"no calls", node(chat(hi), "", "", `{"message":"Yes?","tool_calls":[]}`), openAILine(hi, yes)},
		{"a template that was the system message", node(chat(hi, yes), "x", `{}`, ""), openAILine(told("x"), hi, yes)},
		{"a template with variables", node(chat(hi, yes), "{{x}}", `{"x":"Hi"}`, ""), openAILine(hi, yes)},
		{"a template beside a system message", node(chat(told("y"), hi, yes), "x", `{}`, ""), openAILine(told("y"), hi, yes)},
		{"a template that is a message", node(chat(`{"role":"user","content":"\u0048i"}`, yes), "Hi", `{}`, ""), openAILine(`{"role":"user","content":"\u0048i"}`, yes)},
		{"a template within a message", node(chat(user("Answer.\n\nHi"), yes), "Answer.", `{}`, ""), openAILine(user("Answer.\n\nHi"), yes)},
		{"a result whose call is not told", node(chat(result("a", "x"), yes), "policy", `{}`, ""), "drop orphan_tool_message"},
		{"a node of another type", with(node(chat(hi, yes), "", "", ""), func(r *Row) { r.Node.NodeType = b("tool") }), "drop not_an_llm_node"},
		{"the run's messages do not matter", with(node(chat(hi, yes), "", "", ""), func(r *Row) { r.Messages = b("[1") }), openAILine(hi, yes)},
		{"tools of the node", with(node(chat(hi, yes), "", "", ""), func(r *Row) { r.Node.Tools = b("[" + toolF + "]") }), strings.TrimSuffix(openAILine(hi, yes), "}") + `,"tools":[` + toolF + `]}`},
	})
}

func TestARunsCorrectionIsNotThatOfItsNodes(t *testing.T) {
	t.Parallel()
	node := func(answer string, onNode bool) *Row {
		return corrected(llmNode(func(row *Row, n *Node) {
			n.Messages, row.Answer, row.Feedback.OnNode = b(chat(hi, `{"role":"assistant","content":"b\u0061d"}`)), b(answer), onNode
		}), "good")
	}
	as := openAILine(hi, `{"role":"assistant","content":"b\u0061d"}`)
	checkTuned(t, "openai_chat", nil, []tuned{
		{"of another node", node("The run's answer", false), as},
		{"of the node that answered", node(" bad\n", false), openAILine(hi, said("good"))},
		{"on the node", node("The run's answer", true), openAILine(hi, said("good"))},
	})
}
