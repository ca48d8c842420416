package runstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/runstore"
)

// indexes returns the indexes of the refused rows.
func indexes(t *testing.T, refused []runstore.Refused) []int {
	t.Helper()
	list := []int{}
	for _, r := range refused {
		if code := clickhouse.Code(r.Err); code != 469 { // VIOLATED_CONSTRAINT
			t.Errorf("row %d: code %d, %v", r.Index, code, r.Err)
		}
		list = append(list, r.Index)
	}
	return list
}

func TestRefusedRowsAreFoundAndTheirNeighboursStored(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.query(t, "ALTER TABLE runs ADD CONSTRAINT poisoned CHECK question != 'poison'")
	s := d.store(t, d.server.NativeAddr)
	all := func(n int) (list []int) {
		for i := range n {
			list = append(list, i)
		}
		return list
	}
	for _, c := range []struct {
		name   string
		rows   int
		poison []int
	}{
		{"one among a thousand", 1000, []int{617}},
		{"two apart", 1000, []int{3, 997}},
		{"two neighbours across the middle", 1000, []int{499, 500}},
		{"the first and the last", 1000, []int{0, 999}},
		{"the only one", 1, []int{0}},
		{"all of them", 7, all(7)},
		{"none", 1000, []int{}},
	} {
		batch := make([]*runs.Run, c.rows)
		for i := range batch {
			batch[i] = leastRun(fmt.Sprint("r", i))
			batch[i].SessionID = c.name
			if slices.Contains(c.poison, i) {
				batch[i].Question = "poison"
			}
		}
		refused, err := s.InsertRuns(t.Context(), batch)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := indexes(t, refused); !slices.Equal(got, c.poison) {
			t.Errorf("%s: refused %v, want %v", c.name, got, c.poison)
		}
		got := d.query(t, "SELECT count() AS n, uniqExact(run_id) AS ids, countIf(question = 'poison') AS poison FROM runs "+
			"WHERE session_id = '"+c.name+"'")
		if want := c.rows - len(c.poison); fmt.Sprintf("%v %v %v", got[0]["n"], got[0]["ids"],
			got[0]["poison"]) != fmt.Sprintf("%d %d 0", want, want) {
			t.Errorf("%s: stored %v, want %d", c.name, got, want)
		}
	}
}

func TestEveryTableFindsItsRefusedRows(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.query(t, "ALTER TABLE nodes ADD CONSTRAINT poisoned CHECK node_run_id != 'n1'")
	d.query(t, "ALTER TABLE feedback ADD CONSTRAINT poisoned CHECK feedback_id != 'f2'")
	s := d.store(t, d.server.NativeAddr)
	refused, err := s.InsertNodes(t.Context(), []*runs.Node{leastNode("n0"), leastNode("n1"), leastNode("n2")})
	if got := indexes(t, refused); err != nil || !slices.Equal(got, []int{1}) {
		t.Errorf("nodes: %v, %v", got, err)
	}
	refused, err = s.InsertFeedback(t.Context(), []*runs.Feedback{leastFeedback("f0"), leastFeedback("f1"),
		leastFeedback("f2")})
	if got := indexes(t, refused); err != nil || !slices.Equal(got, []int{2}) {
		t.Errorf("feedback: %v, %v", got, err)
	}
	if got := d.one(t, "SELECT (SELECT count() FROM nodes) + (SELECT count() FROM feedback)"); got != "4" {
		t.Errorf("%s rows stored, want 4", got)
	}
}

// A batch larger than a block is sent in several. ClickHouse makes one part of them, since parts cost more than rows.
func TestABatchOfSeveralBlocksIsOnePart(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.query(t, "ALTER TABLE runs ADD CONSTRAINT poisoned CHECK question != 'poison'")
	d.query(t, "SYSTEM STOP MERGES runs")
	s := d.store(t, d.server.NativeAddr)
	batch := make([]*runs.Run, 70)
	for i := range batch {
		batch[i] = leastRun(fmt.Sprint("r", i))
		batch[i].Answer = strings.Repeat(string(rune('a'+i%26)), 100_000)
	}
	refused, err := s.InsertRuns(t.Context(), batch)
	wantAll(t, refused, err)
	const stored = "SELECT arrayStringConcat([uniqExact(_part), count(), sum(length(answer))], ' ') FROM runs"
	if got := d.one(t, stored); got != "1 70 7000000" {
		t.Errorf("parts, rows and bytes: %s, want 1 70 7000000", got)
	}

	batch[1].Question, batch[68].Question = "poison", "poison" // in the first block, and in the last
	for i := range batch {
		batch[i].RunID = fmt.Sprint("again", i)
	}
	refused, err = s.InsertRuns(t.Context(), batch)
	if got := indexes(t, refused); err != nil || !slices.Equal(got, []int{1, 68}) {
		t.Errorf("refused %v, %v; want 1 and 68", got, err)
	}
	if got := d.one(t, "SELECT uniqExact(run_id) FROM runs"); got != "138" {
		t.Errorf("%s runs, want 70 and 68", got)
	}
}
