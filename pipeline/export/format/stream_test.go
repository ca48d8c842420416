package format_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

// fake is a target whose records are the ids of their runs; it drops runs whose id begins with
// "bad".
type fake struct {
	dedupe bool
	kept   []format.Source
	ids    record.IDs
}

func (*fake) Columns() []fragment.Column            { return nil }
func (*fake) Needs() record.Needs                   { return record.Needs{Group: record.ByInput} }
func (f *fake) Deduplicates() bool                  { return f.dedupe }
func (*fake) Warnings(row *record.Row) []string     { return []string{"about " + string(row.RunID)} }
func (*fake) Partition(row *record.Row) (of []byte) { return row.RunID[:1] }

func (*fake) Append(dst []byte, row *record.Row) ([]byte, string, error) {
	if strings.HasPrefix(string(row.RunID), "bad") {
		return dst, "bad", nil
	}
	return fmt.Appendf(dst, `{"run":%q}`, row.RunID), "", nil
}

// fakeGroup makes one record of all rows of a group but the last, which it drops.
type fakeGroup struct {
	fake
}

func (f *fakeGroup) Add(row *record.Row) (string, error) {
	if strings.HasPrefix(string(row.RunID), "bad") {
		return "bad", nil
	}
	var s format.Source
	s.Remember(row, &f.ids)
	f.kept = append(f.kept, s)
	return "", nil
}

func (f *fakeGroup) Flush(emit func([]byte, ...format.Source) error, drop func(string, int), warn func(string)) error {
	defer func() { f.kept = nil }()
	if len(f.kept) == 0 {
		return nil
	}
	drop("last", 1)
	warn("about a group")
	if len(f.kept) == 1 {
		return nil
	}
	return emit(fmt.Appendf(nil, `{"rows":%d}`, len(f.kept)-1), f.kept[:len(f.kept)-1]...)
}

// judged returns a row of a group: its id, and its verdict as a rating or a score.
func judged(group, id string, at int64, verdict any) *record.Row {
	row := &record.Row{WorkspaceID: []byte("acme"), RunID: []byte(id), Group: []byte(group),
		Execution: record.Execution{StartedAt: at, InputGroup: []byte(group)}}
	switch verdict := verdict.(type) {
	case string:
		row.HasFeedback, row.Feedback.Rating = true, []byte(verdict)
	case float64:
		row.HasFeedback, row.Feedback.Score = true, record.Null[float64]{Value: verdict, Valid: true}
	}
	return row
}

func through(t *testing.T, f format.Formatter, lineage bool, rows ...*record.Row) *formattest.Outcome {
	t.Helper()
	o := &formattest.Outcome{Dropped: map[string]int64{}, Warned: map[string]int64{}}
	s := format.StreamOf(f, lineage, o)
	for _, row := range rows {
		if err := s.Row(row); err != nil {
			t.Fatal(err)
		}
		*row = record.Row{RunID: []byte("overwritten"), Group: []byte("overwritten")} // as a reader does
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

func recordsText(o *formattest.Outcome) string {
	var all []string
	for _, r := range o.Records {
		all = append(all, string(r))
	}
	return strings.Join(all, " ")
}

func TestOfRepeatedInputsTheBestRecordIsKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows    []*record.Row
		want    string
		dropped map[string]int64
	}{
		"the highest score": {[]*record.Row{judged("g", "a", 1, 0.5), judged("g", "b", 2, 1.0),
			judged("g", "c", 3, 0.0)}, `{"run":"b"}`, map[string]int64{format.DuplicateInput: 2}},
		"a score before none": {[]*record.Row{judged("g", "a", 1, 0.0), judged("g", "b", 2, "thumbsUp")},
			`{"run":"a"}`, map[string]int64{format.DuplicateInput: 1}},
		"then thumbs up": {[]*record.Row{judged("g", "a", 1, "thumbsUp"), judged("g", "b", 2, nil),
			judged("g", "c", 3, "thumbsDown")}, `{"run":"a"}`, map[string]int64{format.DuplicateInput: 2}},
		"then the newest": {[]*record.Row{judged("g", "a", 1, 1.0), judged("g", "b", 2, 1.0)}, `{"run":"b"}`,
			map[string]int64{format.DuplicateInput: 1}},
		"of those that can be used": {[]*record.Row{judged("g", "bad", 1, 1.0), judged("g", "b", 2, 0.5)}, `{"run":"b"}`,
			map[string]int64{"bad": 1}},
		"of each group": {[]*record.Row{judged("g", "a", 2, nil), judged("h", "b", 1, nil),
			judged("h", "c", 2, nil)}, `{"run":"a"} {"run":"c"}`, map[string]int64{format.DuplicateInput: 1}},
		"of none where all are bad": {[]*record.Row{judged("g", "bad1", 1, nil), judged("g", "bad2", 2, nil)}, ``,
			map[string]int64{"bad": 2}},
		"not beyond the largest": {[]*record.Row{judged("", "a", 1, nil), judged("", "b", 2, nil),
			judged("g", "c", 3, nil)}, `{"run":"c"}`, map[string]int64{format.GroupTooLarge: 2}},
		"not with too many node runs": {[]*record.Row{func() *record.Row {
			r := judged("g", "a", 1,
				1.0)
			r.TooLarge = true
			return r
		}(), judged("g", "c", 3, nil)}, `{"run":"c"}`, map[string]int64{format.RecordTooLarge: 1}},
	} {
		got := through(t, &fake{dedupe: true}, true, c.rows...)
		if recordsText(got) != c.want || fmt.Sprint(got.Dropped) != fmt.Sprint(c.dropped) {
			t.Errorf("%s: %s, dropped %v; want %s, dropped %v", name, recordsText(got), got.Dropped, c.want, c.dropped)
		}
		for i, r := range got.Records {
			var run struct{ Run string }
			var line struct {
				RunID string `json:"run_id"`
			}
			if json.Unmarshal(r, &run) != nil || json.Unmarshal(got.Lineage[i], &line) != nil || line.RunID != run.Run {
				t.Errorf("%s: the lineage of %s is %s", name, r, got.Lineage[i])
			}
			if got.Warned["about "+run.Run] != 1 || len(got.Warned) != len(got.Records) || got.Partitions[i] != run.Run[:1] {
				t.Errorf("%s: warnings %v, partitions %v", name, got.Warned, got.Partitions)
			}
		}
	}
}

// fakeLabels is fake with labels, which are the ratings.
type fakeLabels struct{ fake }

func (*fakeLabels) Label(row *record.Row) string { return string(row.Feedback.Rating) }

func TestOfEachLabelTheBestRecordIsKept(t *testing.T) {
	t.Parallel()
	rated := func(group, id string, at int64, rating string, score float64) *record.Row {
		row := judged(group, id, at, rating)
		row.Feedback.Score = record.Null[float64]{Value: score, Valid: true}
		return row
	}
	for name, c := range map[string]struct {
		rows    []*record.Row
		want    string
		dropped int64
	}{
		"one of each": {[]*record.Row{judged("g", "a", 1, "thumbsDown"), judged("g", "b", 2, "thumbsUp")},
			`{"run":"a"} {"run":"b"}`, 0},
		"in the order of the rows": {[]*record.Row{judged("g", "a", 1, "thumbsUp"), judged("g", "b", 2, "thumbsDown"),
			judged("g", "c", 3, "thumbsUp")}, `{"run":"b"} {"run":"c"}`, 1},
		"the best": {[]*record.Row{rated("g", "a", 1, "thumbsDown", 0.2), rated("g", "b", 2, "thumbsDown", 0.1),
			rated("g", "c", 3, "thumbsUp", 0.9), rated("g", "d", 4, "thumbsUp", 0.8)}, `{"run":"a"} {"run":"c"}`, 2},
		"only one has it": {[]*record.Row{judged("g", "a", 1, "thumbsDown"), judged("g", "b", 2, "thumbsDown")},
			`{"run":"b"}`, 1},
		"of each group": {[]*record.Row{judged("g", "a", 1, "thumbsUp"), judged("g", "b", 2, "thumbsDown"),
			judged("h", "c", 1, "thumbsDown"), judged("i", "d", 1, "thumbsUp"), judged("i", "e", 2, "thumbsUp")},
			`{"run":"a"} {"run":"b"} {"run":"c"} {"run":"e"}`, 1},
	} {
		got := through(t, &fakeLabels{fake{dedupe: true}}, true, c.rows...)
		if recordsText(got) != c.want || got.Dropped[format.DuplicateInput] != c.dropped {
			t.Errorf("%s: %s, dropped %v; want %s, dropped %d", name, recordsText(got), got.Dropped, c.want, c.dropped)
		}
		for i, r := range got.Records {
			if id := string(r[8:9]); !strings.Contains(string(got.Lineage[i]), `"run_id":"`+id+`"`) ||
				got.Warned["about "+id] != 1 || len(got.Warned) != len(got.Records) {
				t.Errorf("%s: the lineage of %s is %s, warned %v", name, r, got.Lineage[i], got.Warned)
			}
		}
	}
}

func TestRecordsOfGroupsAccountForTheirRows(t *testing.T) {
	t.Parallel()
	got := through(t, &fakeGroup{}, true, judged("g", "a", 5, 1.0), judged("g", "b", 6, "thumbsUp"),
		judged("g", "bad", 7, nil), judged("g", "c", 8, nil),
		judged("h", "d", 1, nil), judged("i", "bad", 1, nil), judged("j", "e", 1, nil), judged("j", "f", 2, nil))
	if want := `{"rows":2} {"rows":1}`; recordsText(got) != want || got.Used != 3 ||
		fmt.Sprint(got.Dropped) != "map[bad:2 last:3]" || len(got.Lineage) != 3 || got.Warned["about a group"] != 3 {
		t.Errorf("%s, %d rows used, dropped %v, lineage %s", recordsText(got), got.Used, got.Dropped, got.Lineage)
	}
	var line map[string]any
	if err := json.Unmarshal(got.Lineage[0], &line); err != nil || line["run_id"] != "a" || line["score"] != 1.0 ||
		line["rating"] != nil {
		t.Errorf("lineage %s, %v", got.Lineage[0], err)
	}
	if got := through(t, &fake{}, false, judged("g", "a", 1, nil), judged("g", "b", 2,
		nil)); recordsText(got) != `{"run":"a"} {"run":"b"}` || got.Lineage != nil {
		t.Errorf("%s, lineage %s", recordsText(got), got.Lineage)
	}
}

func TestALineOfLineageSaysWhereARecordIsAndWhereItComesFrom(t *testing.T) {
	t.Parallel()
	i := record.NewIDs(format.FineTuning, "fake")
	row := formattest.FullRow()
	line := format.AppendLineage(nil, "data/train-00000-00000-abc.jsonl", 17, format.AppendRowLineage(nil, row, &i))
	want := `{"file":"data/train-00000-00000-abc.jsonl","line":17,"id":` + string(i.Append(nil, row)) +
		`,"run_id":"0192f0c1-7b7e-7000-8000-000000000001","node_run_id":null,"app_version":"v3","score":0.25,"rating":"thumbsDown","started_at":"2026-11-01T00:00:00.001Z","metadata":{"region":"eu","tier":""}}`
	if string(line) != want {
		t.Errorf("%s\nwant %s", line, want)
	}
}

func TestSplitsDependOnTheInputAlone(t *testing.T) {
	t.Parallel()
	s := &format.Shares{Validation: 0.2, Test: 0.1, Seed: 7}
	counts := map[string]int{}
	moved := 0
	other := &format.Shares{Validation: 0.2, Test: 0.1, Seed: 8}
	for i := range 20_000 {
		group := []byte(fmt.Sprint("group ", i))
		split := s.Of(group)
		counts[split]++
		if split != s.Of(slices.Clone(group)) {
			t.Fatal("a group is in two splits")
		}
		if split != other.Of(group) {
			moved++
		}
	}
	for split, share := range map[string]float64{format.Train: 0.7, format.Validation: 0.2, format.Test: 0.1} {
		if got := float64(counts[split]) / 20_000; math.Abs(got-share) > 0.02 {
			t.Errorf("%s has %v, want %v", split, got, share)
		}
	}
	if moved < 5000 {
		t.Errorf("another seed moves only %d groups", moved)
	}
	if none := (*format.Shares)(nil); none.Of([]byte("x")) != format.Train {
		t.Error("without shares a record is not in train")
	}
	if all := (&format.Shares{Test: 1}); all.Of([]byte("x")) != format.Test || (&format.Shares{Validation: 1}).
		Of([]byte("x")) != format.Validation {
		t.Error("a share of 1 is not everything")
	}
}

// LangSmith's examples say their split themselves, where there are splits.
func TestASplitIsPartOfTheRecordWhereItsReaderAsksForIt(t *testing.T) {
	t.Parallel()
	for _, shares := range []*format.Shares{nil, {Test: 1}} {
		o := &formattest.Outcome{Dropped: map[string]int64{}, Warned: map[string]int64{}}
		s, err := targets.NewStream(format.RecipeEvaluation, "langsmith", nil, shares, o)
		if err != nil {
			t.Fatal(err)
		}
		row := formattest.FullRow()
		if err := s.Row(row); err != nil {
			t.Fatal(err)
		}
		var record struct{ Split string }
		if err := json.Unmarshal(o.Records[0], &record); err != nil || (record.Split == format.Test) != (shares != nil) ||
			record.Split == format.Train {
			t.Errorf("shares %+v: %s, %v", shares, o.Records[0], err)
		}
	}
}
