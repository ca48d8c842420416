package selection_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

// node inserts a node run of a run that h.run inserted with the same n.
func (h *history) node(run, id string, n int, changes ...func(*runs.Node)) {
	h.t.Helper()
	row := &runs.Node{WorkspaceID: "acme", RunID: run, NodeRunID: id, Source: "recipe", AppID: "app", NodeID: "solve",
		Status: "succeeded", StartedAt: day.Add(time.Duration(n) * time.Second), UpdatedAt: day}
	for _, change := range changes {
		change(row)
	}
	if refused, err := h.store.InsertNodes(h.t.Context(), []*runs.Node{row}); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
}

// A run is selected again when a node run arrives that its target reads, and by no other target.
func TestALateNodeRunMakesItsRunNewForTargetsThatReadIt(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	at := func(n int) time.Time { return day.Add(time.Duration(n) * time.Microsecond) }
	for i, run := range []string{"alone", "tool", "chunks", "early"} {
		h.run(run, i)
		h.ingestedAt("runs", run, at(10))
	}
	h.node("tool", "n", 1, func(n *runs.Node) { n.NodeType = "tool" })
	h.node("chunks", "n", 2, func(n *runs.Node) { n.NodeType, n.Chunks = "retrieval", []runs.Chunk{{Text: "text"}} })
	h.node("early", "n", 3)
	h.ingestedAt("nodes", "tool", at(20))
	h.ingestedAt("nodes", "chunks", at(20))
	h.ingestedAt("nodes", "early", at(5))

	first, second := window(export.ByIngestedAt, at(10), at(20)), window(export.ByIngestedAt, at(20), at(30))
	of := func(purpose, target string, options map[string]any) export.Request {
		return export.Request{Purpose: purpose, Target: target, Options: options}
	}
	plain := of(export.ExportDataset, export.Canonical, nil)
	h.want(plain, first, "alone", "tool", "chunks", "early")
	h.want(plain, second)
	withNodes := of(export.ExportDataset, export.Canonical, map[string]any{"with_nodes": true})
	h.want(withNodes, first, "alone", "early")
	h.want(withNodes, second, "tool", "chunks")
	h.want(of(export.RecipeEvaluation, "ragas", nil), second, "chunks")
	h.want(of(export.RecipeEvaluation, "deepeval", nil), second, "tool", "chunks")
	h.want(of(export.RecipeEvaluation, export.Canonical, nil), second, "chunks")
	insights := of(export.ExportDataset, "answer_insights", nil)
	h.want(insights, second, "tool", "chunks")
	limited := second
	limited.Limit = 1
	h.want(insights, limited, "chunks")
}

// The reads of an export by ingested_at depend on what arrived in its window, and not on how long the
// history is.
func TestReadsByIngestedAtDoNotGrowWithTheHistory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: 200,000 rows are work for ClickHouse only")
	}
	h := newHistory(t)
	h.exec("SYSTEM STOP MERGES runs") // parts stay as they are inserted, as large ones do
	stored := 0
	store := func(n int) {
		for _, table := range []string{"runs", "nodes"} {
			columns, values := "", ""
			if table == "nodes" {
				columns, values = "node_id, node_run_id, ", "'solve', 'n', "
			}
			h.exec(fmt.Sprintf("INSERT INTO %s (workspace_id, run_id, source, app_id, %sstatus, started_at, updated_at, "+
				"ingested_at, version) SELECT 'acme', concat('r', toString(%d + number)), 'recipe', 'app', %s'succeeded', "+
				"toDateTime64('2026-01-01', 3, 'UTC') + number, now64(), toDateTime64('2026-01-02', 6, 'UTC'), 1 FROM numbers(%d)",
				table, columns, stored, values, n))
		}
		h.exec(fmt.Sprintf("INSERT INTO feedback (workspace_id, run_id, feedback_id, rating, updated_at, ingested_at, "+
			"version) SELECT 'acme', concat('r', toString(%d + number)), 'f', 'thumbsUp', now64(), "+
			"toDateTime64('2026-01-02', 6, 'UTC'), 1 "+
			"FROM numbers(%d)", stored, n))
		stored += n
	}
	store(50_000)
	h.node("r77", "late", 0)     // of an old run
	h.feedback("r20000", "late") // of another
	h.run("new", 0)
	read := func() map[string]uint64 {
		rows := map[string]uint64{}
		for name, r := range map[string]export.Request{
			"runs with nodes": {Purpose: export.ExportDataset, Target: export.Canonical,
				Options: map[string]any{"with_nodes": true}},
			"compared runs": {Purpose: export.RecipeEvaluation, Target: export.Canonical},
			"node runs":     {Purpose: export.NodeEvaluation, Target: export.Canonical, Nodes: []string{"solve"}},
		} {
			r.ID, r.Source, r.AppID = export.ID{WorkspaceID: "acme"}, "recipe", export.Apps{"app"}
			s := selection.New(&r, window(export.ByIngestedAt, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
			rows["counting "+name] = h.rowsRead(s.Count(1000))
			rows["a snapshot of "+name] = h.rowsRead(s.InsertSnapshot(name, 10, 100))
		}
		return rows
	}
	before := read()
	store(150_000)
	for query, after := range read() {
		if before[query] == 0 || after > before[query]+75_000 { // some granules of 8,192 rows in each new part
			t.Errorf("%s read %d rows of 50,000 runs, and %d of 200,000", query, before[query], after)
		}
	}
}

// rowsRead returns how many rows ClickHouse reads for a query.
func (h *history) rowsRead(query clickhouse.Query) (rows uint64) {
	h.t.Helper()
	var text proto.ColStr
	native := query.Native()
	native.Result = proto.ResultColumn{Data: &text}
	native.Settings = selection.SnapshotSettings("test", time.Minute)
	native.OnProgress = func(_ context.Context, p proto.Progress) error { rows += p.Rows; return nil }
	if err := clickhouse.Do(h.t.Context(), h.dial(), native); err != nil {
		h.t.Fatal(err)
	}
	return rows
}
