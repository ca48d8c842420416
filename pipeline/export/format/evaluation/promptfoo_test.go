package evaluation_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/evaluation"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestPromptfooRecords(t *testing.T) {
	t.Parallel()
	run := func(vars string) string {
		return `{"description":"run r1","vars":` + vars + `,"metadata":` + runOrigin + `}`
	}
	set := func(question, inputs string) *record.Row {
		return formattest.EvaluationRun(func(r *record.Row) { r.Question, r.Inputs = []byte(question), []byte(inputs) })
	}
	checkEvaluation(t, format.RecipeEvaluation, "promptfoo", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"description":"run r1","vars":{"question":"Q?","n":"5"},"assert":[{"type":"factuality","value":"The answer."}],"metadata":` + runVerdict + `}`},
		{name: "values of all kinds are texts", row: set("Q?",
			`{"a":["x",{"y":1E400}],"b":true,"c":null,"d":-1.50,"e":"\u0041\"","f":{}}`),
			want: run(`{"question":"Q?","a":"[\"x\",{\"y\":1E400}]","b":"true","d":"-1.50","e":"A\"","f":"{}"}`)},
		{name: "a question that is there", row: set("Q?", `{"n":1,"question":"other"}`),
			want: run(`{"n":"1","question":"other"}`)},
		{name: "a question that is null", row: set("Q?", `{"question":null}`), want: run(`{"question":"Q?"}`)},
		{name: "no inputs", row: set("Q?", ``), want: run(`{"question":"Q?"}`)},
		{name: "no question", row: set("", `{"n":1}`), want: run(`{"n":"1"}`)},
		{name: "nothing", row: formattest.EvaluationRun(withoutQuestion), drop: "no_question"},
		{name: "only nulls", row: set("", `{"n":null}`), want: run(`{"question":"{\"n\":null}"}`)},
		{name: "templates", row: set(`{{env.HOME}} {% if x %} {# c #}`, `{"\u0061":"\u007b{x}}","j":[{"k":"{{k}}"}]}`),
			want: run(
				`{"question":"{{ \"{\" }}{env.HOME}} {{ \"{\" }}% if x %} {{ \"{\" }}# c {{ \"#\" }}}","a":"{{ \"{\" }}{x}}","j":"[{\"k\":\"{{ \"{\" }}{k}}\"}]"}`)},
		{name: "a template in what was expected", row: formattest.EvaluationRun(func(r *record.Row) {
			r.Reference = []byte("{{x}}")
		}),
			want: `{"description":"run r1","vars":{"question":"Q?","n":"5"},"assert":[{"type":"factuality","value":"{{ \"{\" }}{x}}"}],"metadata":` + runOrigin + `}`},
	})
	node := func(vars string) string {
		return `{"description":"run r1, node run n1","vars":` + vars + `,"metadata":` + nodeOrigin + `}`
	}
	checkEvaluation(t, format.NodeEvaluation, "promptfoo", map[string]any{"assert": "equals"}, []evaluationTest{
		{name: "variables of the prompt", row: formattest.EvaluationNode(fullVerdict),
			want: `{"description":"run r1, node run n1","vars":{"q":"Q?"},"assert":[{"type":"equals","value":"The answer."}],"metadata":` + nodeVerdict + `}`},
		{name: "inputs", row: formattest.EvaluationNode(func(r *record.Row) { r.Node.PromptVariables = nil }),
			want: node(`{"query":"NQ?"}`)},
		{name: "messages", row: formattest.EvaluationNode(func(r *record.Row) {
			r.Node.PromptVariables, r.Node.Inputs, r.Node.Messages = nil, nil, []byte(`[{"role":"user","content":"M"}]`)
		}), want: node(`{"input":"M"}`)},
		{name: "nothing", row: formattest.EvaluationNode(withoutQuestion), drop: "no_question"},
	})
}

// What promptfoo makes of these was tried with promptfoo 0.123.1: the text again.
func TestTextsThatPromptfooWouldReadAreExpressions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                   `""`,
		"plain { } # %} }}":  `"plain { } # %} }}"`,
		"{":                  `"{"`,
		"#":                  `"#"`,
		"{{":                 `"{{ \"{\" }}{"`,
		"{{{":                `"{{ \"{\" }}{{ \"{\" }}{"`,
		"{%":                 `"{{ \"{\" }}%"`,
		"{#}":                `"{{ \"{\" }}{{ \"#\" }}}"`,
		"#}":                 `"{{ \"#\" }}}"`,
		"##}":                `"#{{ \"#\" }}}"`,
		"\"{{\n\"}}":         `"\"{{ \"{\" }}{\n\"}}"`,
		"file:///etc/passwd": `"{{ \"f\" }}ile:///etc/passwd"`,
		"package:a:b {{x}}":  `"{{ \"p\" }}ackage:a:b {{ \"{\" }}{x}}"`,
		"see file://x":       `"see file://x"`,
		"é{{é}}":             `"é{{ \"{\" }}{é}}"`,
	} {
		if got := string(evaluation.AppendVerbatim(nil, []byte(text))); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
