package formattest

import (
	"strings"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

type namedRow struct {
	Name string
	Row  *record.Row
}

// CanonicalRows returns runs from one with every field to one with only the required fields.
func CanonicalRows() []namedRow {
	hostile := FullRow()
	text := []byte("\"\\\b\f\n\r\t\x00\x01\x1f\x7f /</script> \u2028\u2029 \ufeff żółw 漢字 👩\u200d👩\u200d👧 \U0010ffff " +
		"${x} {{y}} '--")
	for _, field := range []*[]byte{&hostile.RequestID, &hostile.AppName, &hostile.AppVersion, &hostile.SessionID,
		&hostile.UserID, &hostile.Trigger,
		&hostile.Question, &hostile.Answer, &hostile.Reference, &hostile.ErrorType, &hostile.ErrorMessage, &hostile.Model,
		&hostile.TraceID,
		&hostile.Feedback.Rating, &hostile.Feedback.Comment, &hostile.Feedback.CorrectedAnswer, &hostile.Feedback.Tags[0],
		&hostile.Metadata[0].Key, &hostile.Metadata[0].Value, &hostile.Files[0].Name, &hostile.Files[0].URI} {
		*field = text
	}
	hostile.Inputs = []byte(
		`{"\u2028":"\ud83d\ude00","deep":[[[{"":null}]]],"big":123456789012345678901234567890,"exp":1E400,"dup":"\\\""}`)
	hostile.Inputs = []byte(strings.Replace(string(hostile.Inputs), "1E400", "1E+2", 1))

	halves := EmptyRow()
	halves.ErrorMessage = []byte("only a message")
	halves.OutputTokens = record.Null[int64]{Value: -1, Valid: true}
	halves.HasFeedback = true // feedback with only a score
	halves.Feedback.Score = record.Null[float64]{Value: 0, Valid: true}
	halves.Files = []record.File{{}, {Name: []byte("a.pdf")}}

	stale := EmptyRow() // invalid values of an earlier row must not appear
	stale.EndedAt = record.Null[int64]{Value: 1, Valid: false}
	stale.InputTokens, stale.OutputTokens = record.Null[int64]{Value: 5, Valid: false},
		record.Null[int64]{Value: 6, Valid: false}
	stale.CostUSD = record.Null[float64]{Value: 7, Valid: false}
	stale.Feedback = FullRow().Feedback

	return []namedRow{
		{"everything", FullRow()}, {"only what is required", EmptyRow()}, {"a math run", MathRow()},
		{"hostile text", hostile},
		{"halves", halves}, {"nulls with values", stale}, {"1 MiB", HugeRow()},
	}
}

// EmptyRow is a run that has only what is required.
func EmptyRow() *record.Row {
	return &record.Row{
		WorkspaceID: []byte("acme"), RunID: []byte("run-0"), Source: []byte("copilot"), AppID: []byte("helper"),
		// 1970-01-01 and 2199-12-31
		Execution: record.Execution{Status: []byte("running"), StartedAt: 0, UpdatedAt: 7_258_118_399_999},
	}
}

// FullRow is a run that has a value in every field.
func FullRow() *record.Row {
	return &record.Row{
		WorkspaceID: []byte("acme"), RunID: []byte("0192f0c1-7b7e-7000-8000-000000000001"), RequestID: []byte("req-1"),
		Source: []byte("recipe"),
		AppID:  []byte("invoices"), AppName: []byte("Invoice reader"), SessionID: []byte("s-1"), UserID: []byte("u-1"),
		Trigger: []byte("webhook"),
		Execution: record.Execution{
			AppVersion: []byte("v3"), Status: []byte("failed"),
			StartedAt: 1_793_491_200_001, EndedAt: record.Null[int64]{Value: 1_793_491_202_150, Valid: true},
			UpdatedAt: 1_793_491_202_151,
			Inputs:    []byte(`{"question":"What is due?","n":1.50,"list":[1,2]}`), Outputs: []byte(`{"answer":"12 €"}`),
			Messages:  []byte(`[{"role":"user","content":"What is due?"},{"role":"assistant","content":null,"tool_calls":[]}]`),
			Tools:     []byte(`[{"type":"function","function":{"name":"f","parameters":{}}}]`),
			ErrorType: []byte("timeout"), ErrorMessage: []byte("the model did not answer"),
			Files: []record.File{
				{FileID: []byte("f1"), Name: []byte("in.pdf"), URI: []byte("s3://b/in.pdf"), ContentType: []byte("application/pdf"),
					SizeBytes: record.Null[int64]{Value: 1 << 40, Valid: true}, Direction: []byte("input")},
				{FileID: []byte("f2"), Name: []byte("out.csv"), Direction: []byte("output")},
			},
			Model: []byte("m-1"), InputTokens: record.Null[int64]{Value: 1200, Valid: true},
			OutputTokens: record.Null[int64]{Value: 34, Valid: true}, CostUSD: record.Null[float64]{Value: 0.00042, Valid: true},
			Metadata:   []record.Pair{{Key: []byte("region"), Value: []byte("eu")}, {Key: []byte("tier"), Value: []byte("")}},
			InputGroup: []byte("00112233445566778899aabbccddeeff"),
		},
		Question: []byte("What is due?"), SystemInputs: []byte(`{"system":"Be brief."}`), Answer: []byte("12 €"),
		Reference:   []byte("13 €"),
		HasFeedback: true,
		Feedback: record.Feedback{Rating: []byte("thumbsDown"), Score: record.Null[float64]{Value: 0.25, Valid: true},
			Comment: []byte("wrong sum"),
			Tags:    [][]byte{[]byte("sum"), []byte("")}, CorrectedAnswer: []byte("13 €"),
			Scores: []record.Score{{Name: []byte("tone"), Value: 0.5, Label: []byte("thumbsUp")}},
			Judgements: []record.Judgement{
				{FeedbackID: []byte("j2"), Name: []byte("tone"), Kind: []byte("model"), Rating: []byte("thumbsUp"),
					Score: record.Null[float64]{Value: 0.5, Valid: true}, CreatedBy: []byte("judge-7")},
				{FeedbackID: []byte("j1"), Kind: []byte("human"), Rating: []byte("thumbsDown"),
					Score:   record.Null[float64]{Value: 0.25, Valid: true},
					Comment: []byte("wrong sum"), Tags: [][]byte{[]byte("sum"), []byte("")}, CorrectedAnswer: []byte("13 €"),
					CreatedBy: []byte("ann"), CreatedAt: record.Null[int64]{Value: 1_793_491_202_150, Valid: true}},
			}},
		TraceID: []byte("4bf92f3577b34da6a3ce929d0e0e4736"),
	}
}

// MathRow has the shape and size of a run of a recipe that solves word problems.
func MathRow() *record.Row {
	question := "A bakery’s oven holds 18 trays and each tray has 24 rolls. On Monday 3 trays burn and the rest is sold " +
		"for $2 per roll, half of it before noon. How many dollars does the bakery take after noon on Monday, if nobody " +
		"gets a discount and every roll that did not burn is sold?"
	answer := "The oven holds 18 - 3 = <<18-3=15>>15 trays that did not burn\nThat is 15 * 24 = <<15*24=360>>360 " +
		"rolls\nHalf of them, 360 / 2 = <<360/2=180>>180, are sold after noon, for 180 * 2 = $<<180*2=360>>360\nA: 360"
	r := EmptyRow()
	r.RunID = []byte("8743c0db-f9db-59db-9187-7dafbc115c6a")
	r.Source, r.AppID, r.AppName, r.AppVersion = []byte("recipe"), []byte("math-tutor"), []byte("Math tutor"),
		[]byte("6b_finetuning")
	r.RequestID, r.Status, r.Model = []byte("problem-0-0"), []byte("succeeded"), []byte("6b_finetuning")
	r.StartedAt, r.EndedAt, r.UpdatedAt = 1_793_491_200_000, record.Null[int64]{Value: 1_793_491_202_150, Valid: true},
		1_793_491_202_150
	r.Question, r.Answer, r.Reference = []byte(question), []byte(answer), []byte(answer[:150])
	r.Inputs, r.Outputs = []byte(`{"question":"`+question+`"}`), []byte(`{"answer":"360"}`)
	r.HasFeedback = true
	r.Feedback = record.Feedback{Rating: []byte("thumbsUp"), Score: record.Null[float64]{Value: 1, Valid: true}}
	r.Metadata = []record.Pair{{Key: []byte("benchmark"), Value: []byte("problems")},
		{Key: []byte("item"), Value: []byte("0")}}
	return r
}

// HugeRow is a run with a question of 1 MiB.
func HugeRow() *record.Row {
	r := EmptyRow()
	r.Question = []byte(strings.Repeat("0123456789abcdef \"quoted\" line of text that goes on and on, é\n", 1<<20/64))
	return r
}
