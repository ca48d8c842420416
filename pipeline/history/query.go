package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/share"
)

// maxDuration bounds the time of one answer with all its queries.
const maxDuration = 20 * time.Second

// grace is how long the server may take to report its timeout. After that it counts as not
// answering.
const grace = 3 * time.Second

// Of all workspaces, so many answers are read at a time. More than a few searches for text would share the
// processors of ClickHouse, until none of them ends in time.
const (
	maxSearches = 4
	maxReads    = 16
)

// Connections is how many connections a store uses at a time: each answer is read by up to 4 queries
// at once.
const Connections = 4 * (maxSearches + maxReads)

// Store reads ClickHouse. Its answers have a queue and a share for each workspace; the error of one
// that gets no place is a [*share.Busy].
type Store struct {
	conn        driver.Conn
	timer       *clickhouse.Timer
	searches    *share.Share // of texts, which read whole columns
	reads       *share.Share // everything else
	maxDuration time.Duration
	maxCompared int64 // see MaxCompared
	now         func() time.Time
	versions    keptVersions
}

// Names of the answers in metrics. One answer may take several queries.
const (
	readApps    = "apps"
	readCharts  = "charts"
	readCompare = "compare"
	readNodes   = "nodes"
	readRun     = "run"
	readRuns    = "runs"
	readValues  = "values"
)

// New returns a store. Timer measures its queries, and may be nil.
func New(conn driver.Conn, timer *clickhouse.Timer) *Store {
	timer.Init(readApps, readCharts, readCompare, readNodes, readRun, readRuns, readValues)
	return &Store{conn: conn, timer: timer, maxDuration: maxDuration, maxCompared: MaxCompared,
		now: time.Now, versions: keptVersions{slow: slowVersions},
		searches: share.New(share.Limits{What: "searches for text", Total: maxSearches, Each: 2, Queue: 16,
			Wait: 10 * time.Second}),
		reads: share.New(share.Limits{What: "reads of runs and apps", Total: maxReads, Each: 4, Queue: 32,
			Wait: 5 * time.Second})}
}

// reading is the state that the queries of one answer share. All of them read one workspace, which
// is bound from the start (invariant 9).
//
// Filters are in WHERE. PREWHERE, which ClickHouse evaluates before FINAL, has only columns of the
// table's key, which all rows share that FINAL merges.
type reading struct {
	*clickhouse.Binder
	conn     driver.Conn
	name     string
	timer    *clickhouse.Timer
	deadline time.Time
	now      time.Time
	versions *keptVersions
}

// inWorkspace is a condition of every query.
const inWorkspace = "workspace_id = unhex({workspace:String})"

func (s *Store) read(workspace, name string) *reading {
	r := &reading{Binder: &clickhouse.Binder{}, conn: s.conn, name: name, timer: s.timer,
		deadline: time.Now().Add(s.maxDuration), now: s.now(), versions: &s.versions}
	r.Text("workspace", workspace)
	return r
}

// latest is a FROM that reads the newest snapshot of each run or node run whose sort key meets a
// condition; more conditions may follow. FINAL leaves one row of each sort key, and superseded is true
// where the newest snapshot has another key.
func latest(table, condition string) string {
	return table + " FINAL PREWHERE " + condition + " WHERE NOT superseded"
}

// fork returns a reading for a query that runs beside others, with parameters of its own.
func (r *reading) fork() *reading {
	f := *r
	f.Binder = r.Clone()
	return &f
}

// keys binds a non-empty set of keys and returns a condition on the columns of the key.
func (r *reading) keys(name string, keys []key) string {
	list := make([]string, len(keys))
	first, last := keys[0].started, keys[0].started
	for i, k := range keys {
		list[i] = fmt.Sprintf("%x.%x.%d.%x", k.source, k.app, k.started, k.run)
		first, last = min(first, k.started), max(last, k.started)
	}
	return "started_at BETWEEN " + r.Milli(name+"_first", first) + " AND " + r.Milli(name+"_last", last) +
		" AND (source, app_id, started_at, run_id) IN (SELECT unhex(p[1]), unhex(p[2]), " +
		"fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC'), unhex(p[4])" +
		" FROM " + r.tuples(name, list) + ")"
}

// runs binds the run_id of each key and returns the right side of an IN.
func (r *reading) runs(name string, keys []key) string {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.run
	}
	return r.Texts(name, ids)
}

// tuples binds a set of tuples whose parts are joined by dots, and returns a relation of arrays p
// of their parts. Texts are in hexadecimal.
func (r *reading) tuples(name string, tuples []string) string {
	return "(SELECT splitByChar('.', arrayJoin(splitByChar(',', " + r.ID(name, strings.Join(tuples, ",")) + "))) AS p)"
}

// app returns the conditions on workspace and app. A source or app of "" is no condition.
func (r *reading) app(source, app string) string {
	conditions := inWorkspace
	if source != "" {
		conditions += " AND source = " + r.Text("source", source)
	}
	if app != "" {
		conditions += " AND app_id = " + r.Text("app", app)
	}
	return conditions
}

// each runs a query and calls scan for each of its rows. The query gets the bound parameters that
// it names.
func (r *reading) each(ctx context.Context, sql string, scan func(rows driver.Rows) error,
	more ...ch.Setting) error {
	left := time.Until(r.deadline)
	if left <= 0 {
		return ErrTooSlow
	}
	query := r.Query(sql)
	query.Settings = append(settings(left), more...)
	limited, cancel := context.WithDeadline(ctx, r.deadline.Add(grace))
	defer cancel()
	err := r.timer.Time(ctx, r.name, func() error { return r.stream(query.Context(noDeadline{limited}), sql, scan) })
	switch code := clickhouse.Code(err); {
	case err == nil:
		return nil
	case code == proto.ErrTimeoutExceeded, code == proto.ErrTooSlow: // the second by the server's estimate
		return fmt.Errorf("%w: %w", ErrTooSlow, err)
	case ctx.Err() != nil:
		return ctx.Err()
	case code != 0 && clickhouse.Classify(err) == clickhouse.Retry: // such as a lack of memory
		return err
	default:
		return clickhouse.Explain(err)
	}
}

// noDeadline hides the deadline from the driver, which would send the server another one, 5 seconds
// later.
type noDeadline struct{ context.Context }

func (noDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

func (r *reading) stream(ctx context.Context, sql string, scan func(rows driver.Rows) error) (err error) {
	rows, err := r.conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// maxMemory bounds the memory of a query on the server, in bytes.
const maxMemory = 4 << 30

// settings returns the settings of every query. Monthly partitions share no key, so FINAL need not
// merge across them.
func settings(limit time.Duration) []ch.Setting {
	return append(clickhouse.ReadSettings("history", limit, maxMemory),
		ch.SettingInt("do_not_merge_across_partitions_select_final", 1),
		ch.SettingInt("optimize_move_to_prewhere_if_final", 0))
}
