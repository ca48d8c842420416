package selection_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/runstore"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// history is a database of its own.
type history struct {
	t     *testing.T
	dsn   *clickhouse.DSN
	store *runstore.Store
}

func newHistory(t *testing.T) *history {
	dsn := clickhousetest.Database(t)
	h := &history{t: t, dsn: dsn, store: runstore.New(dsn)}
	t.Cleanup(h.store.Close)
	return h
}

// run inserts a run of acme's recipe app, started n seconds after day, with changes.
func (h *history) run(id string, n int, changes ...func(*runs.Run)) {
	h.t.Helper()
	r := &runs.Run{
		WorkspaceID: "acme", RunID: id, Source: "recipe", AppID: "app", Status: "succeeded",
		StartedAt: day.Add(time.Duration(n) * time.Second), UpdatedAt: day,
	}
	for _, change := range changes {
		change(r)
	}
	if refused, err := h.store.InsertRuns(h.t.Context(), []*runs.Run{r}); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
}

func (h *history) feedback(run, id string, changes ...func(*runs.Feedback)) {
	h.t.Helper()
	f := &runs.Feedback{WorkspaceID: "acme", RunID: run, FeedbackID: id, Kind: "human", Rating: "thumbsUp",
		UpdatedAt: day}
	for _, change := range changes {
		change(f)
	}
	if refused, err := h.store.InsertFeedback(h.t.Context(), []*runs.Feedback{f}); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
}

// ingestedAt sets the time when ClickHouse stored the rows of a run in a table.
func (h *history) ingestedAt(table, run string, t time.Time) {
	h.t.Helper()
	conn, err := h.dsn.Open()
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Exec(h.t.Context(), fmt.Sprintf(
		"ALTER TABLE %s UPDATE ingested_at = fromUnixTimestamp64Micro(%d) WHERE run_id = '%s' SETTINGS mutations_sync = 1",
		table, t.UnixMicro(), run))
	if err != nil {
		h.t.Fatal(err)
	}
}

// selected returns the runs of a selection, each with its feedback's id, rating and comment if it
// has one, and holds the count against them.
func (h *history) selected(r export.Request, s export.Selection) (list []string) {
	h.t.Helper()
	if r.WorkspaceID == "" {
		r.WorkspaceID = "acme"
	}
	r.Source, r.AppID = "recipe", export.Apps{"app"}
	chosen := selection.New(&r, s)
	client, err := h.dsn.Dial(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	defer client.Close()
	if _, err := h.reader().ReadSelection(h.t.Context(), chosen, func(row *record.Row) error {
		list = append(list, describe(row))
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	for bound, want := range map[int64]int64{1000: int64(len(list)), 2: int64(min(2, len(list)))} {
		query := chosen.Count(bound)
		query.Settings = selection.ReadSettings("test", time.Minute, 0)
		if n, err := clickhouse.ReadInt(h.t.Context(), client, query); err != nil || n != want {
			h.t.Errorf("count bounded by %d: %d, %v; want %d", bound, n, err, want)
		}
	}
	return list
}

// describe is a run and, if it has some, its feedback.
func describe(row *record.Row) string {
	text := string(row.RunID)
	if f := row.Feedback; row.HasFeedback {
		text += fmt.Sprintf("(%s %s", f.Rating, f.Comment)
		if len(f.Tags) > 0 {
			text += fmt.Sprintf(" %q", f.Tags)
		}
		text += ")"
	}
	return text
}

func (h *history) want(r export.Request, s export.Selection, want ...string) {
	h.t.Helper()
	if got := h.selected(r, s); !slices.Equal(got, want) {
		h.t.Errorf("selected %v, want %v", got, want)
	}
}

func status(s string) func(*runs.Run) { return func(r *runs.Run) { r.Status = s } }

func window(by string, from, to time.Time) export.Selection {
	return export.Selection{Window: &export.TimeWindow{By: by, From: from, To: to}}
}

var always = window(export.ByStartedAt, day.Add(-time.Hour), day.Add(time.Hour))

func TestTheMostRecentRunsComeInTheOrderTheyStarted(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("c", 1)
	h.run("a", 2)
	h.run("d", 3)
	h.run("b", 3)
	h.run("other-app", 9, func(r *runs.Run) { r.AppID = "other" })
	h.run("copilot", 9, func(r *runs.Run) { r.Source = "copilot" })
	h.run("other-workspace", 9, func(r *runs.Run) { r.WorkspaceID = "umbrella" })
	h.feedback("d", "f1", func(f *runs.Feedback) { f.WorkspaceID = "umbrella" })

	h.want(export.Request{}, always, "c", "a", "b", "d")
	h.want(export.Request{}, export.Selection{Limit: 3}, "a", "b", "d")
	h.want(export.Request{}, export.Selection{Limit: 1}, "d")
	h.want(export.Request{}, export.Selection{Limit: 100}, "c", "a", "b", "d")
	limited := window(export.ByStartedAt, day, day.Add(3*time.Second))
	limited.Limit = 1
	h.want(export.Request{}, limited, "a")
	h.want(export.Request{ID: export.ID{WorkspaceID: "umbrella"}}, always, "other-workspace")
	h.want(export.Request{ID: export.ID{WorkspaceID: "nobody"}}, always)
}

func TestAWindowIsHalfOpen(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	for i := range 4 {
		h.run(fmt.Sprint("run", i), 0, func(r *runs.Run) { r.StartedAt = day.Add(time.Duration(i) * time.Millisecond) })
	}
	between := func(from, to time.Duration) export.Selection {
		return window(export.ByStartedAt, day.Add(from), day.Add(to))
	}
	h.want(export.Request{}, between(time.Millisecond, 3*time.Millisecond), "run1", "run2")
	h.want(export.Request{}, between(0, time.Millisecond), "run0")
	h.want(export.Request{}, between(500*time.Microsecond, 2001*time.Microsecond), "run1", "run2")
	h.want(export.Request{}, between(1001*time.Microsecond, 1999*time.Microsecond))
}

func TestOnlyTheNewestSnapshotOfARunCounts(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	later := func(r *runs.Run) { r.UpdatedAt = day.Add(time.Minute) }
	h.run("finished", 1, status("running"))
	h.run("finished", 1, status("succeeded"), later)
	h.run("corrected", 2, func(r *runs.Run) { r.UserID = "wrong" })
	h.run("corrected", 2, func(r *runs.Run) { r.UserID = "right" }, later)
	h.run("running", 3, status("running"))

	final := export.Filters{Statuses: []string{"cancelled", "failed", "succeeded"}}
	h.want(export.Request{Filters: final}, always, "finished", "corrected")
	h.want(export.Request{Filters: final}, export.Selection{Limit: 1}, "corrected")
	h.want(export.Request{Filters: export.Filters{Statuses: []string{"running"}}}, always, "running")
	wrong, right := "wrong", "right"
	h.want(export.Request{Filters: export.Filters{UserID: &wrong}}, always)
	h.want(export.Request{Filters: export.Filters{UserID: &right}}, always, "corrected")
}

func TestARunComesWithItsNewestFeedback(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	half := 0.5
	newer := func(f *runs.Feedback) { f.UpdatedAt = day.Add(time.Minute) }
	comment := func(text string) func(*runs.Feedback) { return func(f *runs.Feedback) { f.Comment = text } }
	down := func(f *runs.Feedback) { f.Rating = "thumbsDown" }
	score := func(f *runs.Feedback) { f.Score = &half }
	h.run("none", 1)
	h.run("newer", 2)
	h.feedback("newer", "f2", comment("old"), score)
	h.feedback("newer", "f1", comment("new"), down, newer)
	h.run("tie", 3)
	h.feedback("tie", "f1", comment("low"))
	h.feedback("tie", "f2", comment("high"), score)
	h.run("node", 4)
	h.feedback("node", "f1", comment("run"))
	h.feedback("node", "f2", newer, down, func(f *runs.Feedback) { f.NodeID = "solve" })
	h.run("replaced", 5)
	h.feedback("replaced", "f1", down, comment("before"))
	h.feedback("replaced", "f1", newer, comment("after"), score)

	h.want(export.Request{}, always, "none", "newer(thumbsDown new)", "tie(thumbsUp high)", "node(thumbsUp run)",
		"replaced(thumbsUp after)")
	up := export.Request{Filters: export.Filters{Rating: "thumbsUp"}}
	h.want(up, always, "tie(thumbsUp high)", "node(thumbsUp run)", "replaced(thumbsUp after)")
	h.want(up, export.Selection{Limit: 2}, "node(thumbsUp run)", "replaced(thumbsUp after)")
	h.want(up, export.Selection{RunIDs: []string{"tie", "none", "newer"}}, "tie(thumbsUp high)")
	h.want(export.Request{Filters: export.Filters{MinScore: &half}}, always, "newer(thumbsDown new)", "tie(thumbsUp high)",
		"replaced(thumbsUp after)")
	more := 0.51
	h.want(export.Request{Filters: export.Filters{MinScore: &more}}, always)
}

func TestARowIsAsNewAsItsLatestPart(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	at := func(n int) time.Time { return day.Add(time.Duration(n) * time.Microsecond) }
	h.run("early", 3)
	h.ingestedAt("runs", "early", at(10))
	h.run("judged", 2)
	h.feedback("judged", "f1")
	h.ingestedAt("runs", "judged", at(10))
	h.ingestedAt("feedback", "judged", at(20))
	h.run("late", 1)
	h.feedback("late", "f1")
	h.ingestedAt("runs", "late", at(30))
	h.ingestedAt("feedback", "late", at(15))

	by := func(from, to int) export.Selection { return window(export.ByIngestedAt, at(from), at(to)) }
	h.want(export.Request{}, by(10, 11), "early")
	h.want(export.Request{}, by(11, 20))
	h.want(export.Request{}, by(20, 21), "judged(thumbsUp )")
	h.want(export.Request{}, by(21, 31), "late(thumbsUp )")
	limited := by(0, 100)
	limited.Limit = 2
	h.want(export.Request{}, limited, "judged(thumbsUp )", "early")
}

func TestTextsOfRequestsAreComparedAndNeverInterpreted(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	hostile := []string{
		`plain`, ``, `' OR 1=1 --`, `a\tb`, "a\tb", `\N`, `\`, `{workspace:String}`, "new\nline", `"`, "`", `a,b`,
		"é \U0001F600", strings.Repeat("x", 5000), `')); DROP TABLE runs; --`,
	}
	for i, text := range hostile {
		h.run(fmt.Sprint("run", i), i, func(r *runs.Run) {
			r.SessionID, r.UserID, r.AppVersion = text, text, text
			r.Metadata = []runs.Pair{{Key: text, Value: text}, {Key: "number", Value: fmt.Sprint(i)}}
		})
	}
	for i, text := range hostile {
		for name, f := range map[string]export.Filters{
			"session":  {SessionID: &text},
			"user":     {UserID: &text},
			"version":  {AppVersions: []string{text}},
			"metadata": {Metadata: map[string]string{text: text, "number": fmt.Sprint(i)}},
		} {
			if got := h.selected(export.Request{Filters: f}, always); len(got) != 1 || got[0] != fmt.Sprint("run", i) {
				t.Errorf("%s %q selected %v, want run%d", name, text, got, i)
			}
		}
	}
	h.want(export.Request{Filters: export.Filters{AppVersions: hostile[:3]}}, always, "run0", "run1", "run2")
	h.want(export.Request{Filters: export.Filters{Metadata: map[string]string{"absent": ""}}}, always)
}

func TestRunsAreSelectedById(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("a", 1)
	h.run("b.c:d~e", 2)
	h.run("running", 3, status("running"))
	ids := []string{"a", "b.c:d~e", "running"}
	for i := range 10_000 - len(ids) {
		ids = append(ids, fmt.Sprintf("missing-%0120d", i))
	}
	r := export.Request{Filters: export.Filters{Statuses: []string{"succeeded"}}}
	h.want(r, export.Selection{RunIDs: ids}, "a", "b.c:d~e")

	client, err := h.dsn.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r.ID, r.Source, r.AppID, r.Selection.RunIDs = export.ID{WorkspaceID: "acme"}, "recipe", export.Apps{"app"}, ids
	query := selection.FoundRuns(&r)
	query.Settings = selection.ReadSettings("test", time.Minute, 0)
	found, err := clickhouse.ReadTexts(t.Context(), client, query)
	slices.Sort(found)
	if err != nil || !slices.Equal(found, ids[:3]) {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestNoSelectionRunsWithoutItsWorkspaceAsAParameter(t *testing.T) {
	t.Parallel()
	r := &export.Request{ID: export.ID{WorkspaceID: "acme"}, Filters: export.Filters{Rating: "thumbsUp"}}
	s := selection.New(r, export.Selection{Limit: 7})
	for _, query := range append(s.Queries(), s.Count(1)) {
		reads := strings.Count(query.SQL, "FROM runs") + strings.Count(query.SQL, "FROM feedback")
		if bound := strings.Count(query.SQL, "workspace_id = {workspace:String}"); bound != reads || reads == 0 {
			t.Errorf("%d reads, %d bound to the workspace:\n%s", reads, bound, query.SQL)
		}
		if strings.Contains(query.SQL, "acme") || strings.Contains(query.SQL, "thumbsUp") {
			t.Errorf("values in the text:\n%s", query.SQL)
		}
	}
}
