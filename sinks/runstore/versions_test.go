package runstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

func TestARowStoredAgainIsOneRow(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	for range 3 {
		refused, err := s.InsertRuns(t.Context(), []*runs.Run{leastRun("r1"), leastRun("r1"), leastRun("r2")})
		wantAll(t, refused, err)
		refused, err = s.InsertNodes(t.Context(), []*runs.Node{leastNode("n1"), leastNode("n1")})
		wantAll(t, refused, err)
		refused, err = s.InsertFeedback(t.Context(), []*runs.Feedback{leastFeedback("f1"), leastFeedback("f1")})
		wantAll(t, refused, err)
	}
	for view, want := range map[string]string{"runs_latest": "2", "nodes_latest": "1", "feedback_latest": "1",
		"runs_with_feedback": "2"} {
		if got := d.one(t, "SELECT count() FROM "+view); got != want {
			t.Errorf("%s has %s rows, want %s", view, got, want)
		}
	}
}

func TestTheNewestSnapshotWinsInAnyOrder(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	snapshot := func(id, status string, at time.Duration) *runs.Run {
		run := leastRun(id)
		run.Status, run.UpdatedAt, run.Question = status, start.Add(at), fmt.Sprint(status, at)
		return run
	}
	orders := map[string][]*runs.Run{
		"running-first": {snapshot("running-first", "running", 0), snapshot("running-first", "succeeded", 0)},
		"final-first":   {snapshot("final-first", "succeeded", 0), snapshot("final-first", "running", 0)},
		"late-running":  {snapshot("late-running", "succeeded", time.Second), snapshot("late-running", "running", 0)},
		"rerun":         {snapshot("rerun", "running", time.Microsecond), snapshot("rerun", "failed", 0)},
	}
	for i := range 2 { // one insert each, so that the order is the table's
		for _, order := range orders {
			refused, err := s.InsertRuns(t.Context(), order[i:i+1])
			wantAll(t, refused, err)
		}
	}
	for _, order := range orders { // and both in one
		batch := []*runs.Run{}
		for _, run := range order {
			again := *run
			again.RunID += "-batch"
			batch = append(batch, &again)
		}
		refused, err := s.InsertRuns(t.Context(), batch)
		wantAll(t, refused, err)
	}
	want := map[string]string{"running-first": "succeeded", "final-first": "succeeded", "late-running": "succeeded",
		"rerun": "running"}
	rows := d.query(t, "SELECT run_id, status FROM runs_latest")
	if len(rows) != 2*len(want) {
		t.Errorf("%d rows", len(rows))
	}
	for id, status := range want {
		for _, id := range []string{id, id + "-batch"} {
			if got := d.one(t, "SELECT status FROM runs_latest WHERE run_id = '"+id+"'"); got != status {
				t.Errorf("%s is %s, want %s", id, got, status)
			}
		}
	}
}

func TestTheNewestFeedbackOnTheRunIsJoined(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	refused, err := s.InsertRuns(t.Context(), []*runs.Run{leastRun("r1"), leastRun("r2")})
	wantAll(t, refused, err)
	give := func(id, comment, node string, at time.Duration) *runs.Feedback {
		f := leastFeedback(id)
		f.Comment, f.NodeID, f.UpdatedAt, f.Score = comment, node, start.Add(at), ptr(0.5)
		return f
	}
	for _, f := range []*runs.Feedback{
		give("f9", "old", "", 0), give("f2", "tie", "", time.Second), give("f3", "newest", "", time.Second),
		give("f4", "of a node", "solve", time.Hour),
		give("f3", "f3 before", "", 0), // late
	} {
		refused, err := s.InsertFeedback(t.Context(), []*runs.Feedback{f})
		wantAll(t, refused, err)
	}
	rows := d.query(t, "SELECT run_id, feedback_id, feedback_comment, feedback_score FROM runs_with_feedback ORDER BY "+
		"run_id")
	if got, want := fmt.Sprint(rows), fmt.Sprint([]map[string]any{
		{"run_id": "r1", "feedback_id": "f3", "feedback_comment": "newest", "feedback_score": 0.5},
		{"run_id": "r2", "feedback_id": "", "feedback_comment": "", "feedback_score": nil},
	}); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestABatchMaySpanAnyNumberOfMonths(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	var list []*runs.Run
	for month := range 150 {
		run := leastRun(fmt.Sprint("r", month))
		run.StartedAt = time.Date(1970, time.Month(1+month*18), 1, 0, 0, 0, 0, time.UTC) // up to 2193
		list = append(list, run)
	}
	refused, err := d.store(t, d.server.NativeAddr).InsertRuns(t.Context(), list)
	wantAll(t, refused, err)
	if got := d.one(t, "SELECT concat(toString(count()), ' in ', toString(uniqExact(toYYYYMM(started_at)))) FROM "+
		"runs_latest"); got != "150 in 150" {
		t.Errorf("stored %s, want 150 in 150", got)
	}
}
