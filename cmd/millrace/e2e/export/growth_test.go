package export

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// Partitions are added to every topic while runs arrive and exports run: each role finds them without a restart, and
// nothing is lost or there twice.
func TestPartitionsThatAreAddedAreFoundByEveryRole(t *testing.T) {
	t.Parallel()
	const runs, windows = 60, 30
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	replay := func(from int) {
		var lines string
		for i := range runs {
			lines += e2etest.RunLine(fmt.Sprintf("r%03d", from+i)) + "\n"
		}
		if got := s.Env.Try(t, lines, "replay", "-"); got.Code != 0 {
			t.Fatal(got.Stderr)
		}
		e2etest.WaitForCounts(t, s.Conn, 2*time.Minute, map[string]uint64{
			"SELECT count() FROM runs": uint64(from + runs), "SELECT count() FROM runs_latest": uint64(from + runs)})
	}
	replay(0)
	append(s.Env, fmt.Sprint("EXPORT_WINDOW_RECORDS=", runs/windows), "EXPORT_CONCURRENCY=1").Start(t, "export")
	server := e2etest.Endpoint{URL: e2etest.WaitReady(t, append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve"))}

	requested := func(batch *e2etest.Batch, id string, records int) {
		batch.File(t, object{"workspace_id": "acme", "export_id": id, "purpose": "export_dataset", "source": "copilot",
			"app_id": "a", "selection": object{"limit": 1000}, "fragment": object{"max_records": records}})
	}
	running := e2etest.NewBatch(t, s)
	requested(running, "running", runs/windows)
	e2etest.Eventually(t, time.Minute, func() string {
		if n := len(windowsOf(t, s, "running")); n == 0 {
			return "no window is done"
		}
		return ""
	})
	admin := kadm.NewClient(e2etest.KafkaClient(t, s.Kafka))
	for _, topic := range event.Topics {
		responses, err := admin.CreatePartitions(t.Context(), 7, s.Prefix+topic.Name)
		if err == nil {
			err = responses.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	done := running.Wait(t)
	replay(runs)
	later := e2etest.NewBatch(t, s) // its producer knows the new partitions
	want := map[string]int{"running": runs}
	for i := range 12 {
		id := fmt.Sprint("later-", i)
		requested(later, id, runs)
		want[id] = 2 * runs
	}
	maps.Copy(done, later.Wait(t))
	got := map[string]int{}
	for id, c := range done {
		ids := e2etest.CheckedRunIDs(t, c)
		slices.Sort(ids)
		if got[id.ExportID] = len(slices.Compact(ids)); c.Status != export.StatusSucceeded || c.Records != int64(len(ids)) {
			t.Errorf("export %s: %s with %d records of %d runs", id, c.Status, c.Records, len(ids))
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("exports have %v runs, want %v", got, want)
	}
	for id := range want {
		server.In("acme").WaitFor(t, id, "succeeded")
	}
}

// windowsOf are the windows of an export that are done.
func windowsOf(t *testing.T, s *e2etest.Site, id string) []string {
	t.Helper()
	return e2etest.ListFiles(t, s.ExportFolder(t, "acme", id)+"/windows")
}
