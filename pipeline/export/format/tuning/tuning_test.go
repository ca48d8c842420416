package tuning_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

func TestOptionsOfFineTuningSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		target  string
		options map[string]any
		want    string // in the error
	}{
		{"openai_chat", map[string]any{"system": 1.0}, `"system" must be "keep", "drop" or`},
		{"openai_chat", map[string]any{"system": " "}, `"system" must be "keep", "drop" or`},
		{"openai_chat", map[string]any{"system": nil}, `"system" must be "keep", "drop" or`},
		{"openai_chat", map[string]any{"dedupe": "no"}, `"dedupe" must be true or false`},
		{"openai_chat", map[string]any{"only_rated": 1.0}, `"only_rated" must be true or false`},
		{"openai_chat", map[string]any{"tools": true}, `"tools" is unknown to fine_tuning with target openai_chat`},
		{"openai_chat", map[string]any{"pairs_per_input": 1.0}, `"pairs_per_input" is unknown`},
		{"together", map[string]any{"tools": "yes"}, `"tools" must be true or false`},
		{"openai_dpo", map[string]any{"pairs_per_input": 0.0}, `"pairs_per_input" must be a whole number from 1 to 10`},
		{"trl_dpo", map[string]any{"pairs_per_input": 11.0}, `"pairs_per_input" must be a whole number from 1 to 10`},
		{"gemini_preference", map[string]any{"pairs_per_input": "2"},
			`"pairs_per_input" must be a whole number from 1 to 10`},
	} {
		if _, err := targets.New(format.FineTuning, test.target, test.options); err == nil || !strings.Contains(err.Error(),
			test.want) {
			t.Errorf("%s %v: %v", test.target, test.options, err)
		}
	}
	for _, target := range targets.Targets(format.FineTuning) {
		if _, err := targets.New(format.FineTuning, target.Name, map[string]any{"system": "drop", "dedupe": false,
			"only_rated": true}); err != nil {
			t.Errorf("%s: %v", target.Name, err)
		}
	}
}

func TestOpenAIChatIsWhatFineTuningIsByDefault(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`openai_chat together mistral bedrock_conversation bedrock_distillation gemini sharegpt
		trl_prompt_completion trl_kto openai_dpo trl_dpo gemini_preference`)
	if got := targets.Names(targets.Targets(format.FineTuning)); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for _, target := range targets.Targets(format.FineTuning) {
		if !slices.Equal(target.Formats, format.OnlyJSONL) {
			t.Errorf("%s is %v", target.Name, target.Formats)
		}
	}
}

func TestOnlyRatedLeavesOutWhatNobodyRated(t *testing.T) {
	t.Parallel()
	scored := with(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
		func(r *record.Row) { r.HasFeedback, r.Feedback.Score.Valid = true, true })
	for _, target := range targets.Targets(format.FineTuning) {
		for row, want := range map[*record.Row]int64{formattest.ChatRow(formattest.Chat(formattest.HiMessage,
			formattest.YesMessage)): 1, scored: 0} {
			if target.Name == "trl_kto" { // which labels by the thumb
				want = 1
			}
			if o := formattest.StreamRows(t, format.FineTuning, target.Name, map[string]any{"only_rated": true},
				[]*record.Row{row}); o.Dropped["not_rated"] != want {
				t.Errorf("%s: dropped %v", target.Name, o.Dropped)
			}
		}
		row := formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
			formattest.YesMessage)), "thumbsUp")
		if o := formattest.StreamRows(t, format.FineTuning, target.Name, map[string]any{"only_rated": true},
			[]*record.Row{row}); o.Dropped["not_rated"] != 0 {
			t.Errorf("%s: dropped %v", target.Name, o.Dropped)
		}
	}
}

func TestOfARepeatedInputTheBestIsKept(t *testing.T) {
	t.Parallel()
	rows := judgedRows([]judgedRun{{answer: "a", rating: "down"}, {answer: "b", rating: "up"}, {answer: "c"}})
	for options, want := range map[string]string{"": "b", "dedupe": "a b c"} {
		values := map[string]any{}
		if options != "" {
			values[options] = false
		}
		o := formattest.StreamRows(t, format.FineTuning, "openai_chat", values, rows)
		var got []string
		for _, record := range o.Records {
			got = append(got, strings.TrimSuffix(string(record[bytes.LastIndex(record, []byte(`:"`))+2:]), `"}]}`))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v", options, got)
		}
	}
	f := formattest.NewRowFormatter(t, format.FineTuning, "openai_chat", map[string]any{"dedupe": false})
	if f.Needs() != (record.Needs{}) || f.(format.Deduplicating).Deduplicates() {
		t.Error("rows are grouped for nothing")
	}
}

func TestThumbsDownIsWarnedOfWhereItTeaches(t *testing.T) {
	t.Parallel()
	down := formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
		formattest.YesMessage)), "thumbsDown")
	fixed := corrected(formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"),
		formattest.HiMessage, formattest.YesMessage)), "thumbsDown"), "good")
	up := formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
		formattest.YesMessage)), "thumbsUp")
	for _, target := range targets.Targets(format.FineTuning) {
		teaches := !slices.Contains([]string{"trl_kto", "openai_dpo", "trl_dpo", "gemini_preference"}, target.Name)
		for row, want := range map[*record.Row]bool{down: teaches, fixed: false, up: false} {
			o := formattest.StreamRows(t, format.FineTuning, target.Name, nil, []*record.Row{row})
			if (o.Warned[format.ThumbsDown] == 1) != want {
				t.Errorf("%s: rated %s: warned %v", target.Name, row.Feedback.Rating, o.Warned)
			}
		}
	}
}

func TestFineTuningAllocatesNothing(t *testing.T) {
	row := withTools(formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage,
		calls("a", "b"), formattest.ToolResult("b", "1\n"), formattest.ToolResult("a", `{"a":"\"é"}`), formattest.YesMessage,
		formattest.HiMessage, formattest.YesMessage, formattest.HiMessage)), "thumbsUp"), "["+formattest.ToolF+"]")
	question := corrected(with(formattest.EmptyRow(), func(r *record.Row) {
		r.Question, r.Answer, r.SystemInputs = []byte("Hi"), []byte("Yes?"), []byte(`{"system":"x"}`)
	}), "better")
	question.Feedback.Rating = []byte("thumbsUp")
	for _, target := range targets.Targets(format.FineTuning) {
		f, err := targets.New(format.FineTuning, target.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows, ok := f.(format.RowFormatter)
		if !ok {
			continue
		}
		buf := make([]byte, 0, 1<<14)
		for _, row := range []*record.Row{row, question} {
			if n := testing.AllocsPerRun(100, func() { _, _, _ = rows.Append(buf[:0], row) }); n != 0 {
				t.Errorf("%s: %v allocations a record", target.Name, n)
			}
		}
	}
}
