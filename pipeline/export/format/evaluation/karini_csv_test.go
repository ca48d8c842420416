package evaluation_test

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

func TestKariniRecordsOfRuns(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.RecipeEvaluation, "karini_csv", nil, []evaluationTest{
		{name: "question and reference", row: formattest.EvaluationRun(fullVerdict),
			want: `{"question":"Q?","ground_truth":"The answer."}`},
		{name: "a corrected answer", row: formattest.EvaluationRun(fullVerdict, func(r *record.Row) { r.Reference = nil }),
			want: `{"question":"Q?","ground_truth":"Corrected."}`},
		{name: "nothing expected", row: formattest.EvaluationRun(), drop: "no_reference"},
		{name: "no question", row: formattest.EvaluationRun(fullVerdict, withoutQuestion), drop: "no_question"},
	})
}

func TestKariniRecordsOfNodeRuns(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.NodeEvaluation, "karini_csv", nil, []evaluationTest{
		{name: "without variables", row: formattest.EvaluationNode(fullVerdict),
			want: `{"input":"NQ?","ground_truth":"The answer."}`},
		{name: "nothing expected", row: formattest.EvaluationNode(), drop: "no_reference"},
	})
	options := map[string]any{"agent": true, "variables": []any{"q", "n", "list", "gone"}}
	variables := func(doc string) func(*record.Row) {
		return func(r *record.Row) { r.Node.PromptVariables = []byte(doc) }
	}
	checkEvaluation(t, format.NodeEvaluation, "karini_csv", options, []evaluationTest{
		{name: "an agent with variables of all kinds", row: formattest.EvaluationNode(fullVerdict,
			variables(`{"other":1,"list":["a",{"b":null}],"n":1.50,"\u0071":"\u0041\n"}`)),
			want: `{"agent_input":"NQ?","ground_truth":"The answer.","q":"\u0041\n","n":"1.50","list":"[\"a\",{\"b\":null}]","gone":null}`},
		{name: "values of the row before are gone", row: formattest.EvaluationNode(fullVerdict,
			variables(`{"gone":"here","n":null}`)),
			want: `{"agent_input":"NQ?","ground_truth":"The answer.","q":null,"n":null,"list":null,"gone":"here"}`},
		{name: "no variables", row: formattest.EvaluationNode(fullVerdict, variables(``)),
			want: `{"agent_input":"NQ?","ground_truth":"The answer.","q":null,"n":null,"list":null,"gone":null}`},
	})
}

func TestKariniColumnsHaveShortNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ż", 60)
	options := map[string]any{"variables": []any{"input", "ground_truth", "agent_input", long, long + "a", long + "b",
		"input_2", "a\"b,c\n"}}
	f := formattest.NewRowFormatter(t, format.NodeEvaluation, "karini_csv", options)
	var names []string
	for _, c := range f.Columns() {
		names = append(names, c.Name)
		if utf8.RuneCountInString(c.Name) > 60 {
			t.Errorf("%s is too long", c.Name)
		}
	}
	cut := strings.Repeat("ż", 58)
	want := []string{"input", "ground_truth", "input_2", "ground_truth_2", "agent_input", long, cut + "_2", cut + "_3",
		"input_2_2", "a\"b,c\n"}
	if !slices.Equal(names, want) {
		t.Errorf("columns %q", names)
	}
}

func TestKariniFilesAreCSVWithThoseColumns(t *testing.T) {
	t.Parallel()
	options := map[string]any{"variables": []any{"q", "list"}}
	e, err := targets.NewEncoder(format.NodeEvaluation, "karini_csv", fragment.CSV, fragment.Uncompressed, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := e.Open(&file); err != nil {
		t.Fatal(err)
	}
	row := formattest.EvaluationNode(fullVerdict, func(r *record.Row) {
		r.Node.Inputs = []byte(`{"query":"=1+1, \"or\"\n2"}`)
		r.Node.PromptVariables = []byte(`{"list":[1]}`)
	})
	record, _, err := formattest.NewRowFormatter(t, format.NodeEvaluation, "karini_csv", options).Append(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Append(record); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&file).ReadAll()
	if err != nil || len(rows) != 2 || !slices.Equal(rows[0], []string{"input", "ground_truth", "q", "list"}) ||
		!slices.Equal(rows[1], []string{"=1+1, \"or\"\n2", "The answer.", "", "[1]"}) {
		t.Errorf("%q, %v", rows, err)
	}
}

func TestOptionsOfEvaluationsAreCheckedByName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, purpose, target string
		options               map[string]any
		want                  []string // in the error; none: no error
	}{
		{"no variables", format.NodeEvaluation, "karini_csv", map[string]any{"variables": []any{}}, nil},
		{"variables that are no list", format.NodeEvaluation, "karini_csv", map[string]any{"variables": "q"},
			[]string{`"variables"`, "list of names"}},
		{"a variable that is no name", format.NodeEvaluation, "karini_csv", map[string]any{"variables": []any{"q", 1.0}},
			[]string{`"variables"`, "entry 1"}},
		{"a variable without a name", format.NodeEvaluation, "karini_csv", map[string]any{"variables": []any{""}},
			[]string{`"variables"`, "entry 0"}},
		{"a variable twice", format.NodeEvaluation, "karini_csv", map[string]any{"variables": []any{"q", "q"}},
			[]string{`"variables"`, `"q" twice`}},
		{"agent that is a text", format.NodeEvaluation, "karini_csv", map[string]any{"agent": "yes"},
			[]string{`"agent"`, "true or false"}},
		{"variables of a recipe", format.RecipeEvaluation, "karini_csv", map[string]any{"variables": []any{"q"}},
			[]string{`"variables"`, "recipe_evaluation", "bom, csv_raw, excel"}},
		{"an assertion", format.RecipeEvaluation, "promptfoo", map[string]any{"assert": "icontains"}, nil},
		{"another assertion", format.NodeEvaluation, "promptfoo", map[string]any{"assert": "javascript"},
			[]string{`"assert"`, `"javascript"`, "factuality, similar, rouge-n, icontains, equals"}},
		{"an assertion that is none", format.NodeEvaluation, "promptfoo", map[string]any{"assert": true},
			[]string{`"assert"`, "text"}},
		{"a knowledge base", format.RecipeEvaluation, "bedrock_rag", map[string]any{"knowledge_base": "kb-1.x_Y"}, nil},
		{"a knowledge base that Bedrock refuses", format.RecipeEvaluation, "bedrock_rag",
			map[string]any{"knowledge_base": "my kb"}, []string{`"knowledge_base"`, "letters, digits"}},
		{"a knowledge base that is too long", format.NodeEvaluation, "bedrock_rag",
			map[string]any{"knowledge_base": strings.Repeat("k", 257)}, []string{`"knowledge_base"`, "256"}},
		{"an option of another target", format.NodeEvaluation, "ragas", map[string]any{"knowledge_base": "kb"},
			[]string{`"knowledge_base"`, "ragas"}},
	} {
		f, err := targets.New(test.purpose, test.target, test.options)
		if (f == nil) == (err == nil) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: formatter %v and error %v", test.name, f, err)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q does not say %s", test.name, err, part)
			}
		}
	}
}
