package history

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/runstore"
)

// noon is now, for the stores of tests.
var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// fixture is a database of its own. What is inserted stays in parts of their own, so that FINAL has
// something to do.
type fixture struct {
	t     testing.TB
	store *Store
	conn  driver.Conn
	sink  *runstore.Store

	runs     []*runs.Run
	feedback []*runs.Feedback
}

func newFixture(t testing.TB) *fixture {
	dsn := clickhousetest.Database(t)
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &fixture{t: t, store: New(conn, nil), conn: conn, sink: runstore.New(dsn)}
	f.store.now = func() time.Time { return noon }
	t.Cleanup(f.sink.Close)
	for _, table := range []string{"runs", "nodes", "feedback"} {
		f.exec("SYSTEM STOP MERGES " + dsn.Database + "." + table)
	}
	return f
}

func (f *fixture) exec(sql string) {
	f.t.Helper()
	if err := f.conn.Exec(f.t.Context(), sql); err != nil {
		f.t.Fatal(err)
	}
}

// run is a run of acme's recipe app that started so long before noon.
func run(id string, before time.Duration, changes ...func(*runs.Run)) *runs.Run {
	r := &runs.Run{
		WorkspaceID: "acme", RunID: id, Source: "recipe", AppID: "app", Status: "succeeded",
		StartedAt: noon.Add(-before), UpdatedAt: noon.Add(-before),
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func judgement(run, id, rating string, at time.Time, changes ...func(*runs.Feedback)) *runs.Feedback {
	j := &runs.Feedback{WorkspaceID: "acme", RunID: run, FeedbackID: id, Kind: "human", Rating: rating, UpdatedAt: at}
	for _, change := range changes {
		change(j)
	}
	return j
}

func (f *fixture) insertRuns(rows ...*runs.Run) {
	f.t.Helper()
	if refused, err := f.sink.InsertRuns(f.t.Context(), rows); err != nil || refused != nil {
		f.t.Fatal(refused, err)
	}
	f.runs = append(f.runs, rows...)
}

func (f *fixture) insertFeedback(rows ...*runs.Feedback) {
	f.t.Helper()
	if refused, err := f.sink.InsertFeedback(f.t.Context(), rows); err != nil || refused != nil {
		f.t.Fatal(refused, err)
	}
	f.feedback = append(f.feedback, rows...)
}

func (f *fixture) insertNodes(rows ...*runs.Node) {
	f.t.Helper()
	if refused, err := f.sink.InsertNodes(f.t.Context(), rows); err != nil || refused != nil {
		f.t.Fatal(refused, err)
	}
}

// newest is the reference for runs: the newest snapshot of each of the workspace's, newest first.
func (f *fixture) newest(workspace string) []*runs.Run {
	byID := map[string]*runs.Run{}
	for _, r := range f.runs {
		if old := byID[r.RunID]; r.WorkspaceID == workspace && (old == nil || r.Version() > old.Version()) {
			byID[r.RunID] = r
		}
	}
	list := make([]*runs.Run, 0, len(byID))
	for _, r := range byID {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *runs.Run) int {
		return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.RunID, a.RunID))
	})
	return list
}

// verdict is the reference implementation of merged feedback: the first judgement on a whole run, each
// field from the first that has it, and the newest score of each name.
type verdict struct {
	feedbackID, rating string
	score              *float64
	tags               []string
	scores             map[string]float64
}

func (f *fixture) verdicts(workspace string) map[string]verdict {
	type id struct{ run, feedback string }
	byID, byRun := map[id]*runs.Feedback{}, map[string][]*runs.Feedback{}
	for _, j := range f.feedback {
		k := id{j.RunID, j.FeedbackID}
		if old := byID[k]; j.WorkspaceID == workspace && (old == nil || j.Version() > old.Version()) {
			byID[k] = j
		}
	}
	for _, j := range byID {
		if j.NodeID == "" && j.NodeRunID == "" {
			byRun[j.RunID] = append(byRun[j.RunID], j)
		}
	}
	verdicts := map[string]verdict{}
	for run, list := range byRun {
		slices.SortFunc(list, func(a, b *runs.Feedback) int {
			return cmp.Or(cmp.Compare(notHuman(a), notHuman(b)), cmp.Compare(b.Version(), a.Version()),
				cmp.Compare(b.FeedbackID, a.FeedbackID))
		})
		v := verdict{feedbackID: list[0].FeedbackID, scores: map[string]float64{}}
		for _, j := range list {
			v.rating = cmp.Or(v.rating, j.Rating)
			if v.score == nil && j.Name == "" {
				v.score = j.Score
			}
			if len(v.tags) == 0 {
				v.tags = j.Tags
			}
		}
		slices.SortFunc(list, func(a, b *runs.Feedback) int {
			return cmp.Or(cmp.Compare(a.Version(), b.Version()), cmp.Compare(a.FeedbackID, b.FeedbackID))
		})
		for _, j := range list {
			if j.Name != "" && j.Score != nil {
				v.scores[j.Name] = *j.Score
			}
		}
		verdicts[run] = v
	}
	return verdicts
}

func notHuman(j *runs.Feedback) int {
	if j.Kind == "human" {
		return 0
	}
	return 1
}

// want is the reference for lists: what a query selects, one line a run.
func (f *fixture) want(q Query) (list []string) {
	verdicts := f.verdicts(q.Workspace)
	for _, r := range f.newest(q.Workspace) {
		v, judged := verdicts[r.RunID]
		verdict := "-"
		if judged {
			verdict = v.feedbackID + v.rating
		}
		if (q.Source == "" || r.Source == q.Source) && (q.AppID == "" || r.AppID == q.AppID) &&
			(q.RunIDs == nil || slices.Contains(q.RunIDs, r.RunID)) &&
			(q.From.IsZero() || !r.StartedAt.Before(q.From)) && (q.To.IsZero() || r.StartedAt.Before(q.To)) &&
			runMeets(&q.Filters, r) && feedbackMeets(&q.Filters, v, judged) {
			list = append(list, line(r.RunID, r.AppID, r.Status, r.AppVersion, r.Question, r.StartedAt, verdict))
		}
	}
	return list
}

func line(id, app, status, version, question string, started time.Time, verdict string) string {
	return fmt.Sprintf("%s of %s %s %s %s %q %s", id, app, status, version, started.Format(time.RFC3339Nano), question,
		verdict)
}

// pages reads a list page by page, with something between any two.
func (f *fixture) pages(q Query, between func()) (list []string) {
	f.t.Helper()
	for {
		page, err := f.store.Runs(f.t.Context(), q)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(page.Runs) > q.Limit || page.Next != "" && len(page.Runs) < q.Limit {
			f.t.Fatalf("a page of %d runs instead of %d, next %q", len(page.Runs), q.Limit, page.Next)
		}
		for _, r := range page.Runs {
			if r.WorkspaceID != q.Workspace {
				f.t.Fatalf("run %s is of workspace %s", r.RunID, r.WorkspaceID)
			}
			verdict := "-"
			if r.Feedback != nil {
				verdict = r.Feedback.FeedbackID + r.Feedback.Rating
			}
			list = append(list, line(r.RunID, r.AppID, r.Status, r.AppVersion, r.Question, r.StartedAt, verdict))
		}
		if page.Next == "" {
			return list
		}
		q.Cursor = page.Next
		between()
	}
}

func (f *fixture) same(q Query) {
	f.t.Helper()
	got, want := f.pages(q, func() {}), f.want(q)
	if i := differ(got, want); i >= 0 {
		f.t.Errorf("%+v: %d runs, want %d; at %d:\n got %q\nwant %q", q, len(got), len(want), i, got[i:min(i+3, len(got))],
			want[i:min(i+3, len(want))])
	}
}

// differ is where two lists begin to, or -1.
func differ(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return min(i, len(a), len(b))
		}
	}
	return -1
}
