package evaluation_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/evaluation"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// inputObjects are rows and the object that readers get for their inputs.
func inputObjects(purpose, before, after string) []evaluationTest {
	set := func(question, inputs, variables, messages string) *record.Row {
		row := formattest.EvaluationRun()
		if purpose == format.NodeEvaluation {
			row = formattest.EvaluationNode(func(r *record.Row) { r.Node.PromptVariables = []byte(variables) })
		}
		row.Question, row.Subject().Inputs, row.Subject().Messages = []byte(question), []byte(inputs), []byte(messages)
		return row
	}
	message := `[{"role":"user","content":"M"}]`
	tests := []evaluationTest{
		{name: "question in front", row: set("Q?", `{"n":[1, 2]}`, ``, ``), want: `{"question":"Q?","n":[1, 2]}`},
		{name: "a question that is there", row: set("Q?", `{"n":1,"question":"other"}`, ``, ``),
			want: `{"n":1,"question":"other"}`},
		{name: "no question", row: set(" ", `{"n":1}`, ``, ``), want: `{"n":1}`},
		{name: "no inputs", row: set("Q?", ``, ``, message), want: `{"question":"Q?"}`},
		{name: "only messages", row: set("", `{}`, ``, message), want: `{"question":"M"}`},
		{name: "nothing", row: set("", ``, ``, ``), drop: "no_question"},
	}
	if purpose == format.NodeEvaluation {
		tests = []evaluationTest{
			{name: "inputs as they are", row: set("Q?", "{\"n\":\n1}", `{"q":2}`, message), want: `{"n": 1}`},
			{name: "variables", row: set("Q?", `{}`, `{"q":2}`, message), want: `{"q":2}`},
			{name: "only messages", row: set("Q?", ``, ``, message), want: `{"input":"M"}`},
			{name: "nothing of its own", row: set("Q?", ``, ``, ``), drop: "no_question"},
		}
	}
	for i := range tests {
		tests[i].want = before + tests[i].want + after
	}
	return tests
}

func TestLangSmithRecords(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.RecipeEvaluation, "langsmith", nil, append(inputObjects(format.RecipeEvaluation,
		`{"id":"ID","inputs":`, `,"metadata":`+runOrigin+`}`), []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"id":"ID","inputs":{"question":"Q?","n":5},"outputs":{"answer":"The answer."},"metadata":` + runVerdict +
				`}`},
		{name: "a run whose id is a UUID", row: formattest.EvaluationRun(func(r *record.Row) {
			r.RunID = []byte("0192F0c1-7b7e-7000-8000-000000000001")
		}),
			want: `{"id":"ID","inputs":{"question":"Q?","n":5},"metadata":` + strings.Replace(runOrigin, "r1",
				"0192F0c1-7b7e-7000-8000-000000000001", 1) + `,"source_run_id":"0192F0c1-7b7e-7000-8000-000000000001"}`},
	}...))
	checkEvaluation(t, format.NodeEvaluation, "langsmith", nil, append(inputObjects(format.NodeEvaluation,
		`{"id":"ID","inputs":`, `,"metadata":`+nodeOrigin+`}`), []evaluationTest{
		{name: "everything", row: formattest.EvaluationNode(fullVerdict),
			want: `{"id":"ID","inputs":{"query":"NQ?"},"outputs":{"output":"The answer."},"metadata":` + nodeVerdict + `}`},
		{name: "a node run whose id is a UUID", row: formattest.EvaluationNode(func(r *record.Row) {
			r.Node.NodeRunID = []byte("0192f0c1-7b7e-7000-8000-000000000002")
		}),
			want: `{"id":"ID","inputs":{"query":"NQ?"},"metadata":` + strings.Replace(nodeOrigin, `"n1"`,
				`"0192f0c1-7b7e-7000-8000-000000000002"`, 1) + `,"source_run_id":"0192f0c1-7b7e-7000-8000-000000000002"}`},
	}...))
	for id, want := range map[string]bool{
		"": false, "r1": false, uuid.Nil.String(): true, "0192f0c17b7e70008000000000000001": false,
		"0192f0c1-7b7e-7000-8000-00000000000g":   false,
		"{0192f0c1-7b7e-7000-8000-000000000001}": false, "0192f0c1+7b7e-7000-8000-000000000001": false,
		"0192f0c1-7b7e-7000-8000-0000000000/1": false,
	} {
		if evaluation.IsUUID([]byte(id)) != want {
			t.Errorf("%q is a UUID: %v", id, !want)
		}
	}
}

func TestLangfuseRecords(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.RecipeEvaluation, "langfuse", nil, append(inputObjects(format.RecipeEvaluation,
		`{"datasetName":"Helper","id":"ID","input":`, `,"metadata":`+runOrigin+`}`), []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"datasetName":"Helper","id":"ID","input":{"question":"Q?","n":5},"expectedOutput":"The answer.","metadata":` + runVerdict + `,"sourceTraceId":"t1"}`},
		{name: "an app without a name", row: formattest.EvaluationRun(func(r *record.Row) { r.AppName = nil }),
			want: `{"datasetName":"helper","id":"ID","input":{"question":"Q?","n":5},"metadata":` + runOrigin + `}`},
	}...))
	checkEvaluation(t, format.NodeEvaluation, "langfuse", nil, append(inputObjects(format.NodeEvaluation,
		`{"datasetName":"Helper","id":"ID","input":`, `,"metadata":`+nodeOrigin+`}`), []evaluationTest{
		{name: "everything", row: formattest.EvaluationNode(fullVerdict),
			want: `{"datasetName":"Helper","id":"ID","input":{"query":"NQ?"},"expectedOutput":"The answer.","metadata":` +
				nodeVerdict + `,"sourceTraceId":"t1"}`},
	}...))
}

func TestMLflowRecords(t *testing.T) {
	t.Parallel()
	inputs := func(doc string) func(*record.Row) { return func(r *record.Row) { r.Subject().Inputs = []byte(doc) } }
	checkEvaluation(t, format.RecipeEvaluation, "mlflow", nil, append(inputObjects(format.RecipeEvaluation, `{"inputs":`,
		`,"outputs":"A.","tags":`+runOrigin+`}`), []evaluationTest{
		{name: "everything, with texts for tags", row: formattest.EvaluationRun(fullVerdict),
			want: `{"inputs":{"question":"Q?","n":5},"outputs":"A.","expectations":{"expected_response":"The answer."},"tags":` +
				textOfVerdict + `,"source":{"source_type":"TRACE","source_data":{"trace_id":"t1"}}}`},
		{name: "no answer", row: formattest.EvaluationRun(withoutAnswer), want: `{"inputs":{"question":"Q?","n":5},"tags":` +
			runOrigin + `}`},
		{name: "inputs that MLflow takes for a conversation", row: formattest.EvaluationRun(inputs(`{"a":1,"go\u0061l":2}`)),
			drop: "goal_input"},
		{name: "a goal deeper", row: formattest.EvaluationRun(inputs(`{"a":{"goal":2}}`)),
			want: `{"inputs":{"question":"Q?","a":{"goal":2}},"outputs":"A.","tags":` + runOrigin + `}`},
	}...))
	checkEvaluation(t, format.NodeEvaluation, "mlflow", nil, append(inputObjects(format.NodeEvaluation, `{"inputs":`,
		`,"outputs":"NA.","tags":`+nodeOrigin+`}`), []evaluationTest{
		{name: "goal", row: formattest.EvaluationNode(inputs(`{"goal":null}`)), drop: "goal_input"},
	}...))
}

func TestInspectRecords(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.RecipeEvaluation, "inspect", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"id":"ID","input":"Q?","target":"The answer.","metadata":` + runVerdict + `}`},
		{name: "no target", row: formattest.EvaluationRun(), drop: "no_reference"},
		{name: "no question", row: formattest.EvaluationRun(fullVerdict, withoutQuestion), drop: "no_question"},
	})
	checkEvaluation(t, format.NodeEvaluation, "inspect", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationNode(fullVerdict),
			want: `{"id":"ID","input":"NQ?","target":"The answer.","metadata":` + nodeVerdict + `}`},
	})
}

func TestOpenAIEvalsRecords(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.RecipeEvaluation, "openai_evals", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"item":{"id":"ID","input":"Q?","reference":"The answer.","metadata":` + runVerdict +
				`},"sample":{"output_text":"A."}}`},
		{name: "nothing expected", row: formattest.EvaluationRun(), want: `{"item":{"id":"ID","input":"Q?","metadata":` +
			runOrigin + `},"sample":{"output_text":"A."}}`},
		{name: "no question", row: formattest.EvaluationRun(withoutQuestion), drop: "no_question"},
		{name: "no answer", row: formattest.EvaluationRun(withoutAnswer), drop: "no_answer"},
	})
	checkEvaluation(t, format.NodeEvaluation, "openai_evals", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationNode(fullVerdict),
			want: `{"item":{"id":"ID","input":"NQ?","reference":"The answer.","metadata":` + nodeVerdict +
				`},"sample":{"output_text":"NA."}}`},
	})
}

func TestBedrockEvalRecords(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.RecipeEvaluation, "bedrock_eval", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"prompt":"Q?","referenceResponse":"The answer.","category":"Helper","modelResponses":[{"response":"A.","modelIdentifier":"m-1"}]}`},
		{name: "no model, no name, nothing expected", row: formattest.EvaluationRun(func(r *record.Row) {
			r.Model,
				r.AppName = nil, nil
		}), want: `{"prompt":"Q?","category":"helper","modelResponses":[{"response":"A.","modelIdentifier":"v2"}]}`},
		{name: "neither a model nor a version", row: formattest.EvaluationRun(func(r *record.Row) {
			r.Model,
				r.AppVersion = []byte("é/ "), nil
		}), drop: "no_model"},
		{name: "no question", row: formattest.EvaluationRun(withoutQuestion), drop: "no_question"},
		{name: "no answer", row: formattest.EvaluationRun(withoutAnswer), drop: "no_answer"},
	})
	checkEvaluation(t, format.NodeEvaluation, "bedrock_eval", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationNode(fullVerdict),
			want: `{"prompt":"NQ?","referenceResponse":"The answer.","category":"Compose","modelResponses":[{"response":"NA.","modelIdentifier":"m-1"}]}`},
		{name: "a node without a name", row: formattest.EvaluationNode(func(r *record.Row) { r.Node.NodeName = nil }),
			want: `{"prompt":"NQ?","category":"compose","modelResponses":[{"response":"NA.","modelIdentifier":"m-1"}]}`},
	})
	for name, want := range map[string]string{
		"": "", "gpt-5.1": "gpt-5.1", "anthropic/claude:v1 (eu)": "anthropic_claude_v1__eu_", "-_.x": "x", "モデル": "",
		"aモ": "a_", strings.Repeat("m", 300): strings.Repeat("m", 256),
	} {
		if got := string(evaluation.AppendBedrockName(nil, []byte(name))); got != want || got != "" &&
			!evaluation.BedrockName.MatchString(got) {
			t.Errorf("%q is named %q", name, got)
		}
	}
}

func TestBedrockFilesHaveOneModelAndAThousandLines(t *testing.T) {
	t.Parallel()
	for _, purpose := range bothPurposes {
		o := formattest.StreamHistory(t, purpose, "bedrock_eval", nil, formattest.SampleHistory(t, 500))
		partitions := map[string]bool{}
		for i, record := range o.Records {
			if p := o.Partitions[i]; p == "" || !strings.Contains(string(record), `"modelIdentifier":"`+p+`"`) {
				t.Fatalf("%q has %s", p, record)
			}
			partitions[o.Partitions[i]] = true
		}
		if len(partitions) < 2 {
			t.Errorf("%s: %v", purpose, partitions)
		}
		for _, target := range []string{"bedrock_eval", "bedrock_rag"} {
			if t0, _ := targets.Find(purpose, target); t0.Limits.MaxRecords != 1000 {
				t.Errorf("%s takes %d", target, t0.Limits.MaxRecords)
			}
		}
	}
}

func TestBedrockRAGRecords(t *testing.T) {
	t.Parallel()
	const start = `{"conversationTurns":[{"prompt":{"content":[{"text":"Q?"}]},"referenceResponses":[{"content":[{"text":"The answer."}]}],"output":{"text":"A.",`
	const end = `"retrievedPassages":{"retrievalResults":[{"content":{"text":"two"}}]}}}]}`
	checkEvaluation(t, format.RecipeEvaluation, "bedrock_rag", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: start + `"modelIdentifier":"m-1","knowledgeBaseIdentifier":"third-party-RAG",` + end},
		{name: "no model", row: formattest.EvaluationRun(fullVerdict, func(r *record.Row) { r.Model = nil }),
			want: start + `"knowledgeBaseIdentifier":"third-party-RAG",` + end},
		{name: "passages of two nodes", row: formattest.EvaluationRun(fullVerdict, func(r *record.Row) {
			r.Nodes = []record.Node{{Chunks: []record.Chunk{{Text: []byte("1")}}}, {Chunks: []record.Chunk{{Text: []byte("2")}}}}
		}), want: strings.Replace(start+`"modelIdentifier":"m-1","knowledgeBaseIdentifier":"third-party-RAG",`+end,
			`{"content":{"text":"two"}}`, `{"content":{"text":"1"}},{"content":{"text":"2"}}`, 1)},
		{name: "nothing expected", row: formattest.EvaluationRun(fullVerdict, func(r *record.Row) {
			r.Reference,
				r.HasFeedback = nil, false
		}), drop: "no_reference"},
		{name: "no passages", row: formattest.EvaluationRun(fullVerdict, func(r *record.Row) { r.Nodes = nil }),
			drop: "no_contexts"},
		{name: "no question", row: formattest.EvaluationRun(fullVerdict, withoutQuestion), drop: "no_question"},
		{name: "no answer", row: formattest.EvaluationRun(fullVerdict, withoutAnswer), drop: "no_answer"},
	})
	checkEvaluation(t, format.NodeEvaluation, "bedrock_rag", map[string]any{"knowledge_base": "kb-7"}, []evaluationTest{
		{name: "a knowledge base of a name", row: formattest.EvaluationNode(fullVerdict), want: strings.NewReplacer(`"Q?"`,
			`"NQ?"`, `"A."`, `"NA."`).Replace(start) + `"modelIdentifier":"m-1","knowledgeBaseIdentifier":"kb-7",` + end},
	})
}
