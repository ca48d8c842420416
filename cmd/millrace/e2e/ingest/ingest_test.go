package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/sample"
)

// The real run events: rows by query.
var realRows = map[string]uint64{
	"SELECT count() FROM runs_latest": 5476,
	"SELECT count() FROM runs_latest WHERE source = 'copilot' AND status = 'succeeded'": 200,
	"SELECT count() FROM runs_latest WHERE source = 'recipe'":                           5276,
	"SELECT count() FROM nodes_latest WHERE source = 'copilot'":                         3618,
	"SELECT count() FROM nodes_latest WHERE source = 'recipe'":                          10552,
	"SELECT count() FROM feedback FINAL":                                                5476,
	"SELECT count() FROM runs_with_feedback WHERE feedback_rating != ''":                5476,
}

func TestRealRunsReplayedFourTimesInAnyOrderAreStoredOnce(t *testing.T) {
	t.Parallel()
	recipes, copilots := e2etest.Shared(t, "math-recipe.events.jsonl.gz"),
		e2etest.Shared(t, "airline-copilot.events.jsonl.gz")
	random := e2etest.Random(t)
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	out := s.Env.Run(t, "replay", recipes, copilots)
	if !strings.Contains(out, "published 25322 events, 0 lines skipped") {
		t.Errorf("replay said %q", out)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, realRows)

	lines := append(e2etest.ReadLines(t, recipes), e2etest.ReadLines(t, copilots)...)
	for range 3 {
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		if got := s.Env.Try(t, strings.Join(lines, "\n"), "replay", "-"); got.Code != 0 {
			t.Fatalf("replay: exit code %d\n%s", got.Code, got.Stderr)
		}
	}
	e2etest.WaitIngested(t, s)
	e2etest.WaitForCounts(t, s.Conn, time.Minute, realRows)
}

// On SIGTERM in the middle of a stream the batch is finished and committed.
func TestSIGTERMFinishesTheBatch(t *testing.T) {
	t.Parallel()
	cfg := sample.Config{Seed: 9, Runs: 3000}
	s := e2etest.NewSite(t)
	file := e2etest.SampleFile(t, cfg)
	for range 3 {
		ingest := s.Env.Start(t, "ingest")
		ingest.Field(t, "ops")
		replay := s.Env.Start(t, "replay", "--no-wait", "--rate", "20000", file)
		before := e2etest.Count(t, s.Conn, "SELECT sum(rows) FROM system.parts WHERE database = currentDatabase() AND active")
		e2etest.Eventually(t, time.Minute, func() string {
			if e2etest.Count(t, s.Conn,
				"SELECT sum(rows) FROM system.parts WHERE database = currentDatabase() AND active") == before {
				return "nothing stored"
			}
			return ""
		})
		if code, took := ingest.Stop(t); code != 0 || took > 10*time.Second {
			t.Errorf("SIGTERM: exit code %d after %s\n%s", code, took, ingest.Log())
		}
		<-replay.Done
	}
	s.Env.Start(t, "ingest")
	e2etest.WaitIngested(t, s)
	e2etest.WaitForCounts(t, s.Conn, time.Minute, e2etest.SampleRows(cfg))
}

// Where waiting does not help a role stops, loudly.
func TestWrongCredentialsOrSchemaStopIngestWithWhatToDo(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	for _, c := range []struct {
		name, want string
		env        e2etest.Environment
		spoil      string
	}{
		{"a wrong password", "MILLRACE_CLICKHOUSE_DSN", e2etest.Environment{"CLICKHOUSE_DSN=" + strings.Replace(s.DSN,
			"//millrace:", "//nobody:", 1)}, ""},
		{"a missing database", "millrace migrate", e2etest.Environment{"CLICKHOUSE_DSN=" + s.DSN + "_missing"}, ""},
		{"a missing topic", "millrace topics", e2etest.Environment{"KAFKA_TOPIC_PREFIX=other."}, ""},
		{"a missing table", "millrace migrate", nil, "DROP TABLE feedback"},
	} {
		if c.spoil != "" {
			if err := s.Conn.Exec(t.Context(), c.spoil); err != nil {
				t.Fatal(err)
			}
		}
		env := append(append(e2etest.Environment{}, s.Env...), c.env...)
		if got := env.Try(t, "", "ingest"); got.Code != e2etest.ExitFailed || !strings.Contains(got.Stderr, c.want) ||
			strings.Contains(got.Stderr, "wrong@") {
			t.Errorf("%s: exit code %d, no %q in\n%s", c.name, got.Code, c.want, got.Stderr)
		}
	}
}
