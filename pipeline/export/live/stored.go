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

// stored is what ClickHouse has. Its queries fold export_events as the view exports does, but after the conditions: ClickHouse does not
// move those below the view's LIMIT BY, and would read all exports of everybody.
type stored struct{ conn driver.Conn }

// readTimeout is how long a read of a few exports may take.
const readTimeout = 10 * time.Second

// newestFirst puts the event of an export first that tells most of it.
const newestFirst = "completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC"

// columns are those of [export.State], with the types of its fields.
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

// parameters binds values to a query. Each is an id, a word of the contract or a number, or a list of such with commas.
func parameters(ctx context.Context, values map[string]string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	return chgo.Context(ctx, chgo.WithParameters(values)), cancel
}

// get returns an export, nil where ClickHouse has none.
func (s stored) get(ctx context.Context, id export.ID) (*export.State, error) {
	ctx, cancel := parameters(ctx, map[string]string{"workspace": id.WorkspaceID, "export": id.ExportID})
	defer cancel()
	list, err := s.query(ctx, "SELECT "+columns()+" FROM export_events WHERE workspace_id = {workspace:String} AND export_id = {export:String} ORDER BY "+newestFirst+" LIMIT 1")
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// list returns the exports of a page and one more, where there is one.
func (s stored) list(ctx context.Context, q *Query, after *position) ([]export.State, error) {
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
	// The keys of the page first, by few columns, and then all of those exports.
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

func (s stored) query(ctx context.Context, sql string) (list []export.State, err error) {
	rows, err := s.conn.Query(ctx, sql)
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
