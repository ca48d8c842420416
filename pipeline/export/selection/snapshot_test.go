package selection_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

// freeze freezes a selection as the snapshot of an id, and returns the windows that it is cut into.
func (h *history) freeze(id string, r export.Request, s export.Selection, rows, size int64) []export.PlannedWindow {
	h.t.Helper()
	if r.WorkspaceID, r.Source = "acme", "recipe"; r.Purpose == "" {
		r.AppID = export.Apps{"app"}
	}
	client := h.dial()
	feedback, err := clickhouse.ReadInt(h.t.Context(), client, selection.FeedbackCount(&r))
	if err != nil {
		h.t.Fatal(err)
	}
	insert := selection.New(&r, s).InsertSnapshot(id, rows, feedback)
	insert.Settings = selection.SnapshotSettings("test", time.Minute)
	nodes := selection.New(&r, s).InsertNodeRuns(nodesOf(id), id, rows)
	nodes.Settings = insert.Settings
	for _, q := range []clickhouse.Query{insert, nodes} {
		if q.SQL == "" {
			continue
		}
		if err := clickhouse.Do(h.t.Context(), client, q.Native()); err != nil {
			h.t.Fatal(err)
		}
	}
	return h.cut(id, r, size)
}

// nodesOf is the id of the snapshot of node runs beside a snapshot.
func nodesOf(id string) string { return id + "-nodes" }

// cut returns the windows of a snapshot.
func (h *history) cut(id string, r export.Request, size int64) []export.PlannedWindow {
	h.t.Helper()
	client := h.dial()
	reader := &selection.Reader{Client: client, Comment: "test"}
	windows, rows, err := selection.Cut(h.t.Context(), reader, &r, id, size, true)
	others, _, wholeErr := selection.Cut(h.t.Context(), reader, &r, id, size, false)
	if wholeErr != nil || !sameWindows(windows, others) {
		h.t.Errorf("by places there are %d windows, and otherwise %d other ones, %v", len(windows), len(others), wholeErr)
	}
	if count := selection.SnapshotCount(&r, id); err == nil {
		count.Settings = reader.Settings()
		if n, err := clickhouse.ReadInt(h.t.Context(), client, count); err != nil || n != rows {
			h.t.Errorf("the snapshot has %d rows, and is cut into %d, %v", n, rows, err)
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return windows
}

// sameWindows reports whether windows have the same rows.
func sameWindows(a, b []export.PlannedWindow) bool {
	return slices.EqualFunc(a, b, func(a, b export.PlannedWindow) bool { return a.Rows == b.Rows && *a.From == *b.From })
}

func (h *history) dial() *ch.Client {
	h.t.Helper()
	client, err := h.dsn.Dial(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { client.Close() })
	return client
}

// reader returns a reader of snapshots, with connections of its own.
func (h *history) reader() *selection.WindowReader {
	h.t.Helper()
	return &selection.WindowReader{Keys: h.dial(), Runs: h.dial(), Settings: selection.ReadSettings("test", time.Minute,
		0)}
}

// readSnapshot reads a window of a snapshot; each run as in selected.
func (h *history) readSnapshot(r selection.SnapshotRange) (list []string, found selection.WindowRows) {
	h.t.Helper()
	return h.readWith(h.reader(), r)
}

func (h *history) readWith(reader *selection.WindowReader, r selection.SnapshotRange) (list []string,
	found selection.WindowRows) {
	h.t.Helper()
	if r.Request == nil {
		r.Request = &export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"}}
	}
	reader.ID = "test-" + fmt.Sprint(rand.Uint64()) // ClickHouse may not have ended the query before
	found, err := reader.ReadSnapshot(h.t.Context(), &r, func(row *record.Row) error {
		list = append(list, describe(row))
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return list, found
}

// windows reads all windows of a snapshot. Each must have size rows, except the last one.
func (h *history) windows(id string, windows []export.PlannedWindow, size int) (list []string, vanished int64) {
	h.t.Helper()
	return h.windowsOf(export.Filters{}, id, windows, size)
}

// windowsOf is like windows, for a request with filters. By them, a reader judges how many runs of the
// app the snapshot has.
func (h *history) windowsOf(filters export.Filters, id string, windows []export.PlannedWindow, size int) (list []string,
	vanished int64) {
	h.t.Helper()
	reader := h.reader()
	request := &export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe",
		AppID: export.Apps{"app"}, Filters: filters}
	for i := range windows {
		r := selection.SnapshotRange{Request: request, Snapshot: id, From: windows[i].From,
			LastStartedAt: windows[i].LastStartedAt}
		if i+1 < len(windows) {
			r.To = windows[i+1].From
		}
		rows, found := h.readWith(reader, r)
		if r.To != nil && found.Rows != int64(size) || found.Rows != windows[i].Rows || found.Rows == 0 ||
			int64(len(rows)) != found.Rows-found.Vanished {
			h.t.Errorf("window %d of %d has %d rows, %+v", i, len(windows), len(rows), found)
		}
		list = append(list, rows...)
		vanished += found.Vanished
	}
	return list, vanished
}

// fill inserts n runs, several of which start at once, most with feedback, some of it newer than
// other.
func (h *history) fill(n int) {
	h.t.Helper()
	dice := rand.New(rand.NewPCG(1, 2))
	var list []*runs.Run
	var feedback []*runs.Feedback
	for i := range n {
		r := &runs.Run{
			WorkspaceID: "acme", RunID: fmt.Sprintf("run-%04d", dice.IntN(1e4)*1000+i), Source: "recipe", AppID: "app",
			Status:    "succeeded",
			StartedAt: day.Add(time.Duration(i/3) * time.Second), UpdatedAt: day, AppVersion: fmt.Sprint("v", i%3),
		}
		list = append(list, r)
		if i%5 > 0 {
			feedback = append(feedback, &runs.Feedback{
				WorkspaceID: "acme", RunID: r.RunID, FeedbackID: "f1", Rating: "thumbsDown", Comment: "old",
				Tags: []string{"a", ""}, UpdatedAt: day,
			})
		}
		if i%2 > 0 {
			feedback = append(feedback, &runs.Feedback{
				WorkspaceID: "acme", RunID: r.RunID, FeedbackID: "f0", Rating: "thumbsUp", Comment: fmt.Sprint("new ", i),
				UpdatedAt: day.Add(time.Second),
			})
		}
	}
	if refused, err := h.store.InsertRuns(h.t.Context(), list); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
	if refused, err := h.store.InsertFeedback(h.t.Context(), feedback); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
}

func TestTheWindowsOfAStagePartitionTheSelection(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.fill(304)
	later := window(export.ByStartedAt, day.Add(17*time.Second), day.Add(100*time.Second))
	later.Limit = 111
	sizes := []int{1000, 50, 19}
	if testing.Short() {
		sizes = sizes[:2]
	}
	all := h.selected(export.Request{}, export.Selection{Limit: 1000})
	for name, c := range map[string]struct {
		request   export.Request
		selection export.Selection
	}{
		"a window":             {selection: always},
		"the most recent":      {selection: export.Selection{Limit: 100}},
		"a window and a limit": {selection: later},
		"named runs":           {selection: export.Selection{RunIDs: ids(all[100:300])}},
		"by feedback": {request: export.Request{Filters: export.Filters{Rating: "thumbsUp"}},
			selection: export.Selection{Limit: 200}},
		"by version":     {request: export.Request{Filters: export.Filters{AppVersions: []string{"v1"}}}, selection: always},
		"by ingested_at": {selection: window(export.ByIngestedAt, day, time.Now().Add(time.Hour))},
	} {
		want := h.selected(c.request, c.selection)
		if len(want) < 100 {
			t.Fatalf("%s: only %d rows", name, len(want))
		}
		for _, rows := range []int64{int64(len(want)), 2e6} { // feedback is looked up, or joined
			for _, size := range sizes {
				id := fmt.Sprintf("%s/%d/%d", strings.ReplaceAll(name, " ", "-"), rows, size)
				keys := h.freeze(id, c.request, c.selection, rows, int64(size))
				if windows := (len(want) + size - 1) / size; len(keys) != windows {
					t.Errorf("%s: %d windows of %d, want %d", name, len(keys), size, windows)
				}
				for how, filters := range map[string]export.Filters{"dense": {}, "sparse": {Rating: "thumbsUp"}} {
					if got, vanished := h.windowsOf(filters, id, keys, size); !slices.Equal(got, want) || vanished != 0 {
						t.Errorf("%s, %s windows of %d: %d rows and %d vanished, want %d", name, how, size, len(got), vanished, len(want))
					}
				}
			}
		}
	}
}

// ids returns the run ids of what selected returned.
func ids(list []string) (ids []string) {
	for _, s := range list {
		id, _, _ := strings.Cut(s, "(")
		ids = append(ids, id)
	}
	return ids
}

func TestAStageIsNotChangedByWhatComesLater(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.fill(100)
	want := h.selected(export.Request{}, always)
	keys := h.freeze("s", export.Request{}, always, 100, 30)
	for i, id := range ids(want) {
		if i%2 == 0 {
			h.feedback(id, "f9", func(f *runs.Feedback) { f.Comment, f.UpdatedAt = "late", day.Add(time.Hour) })
		}
	}
	h.run("late", 3)
	if got, vanished := h.windows("s", keys, 30); !slices.Equal(got, want) || vanished != 0 {
		t.Errorf("%d rows, want %d as they were frozen", len(got), len(want))
	}
}

func TestRunsThatAreDeletedAfterTheyWereStagedAreCounted(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.fill(100)
	before := h.selected(export.Request{}, always)
	keys := h.freeze("s", export.Request{}, always, 100, 30)
	gone := []int{0, 1, 29, 30, 31, 50, 98, 99} // at the edges of windows and inside
	var want, names []string
	for i, s := range before {
		if slices.Contains(gone, i) {
			names = append(names, "'"+ids(before[i : i+1])[0]+"'")
		} else {
			want = append(want, s)
		}
	}
	h.exec("DELETE FROM runs WHERE run_id IN (" + strings.Join(names, ",") + ")")
	if got, vanished := h.windows("s", keys, 30); !slices.Equal(got, want) || vanished != int64(len(gone)) {
		t.Errorf("%d rows and %d vanished, want %d and %d", len(got), vanished, len(want), len(gone))
	}
	h.exec("TRUNCATE TABLE runs")
	if got, found := h.readSnapshot(selection.SnapshotRange{Snapshot: "s"}); len(got) != 0 || found.Rows != 100 ||
		found.Vanished != 100 {
		t.Errorf("%d rows, %+v", len(got), found)
	}
}

func TestAStageBelongsToItsWorkspaceAndIsDroppedAlone(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.fill(20)
	h.freeze("s1", export.Request{}, always, 20, 30)
	h.freeze("s2", export.Request{}, always, 20, 30)
	if got, found := h.readSnapshot(selection.SnapshotRange{Snapshot: "s1",
		Request: &export.Request{ID: export.ID{WorkspaceID: "umbrella"}, Source: "recipe",
			AppID: export.Apps{"app"}}}); len(got) != 0 ||
		found.Rows != 0 {
		t.Errorf("another workspace reads %d rows", len(got))
	}
	dropped := &export.Plan{Snapshot: "s1", NodeSnapshot: "n1"}
	for range 2 { // the second time there is none
		if err := selection.DropSnapshot(t.Context(), h.dsn, "", dropped); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]int64{"s1": 0, "s2": 20} {
		query := selection.SnapshotCount(&export.Request{ID: export.ID{WorkspaceID: "acme"}}, id)
		query.Settings = selection.ReadSettings("test", time.Minute, 0)
		if n, err := clickhouse.ReadInt(t.Context(), h.dial(), query); err != nil || n != want {
			t.Errorf("snapshot %s has %d rows, %v; want %d", id, n, err, want)
		}
	}
}

func (h *history) exec(statement string) {
	h.t.Helper()
	conn, err := h.dsn.Open()
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(h.t.Context(), statement); err != nil {
		h.t.Fatal(err)
	}
}

// newest asks when the k-th newest row started.
func (h *history) newest(s export.Selection, k int64) int64 {
	h.t.Helper()
	query := selection.Newest(&export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe",
		AppID: export.Apps{"app"}}, s, k)
	query.Settings = selection.ReadSettings("test", time.Minute, 0)
	at, err := clickhouse.ReadInt(h.t.Context(), h.dial(), query)
	if err != nil {
		h.t.Fatal(err)
	}
	return at
}

func TestTheNewestRowsAreFoundByWhenTheyStarted(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	for i := range 10 {
		h.run(fmt.Sprint("r", i), i)
	}
	h.run("other", 99, func(r *runs.Run) { r.AppID = "other" })
	at := func(n int) int64 { return day.Add(time.Duration(n) * time.Second).UnixMilli() }
	early := window(export.ByStartedAt, day.Add(2*time.Second), day.Add(6*time.Second))
	for name, c := range map[string]struct {
		selection export.Selection
		k, want   int64
	}{
		"the newest":        {export.Selection{}, 1, at(9)},
		"the third":         {export.Selection{}, 3, at(7)},
		"the last":          {export.Selection{}, 10, at(0)},
		"one more":          {export.Selection{}, 11, 0},
		"in a window":       {early, 4, at(2)},
		"beyond the window": {early, 5, 0},
	} {
		if got := h.newest(c.selection, c.k); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
