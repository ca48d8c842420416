package export

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// realRunsWithNodes holds the node runs of all records against the source events: in windows, which read them from a
// snapshot, and in one that reads the tables.
func realRunsWithNodes(t *testing.T, s *e2etest.Site, files map[e2etest.RealApp]string) {
	batch := e2etest.NewBatch(t, s)
	windows, want := map[string]int{}, map[string]map[string][]string{}
	for app, sizes := range map[e2etest.RealApp]map[int]int{e2etest.MathTutor: {500: 11, 6000: 1},
		e2etest.Airline: {40: 5, 200: 1}} {
		want[app.ID] = sourceNodes(t, files[app])
		for size, n := range sizes {
			id := fmt.Sprintf("nodes-%s-%d", app.ID, size)
			windows[id] = n
			request := app.Request(id, size, object{"limit": 10_000}, nil)
			request["options"] = object{"with_nodes": true}
			batch.File(t, request)
		}
	}
	for id, c := range batch.Wait(t) {
		if n := len(e2etest.PlanOf(t, &c).Windows); c.Status != export.StatusSucceeded || n != windows[id.ExportID] {
			t.Errorf("export %s: %s in %d windows, want %d", id, c.Status, n, windows[id.ExportID])
		}
		found := 0
		for _, record := range e2etest.RecordsOf(t, &c) {
			run := record["run_id"].(string)
			var got []string
			for _, n := range record["nodes"].([]any) {
				got = append(got, n.(object)["node_run_id"].(string))
			}
			if !slices.Equal(got, want[c.AppID][run]) {
				t.Errorf("export %s: run %s has node runs %s, want %s", id, run, got, want[c.AppID][run])
			}
			found += len(got)
		}
		if found == 0 {
			t.Errorf("export %s has no node runs", id)
		}
	}
}

// sourceNodes returns the ids of the node runs of each run in a file of events, in the order of a record.
func sourceNodes(t *testing.T, file string) map[string][]string {
	t.Helper()
	type node struct {
		RunID     string `json:"run_id"`
		NodeRunID string `json:"node_run_id"`
		Sequence  *int64 `json:"sequence"`
		StartedAt string `json:"started_at"`
	}
	byID := map[[2]string]node{}
	for _, line := range e2etest.ReadLines(t, file) {
		var e struct {
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}
		var n node
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != "dev.millrace.node.v1" {
			continue
		}
		if err := json.Unmarshal(e.Data, &n); err != nil {
			t.Fatal(err)
		}
		byID[[2]string{n.RunID, n.NodeRunID}] = n
	}
	ofRun := map[string][]node{}
	for _, n := range byID {
		ofRun[n.RunID] = append(ofRun[n.RunID], n)
	}
	ids := map[string][]string{}
	for run, list := range ofRun {
		slices.SortFunc(list, func(a, b node) int {
			if (a.Sequence == nil) != (b.Sequence == nil) { // those without a place come last
				return map[bool]int{true: 1, false: -1}[a.Sequence == nil]
			}
			place := 0
			if a.Sequence != nil {
				place = cmp.Compare(*a.Sequence, *b.Sequence)
			}
			return cmp.Or(place, cmp.Compare(a.StartedAt, b.StartedAt), cmp.Compare(a.NodeRunID, b.NodeRunID))
		})
		for _, n := range list {
			ids[run] = append(ids[run], n.NodeRunID)
		}
	}
	return ids
}
