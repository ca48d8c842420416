package format

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/sinks/fragment"
)

// fake is a target whose records are the ids of their runs; it drops runs whose id begins with "bad".
type fake struct {
	dedupe bool
	kept   []Source
	ids    ids
}

func (*fake) Columns() []fragment.Column     { return nil }
func (*fake) Needs() Needs                   { return Needs{Group: ByInput} }
func (f *fake) Deduplicates() bool           { return f.dedupe }
func (*fake) Warnings(row *Row) []string     { return []string{"about " + string(row.RunID)} }
func (*fake) Partition(row *Row) (of []byte) { return row.RunID[:1] }

func (*fake) Append(dst []byte, row *Row) ([]byte, string, error) {
	if strings.HasPrefix(string(row.RunID), "bad") {
		return dst, "bad", nil
	}
	return fmt.Appendf(dst, `{"run":%q}`, row.RunID), "", nil
}

// fakeGroup makes one record of all rows of a group but the last, which it drops.
type fakeGroup struct {
	fake
}

func (f *fakeGroup) Add(row *Row) (string, error) {
	if strings.HasPrefix(string(row.RunID), "bad") {
		return "bad", nil
	}
	var s Source
	s.set(row, &f.ids)
	f.kept = append(f.kept, s)
	return "", nil
}

func (f *fakeGroup) Flush(emit func([]byte, ...Source) error, drop func(string, int), warn func(string)) error {
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
func judged(group, id string, at int64, verdict any) *Row {
	row := &Row{WorkspaceID: b("acme"), RunID: b(id), Group: b(group), Execution: Execution{StartedAt: at, InputGroup: b(group)}}
	switch verdict := verdict.(type) {
	case string:
		row.HasFeedback, row.Feedback.Rating = true, b(verdict)
	case float64:
		row.HasFeedback, row.Feedback.Score = true, Null[float64]{verdict, true}
	}
	return row
}

func through(t *testing.T, f Formatter, lineage bool, rows ...*Row) *outcome {
	t.Helper()
	o := &outcome{dropped: map[string]int64{}, warned: map[string]int64{}}
	s := newStream(f, nil, o)
	if i := newIDs(FineTuning, "fake"); lineage {
		s.lineage = &i
	}
	for _, row := range rows {
		if err := s.Row(row); err != nil {
			t.Fatal(err)
		}
		*row = Row{RunID: b("overwritten"), Group: b("overwritten")} // as a reader does
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *outcome) text() string {
	var all []string
	for _, r := range o.records {
		all = append(all, string(r))
	}
	return strings.Join(all, " ")
}

func TestOfRepeatedInputsTheBestRecordIsKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows    []*Row
		want    string
		dropped map[string]int64
	}{
		"the highest score":           {[]*Row{judged("g", "a", 1, 0.5), judged("g", "b", 2, 1.0), judged("g", "c", 3, 0.0)}, `{"run":"b"}`, map[string]int64{DuplicateInput: 2}},
		"a score before none":         {[]*Row{judged("g", "a", 1, 0.0), judged("g", "b", 2, "thumbsUp")}, `{"run":"a"}`, map[string]int64{DuplicateInput: 1}},
		"then thumbs up":              {[]*Row{judged("g", "a", 1, "thumbsUp"), judged("g", "b", 2, nil), judged("g", "c", 3, "thumbsDown")}, `{"run":"a"}`, map[string]int64{DuplicateInput: 2}},
		"then the newest":             {[]*Row{judged("g", "a", 1, 1.0), judged("g", "b", 2, 1.0)}, `{"run":"b"}`, map[string]int64{DuplicateInput: 1}},
		"of those that can be used":   {[]*Row{judged("g", "bad", 1, 1.0), judged("g", "b", 2, 0.5)}, `{"run":"b"}`, map[string]int64{"bad": 1}},
		"of each group":               {[]*Row{judged("g", "a", 2, nil), judged("h", "b", 1, nil), judged("h", "c", 2, nil)}, `{"run":"a"} {"run":"c"}`, map[string]int64{DuplicateInput: 1}},
		"of none where all are bad":   {[]*Row{judged("g", "bad1", 1, nil), judged("g", "bad2", 2, nil)}, ``, map[string]int64{"bad": 2}},
		"not beyond the largest":      {[]*Row{judged("", "a", 1, nil), judged("", "b", 2, nil), judged("g", "c", 3, nil)}, `{"run":"c"}`, map[string]int64{GroupTooLarge: 2}},
		"not with too many node runs": {[]*Row{func() *Row { r := judged("g", "a", 1, 1.0); r.TooLarge = true; return r }(), judged("g", "c", 3, nil)}, `{"run":"c"}`, map[string]int64{RecordTooLarge: 1}},
	} {
		got := through(t, &fake{dedupe: true}, true, c.rows...)
		if got.text() != c.want || fmt.Sprint(got.dropped) != fmt.Sprint(c.dropped) {
			t.Errorf("%s: %s, dropped %v; want %s, dropped %v", name, got.text(), got.dropped, c.want, c.dropped)
		}
		for i, r := range got.records {
			var run struct{ Run string }
			var line struct {
				RunID string `json:"run_id"`
			}
			if json.Unmarshal(r, &run) != nil || json.Unmarshal(got.lineage[i], &line) != nil || line.RunID != run.Run {
				t.Errorf("%s: the lineage of %s is %s", name, r, got.lineage[i])
			}
			if got.warned["about "+run.Run] != 1 || len(got.warned) != len(got.records) || got.partitions[i] != run.Run[:1] {
				t.Errorf("%s: warnings %v, partitions %v", name, got.warned, got.partitions)
			}
		}
	}
}

func TestRecordsOfGroupsAccountForTheirRows(t *testing.T) {
	t.Parallel()
	got := through(t, &fakeGroup{}, true, judged("g", "a", 5, 1.0), judged("g", "b", 6, "thumbsUp"), judged("g", "bad", 7, nil), judged("g", "c", 8, nil),
		judged("h", "d", 1, nil), judged("i", "bad", 1, nil), judged("j", "e", 1, nil), judged("j", "f", 2, nil))
	if want := `{"rows":2} {"rows":1}`; got.text() != want || got.used != 3 || fmt.Sprint(got.dropped) != "map[bad:2 last:3]" || len(got.lineage) != 3 || got.warned["about a group"] != 3 {
		t.Errorf("%s, %d rows used, dropped %v, lineage %s", got.text(), got.used, got.dropped, got.lineage)
	}
	var line map[string]any
	if err := json.Unmarshal(got.lineage[0], &line); err != nil || line["run_id"] != "a" || line["score"] != 1.0 || line["rating"] != nil {
		t.Errorf("lineage %s, %v", got.lineage[0], err)
	}
	if got := through(t, &fake{}, false, judged("g", "a", 1, nil), judged("g", "b", 2, nil)); got.text() != `{"run":"a"} {"run":"b"}` || got.lineage != nil {
		t.Errorf("%s, lineage %s", got.text(), got.lineage)
	}
}

func TestALineOfLineageSaysWhereARecordIsAndWhereItComesFrom(t *testing.T) {
	t.Parallel()
	i := newIDs(FineTuning, "fake")
	row := fullRow()
	line := AppendLineage(nil, "data/train-00000-00000-abc.jsonl", 17, appendLineage(nil, row, &i))
	want := `{"file":"data/train-00000-00000-abc.jsonl","line":17,"id":` + string(i.append(nil, row)) +
		`,"run_id":"0192f0c1-7b7e-7000-8000-000000000001","node_run_id":null,"app_version":"v3","score":0.25,"rating":"thumbsDown","started_at":"2026-11-01T00:00:00.001Z","metadata":{"region":"eu","tier":""}}`
	if string(line) != want {
		t.Errorf("%s\nwant %s", line, want)
	}
}

func TestSplitsDependOnTheInputAlone(t *testing.T) {
	t.Parallel()
	s := &Shares{Validation: 0.2, Test: 0.1, Seed: 7}
	counts := map[string]int{}
	moved := 0
	other := &Shares{Validation: 0.2, Test: 0.1, Seed: 8}
	for i := range 20_000 {
		group := b(fmt.Sprint("group ", i))
		split := s.Of(group)
		counts[split]++
		if split != s.Of(slices.Clone(group)) {
			t.Fatal("a group is in two splits")
		}
		if split != other.Of(group) {
			moved++
		}
	}
	for split, share := range map[string]float64{Train: 0.7, Validation: 0.2, Test: 0.1} {
		if got := float64(counts[split]) / 20_000; math.Abs(got-share) > 0.02 {
			t.Errorf("%s has %v, want %v", split, got, share)
		}
	}
	if moved < 5000 {
		t.Errorf("another seed moves only %d groups", moved)
	}
	if none := (*Shares)(nil); none.Of(b("x")) != Train {
		t.Error("without shares a record is not in train")
	}
	if all := (&Shares{Test: 1}); all.Of(b("x")) != Test || (&Shares{Validation: 1}).Of(b("x")) != Validation {
		t.Error("a share of 1 is not everything")
	}
}

// LangSmith's examples say their split themselves, where there are splits.
func TestASplitIsPartOfTheRecordWhereItsReaderAsksForIt(t *testing.T) {
	t.Parallel()
	for _, shares := range []*Shares{nil, {Test: 1}} {
		o := &outcome{dropped: map[string]int64{}, warned: map[string]int64{}}
		s, err := NewStream(RecipeEvaluation, "langsmith", nil, shares, o)
		if err != nil {
			t.Fatal(err)
		}
		row := fullRow()
		if err := s.Row(row); err != nil {
			t.Fatal(err)
		}
		var record struct{ Split string }
		if err := json.Unmarshal(o.records[0], &record); err != nil || (record.Split == Test) != (shares != nil) || record.Split == Train {
			t.Errorf("shares %+v: %s, %v", shares, o.records[0], err)
		}
	}
}
