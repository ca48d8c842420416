package record_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestInputIsTheQuestionOrTheTextOfWhatWentIn(t *testing.T) {
	t.Parallel()
	messages := []byte(
		`[{"role":"user","content":"first"},{"role":"assistant","content":"x"},{"role":"user","content":[{"type":"text","text":"la"},{"type":"image_url"},{"type":"text","text":"st"}]},{"role":"user","content":" "}]`)
	for _, test := range []struct {
		name, question, inputs, variables, messages, run, node string
	}{
		{"the question of a run; a node run has its own", "Q", `{"query":"N"}`, "", "", "Q", "N"},
		{"no question", "", `{"query":"N"}`, "", "", "N", "N"},
		{"the first name", "", `{"text":"6","message":"5","prompt":"4","query":"3","input":"2","question":"1"}`, "", "", "1",
			"1"},
		{"the second name", "", `{"text":"6","message":"5","prompt":"4","query":"3","input":"2"}`, "", "", "2", "2"},
		{"the third name", "", `{"text":"6","message":"5","prompt":"4","query":"3"}`, "", "", "3", "3"},
		{"the fourth name", "", `{"text":"6","message":"5","prompt":"4"}`, "", "", "4", "4"},
		{"the fifth name", "", `{"text":"6","message":"5","x":"7"}`, "", "", "5", "5"},
		{"the sixth name", "", `{"x":"7","text":"6"}`, "", "", "6", "6"},
		{"names whose value is no text", "",
			`{"question":null,"input":{"question":"deep"},"query":["a"],"prompt":"","message":" \n","text":7,"other":"x"}`, "",
			"", "x", "x"},
		{"the only string", "", `{"n":1,"title":"T\u0041\n"}`, "", "", "TA\n", "TA\n"},
		{"two strings: the document", "", `{"a":"1","b":"2"}`, "", "", `{"a":"1","b":"2"}`, `{"a":"1","b":"2"}`},
		{"no string: the document", "", `{"a":[1E400]}`, "", "", `{"a":[1E400]}`, `{"a":[1E400]}`},
		{"a name with escapes", "", `{"\u0071uery":"N","b":"2"}`, "", "", "N", "N"},
		{"variables of a prompt", "", `{}`, `{"question":"V"}`, "", "", "V"},
		{"inputs before variables", "", `{"x":1}`, `{"question":"V"}`, "", `{"x":1}`, `{"x":1}`},
		{"the last message of the user", "", "", "", string(messages), "la\nst", "la\nst"},
		{"messages after variables", "", "", `{"question":"V"}`, string(messages), "la\nst", "V"},
		{"a question of white space", " \n", "", "", `[{"role":"user","content":"M"}]`, "M", "M"},
		{"only messages of others", "", "", "", `[{"role":"system","content":"S"},{"role":"assistant","content":"A"}]`, "",
			""},
		{"no text with something to read: the document", "", `{"question":"\u0020","text":"\n "}`, "", "",
			`{"question":"\u0020","text":"\n "}`, `{"question":"\u0020","text":"\n "}`},
		{"nothing", "", "", "", "", "", ""},
	} {
		row := formattest.EvaluationRun(func(r *record.Row) {
			r.Question, r.Inputs, r.Messages = []byte(test.question), []byte(test.inputs), []byte(test.messages)
		})
		node := formattest.EvaluationNode(func(r *record.Row) {
			r.Question, r.Node.Inputs, r.Node.PromptVariables, r.Node.Messages = []byte(test.question), []byte(test.inputs),
				[]byte(test.variables), []byte(test.messages)
		})
		var found record.Texts
		if got := found.Input(row); found.Err != nil || string(got) != test.run {
			t.Errorf("%s: a run has %q, %v", test.name, got, found.Err)
		}
		if got := found.Input(node); found.Err != nil || string(got) != test.node {
			t.Errorf("%s: a node run has %q, %v", test.name, got, found.Err)
		}
	}
}

func TestOutputIsTheAnswerOrTheTextOfWhatCameOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer, outputs, messages, run, node string
	}{
		{"the answer of a run; a node run has its own", "A", `{"text":"N"}`, "", "A", "N"},
		{"no answer", "", `{"text":"N"}`, "", "N", "N"},
		{"the first name", "", `{"output":"2","answer":"1"}`, "", "1", "1"},
		{"the second name", "", `{"text":"3","output":"2"}`, "", "2", "2"},
		{"the third name", "", `{"content":"4","text":"3"}`, "", "3", "3"},
		{"the fourth name", "", `{"message":"5","content":"4"}`, "", "4", "4"},
		{"the fifth name", "", `{"response":"6","message":"5"}`, "", "5", "5"},
		{"the sixth name", "", `{"result":"7","response":"6"}`, "", "6", "6"},
		{"the seventh name", "", `{"completion":"8","result":"7"}`, "", "7", "7"},
		{"the eighth name", "", `{"solution":"9","completion":"8"}`, "", "8", "8"},
		{"the ninth name", "", `{"x":"10","solution":"9"}`, "", "9", "9"},
		{"the only string", "", `{"n":1,"x":"only"}`, "", "only", "only"},
		{"the document", "", `{"intent":"a","language":"en"}`, "", `{"intent":"a","language":"en"}`,
			`{"intent":"a","language":"en"}`},
		{"the last message of the assistant with a text", "", `{}`,
			`[{"role":"assistant","content":"1"},{"role":"assistant","content":"2"},{"role":"assistant","content":null,"tool_calls":[{}]},{"role":"user","content":"3"}]`, "2", "2"},
		{"an answer of white space", "\n", `{"answer":"N"}`, "", "N", "N"},
		{"nothing", "", "", `[]`, "", ""},
	} {
		var found record.Texts
		row := formattest.EvaluationRun(func(r *record.Row) {
			r.Answer, r.Outputs, r.Messages = []byte(test.answer), []byte(test.outputs), []byte(test.messages)
		})
		if got := found.Output(row); found.Err != nil || string(got) != test.run {
			t.Errorf("%s: a run has %q, %v", test.name, got, found.Err)
		}
		node := formattest.EvaluationNode(func(r *record.Row) {
			r.Answer, r.Node.Outputs, r.Node.Messages = []byte(test.answer), []byte(test.outputs), []byte(test.messages)
		})
		if got := found.Output(node); found.Err != nil || string(got) != test.node {
			t.Errorf("%s: a node run has %q, %v", test.name, got, found.Err)
		}
	}
}

func TestContextsAreThePassagesThatWereSent(t *testing.T) {
	t.Parallel()
	// which is not valid
	yes, no, silent := record.Null[bool]{Value: true, Valid: true}, record.Null[bool]{Value: false, Valid: true},
		record.Null[bool]{Value: true, Valid: false}
	chunk := func(text string, sent record.Null[bool]) record.Chunk {
		return record.Chunk{Text: []byte(text), SentToLLM: sent}
	}
	for _, test := range []struct {
		name  string
		nodes [][]record.Chunk
		want  []string
	}{
		{"none says so: all", [][]record.Chunk{{chunk("1", silent)}, {chunk("2", silent), chunk("3", silent)}},
			[]string{"1", "2", "3"}},
		{"some say so: those", [][]record.Chunk{{chunk("1", silent)}, {chunk("2", yes), chunk("3", no)}}, []string{"2"}},
		{"all were left out", [][]record.Chunk{{chunk("1", no)}, {chunk("2", no)}}, nil},
		{"some were left out", [][]record.Chunk{{chunk("1", no), chunk("2", silent)}}, []string{"2"}},
		{"passages without a text", [][]record.Chunk{{chunk("", yes), chunk(" ", yes), chunk("3", yes)}}, []string{"3"}},
		{"no passages", [][]record.Chunk{nil, {}}, nil},
		{"no nodes", nil, nil},
	} {
		var found record.Texts
		row := formattest.EvaluationRun()
		var all []record.Chunk
		for _, chunks := range test.nodes {
			row.Nodes = append(row.Nodes, record.Node{Chunks: chunks})
			all = append(all, chunks...)
		}
		check := func(row *record.Row) {
			var got []string
			for _, text := range found.Contexts(row) {
				got = append(got, string(text))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: %q", test.name, got)
			}
		}
		check(row)
		check(formattest.EvaluationNode(func(r *record.Row) {
			r.Node.Chunks = all
			r.Nodes = []record.Node{{Chunks: []record.Chunk{chunk("of the run", yes)}}}
		}))
	}
}

func TestTheOutputOfANodeIsItsMostTellingText(t *testing.T) {
	t.Parallel()
	const chat = `[{"role":"user","content":"q"},{"role":"assistant","content":"first"},{"role":"assistant","content":"last"},{"role":"user","content":"more"}]`
	var found record.Texts // reused, as a formatter does
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
		{"the assistant only called tools at last", ``,
			`[{"role":"assistant","content":"a"},{"role":"assistant","content":null,"tool_calls":[]}]`, "a"},
		{"content of parts", ``,
			`[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}},{"text":"\"b\u0063","type":"text"},3],"role":"assistant"}]`, "a\n\"bc"},
		{"content without a text part", ``, `[{"role":"assistant","content":[{"type":"refusal"}]}]`, ""},
		{"content that is a number", ``, `[{"role":"assistant","content":123}]`, ""},
		{"messages that are none", ``, `["a",null,{},{"role":null,"content":"a"},{"role":7}]`, ""},
		{"messages null", ``, `null`, ""},
		{"no messages", ``, `[]`, ""},
		{"huge", `{"answer":"` + strings.Repeat("é\\n", 1<<18) + `"}`, "", strings.Repeat("é\n", 1<<18)},
	} {
		found.Reset()
		got := found.Output(&record.Row{Node: &record.Node{Execution: record.Execution{Outputs: []byte(test.outputs),
			Messages: []byte(test.messages)}}})
		if found.Err != nil || string(got) != test.want {
			t.Errorf("%s: %.200q, want %.200q; %v", test.name, got, test.want, found.Err)
		}
	}
}

func TestADocumentThatIsNoJSONIsAFaultOfTheStore(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{`{"answer"`, `{"a":"b",}`, `{answer:1}`, `{"a":[}`, `[`, `tru`, `{} x`, `[1,]`,
		`{"\ud800":1}`, `nope`, `"a`} {
		var r record.Reader
		for range r.Members([]byte(broken)) {
			continue
		}
		if r.Err == nil {
			t.Errorf("%s: no error", broken)
		}
	}
	for purpose, target := range formattest.EveryTarget() {
		if purpose != format.NodeOptimization || target.Name == "bedrock_apo" {
			continue
		}
		row := formattest.NodeRow(func(r *record.Row) { r.Node.Outputs = []byte(`{"answer"`) })
		out, drop, err := formattest.NewRowFormatter(t, purpose, target.Name, nil).Append([]byte("before"), row)
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
		var r record.Reader
		got := string(r.AppendPrompt([]byte("x"), []byte(test.template), r.AppendVariables(nil, []byte(values))))
		if r.Err != nil || got != "x"+test.want {
			t.Errorf("%s: %.200q, want %.200q; %v", test.name, got, test.want, r.Err)
		}
	}
}
