package format

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTheOutputOfANodeIsItsMostTellingText(t *testing.T) {
	t.Parallel()
	const chat = `[{"role":"user","content":"q"},{"role":"assistant","content":"first"},{"role":"assistant","content":"last"},{"role":"user","content":"more"}]`
	var texts nodeTexts // reused, as a formatter does
	for _, test := range []struct {
		name, outputs, messages string
		want                    string // "" is none
	}{
		{"answer is before output", `{"output":"b","answer":"a"}`, chat, "a"},
		{"output is before text", `{"text":"b","output":"a"}`, "", "a"},
		{"text is before content", `{"content":"b","text":"a"}`, "", "a"},
		{"content is before message", `{"message":"b","content":"a"}`, "", "a"},
		{"message is before response", `{"response":"b","message":"a"}`, "", "a"},
		{"response is before result", `{"result":"b","response":"a"}`, "", "a"},
		{"result is before completion", `{"completion":"b","result":"a"}`, "", "a"},
		{"completion is before solution", `{"solution":"b","completion":"a"}`, "", "a"},
		{"solution is before another text", `{"other":"b","solution":"a"}`, "", "a"},
		{"the only text", `{"n":1,"other":"a","list":["b"]}`, chat, "a"},
		{"two other texts", `{"x":"a","y":"b"}`, chat, `{"x":"a","y":"b"}`},
		{"no text", `{"n":1E400,"deep":{"answer":"a"}}`, chat, `{"n":1E400,"deep":{"answer":"a"}}`},
		{"an answer that is no text", `{"answer":{"text":"a"},"output":null}`, chat, `{"answer":{"text":"a"},"output":null}`},
		{"an empty answer is none", `{"answer":"","output":"a"}`, "", "a"},
		{"only empty texts", `{"answer":""}`, chat, `{"answer":""}`},
		{"escapes in the key", `{"\u0061nswer":"a","output":"b"}`, "", "a"},
		{"a key that only looks long enough", `{"a\"":"b","answer":"a"}`, "", "a"},
		{"escapes in the text", `{"answer":"\u0041\ud83d\ude00\"\\\n\u2028"}`, "", "A😀\"\\\n\u2028"},
		{"white space", "{ \"answer\" :\n\t\"a\" }", "", "a"},
		{"nothing in it", `{}`, chat, "last"},
		{"null", `null`, chat, "last"},
		{"absent", ``, chat, "last"},
		{"a text instead of an object", `"a"`, chat, "a"},
		{"an array instead of an object", `[1]`, chat, "[1]"},
		{"no message of the assistant", ``, `[{"role":"user","content":"q"}]`, ""},
		{"the assistant only called tools at last", ``, `[{"role":"assistant","content":"a"},{"role":"assistant","content":null,"tool_calls":[]}]`, "a"},
		{"content of parts", ``, `[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}},{"text":"\"b\u0063","type":"text"},3],"role":"assistant"}]`, "a\n\"bc"},
		{"content without a text part", ``, `[{"role":"assistant","content":[{"type":"refusal"}]}]`, ""},
		{"content that is a number", ``, `[{"role":"assistant","content":123}]`, ""},
		{"messages that are none", ``, `["a",null,{},{"role":null,"content":"a"},{"role":7}]`, ""},
		{"messages null", ``, `null`, ""},
		{"no messages", ``, `[]`, ""},
		{"huge", `{"answer":"` + strings.Repeat("é\\n", 1<<18) + `"}`, "", strings.Repeat("é\n", 1<<18)},
	} {
		out, there, err := texts.appendOutput([]byte("x"), &Node{Execution: Execution{Outputs: b(test.outputs), Messages: b(test.messages)}})
		if err != nil || out[0] != 'x' {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got string
		if err := json.Unmarshal(out[1:], &got); err != nil || got != test.want || there != (test.want != "") {
			t.Errorf("%s: %.200s (%v), want %.200q; %v", test.name, out, there, test.want, err)
		}
	}
}

func TestADocumentThatIsNoJSONIsAFaultOfTheStore(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{`{"answer"`, `{"a":"b",}`, `{answer:1}`, `{"a":[}`, `[`} {
		var texts nodeTexts
		if _, _, err := texts.appendOutput(nil, &Node{Execution: Execution{Outputs: b(broken)}}); err == nil {
			t.Errorf("outputs %s: no error", broken)
		}
		var v variables
		if err := v.read(b(broken)); err == nil && broken[0] == '{' {
			t.Errorf("variables %s: no error", broken)
		}
	}
	for purpose, target := range everyTarget() {
		if purpose != NodeOptimization || target.Name == "bedrock_apo" {
			continue
		}
		row := nodeRow(func(r *Row) { r.Node.Outputs = b(`{"answer"`) })
		out, drop, err := newRowFormatter(t, purpose, target.Name, nil).Append(b("before"), row)
		if err == nil || drop != "" || string(out) != "before" || !strings.Contains(err.Error(), "run run-1, node run n-1") {
			t.Errorf("%s: %s, %q, %v", target.Name, out, drop, err)
		}
	}
}

func TestPromptsAreFilledIn(t *testing.T) {
	t.Parallel()
	const values = `{"a":"A","b":[1, {"x":"y"}],"none":null,"q":"\"\u00e9\\\n","{{a}}":"no","\u0063":true}`
	for _, test := range []struct{ name, template, want string }{
		{"a text", "<{{a}}>", "<A>"},
		{"white space in the braces", "{{ a }}{{\ta\n}}", "AA"},
		{"JSON", "{{b}}", `[1, {"x":"y"}]`},
		{"text with escapes", "{{q}}", "\"é\\\n"},
		{"a name with escapes", "{{c}}", "true"},
		{"null stays", "{{none}}", "{{none}}"},
		{"no such variable", "{{z}} {{a}}", "{{z}} A"},
		{"three braces", "{{{a}}}", "{A}"},
		{"many braces", "{{{{a}}}}", "{{A}}"},
		{"one brace", "{a} }} {", "{a} }} {"},
		{"open", "{{a", "{{a"},
		{"empty braces", "{{}}{{a}}", "{{}}A"},
		{"what is filled in is not looked at", "{{q}}{{a}}{{q}}", "\"é\\\nA\"é\\\n"},
		{"quotes and line breaks of the template", "\"\n\u2028{{a}}\\", "\"\n\u2028A\\"},
		{"nothing", "", ""},
		{"only braces", strings.Repeat("{", 1<<20) + "}}", strings.Repeat("{", 1<<20) + "}}"},
		{"many places", strings.Repeat("{{a}}{{z}}", 1<<16), strings.Repeat("A{{z}}", 1<<16)},
	} {
		var v variables
		if err := v.read(b(values)); err != nil {
			t.Fatal(err)
		}
		out := appendPrompt(b("x"), b(test.template), &v)
		var got string
		if err := json.Unmarshal(out[1:], &got); err != nil || got != test.want || out[0] != 'x' {
			t.Errorf("%s: %.200s, want %.200q; %v", test.name, out, test.want, err)
		}
	}
}
