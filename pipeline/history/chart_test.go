package history

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

// charted is what charts count in a span of time, written from the view.
const charted = `SELECT toInt64(count()), toInt64(countIf(status = 'failed')),
    arrayMap(x -> toFloat64(ifNull(x, 0)), quantilesExact(0.25, 0.75)(dateDiff('millisecond', started_at, ended_at))),
    toFloat64(sum(ifNull(cost_usd, 0))), toInt64(countIf(isNotNull(cost_usd))),
    toInt64(countIf(feedback_rating = 'thumbsUp')), toInt64(countIf(feedback_rating = 'thumbsDown'))
FROM runs_with_feedback WHERE workspace_id = 'acme' AND source = 'recipe' AND app_id = 'app'
    AND started_at >= fromUnixTimestamp64Milli({from:Int64}) AND started_at < fromUnixTimestamp64Milli({to:Int64})`

func TestChartsCountAsSeparateSQLDoes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.twice(400)
	for name, c := range map[string]struct {
		change func(*Query)
		where  string
	}{
		"all": {func(*Query) {}, ""},
		"filters": {func(q *Query) { q.AppVersions, q.Statuses = []string{"v1", "v2"}, []string{"succeeded", "failed"} },
			" AND app_version IN ('v1', 'v2') AND status IN ('succeeded', 'failed')"},
		"rated": {func(q *Query) { q.Rating = "thumbsUp" }, " AND feedback_rating = 'thumbsUp'"},
	} {
		q := Query{Workspace: "acme", Source: "recipe", AppID: "app", From: noon.AddDate(0, 0, -3).Add(7 * time.Minute),
			To: noon.Add(-time.Hour)}
		c.change(&q)
		got, err := f.store.Charts(t.Context(), q, 6*time.Hour)
		if err != nil || len(got.Buckets) != 12 {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		check := func(b *Bucket, from, to time.Time) {
			var want Bucket
			var latency []float64
			ctx := clickhouse.Query{Parameters: map[string]string{"from": fmt.Sprint(from.UnixMilli()),
				"to": fmt.Sprint(to.UnixMilli())}}.Context(t.Context())
			if err := f.conn.QueryRow(ctx, charted+c.where).Scan(&want.Runs, &want.Failed, &latency, &want.CostUSD, &want.Costed,
				&want.ThumbsUp, &want.ThumbsDown); err != nil {
				t.Fatal(err)
			}
			if b.Runs != want.Runs || b.Failed != want.Failed || math.Abs(b.CostUSD-want.CostUSD) > 1e-9 ||
				b.Costed != want.Costed || b.ThumbsUp != want.ThumbsUp || b.ThumbsDown != want.ThumbsDown ||
				b.P50 < latency[0] || b.P50 > latency[1] || b.P50 > b.P95 || want.Runs > 0 == (b.P95 == 0) {
				t.Errorf("%s from %s to %s: %+v, want %+v and a median within %v", name, from, to, *b, want, latency)
			}
		}
		for i := range got.Buckets {
			b := &got.Buckets[i]
			from, to := b.Start, b.Start.Add(got.Step)
			if from.Before(q.From) {
				from = q.From
			}
			if to.After(q.To) {
				to = q.To
			}
			check(b, from, to)
		}
		check(&got.Total, q.From, q.To)
	}
}

func TestListsAreSortedByLatencyAndCost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.twice(200)
	for sort, order := range map[string]string{SortLatency: "ended_at - started_at", SortCost: "cost_usd"} {
		rows, err := f.conn.Query(t.Context(), "SELECT run_id FROM runs_latest WHERE workspace_id = 'acme' AND source = "+
			"'recipe' AND app_id = 'app' ORDER BY "+order+" DESC NULLS LAST, started_at DESC, run_id DESC")
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			want = append(want, id)
		}
		rows.Close()
		q := Query{Workspace: "acme", Source: "recipe", AppID: "app", Sort: sort, Limit: 30}
		for {
			page, err := f.store.Runs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Runs {
				got = append(got, r.RunID)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if i := differ(got, want); i >= 0 || len(got) < 100 {
			t.Errorf("by %s: %d runs, want %d; they differ at %d", sort, len(got), len(want), i)
		}
	}
	for _, q := range []Query{{Sort: SortCost, Cursor: "x"}, {Sort: SortCost, Cursor: "10000"}, {Sort: "name"}} {
		q.Workspace = "acme"
		if _, err := f.store.Runs(t.Context(), q); err == nil {
			t.Errorf("%+v is answered", q)
		}
	}
	first, err := f.store.FirstRun(t.Context(), "acme", "recipe", "app")
	var want time.Time
	if err := f.conn.QueryRow(t.Context(), "SELECT min(started_at) FROM runs_latest WHERE app_id = 'app'").Scan(
		&want); err != nil {
		t.Fatal(err)
	}
	if err != nil || !first.Equal(want) {
		t.Errorf("the first run was at %s, %v, want %s", first, err, want)
	}
}
