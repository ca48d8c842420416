package history

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/export/condition"
)

// maxSorted is how many runs a list that is not in the order of time has at most. Each of its pages reads all
// runs of the query.
const maxSorted = 10_000

// orders are the expressions that lists descend by.
var orders = map[string]string{SortLatency: condition.Latency, SortCost: "cost_usd"}

// sorted returns a page of a list that is not in the order of time. Its cursor is how many runs come
// before the page.
func (r *reading) sorted(ctx context.Context, q *Query, limit int) (*Page, error) {
	page, skipped := &Page{Runs: []Run{}}, 0
	order, known := orders[q.Sort]
	if !known {
		return nil, errors.New("there is no order " + strconv.Quote(q.Sort))
	}
	if q.Cursor != "" {
		n, err := strconv.Atoi(q.Cursor)
		if err != nil || n < 1 || n >= maxSorted {
			return nil, ErrCursor
		}
		skipped = n
	}
	s := newSearch(r, q, nil)
	sql := "SELECT toUnixTimestamp64Milli(started_at), run_id, source, app_id FROM " + s.matching(s.started(s.from), "") +
		"\nORDER BY " + order + " DESC NULLS LAST, started_at DESC, run_id DESC LIMIT " +
		r.Count("at_most", int64(limit+1)) + " OFFSET " + r.Count("skipped", int64(skipped))
	keys, err := r.scanKeys(ctx, sql)
	if err != nil || len(keys) == 0 {
		return page, err
	}
	if len(keys) > limit {
		keys = keys[:limit]
		if skipped+limit < maxSorted {
			page.Next = strconv.Itoa(skipped + limit)
		}
	}
	page.Runs, err = r.rows(ctx, keys)
	return page, err
}

// scanKeys reads the keys that a query selects, in its order.
func (r *reading) scanKeys(ctx context.Context, sql string) (keys []key, err error) {
	err = r.each(ctx, sql, func(rows driver.Rows) error {
		var k key
		err := rows.Scan(&k.started, &k.run, &k.source, &k.app)
		keys = append(keys, k)
		return err
	})
	return keys, err
}

// FirstRun returns when the first run of an app started; zero where there is none. A run that has
// moved away may count, until ClickHouse merges the parts.
func (s *Store) FirstRun(ctx context.Context, workspace, source, app string) (first time.Time, err error) {
	leave, err := s.reads.Enter(ctx, workspace)
	if err != nil {
		return first, err
	}
	defer leave()
	r := s.read(workspace, readApps)
	err = r.each(ctx, "SELECT started_at FROM runs WHERE "+r.app(source, app)+
		" AND NOT superseded\nORDER BY source, app_id, started_at LIMIT 1", func(rows driver.Rows) error {
		return rows.Scan(&first)
	})
	return first, err
}
