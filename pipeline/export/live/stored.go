package live

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// Stored reads the exports that track has written to ClickHouse. Its queries fold export_events as
// the view exports does, but after the conditions: ClickHouse does not move conditions below the
// view's LIMIT BY, and would read the exports of every workspace.
type Stored struct {
	Conn  driver.Conn
	Timer *clickhouse.Timer // measures the queries; may be nil
}

// Names of the queries in metrics.
const (
	queryGet     = "export"
	queryList    = "exports"
	queryCounts  = "export_counts"
	queryNotices = "notices"
)

// readTimeout bounds one query.
const readTimeout = 10 * time.Second

// newestFirst sorts the events of an export: the one that tells most is first.
const newestFirst = "completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC"

// columns returns the columns of [export.State], with the types of its fields.
func columns() string {
	list := make([]string, len(export.StateColumns))
	for i, c := range export.StateColumns {
		list[i] = c.Name
		if c.Kind == reflect.Int64 {
			list[i] = "toInt64(" + c.Name + ") AS " + c.Name
		}
	}
	return strings.Join(list, ", ")
}

// getQuery selects an export.
func getQuery(id export.ID) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT " + columns() + " FROM export_events\nWHERE workspace_id = " +
		b.ID("workspace", id.WorkspaceID) +
		" AND export_id = " + b.ID("export", id.ExportID) + " ORDER BY " + newestFirst + " LIMIT 1")
}

// Get returns the state of an export, or nil if ClickHouse does not have it.
func (s Stored) Get(ctx context.Context, id export.ID) (*export.State, error) {
	list, err := s.query(ctx, queryGet, getQuery(id))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], s.notice(ctx, id.WorkspaceID, list)
}

// List returns a page as [Exports.List] does, without exports that track has not written yet, and
// without deletions.
func (s Stored) List(ctx context.Context, q Query) (*Page, error) {
	after, err := parseCursor(q.Cursor)
	if err != nil {
		return nil, err
	}
	list, last, err := s.list(ctx, &q, after)
	if err != nil {
		return nil, err
	}
	page := &Page{Exports: make([]Export, len(list))}
	for i, x := range list {
		page.Exports[i] = Export{State: x}
	}
	if last != nil {
		page.Next = last.cursor()
	}
	return page, nil
}

// list returns the exports of a page and, if there are more, the position of the last one.
func (s Stored) list(ctx context.Context, q *Query, after *position) ([]export.State, *position, error) {
	list, err := s.query(ctx, queryList, listQuery(q, after))
	if err != nil {
		return nil, nil, err
	}
	var last *position
	if len(list) > q.Limit {
		list = list[:q.Limit]
		at := positionOf(&list[q.Limit-1])
		last = &at
	}
	return list, last, s.notice(ctx, q.Workspace, list)
}

// conditions returns the conditions of a query on the events of exports, but for the status.
func (q *Query) conditions(b *clickhouse.Binder) []string {
	conditions := []string{"workspace_id = " + b.ID("workspace", q.Workspace)}
	for _, c := range []struct{ column, value string }{{"source", q.Source}, {"purpose", q.Purpose}} {
		if c.value != "" {
			conditions = append(conditions, c.column+" = "+b.ID(c.column, c.value))
		}
	}
	if q.AppID != "" {
		ofApp := "has(splitByChar(',', app_id), " + b.ID("app_id", q.AppID) + ")"
		if q.OfAll {
			ofApp = "(app_id = '' OR " + ofApp + ")"
		}
		conditions = append(conditions, ofApp)
	}
	if q.Part != "" {
		part := b.ID("part", q.Part)
		conditions = append(conditions, "(startsWith(export_id, "+part+") OR endsWith(export_id, "+part+"))")
	}
	if q.Text != "" {
		text := b.Text("text", q.Text)
		conditions = append(conditions, "(positionCaseInsensitiveUTF8(name, "+text+") > 0 OR startsWith(export_id, "+
			text+"))")
	}
	return conditions
}

// listQuery selects the exports of a page after a position, and one more.
func listQuery(q *Query, after *position) clickhouse.Query {
	var b clickhouse.Binder
	conditions := q.conditions(&b)
	inWorkspace := conditions[0]
	if after != nil {
		at := b.Milli("at", after.At)
		conditions = append(conditions, "requested_at <= "+at,
			"(requested_at, export_id) < ("+at+", "+b.ID("after", after.ID)+")")
	}
	status := ""
	if len(q.Status) > 0 {
		status = " WHERE status IN " + b.IDs("status", q.Status)
	}
	// The inner query finds the ids of the page by few columns; the outer one reads all columns of
	// those exports.
	return b.Query(`WITH page AS (
    SELECT export_id FROM (
        SELECT export_id, requested_at, status FROM export_events WHERE ` + strings.Join(conditions, " AND ") + `
        ORDER BY ` + newestFirst + ` LIMIT 1 BY export_id
    )` + status + ` ORDER BY requested_at DESC, export_id DESC LIMIT ` + b.Count("limit", int64(q.Limit)+1) + `
)
SELECT * FROM (
    SELECT ` + columns() + ` FROM export_events WHERE ` + inWorkspace + ` AND export_id GLOBAL IN (page)
    ORDER BY ` + newestFirst + ` LIMIT 1 BY export_id
) ORDER BY requested_at DESC, export_id DESC`)
}

func (s Stored) query(ctx context.Context, name string, q clickhouse.Query) (list []export.State, err error) {
	end := s.Timer.Start(ctx, name)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.Conn.Query(q.Context(ctx), q.SQL)
	if err != nil {
		return nil, fmt.Errorf("read the exports: %w", clickhouse.Explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var x export.State
		if err := rows.ScanStruct(&x); err != nil {
			return nil, fmt.Errorf("read the exports: %w", err)
		}
		list = append(list, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the exports: %w", clickhouse.Explain(err))
	}
	return list, nil
}

// noticesQuery selects the cancels and the newest retries of exports.
func noticesQuery(workspace string, ids []string) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT export_id, max(cancelling) AS was_cancelled, argMax(retrying_stage, key) AS stage, " +
		"argMax(retrying_code, key) AS code, argMax(retrying_message, key) AS message, " +
		"argMax(retrying_since, key) AS since, toInt64(argMax(retrying_attempts, key)) AS attempts, " +
		"max(key).2 AS retried_at\n" +
		"FROM (SELECT *, (retrying_stage != '', at) AS key FROM export_notices WHERE workspace_id = " +
		b.ID("workspace", workspace) + " AND export_id IN " + b.IDs("exports", ids) + ")\nGROUP BY export_id")
}

// noticeRow is a row of noticesQuery.
type noticeRow struct {
	ExportID   string    `ch:"export_id"`
	Cancelling bool      `ch:"was_cancelled"`
	Stage      string    `ch:"stage"`
	Code       string    `ch:"code"`
	Message    string    `ch:"message"`
	Since      time.Time `ch:"since"`
	Attempts   int64     `ch:"attempts"`
	At         time.Time `ch:"retried_at"`
}

// notice adds what export_notices has to exports of a workspace that have not ended.
func (s Stored) notice(ctx context.Context, workspace string, list []export.State) (err error) {
	running := map[string]*export.State{}
	for i := range list {
		if !list[i].Status.Final() {
			running[list[i].ExportID] = &list[i]
		}
	}
	if len(running) == 0 {
		return nil
	}
	end := s.Timer.Start(ctx, queryNotices)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var rows []noticeRow
	q := noticesQuery(workspace, slices.Sorted(maps.Keys(running)))
	if err := s.Conn.Select(q.Context(ctx), &rows, q.SQL); err != nil {
		return fmt.Errorf("read what exports wait for: %w", clickhouse.Explain(err))
	}
	for _, r := range rows {
		x := running[r.ExportID]
		x.Cancelling = r.Cancelling
		if r.Stage != "" {
			x.Retrying = &export.Retrying{Stage: r.Stage, Code: r.Code, Message: r.Message, Since: r.Since,
				Attempts: r.Attempts, At: r.At}
		}
		*x = *x.Current(time.Now())
	}
	return nil
}
