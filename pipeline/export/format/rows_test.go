package format

import "strings"

type namedRow struct {
	name string
	row  *Row
}

// canonicalRows go from a run that has everything to one that has nothing but what is required.
func canonicalRows() []namedRow {
	hostile := fullRow()
	text := []byte("\"\\\b\f\n\r\t\x00\x01\x1f\x7f /</script> \u2028\u2029 \ufeff żółw 漢字 👩\u200d👩\u200d👧 \U0010ffff ${x} {{y}} '--")
	for _, field := range []*[]byte{&hostile.RequestID, &hostile.AppName, &hostile.AppVersion, &hostile.SessionID, &hostile.UserID, &hostile.Trigger,
		&hostile.Question, &hostile.Answer, &hostile.Reference, &hostile.ErrorType, &hostile.ErrorMessage, &hostile.Model, &hostile.TraceID,
		&hostile.Feedback.Rating, &hostile.Feedback.Comment, &hostile.Feedback.CorrectedAnswer, &hostile.Feedback.Tags[0],
		&hostile.Metadata[0].Key, &hostile.Metadata[0].Value, &hostile.Files[0].Name, &hostile.Files[0].URI} {
		*field = text
	}
	hostile.Inputs = []byte(`{"\u2028":"\ud83d\ude00","deep":[[[{"":null}]]],"big":123456789012345678901234567890,"exp":1E400,"dup":"\\\""}`)
	hostile.Inputs = []byte(strings.Replace(string(hostile.Inputs), "1E400", "1E+2", 1))

	halves := emptyRow()
	halves.ErrorMessage = []byte("only a message")
	halves.OutputTokens = Null[int64]{-1, true}
	halves.HasFeedback = true // a score and nothing else
	halves.Feedback.Score = Null[float64]{0, true}
	halves.Files = []File{{}, {Name: []byte("a.pdf")}}

	stale := emptyRow() // values of an earlier row that are not valid must not show
	stale.EndedAt = Null[int64]{1, false}
	stale.InputTokens, stale.OutputTokens = Null[int64]{5, false}, Null[int64]{6, false}
	stale.CostUSD = Null[float64]{7, false}
	stale.Feedback = fullRow().Feedback

	return []namedRow{
		{"everything", fullRow()}, {"only what is required", emptyRow()}, {"a math run", mathRow()}, {"hostile text", hostile},
		{"halves", halves}, {"nulls with values", stale}, {"1 MiB", hugeRow()},
	}
}

func emptyRow() *Row {
	return &Row{
		WorkspaceID: []byte("acme"), RunID: []byte("run-0"), Source: []byte("copilot"), AppID: []byte("helper"),
		Execution: Execution{Status: []byte("running"), StartedAt: 0, UpdatedAt: 7_258_118_399_999}, // 1970-01-01 and 2199-12-31
	}
}

func fullRow() *Row {
	return &Row{
		WorkspaceID: []byte("acme"), RunID: []byte("0192f0c1-7b7e-7000-8000-000000000001"), RequestID: []byte("req-1"), Source: []byte("recipe"),
		AppID: []byte("invoices"), AppName: []byte("Invoice reader"), SessionID: []byte("s-1"), UserID: []byte("u-1"), Trigger: []byte("webhook"),
		Execution: Execution{
			AppVersion: []byte("v3"), Status: []byte("failed"),
			StartedAt: 1_793_491_200_001, EndedAt: Null[int64]{1_793_491_202_150, true}, UpdatedAt: 1_793_491_202_151,
			Inputs: []byte(`{"question":"What is due?","n":1.50,"list":[1,2]}`), Outputs: []byte(`{"answer":"12 €"}`),
			Messages:  []byte(`[{"role":"user","content":"What is due?"},{"role":"assistant","content":null,"tool_calls":[]}]`),
			Tools:     []byte(`[{"type":"function","function":{"name":"f","parameters":{}}}]`),
			ErrorType: []byte("timeout"), ErrorMessage: []byte("the model did not answer"),
			Files: []File{
				{FileID: []byte("f1"), Name: []byte("in.pdf"), URI: []byte("s3://b/in.pdf"), ContentType: []byte("application/pdf"), SizeBytes: Null[int64]{1 << 40, true}, Direction: []byte("input")},
				{FileID: []byte("f2"), Name: []byte("out.csv"), Direction: []byte("output")},
			},
			Model: []byte("m-1"), InputTokens: Null[int64]{1200, true}, OutputTokens: Null[int64]{34, true}, CostUSD: Null[float64]{0.00042, true},
			Metadata:   []Pair{{[]byte("region"), []byte("eu")}, {[]byte("tier"), []byte("")}},
			InputGroup: []byte("00112233445566778899aabbccddeeff"),
		},
		Question: []byte("What is due?"), SystemInputs: []byte(`{"system":"Be brief."}`), Answer: []byte("12 €"), Reference: []byte("13 €"),
		HasFeedback: true,
		Feedback: Feedback{Rating: []byte("thumbsDown"), Score: Null[float64]{0.25, true}, Comment: []byte("wrong sum"),
			Tags: [][]byte{[]byte("sum"), []byte("")}, CorrectedAnswer: []byte("13 €")},
		TraceID: []byte("4bf92f3577b34da6a3ce929d0e0e4736"),
	}
}

// mathRow has the shape and size of a run of a recipe that solves word problems.
func mathRow() *Row {
	question := "A bakery’s oven holds 18 trays and each tray has 24 rolls. On Monday 3 trays burn and the rest is sold for $2 per roll, half of it before noon. How many dollars does the bakery take after noon on Monday, if nobody gets a discount and every roll that did not burn is sold?"
	answer := "The oven holds 18 - 3 = <<18-3=15>>15 trays that did not burn\nThat is 15 * 24 = <<15*24=360>>360 rolls\nHalf of them, 360 / 2 = <<360/2=180>>180, are sold after noon, for 180 * 2 = $<<180*2=360>>360\nA: 360"
	r := emptyRow()
	r.RunID = []byte("8743c0db-f9db-59db-9187-7dafbc115c6a")
	r.Source, r.AppID, r.AppName, r.AppVersion = []byte("recipe"), []byte("math-tutor"), []byte("Math tutor"), []byte("6b_finetuning")
	r.RequestID, r.Status, r.Model = []byte("problem-0-0"), []byte("succeeded"), []byte("6b_finetuning")
	r.StartedAt, r.EndedAt, r.UpdatedAt = 1_793_491_200_000, Null[int64]{1_793_491_202_150, true}, 1_793_491_202_150
	r.Question, r.Answer, r.Reference = []byte(question), []byte(answer), []byte(answer[:150])
	r.Inputs, r.Outputs = []byte(`{"question":"`+question+`"}`), []byte(`{"answer":"360"}`)
	r.HasFeedback = true
	r.Feedback = Feedback{Rating: []byte("thumbsUp"), Score: Null[float64]{1, true}}
	r.Metadata = []Pair{{[]byte("benchmark"), []byte("problems")}, {[]byte("item"), []byte("0")}}
	return r
}

func hugeRow() *Row {
	r := emptyRow()
	r.Question = []byte(strings.Repeat("0123456789abcdef \"quoted\" line of text that goes on and on, é\n", 1<<20/64))
	return r
}
