package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/runs"
)

// maxVersions bounds the listed versions of an app. They are the versions of runs of the last
// recentDays.
const (
	maxVersions = 50
	recentDays  = 90
)

// Apps returns the apps of a workspace, the one that ran last first, with the numbers of the last
// days; without numbers where days is 0. Source "" is both sources.
func (s *Store) Apps(ctx context.Context, workspace, source string, days int) ([]App, error) {
	apps, err := s.apps(ctx, workspace, source, "", days)
	if err != nil {
		return nil, fmt.Errorf("list the apps of workspace %s: %w", workspace, err)
	}
	return apps, nil
}

// App returns one of Apps, or ErrNotFound.
func (s *Store) App(ctx context.Context, workspace, source, appID string, days int) (*App, error) {
	if !runs.ValidID(appID) {
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
	leave, err := s.reads.Enter(ctx, workspace)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := s.read(workspace, readApps)
	now := r.now.UTC()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	counts := &counts{r: r, first: today.AddDate(0, 0, 1-max(days, 1)), end: today.AddDate(0, 0, 1),
		apps: map[appKey]*appCounts{}}
	counts.inApp = r.app(source, appID)
	r.Milli("first", counts.first.UnixMilli())
	r.Milli("end", counts.end.UnixMilli())
	r.Int("recent", now.AddDate(0, 0, -recentDays).UnixMilli())

	var apps []App
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		apps, err = r.listApps(ctx, workspace, counts.inApp, source != "" && appID != "")
		return err
	})
	if days > 0 {
		all.Go(func() error { return counts.runs(ctx) })
		all.Go(func() error { return counts.rated(ctx) })
	}
	if err := all.Wait(); err != nil || days == 0 {
		return apps, err
	}
	for i := range apps {
		counts.fill(&apps[i])
	}
	return apps, nil
}

// appKey identifies an app of a workspace.
type appKey struct{ source, app string }

// listApps reads the apps with their names, versions and the time of their last runs. Columns of
// the table's key need no FINAL to find the apps; nameApps removes those whose runs all have moved to
// others. One says that inApp allows one app alone.
func (r *reading) listApps(ctx context.Context, workspace, inApp string, one bool) ([]App, error) {
	places := map[appKey]*App{}
	sql := "SELECT DISTINCT source, app_id FROM runs WHERE NOT superseded AND " + inApp
	if one { // its last run is at the end of its part of the table
		sql = "SELECT source, app_id, started_at FROM runs WHERE NOT superseded AND " + inApp +
			"\nORDER BY started_at DESC LIMIT 1"
	}
	err := r.each(ctx, sql, func(rows driver.Rows) error {
		a := App{Versions: []string{}}
		columns := []any{&a.Source, &a.AppID}
		if one {
			columns = append(columns, &a.LastRunAt)
		}
		err := rows.Scan(columns...)
		places[appKey{a.Source, a.AppID}] = &a
		return err
	})
	if err != nil || len(places) == 0 {
		return []App{}, err
	}
	readVersions := func() error { return r.recentVersions(ctx, inApp, places, one) }
	if one {
		for _, a := range places {
			err = r.versions.fill(workspace, a, r.now, readVersions)
		}
	} else {
		err = readVersions()
	}
	if err != nil {
		return nil, err
	}
	if err := r.lastRuns(ctx, places); err != nil {
		return nil, err
	}
	if err := r.nameApps(ctx, places); err != nil {
		return nil, err
	}
	apps := make([]App, 0, len(places))
	for _, a := range places {
		apps = append(apps, *a)
	}
	slices.SortFunc(apps, func(a, b App) int {
		return cmp.Or(b.LastRunAt.Compare(a.LastRunAt), cmp.Compare(a.Source, b.Source), cmp.Compare(a.AppID, b.AppID))
	})
	return apps, nil
}

// recentVersions reads the versions of the last days, and the time of each app's last run. It takes the time for
// FINAL only for apps with runs that moved away. In others, a version may come from an older snapshot: a filter by
// that version finds nothing, and the next merge removes it.
func (r *reading) recentVersions(ctx context.Context, inApp string, apps map[appKey]*App, one bool) error {
	const columns = "SELECT source, app_id, app_version, started_at FROM "
	recent := inApp + " AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC')"
	left := "(SELECT source, app_id FROM runs WHERE superseded AND " + recent + ")"
	app, by := "source, app_id", "source, app_id, "
	if one { // to group by one column takes a third of the time
		app, by = "any(source), any(app_id)", ""
	}
	sql := "SELECT " + app + ", app_version, max(started_at) AS last FROM (" +
		"\n    " + columns + "runs WHERE NOT superseded AND " + recent + " AND (source, app_id) NOT IN " + left +
		"\n    UNION ALL" +
		"\n    " + columns + latest("runs", recent+" AND (source, app_id) IN "+left) +
		"\n) GROUP BY " + by + "app_version" +
		// One more than maxVersions: "" is not listed, but its last run counts.
		"\nORDER BY " + by + "last DESC, app_version DESC LIMIT " + strconv.Itoa(maxVersions+1)
	if by != "" {
		sql += " BY source, app_id"
	}
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var k appKey
		var version string
		var last time.Time
		if err := rows.Scan(&k.source, &k.app, &version, &last); err != nil {
			return err
		}
		a := apps[k]
		if a == nil { // its first run came after the apps were read
			return nil
		}
		if a.LastRunAt.IsZero() {
			a.LastRunAt = last
		}
		if version != "" && len(a.Versions) < maxVersions {
			a.Versions = append(a.Versions, version)
		}
		return nil
	})
}

// lastRuns reads the last run of the apps without runs in the last days.
func (r *reading) lastRuns(ctx context.Context, apps map[appKey]*App) error {
	var old []string
	for k, a := range apps {
		if a.LastRunAt.IsZero() {
			old = append(old, fmt.Sprintf("%x.%x", k.source, k.app))
		}
	}
	if old == nil {
		return nil
	}
	r = r.fork()
	sql := "SELECT source, app_id, max(started_at) FROM runs WHERE NOT superseded AND " + inWorkspace +
		" AND (source, app_id) IN (" +
		"SELECT unhex(p[1]), unhex(p[2]) FROM " + r.tuples("old", old) + ") GROUP BY source, app_id"
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var k appKey
		var last time.Time
		err := rows.Scan(&k.source, &k.app, &last)
		if a := apps[k]; a != nil {
			a.LastRunAt = last
		}
		return err
	})
}

// nameApps reads the name of each app from its newest run. Where that run has moved to another sort
// key, it looks for the newest among all runs of the app, and removes an app that has none.
func (r *reading) nameApps(ctx context.Context, apps map[appKey]*App) error {
	named, f := map[appKey]bool{}, r.fork()
	name := func(condition string) error {
		sql := "SELECT source, app_id, app_name, started_at FROM " + latest("runs", inWorkspace+" AND "+condition) +
			"\nORDER BY started_at DESC, run_id DESC LIMIT 1 BY source, app_id"
		return f.each(ctx, sql, func(rows driver.Rows) error {
			var k appKey
			var name string
			var last time.Time
			err := rows.Scan(&k.source, &k.app, &name, &last)
			if a := apps[k]; a != nil {
				a.AppName, a.LastRunAt, named[k] = name, last, true
			}
			return err
		})
	}
	lasts := make([]string, 0, len(apps))
	for k, a := range apps {
		lasts = append(lasts, fmt.Sprintf("%x.%x.%d", k.source, k.app, a.LastRunAt.UnixMilli()))
	}
	err := name("(source, app_id, started_at) IN (SELECT unhex(p[1]), unhex(p[2]), " +
		"fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC') FROM " + f.tuples("lasts", lasts) + ")")
	if err != nil || len(named) == len(apps) {
		return err
	}
	var rest []string
	for k := range apps {
		if !named[k] {
			rest = append(rest, fmt.Sprintf("%x.%x", k.source, k.app))
		}
	}
	err = name("(source, app_id) IN (SELECT unhex(p[1]), unhex(p[2]) FROM " + f.tuples("rest", rest) + ")")
	if err != nil {
		return err
	}
	maps.DeleteFunc(apps, func(k appKey, _ *App) bool { return !named[k] })
	return nil
}
