package selection_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
)

// freezeInParts freezes all runs of the app, in parts of so many rows.
func (h *history) freezeInParts(id string, rows, part int) *export.Request {
	h.t.Helper()
	for from := 0; from < rows; from += part {
		h.exec(fmt.Sprintf("INSERT INTO export_stage (workspace_id, stage_id, started_at, run_id) "+
			"SELECT workspace_id, '%s', started_at, run_id FROM runs ORDER BY started_at, run_id LIMIT %d OFFSET %d",
			id, part, from))
	}
	return &export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"}}
}

// Windows are cut by the places of runs in one part, and in parts that follow each other; cut compares them with
// those of all rows.
func TestWindowsAreCutByTheirPlacesInParts(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.fill(304)
	h.exec("SYSTEM STOP MERGES export_stage")
	for name, c := range map[string]struct {
		part  int
		parts int64
	}{
		"one part": {1000, 1}, "several": {50, 7}, "many": {10, 31}, "too many": {5, 61},
	} {
		r := h.freezeInParts(name, 304, c.part)
		var b clickhouse.Binder
		count := b.Query("SELECT toString(uniqExact(_part)) FROM export_stage WHERE stage_id = " + b.ID("id", name))
		parts, err := clickhouse.ReadInt(t.Context(), h.dial(), count)
		if err != nil || parts != c.parts {
			t.Errorf("%s: %d parts, %v; want %d", name, parts, err, c.parts)
		}
		for _, size := range []int64{1, 19, 50, 304, 1000} {
			windows := h.cut(name, *r, size)
			if n := (304 + size - 1) / size; int64(len(windows)) != n {
				t.Errorf("%s: %d windows of %d rows, want %d", name, len(windows), size, n)
			}
			last := windows[len(windows)-1].LastStartedAt
			if by := !last.IsZero(); by != (name != "too many") {
				t.Errorf("%s: windows of %d rows: cut by places: %t", name, size, by)
			} else if by && !last.Equal(day.Add(101*time.Second)) {
				t.Errorf("%s: the last run started at %s", name, last)
			}
		}
	}
}

func TestPartsThatOverlapAreCutByAllRows(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.fill(304)
	h.exec("SYSTEM STOP MERGES export_stage")
	r := h.freezeInParts("s", 304, 50)
	h.exec("INSERT INTO export_stage (workspace_id, stage_id, started_at, run_id) " +
		"SELECT workspace_id, stage_id, started_at, concat(run_id, '-') FROM export_stage WHERE stage_id = 's' LIMIT 10")
	windows := h.cut("s", *r, 19)
	if n := len(windows); n != 17 || !windows[n-1].LastStartedAt.IsZero() {
		t.Errorf("%d windows, the last %+v", n, windows[n-1])
	}
}

// To cut a large snapshot, ClickHouse reads a granule for each window, and not all rows. In the last window it reads no
// runs that started later.
func TestACutReadsAGranuleAWindow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: 200,000 rows are work for ClickHouse only")
	}
	h := newHistory(t)
	const n, size = 200_000, 30_000
	h.exec(fmt.Sprintf("INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, version) "+
		"SELECT 'acme', concat('r', toString(number)), 'recipe', 'app', 'succeeded', "+
		"toDateTime64('2026-03-01', 3, 'UTC') + intDiv(number, 100), now64(), 1 FROM numbers(%d)", n))
	r := h.freezeInParts("s", n, n)
	windows := h.cut("s", *r, size)
	if len(windows) != 7 || windows[6].Rows != n-6*size {
		t.Fatalf("%d windows, the last %+v", len(windows), windows[len(windows)-1])
	}
	parts, err := clickhouse.ReadTexts(t.Context(), h.dial(),
		clickhouse.Query{SQL: "SELECT DISTINCT CAST(_part, 'String') FROM export_stage WHERE stage_id = 's'"})
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	var read uint64
	for _, q := range selection.CutQueries(r, "s", parts[0], n, size) {
		q.SQL = "SELECT toString(count()) FROM (" + q.SQL + ")"
		read += h.rowsRead(q)
	}
	if most := uint64(8 * 8192); read < 8 || read > most {
		t.Errorf("%d rows were read for 7 windows and the last run; their granules have %d", read, most)
	}
	h.exec("INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, version) " +
		"SELECT workspace_id, concat('later', run_id), source, app_id, status, started_at + INTERVAL 1 DAY, now64(), 1 " +
		"FROM runs")
	read = 0
	last := selection.SnapshotRange{Request: r, Snapshot: "s", From: windows[6].From,
		LastStartedAt: windows[6].LastStartedAt}
	for _, q := range last.Queries() {
		q.SQL = "SELECT toString(count()) FROM (" + q.SQL + ")"
		read += h.rowsRead(q)
	}
	if most := uint64(2 * (n - 6*size + 2*8192)); read == 0 || read > most {
		t.Errorf("the last window reads %d rows, and its granules have %d", read, most)
	}
}
