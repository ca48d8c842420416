package evaluation_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestRagasRecords(t *testing.T) {
	t.Parallel()
	checkEvaluation(t, format.RecipeEvaluation, "ragas", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"user_input":"Q?","response":"A.","retrieved_contexts":["two"],"reference":"The answer."}`},
		{name: "neither passages nor a reference", row: formattest.EvaluationRun(),
			want: `{"user_input":"Q?","response":"A.","retrieved_contexts":[]}`},
		{name: "hostile text", row: formattest.EvaluationRun(hostileRow, func(r *record.Row) {
			r.Question,
				r.Reference = []byte("Q?"), nil
		}),
			want: `{"user_input":"Q?","response":"\"\\\b\f\n\r\t\u0001\u001f` + formattest.HostileText[9:] +
				`","retrieved_contexts":[]}`},
		{name: "no question", row: formattest.EvaluationRun(withoutQuestion), drop: "no_question"},
		{name: "no answer", row: formattest.EvaluationRun(withoutAnswer), drop: "no_answer"},
	})
	checkEvaluation(t, format.NodeEvaluation, "ragas", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationNode(fullVerdict),
			want: `{"user_input":"NQ?","response":"NA.","retrieved_contexts":["two"],"reference":"The answer."}`},
		{name: "no answer", row: formattest.EvaluationNode(withoutAnswer), drop: "no_answer"},
	})
}
