package selection_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
)

// A window reads its own part of a snapshot, and not the whole, whatever its shape and the size of the snapshot.
func TestAWindowReadsItsPartOfASnapshot(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: 120,000 rows are work for ClickHouse only")
	}
	const size = 10_000
	h := newHistory(t)
	stored := 0
	store := func(n int) {
		for _, table := range []string{"runs", "nodes"} {
			columns, values := "", ""
			if table == "nodes" {
				columns, values = "node_id, node_run_id, chunks, ", "'solve', 'n', "+
					"[('c', 'text', NULL, '', '', NULL, NULL)], "
			}
			h.exec(fmt.Sprintf("INSERT INTO %s (workspace_id, run_id, source, app_id, %sstatus, started_at, updated_at, "+
				"input_group, version) SELECT 'acme', concat('r', toString(%d + number)), 'recipe', 'app', %s'succeeded', "+
				"toDateTime64('2026-01-01', 3, 'UTC') + %[3]d + number, now64(), toString(number %% 5000), 1 FROM numbers(%[5]d)",
				table, columns, stored, values, n))
		}
		stored += n
	}
	for _, n := range []int{40_000, 80_000} {
		store(n)
		for name, r := range map[string]export.Request{
			"runs":            {Purpose: export.ExportDataset, Target: export.Canonical},
			"runs with nodes": {Purpose: export.ExportDataset, Target: "answer_insights"},
			"grouped runs":    {Purpose: export.RecipeEvaluation, Target: export.Canonical},
			"node runs":       {Purpose: export.NodeOptimization, Target: export.Canonical, Nodes: []string{"solve"}},
			"grouped nodes":   {Purpose: export.NodeEvaluation, Target: export.Canonical, Nodes: []string{"solve"}},
		} {
			r.ID, r.Source, r.AppID = export.ID{WorkspaceID: "acme"}, "recipe", export.Apps{"app"}
			id := fmt.Sprint(name, stored)
			windows := h.freeze(id, r, export.Selection{}, int64(stored), size)
			if len(windows) < stored/size-1 {
				t.Fatalf("%s: %d windows of %d rows", name, len(windows), stored)
			}
			for i := range windows {
				part := selection.SnapshotRange{Request: &r, Snapshot: id, From: windows[i].From,
					Nodes: nodesOf(id), LastStartedAt: windows[i].LastStartedAt}
				if i+1 < len(windows) {
					part.To = windows[i+1].From
				}
				var read uint64
				queries := part.Queries()
				for _, q := range queries {
					if i == 1 && !strings.HasPrefix(name, "runs") { // of a table, the rest of a granule may come at once
						h.expectSmallBlocks(name, q)
					}
					q.SQL = "SELECT toString(count()) FROM (" + q.SQL + ")"
					read += h.rowsRead(q)
				}
				// A query begins and ends within a granule of 8,192 rows.
				if most := uint64(len(queries)) * (size + 2*8192 + 1000); read == 0 || read > most {
					t.Errorf("%s: window %d of %d reads %d rows, at most %d are its own", name, i, len(windows), read, most)
				}
			}
		}
	}
}

// The node runs of a few runs are read in their places, however many others the app has.
func TestTheNodeRunsOfFewRunsAreFound(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	const all, few = 80_000, 1000
	for _, table := range []string{"runs", "nodes"} {
		columns, values := "", ""
		if table == "nodes" {
			columns, values = "node_id, node_run_id, ", "'solve', 'n', "
		}
		h.exec(fmt.Sprintf("INSERT INTO %s (workspace_id, run_id, source, app_id, %sstatus, started_at, updated_at, "+
			"version) SELECT 'acme', concat('r', toString(100000 + number)), 'recipe', 'app', %s'succeeded', "+
			"toDateTime64('2026-01-01', 3, 'UTC') + number, now64(), 1 FROM numbers(%d)", table, columns, values, all))
	}
	from := time.Date(2026, 1, 1, 0, 0, 50_000, 0, time.UTC)
	r := export.Request{ID: export.ID{WorkspaceID: "acme"}, Purpose: export.ExportDataset, Target: "answer_insights",
		Source: "recipe", AppID: export.Apps{"app"}, Selection: window(export.ByStartedAt, from, from.Add(few*time.Second))}
	q := selection.New(&r, r.Selection).NodeRuns().Query
	q.SQL = "SELECT toString(count()) FROM (" + q.SQL + ")"
	// The keys of the runs are read twice, within two granules of 8,192 rows, as the node runs are.
	if read := h.rowsRead(q); read == 0 || read > 3*2*8192+few+2*512 {
		t.Errorf("for the node runs of %d runs of %d, %d rows are read", few, all, read)
	}
}

// expectSmallBlocks checks that the blocks of a query have no more rows than it asks for, also where ClickHouse has seen
// its condition before. A merge of parts may have a row less than twice as many.
func (h *history) expectSmallBlocks(name string, q clickhouse.Query) {
	h.t.Helper()
	const most = 64
	whole := q.SQL
	for range 3 {
		var run proto.ColStr
		q.SQL = "SELECT row_run_id FROM (" + whole + " LIMIT 1000000)"
		native := q.Native()
		native.Settings = selection.WindowSettings("test", time.Minute, most)
		native.Result = proto.Results{{Name: "row_run_id", Data: &run}}
		native.OnResult = func(_ context.Context, block proto.Block) error {
			if block.Rows >= 2*most {
				return fmt.Errorf("a block of %d rows", block.Rows)
			}
			return nil
		}
		if err := clickhouse.Do(h.t.Context(), h.dial(), native); err != nil {
			h.t.Errorf("%s: %v", name, err)
			return
		}
	}
}
