package format

import "testing"

func TestRagasRecords(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, RecipeEvaluation, "ragas", nil, []evaluationTest{
		{name: "everything", row: evaluationRun(fullVerdict), want: `{"user_input":"Q?","response":"A.","retrieved_contexts":["two"],"reference":"The answer."}`},
		{name: "neither passages nor a reference", row: evaluationRun(), want: `{"user_input":"Q?","response":"A.","retrieved_contexts":[]}`},
		{name: "hostile text", row: evaluationRun(hostileRow, func(r *Row) { r.Question, r.Reference = b("Q?"), nil }),
			want: `{"user_input":"Q?","response":"\"\\\b\f\n\r\t\u0001\u001f` + hostileText[9:] + `","retrieved_contexts":[]}`},
		{name: "no question", row: evaluationRun(withoutQuestion), drop: "no_question"},
		{name: "no answer", row: evaluationRun(withoutAnswer), drop: "no_answer"},
	})
	checkEvaluation(t, NodeEvaluation, "ragas", nil, []evaluationTest{
		{name: "everything", row: evaluationNode(fullVerdict), want: `{"user_input":"NQ?","response":"NA.","retrieved_contexts":["two"],"reference":"The answer."}`},
		{name: "no answer", row: evaluationNode(withoutAnswer), drop: "no_answer"},
	})
}
