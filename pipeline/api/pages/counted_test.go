package pages

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/runstore"
)

// filterCases are queries of addresses, and what an analyst would ask of view runs_with_feedback.
var filterCases = map[string]string{
	"":              "1",
	"q=FLIGHT":      "positionCaseInsensitive(concat(question, '\n', answer), 'flight') > 0",
	"q=%C3%84rger":  "positionCaseInsensitiveUTF8(concat(question, '\n', answer), 'ärger') > 0",
	"status=failed": "status = 'failed'",
	"status=failed&status=cancelled&version=v1": "status IN ('failed', 'cancelled') AND app_version = 'v1'",
	"version=v2&version=v'3":                    `app_version IN ('v2', 'v\'3')`,
	"feedback=thumbsUp":                         "feedback_rating = 'thumbsUp'",
	"feedback=thumbsDown":                       "feedback_rating = 'thumbsDown'",
	"feedback=none":                             "feedback_id = ''",
	"session=s%5C1":                             `session_id = 's\\1'`,
	"model=m%2C1&model=m2":                      "model IN ('m,1', 'm2')",
	"trigger=webhook":                           "trigger = 'webhook'",
	"error_type=timeout":                        "error_type = 'timeout'",
	"tag=kind":                                  "has(feedback_tags, 'kind')",
	"tag=kind&tag=it's":                         `has(feedback_tags, 'kind') OR has(feedback_tags, 'it\'s')`,
	"min_score=0.5":                             "feedback_score >= 0.5",
	"score=score=..0.4":                         "feedback_score <= 0.4",
	"score=fair=0.3..0.7":                       "arrayExists(s -> s.1 = 'fair' AND s.2 BETWEEN 0.3 AND 0.7, feedback_scores)",
	"score=fair=0.3..&score=score=0.2..":        "arrayExists(s -> s.1 = 'fair' AND s.2 >= 0.3, feedback_scores) AND feedback_score >= 0.2",
	"min_latency_ms=1000":                       "date_diff('ms', started_at, ended_at) >= 1000",
	"max_latency_ms=0":                          "date_diff('ms', started_at, ended_at) <= 0",
	"min_cost_usd=0.25":                         "cost_usd >= 0.25",
	"min_cost_usd=0&max_cost_usd=0.25":          "cost_usd BETWEEN 0 AND 0.25",
	"has_files=true":                            "notEmpty(files)",
	"has_files=false":                           "empty(files)",
	"user_id=u1":                                "user_id = 'u1'",
	"metadata=region=eu":                        "metadata['region'] = 'eu'",
	"from=2026-11-25T10:30":                     "started_at >= '2026-11-25 10:30:00'",
	"to=2026-11-25T11:00":                       "started_at < '2026-11-25 11:00:00'",
	"feedback=thumbsUp&tag=kind&min_latency_ms=0&has_files=false&from=2026-11-25T09:00": "feedback_rating = 'thumbsUp' AND has(feedback_tags, 'kind') AND " +
		"date_diff('ms', started_at, ended_at) >= 0 AND empty(files) AND started_at >= '2026-11-25 09:00:00'",
}

// Whatever filters are on, the page lists exactly the runs that its form exports, in one window that
// reads the tables and in several of a snapshot, and an analyst finds the same. No run is running: an
// export leaves those out unless it is asked for them.
func TestAnExportHasExactlyTheRunsThatThePageCounts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it compares queries, one after another")
	}
	dsn := clickhousetest.Database(t)
	fillHistory(t, dsn)
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	store := history.New(conn, nil)
	used := map[string]bool{}
	for query, where := range filterCases {
		values, err := url.ParseQuery("source=copilot&app=helpdesk&" + query)
		if err != nil {
			t.Fatal(err)
		}
		for key := range values {
			used[key] = true
		}
		f := parseFilters(values)
		if len(f.Mistakes) > 0 {
			t.Fatal(query, f.Mistakes)
		}
		want := analyst(t, conn, where)
		if len(want) == 0 || len(want) == filledRuns && query != "" {
			t.Errorf("%s: %d runs, which tells nothing", query, len(want))
		}
		r := requestOf(t, f)
		d, err := dryrun.Run(t.Context(), dsn, r, 30_000)
		if err != nil {
			t.Fatal(query, err)
		}
		for what, got := range map[string][]string{"page": listed(t, store, f), "export": direct(t, dsn, r),
			"staged export": staged(t, dsn, r, int64(len(want)))} {
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: the %s has %d runs, an analyst %d", query, what, len(got), len(want))
			}
		}
		if d.Rows != int64(len(want)) || d.Records != d.Rows {
			t.Errorf("%s: the form counts %d rows and %d records, want %d", query, d.Rows, d.Records, len(want))
		}
	}
	for _, m := range moreFilters {
		if !used[m.Key] {
			t.Errorf("no case has filter %s", m.Key)
		}
	}
}

const filledRuns = 240

// fillHistory stores runs of the copilot helpdesk and of others, with older snapshots and feedback.
func fillHistory(t *testing.T, dsn *clickhouse.DSN) {
	t.Helper()
	sink := runstore.New(dsn)
	t.Cleanup(sink.Close)
	rng := rand.New(rand.NewPCG(18, 12))
	of := func(n int) int { return rng.IntN(n) }
	var older, newer []*runs.Run
	var feedback []*runs.Feedback
	for i := range filledRuns + 60 {
		r := &runs.Run{WorkspaceID: "acme", RunID: fmt.Sprintf("run-%d", i), Source: "copilot", AppID: "helpdesk",
			StartedAt: noon.Add(-time.Duration(of(200)) * time.Minute)}
		if i >= filledRuns {
			r.AppID, r.WorkspaceID = []string{"other", "helpdesk"}[i%2], []string{"acme", "umbrella"}[i%2]
		}
		for s, list := range []*[]*runs.Run{&older, &newer} {
			v := *r
			v.UpdatedAt = r.StartedAt.Add(time.Duration(s) * time.Second)
			v.Status = []string{"succeeded", "succeeded", "failed", "cancelled"}[of(4)]
			v.Question = []string{"Where is my flight?", "ÄRGER", "why", ""}[of(4)]
			v.Answer = []string{"At the gate.", "no flights", "mit Ärger", ""}[of(4)]
			v.AppVersion, v.SessionID = []string{"v1", "v2", "v'3"}[of(3)], []string{"", `s\1`, "s2"}[of(3)]
			v.Model, v.Trigger = []string{"", "m,1", "m2", "m3"}[of(4)], []string{"chat", "webhook"}[of(2)]
			v.UserID, v.CostUSD = []string{"", "u1"}[of(2)], []*float64{nil, new(0.0), new(0.25), new(2.0)}[of(4)]
			v.Error = []*runs.Error{nil, {Type: "timeout"}, {Type: "other"}}[of(3)]
			v.Files = [][]runs.File{nil, {{Name: "f"}}}[of(2)]
			v.Metadata = [][]runs.Pair{nil, {{Key: "region", Value: "eu"}}, {{Key: "region", Value: "us"}}}[of(3)]
			if of(5) > 0 {
				v.EndedAt = v.StartedAt.Add(time.Duration(of(3)) * time.Second)
			}
			*list = append(*list, &v)
		}
		for j := range of(4) {
			f := &runs.Feedback{WorkspaceID: r.WorkspaceID, RunID: r.RunID, FeedbackID: fmt.Sprint("f", j),
				Kind: []string{"human", "model"}[of(2)], Rating: []string{"", "thumbsUp", "thumbsDown"}[of(3)],
				Name: []string{"", "", "fair"}[of(3)], Tags: [][]string{nil, {"kind"}, {"it's", "x"}}[of(3)],
				NodeID: []string{"", "", "", "solve"}[of(4)], UpdatedAt: noon.Add(time.Duration(of(1000)) * time.Second)}
			if of(3) > 0 {
				f.Score = new(float64(of(11)) / 10)
			}
			feedback = append(feedback, f)
		}
	}
	for _, list := range [][]*runs.Run{older, newer} {
		if refused, err := sink.InsertRuns(t.Context(), list); err != nil || refused != nil {
			t.Fatal(refused, err)
		}
	}
	if refused, err := sink.InsertFeedback(t.Context(), feedback); err != nil || refused != nil {
		t.Fatal(refused, err)
	}
}

// analyst returns the runs that meet a condition, in the order of their ids.
func analyst(t *testing.T, conn driver.Conn, where string) (ids []string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT run_id FROM runs_with_feedback WHERE workspace_id = 'acme' AND source = "+
		"'copilot' AND app_id = 'helpdesk' AND ("+where+") ORDER BY run_id")
	if err != nil {
		t.Fatal(where, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if rows.Err() != nil {
		t.Fatal(where, rows.Err())
	}
	return ids
}

// listed returns the runs on all pages of the list.
func listed(t *testing.T, store *history.Store, f filters) (ids []string) {
	t.Helper()
	for {
		page, err := store.Runs(t.Context(), f.query("acme"))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			ids = append(ids, r.RunID)
		}
		if f.Cursor = page.Next; page.Next == "" {
			return ids
		}
	}
}

// requestOf returns the request that the form files.
func requestOf(t *testing.T, f filters) *export.Request {
	t.Helper()
	page := formOf(f.values(), noon)
	page.In, page.App = f, &history.App{Source: f.Source, AppID: f.App}
	page.fill()
	if f.From.IsZero() && f.To.IsZero() {
		page.From, page.To = time.Time{}, time.Time{} // setRange chose a range, which the list does not have
		page.Fields.Set("limit", "100000")
	}
	r, mistakes := page.Check(export.ID{WorkspaceID: "acme", ExportID: "e"}, page.Document())
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	return r
}

// reader returns a reader of windows.
func reader(t *testing.T, dsn *clickhouse.DSN) *selection.WindowReader {
	t.Helper()
	w := &selection.WindowReader{Settings: selection.ReadSettings("test", time.Minute, 0)}
	for _, client := range []**ch.Client{&w.Keys, &w.Runs} {
		var err error
		if *client, err = dsn.Dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*client).Close() })
	}
	return w
}

func direct(t *testing.T, dsn *clickhouse.DSN, r *export.Request) (ids []string) {
	t.Helper()
	if _, err := reader(t, dsn).ReadSelection(t.Context(), selection.New(r, r.Selection), collect(&ids)); err != nil {
		t.Fatal(err)
	}
	return ids
}

// staged reads the runs from a snapshot, in four windows.
func staged(t *testing.T, dsn *clickhouse.DSN, r *export.Request, rows int64) (ids []string) {
	t.Helper()
	w := reader(t, dsn)
	snapshot := fmt.Sprint("s", rand.Uint64())
	insert := selection.New(r, r.Selection).InsertSnapshot(snapshot, rows, 0)
	insert.Settings = selection.SnapshotSettings("test", time.Minute)
	if err := clickhouse.Do(t.Context(), w.Keys, insert.Native()); err != nil {
		t.Fatal(err)
	}
	windows, _, err := selection.Cut(t.Context(), &selection.Reader{Client: w.Keys}, r, snapshot, (rows+3)/4, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range windows {
		part := &selection.SnapshotRange{Request: r, Snapshot: snapshot, From: windows[i].From}
		if i+1 < len(windows) {
			part.To = windows[i+1].From
		}
		if _, err := w.ReadSnapshot(t.Context(), part, collect(&ids)); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func collect(ids *[]string) func(*record.Row) error {
	return func(row *record.Row) error {
		*ids = append(*ids, string(row.RunID))
		return nil
	}
}
