package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card/cardtest"
	"github.com/millrace/millrace/pipeline/export/extract"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/statistics"
	"github.com/millrace/millrace/pipeline/runs"
)

// After a cut stream the window is read again from its start.
func TestACutStreamIsReadAgain(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	// 1.8 MB, compressed on the wire
	f.insertRuns(2000, func(_ int, r *runs.Run) { r.Answer = strings.Repeat(r.RunID, 100) })
	dsn, cuts := f.cutting(f.dsn.Addr(), 60_000, 3)
	f.dsn = dsn
	f.start()
	f.send(request("e1", `,"selection":{"limit":2000}`))
	c := f.completion("e1")
	if _, got := f.verify(c); len(got) != 2000 || !slices.IsSorted(got) || len(slices.Compact(got)) != 2000 {
		t.Errorf("%s with %d records", c.Status, len(got))
	}
	if cuts.Load() < 3 {
		t.Errorf("%d streams were cut, want 3", cuts.Load())
	}
}

// A query that always fails ends only its own export.
func TestAWindowThatAlwaysFailsFailsItsExport(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(20)
	conn, err := f.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range []string{ // extract reads feedback, plan does not
		"RENAME TABLE feedback TO feedback_gone",
		"CREATE VIEW feedback AS SELECT * FROM feedback_gone WHERE throwIf(1) = 0",
	} {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	f.start()
	f.send(request("e1", limit1000))
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	c := f.completions("e1")[0]
	f.verify(c)
	if c.Status != export.StatusFailed || c.ErrorCode != "read_failed" || c.ErrorRetryable ||
		!strings.Contains(c.ErrorMessage, "refuses the query with error 395") {
		t.Errorf("%s, error %+v", c.Status, c.Failure())
	}
	for _, statement := range []string{"DROP VIEW feedback", "RENAME TABLE feedback_gone TO feedback"} {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	f.send(request("e2", limit1000))
	f.verify(f.completion("e2"))
}

// Two workers have the same window, because one of them has not noticed that it lost its partition.
// The second one to create the window's manifest deletes its own objects, and reports the window as
// done.
func TestTheFirstWindowManifestStays(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(20)
	id := export.ID{WorkspaceID: "acme", ExportID: "e1"}
	other := export.File{
		Key: export.DataName(export.SplitTrain, 0, 0, "other",
			"jsonl"), Kind: export.Data, Split: export.SplitTrain, Records: 1,
	}
	var once atomic.Bool
	f.failpoint = func(_, point string) error {
		if point != extract.InsideWindow || !once.CompareAndSwap(false, true) {
			return nil
		}
		body := []byte(`{"run_id":"by the other"}` + "\n")
		other.Bytes, other.SHA256 = int64(len(body)), export.HashText(body)
		dir := folder.Folder{Bucket: f.bucket, ID: id}
		var columns statistics.Counter
		columns.Add(body)
		name := export.ColumnsName(0, "other")
		for name, text := range map[string][]byte{other.Key: body, name: columns.Statistics().JSON()} {
			if err := f.bucket.Create(t.Context(), dir.Key(name), text); err != nil {
				return err
			}
		}
		_, err := dir.CreateWindow(t.Context(), &export.WindowManifest{
			ID: id, Attempt: "other", Rows: 1, RowsUsed: 1, Records: 1, Files: []export.File{other}, Columns: name,
			CreatedAt: time.Now(),
		})
		return err
	}
	f.start()
	f.send(request("e1", limit1000))
	if _, got := f.verify(f.completion("e1")); len(got) != 1 || got[0] != "by the other" {
		t.Errorf("records %v", got)
	}
}

// A paused process wakes up after the end of the export. Its objects are not part of the export.
func TestObjectsWrittenAfterTheEndAreNotPartOfTheExport(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(20)
	f.start()
	f.send(request("e1", limit1000))
	c := f.completion("e1")
	dir := folder.Folder{Bucket: f.bucket, ID: c.ID}
	there, err := dir.CreateWindow(t.Context(), &export.WindowManifest{ID: c.ID, Attempt: "zombie"})
	if err != nil || there.Attempt == "zombie" {
		t.Errorf("the zombie's manifest: %+v, %v", there, err)
	}
	if _, got := f.verify(c); len(got) != 20 {
		t.Errorf("%d records", len(got))
	}
}

// The command of a completion loads the data set, even where documents differ in shape.
func TestTheCommandOfACompletionLoadsTheDataSet(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: readers that are not ours load the files")
	}
	env := cardtest.DuckDB(t)
	f := newFlow(t)
	f.insertRuns(400, func(i int, r *runs.Run) {
		r.Inputs = []string{`{"n":1}`, `{"n":"one"}`, `{"n":{"deep":[1,"x"]}}`, `{"other":null}`}[i%4]
	})
	f.start()
	combinations(func(format, compression string) {
		id := format + "-" + compression
		f.send(request(id, fmt.Sprintf(`,"format":%q,"compression":%q,"fragment":{"max_records":30}%s`, format, compression,
			limit1000)))
		f.poll("completion of "+id, func() bool { return len(f.completions(id)) > 0 })
		c := f.completions(id)[0]
		if got := cardtest.Load(t, env, "/", c.LoadWith,
			"SELECT 'ids=' || count(DISTINCT run_id) AS found"); c.Fragments != 14 || !strings.Contains(got, "ids=400") {
			t.Errorf("%s: %d fragments, %s prints %s", id, c.Fragments, c.LoadWith, got)
		}
	})
}
