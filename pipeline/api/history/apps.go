package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"
)

// maxVersions is how many versions of an app are listed, of the runs of the last recentDays.
const (
	maxVersions = 50
	recentDays  = 90
)

// Apps returns the apps of a workspace, the one that ran last first, with the numbers of the last days. Source "" is both.
func (s *Store) Apps(ctx context.Context, workspace, source string, days int) ([]App, error) {
	apps, err := s.apps(ctx, workspace, source, "", days)
	if err != nil {
		return nil, fmt.Errorf("list the apps of workspace %s: %w", workspace, err)
	}
	return apps, nil
}

// App is one of Apps, or ErrNotFound.
func (s *Store) App(ctx context.Context, workspace, source, appID string, days int) (*App, error) {
	if appID == "" {
		return nil, ErrNotFound
	}
	apps, err := s.apps(ctx, workspace, source, appID, days)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read app %s of workspace %s: %w", appID, workspace, err)
	case len(apps) == 0:
		return nil, ErrNotFound
	}
	return &apps[0], nil
}

func (s *Store) apps(ctx context.Context, workspace, source, appID string, days int) ([]App, error) {
	r := s.read(workspace)
	now := r.now.UTC()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	counts := &counts{r: r, first: today.AddDate(0, 0, 1-max(days, 1)), end: today.AddDate(0, 0, 1), apps: map[appKey]*appCounts{}}
	counts.inApp = r.app(source, appID)
	r.time("first", counts.first.UnixMilli())
	r.time("end", counts.end.UnixMilli())
	r.integer("recent", now.AddDate(0, 0, -recentDays).UnixMilli())

	var apps []App
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) { apps, err = r.listApps(ctx, counts.inApp); return err })
	all.Go(func() error { return counts.runs(ctx) })
	all.Go(func() error { return counts.judged(ctx) })
	if err := all.Wait(); err != nil {
		return nil, err
	}
	for i := range apps {
		counts.of(&apps[i])
	}
	return apps, nil
}

// appKey tells the apps of a workspace apart.
type appKey struct{ source, app string }

// listApps reads the apps with their versions, newest first. When an app ran, is in the key of the table, and need not be
// read FINAL. A version may be that of a superseded snapshot: to filter by it finds nothing, and a merge forgets it.
func (r *reading) listApps(ctx context.Context, inApp string) ([]App, error) {
	apps := []App{}
	sql := "SELECT source, app_id, app_version, max(started_at) AS last, last >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC')" +
		"\nFROM runs WHERE " + inApp + " GROUP BY source, app_id, app_version" +
		// One more than there may be: "" is none, but when it ran counts.
		fmt.Sprintf("\nORDER BY source, app_id, last DESC, app_version DESC LIMIT %d BY source, app_id", maxVersions+1)
	err := r.each(ctx, sql, func(rows driver.Rows) error {
		var source, app, version string
		var last time.Time
		var recent bool
		if err := rows.Scan(&source, &app, &version, &last, &recent); err != nil {
			return err
		}
		if n := len(apps); n == 0 || apps[n-1].Source != source || apps[n-1].AppID != app {
			apps = append(apps, App{Source: source, AppID: app, LastRunAt: last, Versions: []string{}})
		}
		if a := &apps[len(apps)-1]; version != "" && recent && len(a.Versions) < maxVersions {
			a.Versions = append(a.Versions, version)
		}
		return nil
	})
	if err != nil || len(apps) == 0 {
		return apps, err
	}
	slices.SortStableFunc(apps, func(a, b App) int { return b.LastRunAt.Compare(a.LastRunAt) })
	return apps, r.nameApps(ctx, apps)
}

// nameApps reads the name that the newest run of each app has.
func (r *reading) nameApps(ctx context.Context, apps []App) error {
	lasts := make([]string, len(apps))
	places := make(map[appKey]*App, len(apps))
	for i := range apps {
		a := &apps[i]
		lasts[i] = fmt.Sprintf("%x.%x.%d", a.Source, a.AppID, a.LastRunAt.UnixMilli())
		places[appKey{a.Source, a.AppID}] = a
	}
	r = r.fork()
	r.parameters["lasts"] = strings.Join(lasts, ",")
	sql := "SELECT source, app_id, app_name FROM runs FINAL PREWHERE " + inWorkspace + " AND (source, app_id, started_at) IN (" +
		"SELECT unhex(p[1]), unhex(p[2]), fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC') FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {lasts:String}))) AS p))" +
		"\nORDER BY run_id DESC LIMIT 1 BY source, app_id"
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var k appKey
		var name string
		err := rows.Scan(&k.source, &k.app, &name)
		if a := places[k]; a != nil {
			a.AppName = name
		}
		return err
	})
}

// counts are the numbers of some days.
type counts struct {
	r          *reading
	inApp      string
	first, end time.Time
	apps       map[appKey]*appCounts // written by runs alone
	ratings    map[appKey]map[string]int64
}

type appCounts struct {
	days              map[string]int64
	succeeded, failed int64
}

const inDays = " AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')"

// runs counts the runs.
func (c *counts) runs(ctx context.Context) error {
	sql := "SELECT source, app_id, toString(toDate(started_at)) AS day, toInt64(count()), toInt64(countIf(status = 'succeeded')), toInt64(countIf(status = 'failed'))" +
		"\nFROM runs FINAL PREWHERE " + c.inApp + inDays + "\nGROUP BY source, app_id, day"
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

// judged counts the ratings. The runs are not read FINAL: which there are, their keys tell, and only the few that are rated
// need to be told apart.
func (c *counts) judged(ctx context.Context) error {
	c.ratings = map[appKey]map[string]int64{}
	sql := "SELECT source, app_id, rating, toInt64(count()) FROM (" +
		"\n    SELECT DISTINCT source, app_id, started_at, run_id, rating" +
		"\n    FROM (SELECT source, app_id, started_at, run_id FROM runs WHERE " + c.inApp + inDays + ") AS r" +
		"\n    INNER JOIN (" + newestFeedback("run_id, toString(rating) AS rating", "") + ") AS f ON r.run_id = f.run_id" +
		"\n) GROUP BY source, app_id, rating"
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

// of gives an app its numbers.
func (c *counts) of(a *App) {
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
