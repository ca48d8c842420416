package history

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"
)

var benchRuns = flag.Int("runs", 2_000_000, "runs in the table of the benchmark")

// fill inserts runs of one app, nine of ten, and of twenty small ones, over the last 120 days in
// the order they started, as a stream would: of each twentieth a snapshot while it was running too.
// Each tenth has feedback. Ids are random, which is the worst case for it.
func (f *fixture) fill(n int) {
	for i := range 10 {
		for _, snapshot := range []struct{ status, of string }{{"'running'", "number % 20 = 1"},
			{"if(number % 20000 = 3, 'failed', 'succeeded')", "1"}} {
			f.exec(fmt.Sprintf(
				`INSERT INTO runs (workspace_id, run_id, source, app_id, app_name, app_version, session_id, user_id, model, trigger, status, started_at, updated_at,
    question, answer, inputs, usage_input_tokens, cost_usd, metadata, version)
WITH ['refund','order','policy','travel','invoice','claim','price','delivery','status','account','error','login'] AS
    words
SELECT 'acme', lower(hex(sipHash128(number))), if(number %% 10 > 0, 'copilot', 'recipe'), if(number %% 10 > 0, 'app',
    concat('small', toString(intDiv(number, 10) %% 20))),
    'An app', concat('v', toString(intDiv(number * 20, %[1]d))), concat('s', toString(intDiv(number, 4))), concat('u',
    toString(number %% 5000)), 'gpt', 'chat', %[2]s AS status,
    fromUnixTimestamp64Milli(%[3]d - toInt64((%[1]d - number) * 120 * 86400000 / %[1]d), 'UTC') AS at, at + (status !=
    'running') AS updated_at,
    concat('What is the ', arrayStringConcat(arrayMap(i -> words[1 + sipHash64(number, i) %% 12], range(15)), ' '),
    if(number %% 100000 = 7, ' Ünïque', '')),
    arrayStringConcat(arrayMap(i -> words[1 + sipHash64(number, i, 1) %% 12], range(100)), ' '),
    concat('{"n":', toString(number), '}'), number %% 1000, 0.01, map('region', 'eu'),
    toUnixTimestamp64Micro(updated_at) * 2 + (status != 'running')
FROM numbers(%[4]d, %[5]d) WHERE %[6]s SETTINGS async_insert = 0`, n, snapshot.status, noon.UnixMilli(), n/10*i, n/10,
				snapshot.of))
		}
	}
	f.exec(fmt.Sprintf(`INSERT INTO feedback (workspace_id, run_id, feedback_id, rating, comment, updated_at, version)
SELECT 'acme', lower(hex(sipHash128(number))), 'f', if(number %% 30 = 1, 'thumbsDown', 'thumbsUp'), 'fine', now64(6),
    1 FROM numbers(%d) WHERE number %% 10 = 1
SETTINGS async_insert = 0`, n))
}

// BenchmarkHistory compares each read with the query that somebody would write instead: the newest
// runs of the view runs_latest under the same conditions. A read that is not a list is compared
// with the newest 50 runs of the app. The two take turns. x is the ratio of the median times, the
// view's over the read's.
func BenchmarkHistory(b *testing.B) {
	f := newFixture(b)
	f.exec("SYSTEM START MERGES")
	f.fill(*benchRuns)
	list := func(q Query, want int) func() error {
		q.Workspace = "acme"
		q.Limit = cmp.Or(q.Limit, 50)
		return func() error {
			page, err := f.store.Runs(b.Context(), q)
			if err == nil && len(page.Runs) != want {
				return fmt.Errorf("%d runs", len(page.Runs))
			}
			return err
		}
	}
	app := func(q Query) Query {
		q.Source, q.AppID = "copilot", "app"
		return q
	}
	newest := f.newestID()
	deep := key{noon.Add(-75 * aDay).UnixMilli(), "x", "copilot", "app"}.cursor()
	for _, c := range []struct {
		name string
		read func() error
		view string
	}{
		{"first page", list(app(Query{}), 50), inBench},
		{"page deep inside", list(app(Query{Cursor: deep}), 50), inBench + " AND started_at <= '2025-12-25 12:00:00'"},
		{"page of 200", list(app(Query{Limit: 200}), 200), inBench},
		{"rare status", list(app(Query{Filters: filters{Statuses: []string{"failed"}}}), 50),
			inBench + " AND status = 'failed'"},
		{"superseded status", list(app(Query{Filters: filters{Statuses: []string{"running"}}}), 0),
			inBench + " AND status = 'running'"},
		{"common text", list(app(Query{Filters: filters{Text: "REFUND"}}), 50), inBench +
			" AND positionCaseInsensitiveUTF8(question, 'REFUND') > 0"},
		{"rare text", list(app(Query{Filters: filters{Text: "üNÏQUE"}, Limit: 10}), 10),
			inBench + " AND positionCaseInsensitiveUTF8(question, 'üNÏQUE') > 0"},
		{"no text", list(app(Query{Filters: filters{Text: "nowhere"}}), 0), inBench +
			" AND positionCaseInsensitiveUTF8(question, 'nowhere') > 0"},
		{"rating", list(app(Query{Filters: filters{Rating: "thumbsDown"}}), 50), inBench +
			" AND run_id IN (SELECT run_id FROM feedback_latest WHERE workspace_id = 'acme' AND rating = 'thumbsDown')"},
		{"no rating", list(app(Query{Filters: filters{Rating: "none"}}), 50), inBench +
			" AND run_id NOT IN (SELECT run_id FROM feedback_latest WHERE workspace_id = 'acme')"},
		{"session", list(app(Query{Filters: filters{SessionID: new("s77777")}}), 3),
			inBench + " AND session_id = 's77777'"},
		{"workspace", list(Query{}, 50), "workspace_id = 'acme'"},
		{"workspace deep inside", list(Query{Cursor: deep}, 50),
			"workspace_id = 'acme' AND started_at <= '2025-12-25 12:00:00'"},
		{"workspace text", list(Query{Filters: filters{Text: "REFUND"}}, 50),
			"workspace_id = 'acme' AND positionCaseInsensitiveUTF8(question, 'REFUND') > 0"},
		{"apps of 14 days", func() error { return second(f.store.Apps(b.Context(), "acme", "", 14)) }, inBench},
		{"apps of 30 days", func() error { return second(f.store.Apps(b.Context(), "acme", "", 30)) }, inBench},
		{"run", func() error { return second(f.store.Run(b.Context(), "acme", newest)) }, inBench},
	} {
		b.Run(c.name, func(b *testing.B) {
			var ours, views []time.Duration
			for b.Loop() {
				ours = append(ours, took(b, c.read))
				views = append(views, took(b, func() error { return f.view(c.view) }))
			}
			x, y := median(ours), median(views)
			b.ReportMetric(x.Seconds()*1000, "ms")
			b.ReportMetric(y.Seconds()*1000, "view-ms")
			b.ReportMetric(float64(y)/float64(x), "x")
			b.ReportMetric(0, "ns/op") // of both together
		})
	}
}

// inBench is the large app of the benchmark.
const inBench = "workspace_id = 'acme' AND source = 'copilot' AND app_id = 'app'"

// view runs the query on the view.
func (f *fixture) view(where string) error {
	rows, err := f.conn.Query(f.t.Context(), "SELECT run_id, status, started_at, question, answer FROM runs_latest WHERE "+
		where+" ORDER BY started_at DESC, run_id DESC LIMIT 50")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func (f *fixture) newestID() string {
	page, err := f.store.Runs(f.t.Context(), Query{Workspace: "acme", Source: "copilot", AppID: "app", Limit: 1})
	if err != nil || len(page.Runs) != 1 {
		f.t.Fatal(page, err)
	}
	return page.Runs[0].RunID
}

func took(b *testing.B, read func() error) time.Duration {
	began := time.Now()
	if err := read(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
