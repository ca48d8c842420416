package live

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// Stored reads the exports that track has written to ClickHouse. Its queries fold export_events as the view exports does,
// but after the conditions: ClickHouse does not move conditions below the view's LIMIT BY, and would read the exports of
// every workspace.
type Stored struct{ Conn driver.Conn }

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

// parameters binds values to a query. Each value is an id, a word of the contract, a number, or a list of these with
// commas.
func parameters(ctx context.Context, values map[string]string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	return chgo.Context(ctx, chgo.WithParameters(values)), cancel
}

// Get returns the state of an export, or nil if ClickHouse does not have it.
func (s Stored) Get(ctx context.Context, id export.ID) (*export.State, error) {
	ctx, cancel := parameters(ctx, map[string]string{"workspace": id.WorkspaceID, "export": id.ExportID})
	defer cancel()
	list, err := s.query(ctx, "SELECT "+columns()+` FROM export_events
WHERE workspace_id = {workspace:String} AND export_id = {export:String} ORDER BY `+newestFirst+" LIMIT 1")
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// List returns a page as [Exports.List] does, without exports that track has not written yet, and without deletions.
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
	list, err := s.listOneMore(ctx, q, after)
	if err != nil || len(list) <= q.Limit {
		return list, nil, err
	}
	last := positionOf(&list[q.Limit-1])
	return list[:q.Limit], &last, nil
}

func (s Stored) listOneMore(ctx context.Context, q *Query, after *position) ([]export.State, error) {
	values := map[string]string{"workspace": q.Workspace, "n": fmt.Sprint(q.Limit + 1)}
	conditions := []string{"workspace_id = {workspace:String}"}
	for _, c := range []struct{ column, value string }{{"source", q.Source}, {"app_id", q.AppID}, {"purpose", q.Purpose}} {
		if c.value != "" {
			values[c.column] = c.value
			conditions = append(conditions, c.column+" = {"+c.column+":String}")
		}
	}
	if after != nil {
		values["at"], values["after"] = fmt.Sprint(after.At), after.ID
		conditions = append(conditions, "requested_at <= fromUnixTimestamp64Milli({at:Int64}, 'UTC')",
			"(requested_at, export_id) < (fromUnixTimestamp64Milli({at:Int64}, 'UTC'), {after:String})")
	}
	status := "1"
	if len(q.Status) > 0 {
		values["status"] = strings.Join(q.Status, ",")
		status = "status IN splitByChar(',', {status:String})"
	}
	ctx, cancel := parameters(ctx, values)
	defer cancel()
	// The inner query finds the ids of the page by few columns; the outer one reads all columns of those exports.
	return s.query(ctx, `WITH page AS (
    SELECT export_id FROM (
        SELECT export_id, requested_at, status FROM export_events WHERE `+strings.Join(conditions, " AND ")+`
        ORDER BY `+newestFirst+` LIMIT 1 BY export_id
    ) WHERE `+status+` ORDER BY requested_at DESC, export_id DESC LIMIT {n:UInt32}
)
SELECT * FROM (
    SELECT `+columns()+` FROM export_events WHERE workspace_id = {workspace:String} AND export_id IN (page)
    ORDER BY `+newestFirst+` LIMIT 1 BY export_id
) ORDER BY requested_at DESC, export_id DESC`)
}

func (s Stored) query(ctx context.Context, sql string) (list []export.State, err error) {
	rows, err := s.Conn.Query(ctx, sql)
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
