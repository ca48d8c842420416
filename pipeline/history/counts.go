package history

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/columns"
)

// counts are the numbers of runs and ratings of some days.
type counts struct {
	r          *reading
	inApp      string
	first, end time.Time
	apps       map[appKey]*appCounts // only runs writes it
	ratings    map[appKey]map[string]int64
}

type appCounts struct {
	days              map[string]int64
	succeeded, failed int64
}

const inDays = " AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < " +
	"fromUnixTimestamp64Milli({end:Int64}, 'UTC')"

// runs counts the runs of each app and day.
func (c *counts) runs(ctx context.Context) error {
	sql := "SELECT source, app_id, toString(toDate(started_at)) AS day, toInt64(count()), toInt64(countIf(status = " +
		"'succeeded')), toInt64(countIf(status = 'failed'))" +
		"\nFROM " + latest("runs", c.inApp+inDays) + "\nGROUP BY source, app_id, day"
	return c.r.each(ctx, sql, func(rows driver.Rows) error {
		var k appKey
		var day string
		var n, succeeded, failed int64
		err := rows.Scan(&k.source, &k.app, &day, &n, &succeeded, &failed)
		if c.apps[k] == nil {
			c.apps[k] = &appCounts{days: map[string]int64{}}
		}
		a := c.apps[k]
		a.days[day] = n
		a.succeeded += succeeded
		a.failed += failed
		return err
	})
}

// rated counts the ratings of each app.
func (c *counts) rated(ctx context.Context) error {
	c.ratings = map[appKey]map[string]int64{}
	related := runHash + " IN (SELECT " + runHash + " FROM runs WHERE " + c.inApp + inDays + " AND NOT superseded)"
	sql := "SELECT source, app_id, merged_rating, toInt64(count())\nFROM (SELECT source, app_id, " + runHash +
		" AS run FROM " + latest("runs", c.inApp+inDays) + " AND " + runHash + " IN (SELECT " + runHash +
		" FROM feedback WHERE " + inWorkspace + " AND " + columns.OnRun + " AND rating != '')) AS r\nINNER JOIN (" +
		verdicts(related) + ") AS f ON r.run = f.run\nGROUP BY source, app_id, merged_rating"
	return c.r.each(ctx, sql, func(rows driver.Rows) error {
		var k appKey
		var rating string
		var n int64
		err := rows.Scan(&k.source, &k.app, &rating, &n)
		if c.ratings[k] == nil {
			c.ratings[k] = map[string]int64{}
		}
		c.ratings[k][rating] = n
		return err
	})
}

// fill sets the numbers of an app.
func (c *counts) fill(a *App) {
	k := appKey{a.Source, a.AppID}
	n := c.apps[k]
	if n == nil {
		n = &appCounts{}
	}
	for day := c.first; day.Before(c.end); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		a.Days = append(a.Days, Day{Date: date, Runs: n.days[date]})
		a.Runs += n.days[date]
	}
	a.Succeeded, a.Failed = n.succeeded, n.failed
	a.ThumbsUp, a.ThumbsDown = c.ratings[k]["thumbsUp"], c.ratings[k]["thumbsDown"]
}
