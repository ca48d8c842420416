package format

import (
	"bytes"
	"slices"
	"strings"
	"testing"
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
		{"gemini_preference", map[string]any{"pairs_per_input": "2"}, `"pairs_per_input" must be a whole number from 1 to 10`},
	} {
		if _, err := New(FineTuning, test.target, test.options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %v: %v", test.target, test.options, err)
		}
	}
	for _, target := range Targets(FineTuning) {
		if _, err := New(FineTuning, target.Name, map[string]any{"system": "drop", "dedupe": false, "only_rated": true}); err != nil {
			t.Errorf("%s: %v", target.Name, err)
		}
	}
}

func TestOpenAIChatIsWhatFineTuningIsByDefault(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`openai_chat together mistral bedrock_conversation bedrock_distillation gemini sharegpt
		trl_prompt_completion trl_kto openai_dpo trl_dpo gemini_preference`)
	if got := Names(Targets(FineTuning)); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for _, target := range Targets(FineTuning) {
		if !slices.Equal(target.Formats, onlyJSONL) {
			t.Errorf("%s is %v", target.Name, target.Formats)
		}
	}
}

func TestOnlyRatedLeavesOutWhatNobodyRated(t *testing.T) {
	t.Parallel()
	scored := with(chatRow(chat(hi, yes)), func(r *Row) { r.HasFeedback, r.Feedback.Score.Valid = true, true })
	for _, target := range Targets(FineTuning) {
		for row, want := range map[*Row]int64{chatRow(chat(hi, yes)): 1, scored: 0} {
			if target.Name == "trl_kto" { // which labels by the thumb
				want = 1
			}
			if o := streamRows(t, FineTuning, target.Name, map[string]any{"only_rated": true}, []*Row{row}); o.dropped["not_rated"] != want {
				t.Errorf("%s: dropped %v", target.Name, o.dropped)
			}
		}
		row := rated(chatRow(chat(told("x"), hi, yes)), "thumbsUp")
		if o := streamRows(t, FineTuning, target.Name, map[string]any{"only_rated": true}, []*Row{row}); o.dropped["not_rated"] != 0 {
			t.Errorf("%s: dropped %v", target.Name, o.dropped)
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
		o := streamRows(t, FineTuning, "openai_chat", values, rows)
		var got []string
		for _, record := range o.records {
			got = append(got, strings.TrimSuffix(string(record[bytes.LastIndex(record, []byte(`:"`))+2:]), `"}]}`))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v", options, got)
		}
	}
	f := newRowFormatter(t, FineTuning, "openai_chat", map[string]any{"dedupe": false})
	if f.Needs() != (Needs{}) || f.(Deduplicating).Deduplicates() {
		t.Error("rows are grouped for nothing")
	}
}

func TestThumbsDownIsWarnedOfWhereItTeaches(t *testing.T) {
	t.Parallel()
	down := rated(chatRow(chat(told("x"), hi, yes)), "thumbsDown")
	fixed := corrected(rated(chatRow(chat(told("x"), hi, yes)), "thumbsDown"), "good")
	up := rated(chatRow(chat(told("x"), hi, yes)), "thumbsUp")
	for _, target := range Targets(FineTuning) {
		teaches := !slices.Contains([]string{"trl_kto", "openai_dpo", "trl_dpo", "gemini_preference"}, target.Name)
		for row, want := range map[*Row]bool{down: teaches, fixed: false, up: false} {
			o := streamRows(t, FineTuning, target.Name, nil, []*Row{row})
			if (o.warned[ThumbsDown] == 1) != want {
				t.Errorf("%s: rated %s: warned %v", target.Name, row.Feedback.Rating, o.warned)
			}
		}
	}
}

func TestFineTuningAllocatesNothing(t *testing.T) {
	row := withTools(rated(chatRow(chat(told("x"), hi, calls("a", "b"), result("b", "1\n"), result("a", `{"a":"\"é"}`), yes, hi, yes, hi)), "thumbsUp"), "["+toolF+"]")
	question := corrected(with(emptyRow(), func(r *Row) { r.Question, r.Answer, r.SystemInputs = b("Hi"), b("Yes?"), b(`{"system":"x"}`) }), "better")
	question.Feedback.Rating = b("thumbsUp")
	for _, target := range Targets(FineTuning) {
		f, err := New(FineTuning, target.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows, ok := f.(RowFormatter)
		if !ok {
			continue
		}
		buf := make([]byte, 0, 1<<14)
		for _, row := range []*Row{row, question} {
			if n := testing.AllocsPerRun(100, func() { _, _, _ = rows.Append(buf[:0], row) }); n != 0 {
				t.Errorf("%s: %v allocations a record", target.Name, n)
			}
		}
	}
}
