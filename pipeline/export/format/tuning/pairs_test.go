package tuning_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// judgedRun is a run of one input, with its answer, the rating of the answer ("up", "down" or ""),
// and a score or "".
type judgedRun struct {
	answer, rating, score, correction string
	messages                          string // before the answer; "Hi" by default
}

func judgedRows(runs []judgedRun) (rows []*record.Row) {
	for i, run := range runs {
		if run.messages == "" {
			run.messages = formattest.HiMessage
		}
		row := formattest.ChatRow(formattest.Chat(run.messages, formattest.AssistantSays(run.answer)))
		row.RunID, row.StartedAt = []byte(fmt.Sprintf("run-%d", i)), int64(i)
		row.HasFeedback = run.rating+run.score+run.correction != ""
		row.Feedback.Rating = []byte(map[string]string{"up": "thumbsUp", "down": "thumbsDown"}[run.rating])
		row.Feedback.CorrectedAnswer = []byte(run.correction)
		if run.score != "" {
			row.Feedback.Score.Valid = true
			if err := json.Unmarshal([]byte(run.score), &row.Feedback.Score.Value); err != nil {
				panic(err)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func TestPairsAreOfTheBestAndTheWorst(t *testing.T) {
	t.Parallel()
	const system = `{"role":"system","content":"x"},` + formattest.HiMessage
	for _, test := range []struct {
		name    string
		limit   int
		runs    []judgedRun
		pairs   string // "preferred>rejected …"
		dropped string // "reason:rows …", by reason
	}{
		{"nothing", 1, nil, "", ""},
		{"one run", 1, []judgedRun{{answer: "a", rating: "up"}}, "", "no_opposite:1"},
		{"up and down", 1, []judgedRun{{answer: "a", rating: "down"}, {answer: "b", rating: "up"}}, "b>a", ""},
		{"both up", 1, []judgedRun{{answer: "a", rating: "up"}, {answer: "b", rating: "up"}}, "", "no_opposite:2"},
		{"both up, and scores that differ", 1, []judgedRun{{answer: "a", rating: "up", score: "1"},
			{answer: "b", rating: "up", score: "0"}}, "", "no_opposite:2"},
		{"up with the lower score", 1, []judgedRun{{answer: "a", rating: "up", score: "0"},
			{answer: "b", rating: "down", score: "1"}}, "a>b", ""},
		{"scores", 1, []judgedRun{{answer: "a", score: "0.5"}, {answer: "b", score: "0.75"}}, "b>a", ""},
		{"equal scores", 1, []judgedRun{{answer: "a", score: "0.5"}, {answer: "b", score: "0.5"}}, "", "no_opposite:2"},
		{"one score", 1, []judgedRun{{answer: "a", score: "0.5"}, {answer: "b"}}, "", "no_opposite:2"},
		{"a rating and a score", 1, []judgedRun{{answer: "a", rating: "up"}, {answer: "b", score: "0"}}, "", "no_opposite:2"},
		{"a rated one with a score against a score", 1, []judgedRun{{answer: "a", rating: "up", score: "1"},
			{answer: "b", score: "0"}}, "a>b", ""},
		{"no verdicts", 1, []judgedRun{{answer: "a"}, {answer: "b"}}, "", "no_opposite:2"},
		{"the newest of the best, the oldest of the worst", 1, []judgedRun{{answer: "a", rating: "up"},
			{answer: "b", rating: "down"}, {answer: "c", rating: "down"}, {answer: "d", rating: "up"}},
			"d>b", "pairs_per_input:2"},
		{"the best score of a rating", 1, []judgedRun{{answer: "a", rating: "up", score: "1"},
			{answer: "b", rating: "up", score: "0.5"}, {answer: "c", rating: "down"}}, "a>c", "no_opposite:1"},
		{"between best and worst", 1, []judgedRun{{answer: "a", rating: "up"}, {answer: "b"}, {answer: "c", rating: "down"}},
			"a>c", "no_opposite:1"},
		{"scores around runs without a verdict", 1, []judgedRun{{answer: "a"}, {answer: "b", score: "0"},
			{answer: "c", score: "1"}, {answer: "d"}}, "c>b", "no_opposite:2"},
		{"several pairs", 3, []judgedRun{{answer: "a", rating: "up"}, {answer: "b", rating: "up"},
			{answer: "c", rating: "down"}, {answer: "d", rating: "down"}, {answer: "e", rating: "down"}},
			"b>c a>d", "no_opposite:1"},
		{"several pairs, as many as allowed", 2, []judgedRun{{answer: "a", score: "1"}, {answer: "b", score: "2"},
			{answer: "c", score: "3"}, {answer: "d", score: "4"}, {answer: "e", score: "5"}, {answer: "f", score: "6"}},
			"f>a e>b", "pairs_per_input:2"},
		{"the same answer", 1, []judgedRun{{answer: "a  b", rating: "up"}, {answer: " a b", rating: "down"}}, "",
			"same_answer:2"},
		{"the same answer, escaped", 1, []judgedRun{{answer: "a", rating: "up"}, {answer: "a\u200b", rating: "down"}},
			"a>a\u200b", ""},
		{"another system message", 1, []judgedRun{{answer: "a", rating: "up"},
			{answer: "b", rating: "down", messages: system}}, "", "different_context:2"},
		{"the question with other white space", 1, []judgedRun{{answer: "a", rating: "up",
			messages: formattest.UserSays("H  i")}, {answer: "b", rating: "down", messages: formattest.UserSays(" H i\n")}},
			"a>b", ""},
		{"calls with other ids", 1, []judgedRun{{answer: "a", rating: "up", messages: formattest.HiMessage + "," +
			calls("x") + "," + formattest.ToolResult("x", "1")}, {answer: "b", rating: "down", messages: formattest.HiMessage +
			"," + calls("y") + "," + formattest.ToolResult("y", "1")}}, "a>b", ""},
		{"calls with other results", 1, []judgedRun{{answer: "a", rating: "up", messages: formattest.HiMessage + "," +
			calls("x") + "," + formattest.ToolResult("x", "1")}, {answer: "b", rating: "down", messages: formattest.HiMessage +
			"," + calls("y") + "," + formattest.ToolResult("y", "2")}}, "", "different_context:2"},
		{"other calls", 1, []judgedRun{{answer: "a", rating: "up", messages: formattest.HiMessage + "," + calls("x") + "," +
			formattest.ToolResult("x", "1")}, {answer: "b", rating: "down"}}, "", "different_context:2"},
		{"a second pair after one that is none", 2, []judgedRun{{answer: "a", score: "1"}, {answer: "b", score: "2"},
			{answer: "c", score: "3"}, {answer: "d", score: "4", messages: system}}, "c>b", "different_context:2"},
		{"a correction", 1, []judgedRun{{answer: "a", correction: "b"}}, "b>a", ""},
		{"a correction of nothing", 1, []judgedRun{{answer: "a", correction: " a "}}, "", "no_opposite:1"},
		{"a correction after a pair", 2, []judgedRun{{answer: "a", rating: "up"}, {answer: "b", rating: "down"},
			{answer: "c", correction: "d"}}, "a>b d>c", ""},
		{"a correction beyond the limit", 1, []judgedRun{{answer: "a", rating: "up"}, {answer: "b", rating: "down"},
			{answer: "c", correction: "d"}, {answer: "e"}}, "a>b", "no_opposite:1 pairs_per_input:1"},
		{"a correction of a run in a pair", 2, []judgedRun{{answer: "a", rating: "up"},
			{answer: "b", rating: "down", correction: "c"}}, "a>b", ""},
		{"a correction of a run in no pair after all", 1, []judgedRun{{answer: "a", rating: "up"},
			{answer: "b", rating: "down", correction: "c", messages: system}}, "c>b", "different_context:1"},
		{"corrections, the first come", 2, []judgedRun{{answer: "a", correction: "1"}, {answer: "b", correction: "2"},
			{answer: "c", correction: "3"}, {answer: "d", correction: "4"}, {answer: "e", correction: "5"}}, "1>a 2>b",
			"pairs_per_input:3"},
	} {
		for _, target := range []string{"openai_dpo", "trl_dpo", "gemini_preference"} {
			t.Run(target+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				o := formattest.StreamRows(t, format.FineTuning, target, map[string]any{"pairs_per_input": float64(test.limit)},
					judgedRows(test.runs))
				var pairs, dropped []string
				for _, record := range o.Records {
					preferred, rejected := pairOf(t, record)
					pairs = append(pairs, preferred+">"+rejected)
				}
				for _, reason := range slices.Sorted(maps.Keys(o.Dropped)) {
					dropped = append(dropped, fmt.Sprintf("%s:%d", reason, o.Dropped[reason]))
				}
				if got := strings.Join(pairs, " "); got != test.pairs {
					t.Errorf("pairs %q, want %q", got, test.pairs)
				}
				if got := strings.Join(dropped, " "); got != test.dropped {
					t.Errorf("dropped %q, want %q", got, test.dropped)
				}
			})
		}
	}
}

// pairOf returns the two answers of a record of a preference target, without looking at the code
// under test.
func pairOf(t *testing.T, record []byte) (preferred, rejected string) {
	t.Helper()
	type message struct{ Content string }
	var r struct {
		Preferred   []message `json:"preferred_output"`
		Other       []message `json:"non_preferred_output"`
		Chosen      []message
		Rejected    []message
		Completions []struct {
			Score      int
			Completion struct{ Parts []struct{ Text string } }
		}
	}
	if err := json.Unmarshal(record, &r); err != nil {
		t.Fatal(err)
	}
	switch {
	case len(r.Preferred) == 1 && len(r.Other) == 1:
		return r.Preferred[0].Content, r.Other[0].Content
	case len(r.Chosen) == 1 && len(r.Rejected) == 1:
		return r.Chosen[0].Content, r.Rejected[0].Content
	case len(r.Completions) == 2:
		return r.Completions[0].Completion.Parts[0].Text, r.Completions[1].Completion.Parts[0].Text
	}
	t.Fatalf("no pair: %s", record)
	return "", ""
}

func TestPairsAreWrittenAsTheirReadersWantThem(t *testing.T) {
	t.Parallel()
	asked := formattest.SystemSays("x") + "," + formattest.HiMessage + "," + calls("a") + "," + formattest.ToolResult("a",
		"1")
	rows := judgedRows([]judgedRun{{answer: "good", rating: "up", messages: asked}, {answer: "bad", rating: "down",
		messages: asked}})
	for _, row := range rows {
		row.Tools = []byte("[" + formattest.ToolF + "]")
	}
	empty := strings.Replace(calls("a"), `"assistant",`, `"assistant","content":"",`, 1)
	for target, want := range map[string]string{
		"openai_dpo": `{"input":{"messages":` + formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage, calls("a"),
			formattest.ToolResult("a", "1")) + `,"tools":[` + formattest.ToolF + `]},` +
			`"preferred_output":[` + formattest.AssistantSays("good") + `],"non_preferred_output":[` +
			formattest.AssistantSays("bad") + `]}`,
		"trl_dpo": `{"prompt":` + formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage, empty,
			formattest.ToolResult("a", "1")) + `,"chosen":[` + formattest.AssistantSays("good") + `],"rejected":[` +
			formattest.AssistantSays("bad") + `]}`,
		"gemini_preference": `{"system_instruction":{"parts":[{"text":"x"}]},"contents":[{"role":"user","parts":[{"text":"Hi"}]},` +
			`{"role":"model","parts":[{"text":"<tool_call>\n{\"name\":\"f\",\"arguments\":{}}\n</tool_call>"}]},{"role":"user","parts":[{"text":"<tool_response>\n1\n</tool_response>"}]}],` +
			`"completions":[{"score":1,"completion":{"role":"model","parts":[{"text":"good"}]}},{"score":0,"completion":{"role":"model","parts":[{"text":"bad"}]}}]}`,
	} {
		o := formattest.StreamRows(t, format.FineTuning, target, nil, rows)
		if len(o.Records) != 1 || string(o.Records[0]) != want {
			t.Errorf("%s:\n got %s\nwant %s", target, o.Records, want)
		}
		if len(o.Lineage) != 2 || !strings.Contains(string(o.Lineage[0]), `"run_id":"run-0"`) ||
			!strings.Contains(string(o.Lineage[1]), `"run_id":"run-1"`) {
			t.Errorf("%s: lineage %s", target, o.Lineage)
		}
	}
}

func TestPairsDropWhatTheirReadersCannotTake(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		target string
		row    *record.Row
		want   string
	}{
		{"openai_dpo", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.YesMessage)), "assistant_before_answer"},
		{"openai_dpo", withTools(formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage)),
			`[{"type":"web_search"}]`), "invalid_tools"},
		{"openai_dpo", formattest.ChatRow(formattest.Chat(formattest.HiMessage, calls("a"), formattest.YesMessage)),
			"unanswered_tool_call"},
		{"trl_dpo", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage, formattest.YesMessage)),
			"assistant_before_answer"},
		{"trl_dpo", formattest.ChatRow(formattest.Chat(formattest.HiMessage)), "no_assistant_message"},
		{"gemini_preference", formattest.ChatRow(formattest.Chat(formattest.YesMessage, formattest.HiMessage,
			formattest.YesMessage)), "assistant_first"},
		{"gemini_preference", formattest.ChatRow(formattest.Chat(formattest.HiMessage, formattest.YesMessage,
			formattest.YesMessage)), "assistant_before_answer"},
	} {
		o := formattest.StreamRows(t, format.FineTuning, test.target, nil, []*record.Row{test.row})
		if o.Dropped[test.want] != 1 {
			t.Errorf("%s: dropped %v, want %s", test.target, o.Dropped, test.want)
		}
		all, _ := targets.Find(format.FineTuning, test.target)
		if !slices.ContainsFunc(all.Drops, func(d format.Drop) bool { return d.Reason == test.want }) {
			t.Errorf("%s does not tell of %s", test.target, test.want)
		}
	}
}

func TestCallsBesideAnAnswerAreNotInAPair(t *testing.T) {
	t.Parallel()
	rows := judgedRows([]judgedRun{{answer: "a", rating: "up"}, {answer: "b", rating: "down"}})
	rows[0].Messages = []byte(formattest.Chat(formattest.HiMessage, calling("a", "x"), formattest.ToolResult("x", "1")))
	o := formattest.StreamRows(t, format.FineTuning, "openai_dpo", nil, rows)
	if want := `{"input":{"messages":[` + formattest.HiMessage + `]},"preferred_output":[` +
		formattest.AssistantSays("a") + `],"non_preferred_output":[` + formattest.AssistantSays("b") +
		`]}`; len(o.Records) != 1 || string(o.Records[0]) != want {
		t.Errorf("%s", o.Records)
	}
}

// A group of many rows in any order has the pairs that sorting it would give.
func TestPairsOfALargeGroupAreThoseOfTheSortedOne(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 3, 10} {
		for _, n := range []int{2, 3, 7, 19, 20, 21, record.MaxGroup} {
			var runs []judgedRun
			for i := range n {
				at := (i*7919 + 13) % n // a permutation for these n
				runs = append(runs, judgedRun{answer: fmt.Sprintf("answer %d", at), score: fmt.Sprint(at)})
			}
			o := formattest.StreamRows(t, format.FineTuning, "trl_dpo", map[string]any{"pairs_per_input": float64(limit)},
				judgedRows(runs))
			var got, want []string
			for _, record := range o.Records {
				preferred, rejected := pairOf(t, record)
				got = append(got, preferred+">"+rejected)
			}
			for i := 0; i < min(limit, n/2); i++ {
				want = append(want, fmt.Sprintf("answer %d>answer %d", n-1-i, i))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d of %d: %v, want %v", limit, n, got, want)
			}
			if left := int64(n/2*2 - 2*len(want)); o.Dropped["pairs_per_input"] != left ||
				o.Dropped["no_opposite"] != int64(n%2) {
				t.Errorf("%d of %d: dropped %v", limit, n, o.Dropped)
			}
		}
	}
}

func TestPairsKeepTheTextsOfFewRows(t *testing.T) {
	if testing.Short() {
		t.Skip("large texts and no concurrency: it runs without -short")
	}
	const size = 1 << 20
	f, err := targets.New(format.FineTuning, "openai_dpo", map[string]any{"pairs_per_input": 2.0})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	row := formattest.EmptyRow()
	row.Answer, row.HasFeedback, row.Feedback.Score.Valid, row.Feedback.CorrectedAnswer = []byte("a"), true, true,
		[]byte("b")
	row.Question = []byte(strings.Repeat("q", size))
	for i := range record.MaxGroup {
		row.Feedback.Score.Value = float64(i * 7919 % record.MaxGroup)
		if drop, err := f.(format.GroupFormatter).Add(row); drop != "" || err != nil {
			t.Fatal(drop, err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// Of the best, the worst and the corrected ones a few each, and what is made on the way.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 30*size {
		t.Errorf("%d MiB for %d rows", grown/size, record.MaxGroup)
	}
	runtime.KeepAlive(f)
}

func TestPairsWarnOfAPromptThatWasCut(t *testing.T) {
	t.Parallel()
	const more = `,{"role":"user","content":"Thanks"}]`
	for _, target := range []string{"openai_dpo", "trl_dpo", "gemini_preference"} {
		for _, test := range []struct {
			name         string
			best, worst  bool // whether its messages go on after the answer
			correctWorst bool
			want         int64
		}{
			{"neither", false, false, false, 0},
			{"the preferred one", true, false, false, 1},
			{"the other one", false, true, false, 1},
			{"both", true, true, false, 1},
			{"one against its correction, too", true, true, true, 1},
		} {
			rows := judgedRows([]judgedRun{{answer: "bad", rating: "down"}, {answer: "good", rating: "up"}})
			for i, cut := range []bool{test.worst, test.best} {
				if cut {
					rows[i].Messages = []byte(strings.TrimSuffix(string(rows[i].Messages), "]") + more)
				}
			}
			if test.correctWorst {
				rows = []*record.Row{corrected(rows[0], "better")}
			}
			o := formattest.StreamRows(t, format.FineTuning, target, nil, rows)
			if len(o.Records) != 1 || o.Warned[format.TrimmedTail] != test.want ||
				bytes.Contains(o.Records[0], []byte("Thanks")) {
				t.Errorf("%s: %s: warned %v of %s", target, test.name, o.Warned, o.Records)
			}
		}
	}
}

func TestPairsAllocateNothing(t *testing.T) {
	rows := judgedRows([]judgedRun{{answer: "bad", rating: "down"}, {answer: "good", rating: "up", correction: "better"},
		{answer: "so", score: "1"}, {answer: "none"}})
	for _, target := range []string{"openai_dpo", "trl_dpo", "gemini_preference"} {
		f, err := targets.New(format.FineTuning, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		emit, drop, warn := func([]byte, ...format.Source) error { return nil }, func(string, int) {}, func(string) {}
		if n := testing.AllocsPerRun(100, func() {
			for _, row := range rows {
				_, _ = f.(format.GroupFormatter).Add(row)
			}
			_ = f.(format.GroupFormatter).Flush(emit, drop, warn)
		}); n != 0 {
			t.Errorf("%s: %v allocations a group", target, n)
		}
	}
}
