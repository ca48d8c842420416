package flow_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/extract"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/plan"
	"github.com/millrace/millrace/pipeline/export/seal"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/stage"
)

// inWindows returns the fields of a request for the n most recent runs in fragments of 10 records,
// so that windows of up to 100 rows have whole fragments.
func inWindows(n int) string {
	return fmt.Sprintf(`,"selection":{"limit":%d},"fragment":{"max_records":10}`, n)
}

// lastRuns returns the ids of the n most recent of all runs of insertRuns, ascending.
func lastRuns(n, all int) (ids []string) {
	for i := all - n; i < all; i++ {
		ids = append(ids, fmt.Sprintf("run-%05d", i))
	}
	return ids
}

func (f *flow) exec(statement string) {
	f.t.Helper()
	conn, err := f.dsn.Open()
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(f.t.Context(), statement); err != nil {
		f.t.Fatalf("%s: %v", statement, err)
	}
}

// snapshotRows returns the number of rows of all snapshots.
func (f *flow) snapshotRows() (rows uint64) {
	f.t.Helper()
	conn, err := f.dsn.Open()
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.QueryRow(f.t.Context(),
		"SELECT (SELECT count() FROM export_stage) + (SELECT count() FROM export_stage_rows)").Scan(&rows); err != nil {
		f.t.Fatal(err)
	}
	return rows
}

func TestALargeSelectionIsExportedInWindows(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 109, 3
	f.insertRuns(1300)
	f.start()
	f.send(request("e1", inWindows(1234)))
	c := f.completion("e1")
	m, got := f.verify(c)
	if !slices.Equal(got, lastRuns(1234, 1300)) {
		t.Errorf("%d records, want the 1234 most recent runs, ascending", len(got))
	}
	if c.RowsPlanned != 1234 || c.RowsUsed != 1234 || c.Vanished != 0 || c.Fragments != 124 {
		t.Errorf("%s: %+v", describe(c), *c)
	}
	// After the fragments come the statistics of columns and the card.
	if last := m.Files[len(m.Files)-3]; last.Window != 12 || last.Records != 4 {
		t.Errorf("the last fragment is %+v", last)
	}
	percent, windows := -1.0, int64(-1)
	for _, p := range f.progress("e1") {
		if p.PercentDone < percent || p.WindowsDone <= windows || p.WindowsPlanned != 13 || p.RowsPlanned != 1234 {
			t.Errorf("after %v%% and %d windows: %+v", percent, windows, *p)
		}
		percent, windows = p.PercentDone, p.WindowsDone
	}
	if percent != 100 || windows != 13 {
		t.Errorf("the last progress is %v%%, %d windows", percent, windows)
	}
	if rows := f.snapshotRows(); rows != 0 {
		t.Errorf("%d rows are staged after the end", rows)
	}
}

// Only the end of a long history is read, even where few runs match the filters.
func TestTheMostRecentRunsOfALongHistoryAreFound(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	const all = 100_000
	f.exec(fmt.Sprintf(
		`INSERT INTO runs (workspace_id, run_id, source, app_id, app_version, status, started_at, updated_at, version)
		SELECT 'acme', concat('run-', leftPad(toString(number), 6, '0')), 'recipe', 'app', if(number %% 997 = 0, 'rare',
			'common'), 'succeeded',
			toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + toIntervalSecond(number), now64(6), 1 FROM numbers(%d)`, all))
	f.start()
	every := func(from, step int) (ids []string) {
		for i := from; i < all; i += step {
			ids = append(ids, fmt.Sprintf("run-%06d", i))
		}
		return ids
	}
	rare := every(0, 997)
	for id, c := range map[string]struct {
		fields string
		bound  bool
		want   []string
	}{
		"common":   {`,"selection":{"limit":20}`, true, every(all-20, 1)},
		"rare":     {`,"selection":{"limit":20},"filters":{"app_versions":["rare"]}`, true, rare[len(rare)-20:]},
		"all-rare": {`,"selection":{"limit":100},"filters":{"app_versions":["rare"]}`, false, rare[len(rare)-100:]},
		"window": {`,"selection":{"limit":3,"window":{"from":"2026-01-01T00:00:00Z","to":"2026-01-01T10:00:00Z"}}`, true,
			every(0, 1)[35_997:36_000]},
	} {
		f.send(request(id, c.fields))
		completion := f.completion(id)
		if _, got := f.verify(completion); !slices.Equal(got, c.want) {
			t.Errorf("%s: %d records, want %d", id, len(got), len(c.want))
		}
		p, err := folder.Folder{Bucket: f.bucket, ID: completion.ID}.Plan(t.Context())
		if err != nil || p.Since.IsZero() == c.bound {
			t.Errorf("%s: read since %s, %v", id, p.Since, err)
		}
	}
}

// A crash at each failpoint in the middle of an export of many windows.
func TestACrashBetweenWindowsLosesNoneAndRepeatsNone(t *testing.T) {
	t.Parallel()
	for _, at := range []struct {
		stage, point string
		arrival      int
	}{
		{export.StagePlan, plan.BeforeCommit, 1},
		{export.StageExtract, extract.InsideWindow, 5},
		{export.StageExtract, extract.AfterManifest, 4},
		{export.StageSeal, seal.AfterManifest, 1},
		{export.StagePlan, stage.BeforeCommit, 1},
		{export.StageExtract, stage.BeforeCommit, 6},
		{export.StageSeal, stage.BeforeCommit, 3},
		{export.StageSeal, stage.BeforeCommit, 10},
	} {
		t.Run(fmt.Sprintf("%s %s %d", at.stage, at.point, at.arrival), func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.windowRecords, f.windowsInFlight = 20, 4
			f.insertRuns(200)
			crashed := f.crashAt(at.stage, at.point, at.arrival)
			f.start()
			f.send(request("e1", inWindows(195)))
			c := f.completion("e1")
			if _, got := f.verify(c); !slices.Equal(got, lastRuns(195, 200)) || c.Status != export.StatusSucceeded {
				t.Errorf("%s with %d records", describe(c), len(got))
			}
			if !crashed() {
				t.Error("there was no crash")
			}
		})
	}
}

// Random crashes until the export has ended.
func TestManyCrashesLeadToExactlyOneCompletion(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 20, 5
	f.insertRuns(300)
	var mu sync.Mutex
	dice, crashes := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)), 0
	f.failpoint = func(_, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if crashes < 12 && dice.IntN(6) == 0 {
			crashes++
			return errCrash
		}
		return nil
	}
	f.start()
	f.send(request("e1", inWindows(300)))
	c := f.completion("e1")
	if _, got := f.verify(c); !slices.Equal(got, lastRuns(300, 300)) || c.Status != export.StatusSucceeded {
		t.Errorf("%s with %d records after %d crashes", describe(c), len(got), crashes)
	}
}

// whileHeld sends a request whose windows beyond those in flight wait until do has returned.
func (f *flow) whileHeld(id, fields string, do func(p *export.Plan)) {
	f.t.Helper()
	released := make(chan struct{})
	var once sync.Once
	ctx, t := f.t.Context(), f.t
	f.failpoint = func(_, point string) error {
		if point != extract.AfterManifest {
			return nil
		}
		select {
		case <-released:
		case <-ctx.Done():
		}
		return nil
	}
	defer once.Do(func() { close(released) })
	f.start()
	f.send(request(id, fields))
	f.poll("accepted "+id, func() bool { return len(f.progress(id)) > 0 })
	p, err := folder.Folder{Bucket: f.bucket, ID: export.ID{WorkspaceID: "acme", ExportID: id}}.Plan(ctx)
	if err != nil {
		t.Fatal(err)
	}
	do(p)
}

func TestRunsDeletedDuringAnExportAreCountedAsVanished(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 1
	f.insertRuns(200)
	f.whileHeld("e1", inWindows(200), func(*export.Plan) {
		f.exec("DELETE FROM runs WHERE run_id >= 'run-00120' AND run_id < 'run-00127'")
	})
	c := f.completion("e1")
	if _, got := f.verify(c); len(got) != 193 || c.RowsPlanned != 200 || c.RowsUsed != 193 || c.Vanished != 7 {
		t.Errorf("%d records, %+v", len(got), *c)
	}
	if got := describe(c); got != "succeeded 193 records rows_vanished" {
		t.Error(got)
	}
}

func TestAMissingSnapshotFailsTheExport(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 1
	f.insertRuns(200)
	f.whileHeld("e1", inWindows(200), func(p *export.Plan) {
		if err := selection.DropSnapshot(t.Context(), f.dsn, "", p); err != nil {
			t.Fatal(err)
		}
	})
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	c := f.completions("e1")[0]
	if m, _ := f.verify(c); describe(c) != "failed stage_gone " || !c.ErrorRetryable || len(m.Files) != 0 {
		t.Errorf("%s: %+v", describe(c), c.Failure())
	}
}

func TestACancelledExportLeavesNeitherFragmentsNorItsSnapshot(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 2
	f.insertRuns(400)
	f.whileHeld("e1", inWindows(400), func(p *export.Plan) {
		if rows := f.snapshotRows(); rows != 400 || p.Snapshot == "" {
			t.Errorf("%d rows are staged", rows)
		}
		f.send(`{"type":"dev.millrace.export.cancelled.v1","export_id":"e1","workspace_id":"acme"}`)
		f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	})
	c := f.completion("e1")
	if m, _ := f.read(c); c.Status != export.StatusCancelled || len(m.Files) != 0 {
		t.Errorf("%s, %d files", describe(c), len(m.Files))
	}
	if rows := f.snapshotRows(); rows != 0 {
		t.Errorf("%d rows are staged after the end", rows)
	}
}

// Planning waits for an unavailable ClickHouse.
func TestPlanningWaitsForClickHouse(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords = 50
	f.insertRuns(120)
	dsn, cuts := f.cutting(f.dsn.Addr(), 900, 4)
	f.dsn = dsn
	f.start()
	f.send(request("e1", inWindows(120)))
	c := f.completion("e1")
	if _, got := f.verify(c); !slices.Equal(got, lastRuns(120, 120)) {
		t.Errorf("%s with %d records", describe(c), len(got))
	}
	if cuts.Load() < 4 {
		t.Errorf("%d connections were cut", cuts.Load())
	}
}

func TestARecordThatIsTooLargeIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: a row of 90 MB takes half a minute under the race detector")
	}
	f := newFlow(t)
	f.insertRuns(3)
	// Ingest refuses such a large event, but the table may contain it.
	f.exec(
		`INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, question, answer, reference, version)
		SELECT 'acme', 'run-99999', 'recipe', 'app', 'succeeded', '2026-03-02', '2026-03-02', repeat(repeat('x', 30), 1000000), repeat(repeat('y', 30), 1000000), repeat(repeat('z', 30), 1000000), 1`)
	f.start()
	f.send(request("e1", limit1000))
	c := f.completion("e1")
	if _, got := f.verify(c); len(got) != 3 || c.Dropped["record_too_large"] != 1 || c.RowsPlanned != 4 ||
		c.RowsUsed != 3 {
		t.Errorf("%d records, %+v", len(got), *c)
	}
}

// Queries name their export for operators of ClickHouse, and are read-only.
func TestQueriesNameTheirExportAndWindow(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 1
	f.insertRuns(120)
	f.exec("ALTER TABLE runs DROP COLUMN trace_id, ADD COLUMN trace_id String DEFAULT if(sleepEachRow(0.005) = 0, '', " +
		"'never')")
	f.start()
	f.send(request("e1", inWindows(120)))
	conn, err := f.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const query = `SELECT query, Settings['readonly'] FROM system.processes WHERE current_database = currentDatabase()
		AND Settings['log_comment'] = 'millrace extract window 1 of export acme/e1' AND query_id LIKE 'acme/e1/1/%/runs'`
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var text, readonly string
	for text == "" {
		if err := conn.QueryRow(ctx, query).Scan(&text, &readonly); err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatalf("no query of window 1 was seen: %v", err)
		}
	}
	if readonly != "1" || !strings.Contains(text, "workspace_id = 'acme'") {
		t.Errorf("readonly %q: %s", readonly, text)
	}
	f.completion("e1")
}
