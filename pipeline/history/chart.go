package history

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export/condition"
)

// Charts are the runs of a query along their time.
type Charts struct {
	Step    time.Duration // of a bucket
	Buckets []Bucket      // from the first to the last of the time range, also those without runs
	Total   Bucket        // of all of them
}

// Bucket is numbers of the runs that started in a span of time.
type Bucket struct {
	Start                time.Time
	Runs, Failed         int64
	P50, P95             float64 // of the latency in milliseconds; 0 where no run has ended
	CostUSD              float64
	Costed               int64 // runs that have a cost
	ThumbsUp, ThumbsDown int64
}

// maxBuckets is how many buckets a chart has at most.
const maxBuckets = 400

// Charts counts the runs that a query selects, in buckets of step. The query must have both ends of
// its time range; the first bucket begins at a multiple of step.
func (s *Store) Charts(ctx context.Context, q Query, step time.Duration) (*Charts, error) {
	leave, err := s.searches.Enter(ctx, q.Workspace)
	if err != nil {
		return nil, err
	}
	defer leave()
	c := newCharts(q.From, q.To, step)
	if len(c.Buckets) == 0 {
		return c, nil
	}
	r := s.read(q.Workspace, readCharts)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return r.fork().countBuckets(ctx, &q, c) })
	both.Go(func() error { return r.fork().countRatings(ctx, &q, c) })
	if err := both.Wait(); err != nil {
		return nil, fmt.Errorf("count the runs of app %s of workspace %s: %w", q.AppID, q.Workspace, err)
	}
	return c, nil
}

// newCharts returns charts without runs. A step that makes more than maxBuckets is enlarged.
func newCharts(from, to time.Time, step time.Duration) *Charts {
	step = max(step, to.Sub(from)/maxBuckets+1, time.Millisecond).Truncate(time.Millisecond)
	c := &Charts{Step: step}
	first := time.UnixMilli(from.UnixMilli() / step.Milliseconds() * step.Milliseconds()).UTC()
	for at := first; at.Before(to); at = at.Add(step) {
		c.Buckets = append(c.Buckets, Bucket{Start: at})
	}
	return c
}

// buckets returns a FROM of the runs that a query selects in its time range, with the number of the
// bucket of each.
func (r *reading) buckets(q *Query, c *Charts) (from, bucket string) {
	s := newSearch(r, q, nil)
	bucket = "intDiv(toUnixTimestamp64Milli(started_at) - " + r.Int("origin", c.Buckets[0].Start.UnixMilli()) + ", " +
		r.Int("step", c.Step.Milliseconds()) + ") AS bucket"
	return s.matching(s.started(s.from), ""), bucket
}

// at returns the bucket with a number, or one that nobody reads.
func (c *Charts) at(number int64) *Bucket {
	if number < 0 || number >= int64(len(c.Buckets)) {
		return &Bucket{}
	}
	return &c.Buckets[number]
}

// countBuckets counts everything but ratings.
func (r *reading) countBuckets(ctx context.Context, q *Query, c *Charts) error {
	from, bucket := r.buckets(q, c)
	sql := "SELECT bucket, runs, failed,\n" +
		"    arrayMap(x -> if(isNaN(x), 0, toFloat64(x)), finalizeAggregation(latency)),\n" +
		"    arrayMap(x -> if(isNaN(x), 0, toFloat64(x)), quantilesTDigestMerge(0.5, 0.95)(latency) OVER ()), " +
		"cost, costed\n" +
		"FROM (SELECT " + bucket + ", toInt64(count()) AS runs, toInt64(countIf(status = 'failed')) AS failed,\n" +
		"    quantilesTDigestState(0.5, 0.95)(assumeNotNull(" + condition.Latency + ")) FILTER (WHERE isNotNull(ended_at))" +
		" AS latency,\n    sum(ifNull(cost_usd, 0)) AS cost, toInt64(count(cost_usd)) AS costed\nFROM " + from +
		"\nGROUP BY bucket)"
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var number int64
		var b Bucket
		var latency, all []float64
		err := rows.Scan(&number, &b.Runs, &b.Failed, &latency, &all, &b.CostUSD, &b.Costed)
		if err != nil {
			return err
		}
		to := c.at(number)
		to.Runs, to.Failed, to.CostUSD, to.Costed = b.Runs, b.Failed, b.CostUSD, b.Costed
		to.P50, to.P95 = latency[0], latency[1]
		t := &c.Total
		t.Runs, t.Failed, t.CostUSD, t.Costed = t.Runs+b.Runs, t.Failed+b.Failed, t.CostUSD+b.CostUSD, t.Costed+b.Costed
		t.P50, t.P95 = all[0], all[1]
		return nil
	})
}

// countRatings counts the merged ratings of the runs that have any.
func (r *reading) countRatings(ctx context.Context, q *Query, c *Charts) error {
	from, bucket := r.buckets(q, c)
	s := newSearch(r, q, nil)
	related := runHash + " IN (SELECT " + runHash + " FROM runs WHERE " + s.fixed + " AND " + s.started(s.from) +
		" AND NOT superseded)"
	sql := "SELECT bucket, toInt64(countIf(merged_rating = 'thumbsUp'))," +
		" toInt64(countIf(merged_rating = 'thumbsDown'))\nFROM (SELECT " + runHash + " AS run, " + bucket +
		" FROM " + from + " AND " + runHash + " IN (SELECT " + runHash +
		" FROM feedback WHERE " + inWorkspace + " AND " + columns.OnRun + " AND rating != '')) AS r\nINNER JOIN (" +
		verdicts(related) + ") AS f ON r.run = f.run\nGROUP BY bucket"
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var number, up, down int64
		err := rows.Scan(&number, &up, &down)
		to := c.at(number)
		to.ThumbsUp, to.ThumbsDown = up, down
		c.Total.ThumbsUp, c.Total.ThumbsDown = c.Total.ThumbsUp+up, c.Total.ThumbsDown+down
		return err
	})
}
