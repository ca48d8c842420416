package live

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// fresh is how long ago an export has changed that ClickHouse may not know of; maxFresh bounds how many are asked
// for by id.
const (
	fresh    = time.Minute
	maxFresh = 1000
)

// Counts returns how many exports of a query have each status, whatever status the query asks for. It has those
// that were filed a moment ago, as far as this server knows of them.
func (e *Exports) Counts(ctx context.Context, q Query) (map[export.Status]int64, error) {
	q.Status = nil
	known := map[string]*export.State{}
	for id, x := range e.board.ofWorkspace(q.Workspace) {
		if len(known) < maxFresh && (!x.Status.Final() || e.board.now().Sub(x.UpdatedAt) < fresh) {
			known[id.ExportID] = x
		}
	}
	ids := make([]string, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	counts, stored, err := e.stored.counts(ctx, &q, ids)
	if err != nil {
		return nil, err
	}
	for id, x := range known {
		status, is := stored[id]
		switch {
		case is && status.Final() && !x.Status.Final(): // the request was filed again
		case is || q.matches(x):
			status = x.Status
		default:
			continue
		}
		counts[status]++
	}
	return counts, nil
}

// countsQuery counts the exports of a query by their status. Those of ids have a row each.
func countsQuery(q *Query, ids []string) clickhouse.Query {
	var b clickhouse.Binder
	id := "''"
	if len(ids) > 0 {
		id = "if(export_id IN " + b.IDs("known", ids) + ", export_id, '')"
	}
	from := "export_events WHERE " + strings.Join(q.conditions(&b), " AND ")
	return b.Query("SELECT status, " + id + " AS id, toInt64(count()) AS n FROM (\n    SELECT export_id, status FROM " +
		from + "\n    ORDER BY " + newestFirst + " LIMIT 1 BY export_id\n) GROUP BY status, id")
}

// counts returns how many exports have each status, but for those of ids, and the statuses of these.
func (s Stored) counts(ctx context.Context, q *Query, ids []string) (counts map[export.Status]int64,
	of map[string]export.Status, err error) {
	end := s.Timer.Start(ctx, queryCounts)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	query := countsQuery(q, ids)
	rows, err := s.Conn.Query(query.Context(ctx), query.SQL)
	if err != nil {
		return nil, nil, fmt.Errorf("count the exports: %w", clickhouse.Explain(err))
	}
	defer rows.Close()
	counts, of = map[export.Status]int64{}, map[string]export.Status{}
	for rows.Next() {
		var status, id string
		var n int64
		if err := rows.Scan(&status, &id, &n); err != nil {
			return nil, nil, fmt.Errorf("count the exports: %w", err)
		}
		if id == "" {
			counts[export.Status(status)] += n
		} else {
			of[id] = export.Status(status)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("count the exports: %w", clickhouse.Explain(err))
	}
	return counts, of, nil
}
