package history

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export/selection"
)

// patience is how long one answer may take, with all of its queries.
const patience = 20 * time.Second

// grace is how long the server may take to say that the time is over, until it is taken for one that does not answer.
const grace = 3 * time.Second

// Store reads ClickHouse.
type Store struct {
	conn     driver.Conn
	patience time.Duration
	now      func() time.Time
}

// New returns a store.
func New(conn driver.Conn) *Store { return &Store{conn, patience, time.Now} }

// reading is what the queries of one answer share. All of them are about one workspace, which is bound from the start
// (invariant 9).
//
// No value is part of a query's text. The server unescapes parameters of type String, so every text is bound in
// hexadecimal. Sets are subqueries: a constant array that takes a lambda to make is made anew for every row.
//
// Filters are in WHERE. In PREWHERE, which is looked at before FINAL, stand only columns that all snapshots of a run
// share, those of the table's key.
type reading struct {
	conn       driver.Conn
	deadline   time.Time
	now        time.Time
	parameters map[string]string
}

// inWorkspace is a condition of every query.
const inWorkspace = "workspace_id = unhex({workspace:String})"

func (s *Store) read(workspace string) *reading {
	r := &reading{conn: s.conn, deadline: time.Now().Add(s.patience), now: s.now(), parameters: map[string]string{}}
	r.text("workspace", workspace)
	return r
}

// fork is r for a query that runs beside others, with parameters of its own.
func (r *reading) fork() *reading {
	f := *r
	f.parameters = maps.Clone(r.parameters)
	return &f
}

// text binds a text and returns the expression for it.
func (r *reading) text(name, value string) string {
	r.parameters[name] = hex.EncodeToString([]byte(value))
	return "unhex({" + name + ":String})"
}

// texts binds a set of texts, not an empty one, and returns what may follow IN.
func (r *reading) texts(name string, values []string) string {
	encoded := make([]string, len(values))
	for i, v := range values {
		encoded[i] = hex.EncodeToString([]byte(v))
	}
	r.parameters[name] = strings.Join(encoded, ",")
	return "(SELECT unhex(arrayJoin(splitByChar(',', {" + name + ":String}))))"
}

// keys binds a set of keys, not an empty one, and returns a condition on the columns of the key.
func (r *reading) keys(name string, keys []key) string {
	var b strings.Builder
	first, last := keys[0].started, keys[0].started
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%x.%x.%d.%x", k.source, k.app, k.started, k.run)
		first, last = min(first, k.started), max(last, k.started)
	}
	r.parameters[name] = b.String()
	return "started_at BETWEEN " + r.time(name+"_first", first) + " AND " + r.time(name+"_last", last) +
		" AND (source, app_id, started_at, run_id) IN (SELECT unhex(p[1]), unhex(p[2]), fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC'), unhex(p[4])" +
		" FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {" + name + ":String}))) AS p))"
}

// runs binds the run_id of keys, and returns what may follow IN.
func (r *reading) runs(name string, keys []key) string {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.run
	}
	return r.texts(name, ids)
}

// time binds a time, in milliseconds since 1970.
func (r *reading) time(name string, milli int64) string {
	return "fromUnixTimestamp64Milli(" + r.integer(name, milli) + ", 'UTC')"
}

func (r *reading) integer(name string, value int64) string {
	r.parameters[name] = strconv.FormatInt(value, 10)
	return "{" + name + ":Int64}"
}

// app is the conditions on the app, of which either part may be "" for any.
func (r *reading) app(source, app string) string {
	conditions := inWorkspace
	if source != "" {
		conditions += " AND source = " + r.text("source", source)
	}
	if app != "" {
		conditions += " AND app_id = " + r.text("app", app)
	}
	return conditions
}

// each runs a query with those of the parameters that are in it, and calls scan for each of its rows.
func (r *reading) each(ctx context.Context, sql string, scan func(rows driver.Rows) error) error {
	left := time.Until(r.deadline)
	if left <= 0 {
		return ErrTooSlow
	}
	parameters := chgo.Parameters{}
	for name, value := range r.parameters {
		if strings.Contains(sql, "{"+name+":") {
			parameters[name] = value
		}
	}
	limited, cancel := context.WithDeadline(ctx, r.deadline.Add(grace))
	defer cancel()
	err := r.stream(chgo.Context(undated{limited}, chgo.WithParameters(parameters), chgo.WithSettings(settings(left))), sql, scan)
	switch code := clickhouse.Code(err); {
	case err == nil:
		return nil
	case code == 159, code == 160: // TIMEOUT_EXCEEDED; TOO_SLOW, by the server's estimate
		return fmt.Errorf("%w: %w", ErrTooSlow, err)
	case ctx.Err() != nil:
		return ctx.Err()
	case code != 0 && clickhouse.Classify(err) == clickhouse.Retry: // such as a lack of memory
		return err
	default:
		return clickhouse.Explain(err)
	}
}

// undated hides its deadline from the driver, which would tell the server another one, 5 seconds later.
type undated struct{ context.Context }

func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

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

// settings are those of every read for users: exact, or an error. Monthly partitions share no key, so FINAL need not
// merge across them.
func settings(limit time.Duration) chgo.Settings {
	settings := chgo.Settings{"do_not_merge_across_partitions_select_final": "1", "optimize_move_to_prewhere_if_final": "0"}
	for _, s := range selection.ReadSettings("history", limit) {
		settings[s.Key] = s.Value
	}
	delete(settings, "max_block_size") // that of exports is for streams of whole rows
	return settings
}
