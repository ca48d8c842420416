package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

// moves are snapshots of runs and node runs of a workspace of their own. Each snapshot may have another sort
// key than that before it.
type moves struct {
	snapshots []object
	newest    map[string]object // by identity
}

const movesWorkspace = "moving"

// newMoves returns at least n snapshots in any order, some of them twice.
func newMoves(random *rand.Rand, n int) *moves {
	m := &moves{newest: map[string]object{}}
	start := time.Now().Add(-100 * 24 * time.Hour).UTC().Truncate(time.Second)
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	for i := 0; len(m.snapshots) < n; i++ {
		for k := range 1 + random.IntN(6) {
			one := object{
				"workspace_id": movesWorkspace, "run_id": fmt.Sprintf("run-%d", i/2), "source": pick("recipe", "copilot"),
				"app_id": pick("a", "b"), "started_at": start.AddDate(0, 0, 20*random.IntN(3)),
				// Two snapshots at the same time: the final one is newer.
				"updated_at": start.Add(time.Duration(k/2) * time.Microsecond), "status": []string{"running", "failed"}[k%2],
				"metadata": object{"snapshot": fmt.Sprint(k)},
			}
			identity := one["run_id"].(string)
			if i%2 == 0 {
				one["type"] = "dev.millrace.run.v1"
			} else {
				one["type"], one["node_run_id"], one["node_id"] = "dev.millrace.node.v1", pick("x", "y"), pick("n", "m")
				identity += " " + one["node_run_id"].(string)
			}
			m.newest[identity] = one
			for range 1 + random.IntN(2) {
				m.snapshots = append(m.snapshots, one)
			}
		}
	}
	random.Shuffle(len(m.snapshots), func(i, j int) {
		m.snapshots[i], m.snapshots[j] = m.snapshots[j], m.snapshots[i]
	})
	return m
}

// publish starts to publish the snapshots slowly, in any partition, so that both processes have snapshots of
// the same run. The function that it returns publishes the rest at once.
func (m *moves) publish(t *testing.T, s *e2etest.Site) func() {
	t.Helper()
	client := e2etest.KafkaClient(t, s.Kafka, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	pace := time.NewTicker(5 * time.Millisecond)
	rest := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for _, one := range m.snapshots {
			client.Produce(t.Context(), &kgo.Record{Topic: s.Prefix + event.TopicRuns, Value: []byte(e2etest.JSONText(t, one))},
				func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("publish a snapshot: %v", err)
					}
				})
			select {
			case <-pace.C:
			case <-rest:
			case <-t.Context().Done():
				return
			}
		}
		if err := client.Flush(t.Context()); err != nil {
			t.Errorf("publish snapshots: %v", err)
		}
	})
	return func() {
		pace.Stop()
		close(rest)
		done.Wait()
	}
}

// add adds the newest snapshots to the counts of [e2etest.SampleRows].
func (m *moves) add(rows map[string]uint64) {
	for _, one := range m.newest {
		from, id := " FROM runs_latest", "run_id"
		if one["node_id"] != nil {
			from, id = " FROM nodes_latest", "run_id, node_run_id"
		}
		rows["SELECT count()"+from]++
		rows["SELECT uniqExact("+id+")"+from]++
		rows[fmt.Sprintf("SELECT count()%s WHERE status = '%s'", from, one["status"])]++
	}
}

// check holds what readers see against the newest snapshots, and exports of the runs too.
func (m *moves) check(t *testing.T, s *e2etest.Site) {
	t.Helper()
	var wantRows []string
	wantRuns := map[string][]string{} // of the exports, by source and app
	for _, one := range m.newest {
		row := fmt.Sprintln(one["run_id"], one["node_run_id"], one["source"], one["app_id"], one["node_id"],
			one["started_at"].(time.Time).Unix(), one["status"], one["metadata"].(object)["snapshot"])
		wantRows = append(wantRows, strings.TrimSpace(row))
		if one["node_id"] == nil && one["status"] == "failed" {
			app := one["source"].(string) + "-" + one["app_id"].(string)
			wantRuns[app] = append(wantRuns[app], one["run_id"].(string))
		}
	}
	const columns = "SELECT concatWithSeparator(' ', run_id, %s, source, app_id, %s, toUnixTimestamp(started_at), " +
		"status, metadata['snapshot']) FROM %s WHERE NOT superseded AND workspace_id = '" + movesWorkspace + "'"
	rows := append(e2etest.QueryTexts(t, s.Conn, fmt.Sprintf(columns, "'<nil>'", "'<nil>'", "runs FINAL")),
		e2etest.QueryTexts(t, s.Conn, fmt.Sprintf(columns, "node_run_id", "node_id", "nodes FINAL"))...)
	wantSame(t, "rows of runs that moved", rows, wantRows)

	s.Env.Start(t, "export")
	batch := e2etest.NewBatch(t, s)
	for app := range wantRuns {
		source, id, _ := strings.Cut(app, "-")
		batch.File(t, object{"export_id": app, "workspace_id": movesWorkspace, "purpose": "export_dataset",
			"source": source, "app_id": id, "selection": object{"limit": len(m.snapshots)}})
	}
	for id, c := range batch.Wait(t) {
		wantSame(t, "runs of export "+id.ExportID, e2etest.CheckedRunIDs(t, c), wantRuns[id.ExportID])
	}
}

// wantSame compares two lists whatever their order, and reports what only one of them has.
func wantSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, text := range got {
		count[text]++
	}
	for _, text := range want {
		count[text]--
	}
	var wrong []string
	for text, n := range count {
		if n != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %+d", text, n))
		}
	}
	if slices.Sort(wrong); len(wrong) > 0 {
		t.Errorf("%s: %d, want %d; %q", what, len(got), len(want), wrong[:min(len(wrong), 20)])
	}
}
