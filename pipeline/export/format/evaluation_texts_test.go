package format

import (
	"slices"
	"testing"
)

func TestInputIsTheQuestionOrTheTextOfWhatWentIn(t *testing.T) {
	t.Parallel()
	messages := b(`[{"role":"user","content":"first"},{"role":"assistant","content":"x"},{"role":"user","content":[{"type":"text","text":"la"},{"type":"image_url"},{"type":"text","text":"st"}]},{"role":"user","content":" "}]`)
	for _, test := range []struct {
		name, question, inputs, variables, messages, run, node string
	}{
		{"the question of a run; a node run has its own", "Q", `{"query":"N"}`, "", "", "Q", "N"},
		{"no question", "", `{"query":"N"}`, "", "", "N", "N"},
		{"the first name", "", `{"text":"6","message":"5","prompt":"4","query":"3","input":"2","question":"1"}`, "", "", "1", "1"},
		{"the second name", "", `{"text":"6","message":"5","prompt":"4","query":"3","input":"2"}`, "", "", "2", "2"},
		{"the third name", "", `{"text":"6","message":"5","prompt":"4","query":"3"}`, "", "", "3", "3"},
		{"the fourth name", "", `{"text":"6","message":"5","prompt":"4"}`, "", "", "4", "4"},
		{"the fifth name", "", `{"text":"6","message":"5","x":"7"}`, "", "", "5", "5"},
		{"the sixth name", "", `{"x":"7","text":"6"}`, "", "", "6", "6"},
		{"names whose value is no text", "", `{"question":null,"input":{"question":"deep"},"query":["a"],"prompt":"","message":" \n","text":7,"other":"x"}`, "", "", "x", "x"},
		{"the only string", "", `{"n":1,"title":"T\u0041\n"}`, "", "", "TA\n", "TA\n"},
		{"two strings: the document", "", `{"a":"1","b":"2"}`, "", "", `{"a":"1","b":"2"}`, `{"a":"1","b":"2"}`},
		{"no string: the document", "", `{"a":[1E400]}`, "", "", `{"a":[1E400]}`, `{"a":[1E400]}`},
		{"a name with escapes", "", `{"\u0071uery":"N","b":"2"}`, "", "", "N", "N"},
		{"variables of a prompt", "", `{}`, `{"question":"V"}`, "", "", "V"},
		{"inputs before variables", "", `{"x":1}`, `{"question":"V"}`, "", `{"x":1}`, `{"x":1}`},
		{"the last message of the user", "", "", "", string(messages), "la\nst", "la\nst"},
		{"messages after variables", "", "", `{"question":"V"}`, string(messages), "la\nst", "V"},
		{"a question of white space", " \n", "", "", `[{"role":"user","content":"M"}]`, "M", "M"},
		{"only messages of others", "", "", "", `[{"role":"system","content":"S"},{"role":"assistant","content":"A"}]`, "", ""},
		{"an escaped space", "", `{"question":"\u0020"}`, "", "", "", ""},
		{"nothing", "", "", "", "", "", ""},
	} {
		row := evaluationRun(func(r *Row) {
			r.Question, r.Inputs, r.Messages = b(test.question), b(test.inputs), b(test.messages)
		})
		node := evaluationNode(func(r *Row) {
			r.Question, r.Node.Inputs, r.Node.PromptVariables, r.Node.Messages = b(test.question), b(test.inputs), b(test.variables), b(test.messages)
		})
		var texts evaluationTexts
		if got, err := texts.input(row); err != nil || string(got) != test.run {
			t.Errorf("%s: a run has %q, %v", test.name, got, err)
		}
		if got, err := texts.input(node); err != nil || string(got) != test.node {
			t.Errorf("%s: a node run has %q, %v", test.name, got, err)
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
		{"the document", "", `{"intent":"a","language":"en"}`, "", `{"intent":"a","language":"en"}`, `{"intent":"a","language":"en"}`},
		{"the last message of the assistant with a text", "", `{}`, `[{"role":"assistant","content":"1"},{"role":"assistant","content":"2"},{"role":"assistant","content":null,"tool_calls":[{}]},{"role":"user","content":"3"}]`, "2", "2"},
		{"an answer of white space", "\n", `{"answer":"N"}`, "", "N", "N"},
		{"nothing", "", "", `[]`, "", ""},
	} {
		var texts evaluationTexts
		row := evaluationRun(func(r *Row) { r.Answer, r.Outputs, r.Messages = b(test.answer), b(test.outputs), b(test.messages) })
		if got, err := texts.output(row); err != nil || string(got) != test.run {
			t.Errorf("%s: a run has %q, %v", test.name, got, err)
		}
		node := evaluationNode(func(r *Row) {
			r.Answer, r.Node.Outputs, r.Node.Messages = b(test.answer), b(test.outputs), b(test.messages)
		})
		if got, err := texts.output(node); err != nil || string(got) != test.node {
			t.Errorf("%s: a node run has %q, %v", test.name, got, err)
		}
	}
}

func TestContextsAreThePassagesThatWereSent(t *testing.T) {
	t.Parallel()
	yes, no, silent := Null[bool]{true, true}, Null[bool]{false, true}, Null[bool]{true, false} // which is not valid
	chunk := func(text string, sent Null[bool]) Chunk { return Chunk{Text: b(text), SentToLLM: sent} }
	for _, test := range []struct {
		name  string
		nodes [][]Chunk
		want  []string
	}{
		{"none says so: all", [][]Chunk{{chunk("1", silent)}, {chunk("2", silent), chunk("3", silent)}}, []string{"1", "2", "3"}},
		{"some say so: those", [][]Chunk{{chunk("1", silent)}, {chunk("2", yes), chunk("3", no)}}, []string{"2"}},
		{"all were left out", [][]Chunk{{chunk("1", no)}, {chunk("2", no)}}, nil},
		{"some were left out", [][]Chunk{{chunk("1", no), chunk("2", silent)}}, []string{"2"}},
		{"passages without a text", [][]Chunk{{chunk("", yes), chunk(" ", yes), chunk("3", yes)}}, []string{"3"}},
		{"no passages", [][]Chunk{nil, {}}, nil},
		{"no nodes", nil, nil},
	} {
		var texts evaluationTexts
		row := evaluationRun()
		var all []Chunk
		for _, chunks := range test.nodes {
			row.Nodes = append(row.Nodes, Node{Chunks: chunks})
			all = append(all, chunks...)
		}
		check := func(row *Row) {
			var got []string
			for _, text := range texts.contexts(row) {
				got = append(got, string(text))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: %q", test.name, got)
			}
		}
		check(row)
		check(evaluationNode(func(r *Row) {
			r.Node.Chunks = all
			r.Nodes = []Node{{Chunks: []Chunk{chunk("of the run", yes)}}}
		}))
	}
}
