package soak

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// An arrival is a producer whose runs start, go on and are judged, in any order and more than once.
type arrival struct {
	random *rand.Rand
	runs   []int // version of each one's newest snapshot, 0 where there is only feedback so far
	judged int
}

var arrivalDay = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func arrivedID(run int) string { return fmt.Sprintf("run-%04d", run) }

// snapshot is an event of a run; the first one of a fifth of the runs is that they are running.
func (a *arrival) snapshot(run, version int) object {
	status := "succeeded"
	if version == 1 && run%5 == 0 {
		status = "running"
	}
	return object{
		"type": "dev.millrace.run.v1", "workspace_id": "acme", "run_id": arrivedID(run), "source": "copilot", "app_id": "a",
		"status":     status,
		"started_at": arrivalDay.Add(time.Duration(run) * time.Second),
		"updated_at": arrivalDay.Add(time.Duration(version) * time.Minute),
		"answer":     fmt.Sprintf("version %d", version),
	}
}

// feedback is an event that is newer than those before, or not; feedback on a node is not the
// run's.
func (a *arrival) feedback(run int) object {
	a.judged++
	f := object{
		"type": "dev.millrace.feedback.v1", "workspace_id": "acme", "run_id": arrivedID(run), "feedback_id": fmt.Sprint("f",
			a.random.IntN(2)), "score": a.random.Float64(),
		"rating": "thumbsUp", "comment": fmt.Sprint("judged ", a.judged),
		"updated_at": arrivalDay.Add(time.Duration(a.random.IntN(10*60)) * time.Minute),
	}
	if a.random.IntN(4) == 0 {
		f["node_id"], f["feedback_id"] = "n", "of-a-node"
	}
	return f
}

// begin is the snapshot of a run that is new.
func (a *arrival) begin() object {
	a.runs = append(a.runs, 1)
	return a.snapshot(len(a.runs)-1, 1)
}

// next is what happens next.
func (a *arrival) next() object {
	run := a.random.IntN(len(a.runs))
	switch dice := a.random.IntN(100); {
	case dice < 20:
		return a.begin()
	case dice < 25: // judged before it is known
		a.runs = append(a.runs, 0)
		return a.feedback(len(a.runs) - 1)
	case dice < 35 && a.runs[run] > 0: // again, or the one before
		return a.snapshot(run, max(1, a.runs[run]-a.random.IntN(2)))
	case dice < 65:
		return a.feedback(run)
	}
	a.runs[run]++
	return a.snapshot(run, a.runs[run])
}

func (a *arrival) send(t *testing.T, s *e2etest.Site, client *kgo.Client, data object) {
	text, err := json.Marshal(data)
	if err != nil {
		t.Error(err)
		return
	}
	r := &kgo.Record{Topic: s.Prefix + event.TopicRuns, Key: []byte("acme/" + data["run_id"].(string)), Value: text}
	client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
		if err != nil && t.Context().Err() == nil {
			t.Errorf("produce: %v", err)
		}
	})
}

// Exports by ingested_at, each from the watermark of the one before, while runs, newer snapshots,
// replays and late feedback keep arriving: together they have every run, and the last one that has
// a run has its latest state.
func TestIncrementalExportsMissNothingThatArrivesMeanwhile(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	a, client := &arrival{random: e2etest.Random(t)}, e2etest.KafkaClient(t, s.Kafka)
	for range 300 {
		a.send(t, s, client, a.begin())
		a.send(t, s, client, a.feedback(len(a.runs)-1))
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	e2etest.WaitIngested(t, s)
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs": 300,
		"SELECT count() FROM feedback": 300})
	// As if they had come over the last 100 s: most are exported while they go on, and are exported
	// again.
	for _, table := range []string{"runs", "feedback"} {
		if err := s.Conn.Exec(t.Context(), "ALTER TABLE "+table+
			" UPDATE ingested_at = now64(6) - 1 - cityHash64(run_id) % 100 WHERE 1 SETTINGS mutations_sync = 1"); err != nil {
			t.Fatal(err)
		}
	}
	append(s.Env, "EXPORT_WINDOW_RECORDS=5").Start(t, "export")
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		for range 160 {
			for range 3 {
				a.send(t, s, client, a.next())
			}
			wait(t, 250*time.Millisecond)
		}
		if err := client.Flush(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	}()
	chain := &incrementalChain{site: s, watermark: arrivalDay.AddDate(-1, 0, 0), last: map[string]object{}}
	for began := time.Now(); !stored61SecondsAgo(t, s, arrived); {
		if time.Since(began) > 5*time.Minute {
			t.Fatal("the last row is not 61 seconds old")
		}
		chain.export(t)
		wait(t, 4*time.Second)
	}
	chain.export(t)
	chain.check(t)
}

// stored61SecondsAgo says whether all has arrived, and is old enough to be exported.
func stored61SecondsAgo(t *testing.T, s *e2etest.Site, arrived chan struct{}) bool {
	t.Helper()
	select {
	case <-arrived:
	default:
		return false
	}
	e2etest.WaitIngested(t, s)
	return e2etest.Count(t, s.Conn, "SELECT toUInt64(now64(6) > greatest((SELECT max(ingested_at) FROM runs), (SELECT "+
		"max(ingested_at) FROM feedback)) + INTERVAL 61 SECOND)") == 1
}

// incrementalChain is exports of which each goes on where the one before ended.
type incrementalChain struct {
	site      *e2etest.Site
	watermark time.Time
	last      map[string]object // record of each run in the last export that has it
	exports   int
	staged    int // exports of several windows
	again     int // records of runs that were exported before, in another state
}

func (c *incrementalChain) export(t *testing.T) {
	t.Helper()
	request := e2etest.JSONText(t, object{
		"workspace_id": "acme", "purpose": "export_dataset", "source": "copilot", "app_id": "a",
		"fragment":  object{"max_records": 5},
		"selection": object{"window": object{"by": "ingested_at", "from": c.watermark, "to": "2199-01-01T00:00:00Z"}},
	})
	got := c.site.Env.Try(t, request, "request", "-f", "-", "--watch", "--json")
	// Between two exports it may be that nothing becomes old enough to be exported: exit code 5.
	if got.Code != 0 && got.Code != 5 {
		t.Fatalf("request: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
	var completion export.Completion
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &completion); err != nil {
		t.Fatal(err)
	}
	if completion.Watermark == nil || !completion.Watermark.After(c.watermark) {
		t.Fatalf("the watermark went from %s to %s", c.watermark, completion.Watermark)
	}
	if (got.Code == 5) != (completion.Records == 0) {
		t.Fatalf("exit code %d for %d records", got.Code, completion.Records)
	}
	c.watermark = *completion.Watermark
	c.exports++
	if len(e2etest.PlanOf(t, &completion).Windows) > 1 {
		c.staged++
	}
	e2etest.CheckedRunIDs(t, completion)
	seen := map[string]bool{}
	for _, r := range e2etest.RecordsOf(t, &completion) {
		run := r["run_id"].(string)
		if seen[run] {
			t.Errorf("export %s has %s twice", completion.ExportID, run)
		}
		if before := c.last[run]; before != nil && state(t, before) != state(t, r) {
			c.again++
		}
		seen[run], c.last[run] = true, r
	}
}

// state is what may change of a run.
func state(t *testing.T, r object) string {
	t.Helper()
	f, _ := r["feedback"].(object)
	return e2etest.JSONText(t, []any{r["status"], r["answer"], r["updated_at"], f["comment"], f["rating"], f["score"]})
}

// check holds what was exported last of each run against what is stored of it.
func (c *incrementalChain) check(t *testing.T) {
	t.Helper()
	t.Logf("%d exports, %d of them staged, have %d runs, and %d of these again in another state", c.exports, c.staged,
		len(c.last), c.again)
	if c.staged == 0 || c.again < 20 {
		t.Errorf("%d exports were staged and %d runs exported again: too few to show anything", c.staged, c.again)
	}
	// An export writes a record from the same row.
	now := e2etest.QueryTexts(t, c.site.Conn,
		`SELECT concat('{"run_id":', toJSONString(run_id), ',"status":', toJSONString(status), ',"answer":', toJSONString(answer),
		',"updated_at":"', replaceOne(substring(toString(updated_at), 1, 23), ' ', 'T'), 'Z","feedback":', if(feedback_id =
			'', 'null', concat('{"comment":', toJSONString(feedback_comment),
		',"rating":', toJSONString(feedback_rating), ',"score":', toString(feedback_score), '}')), '}') FROM runs_with_feedback WHERE status != 'running' ORDER BY run_id`)
	for _, line := range now {
		stored := e2etest.ParseObject(t, line)
		run := stored["run_id"].(string)
		switch r := c.last[run]; {
		case r == nil:
			t.Errorf("%s is in no export", run)
		case state(t, r) != state(t, stored):
			t.Errorf("%s was last exported as %s, and is %s", run, state(t, r), state(t, stored))
		}
	}
	if len(now) != len(c.last) || len(now) < 300 {
		t.Errorf("%d runs were exported, %d are stored", len(c.last), len(now))
	}
}
