package history

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Workspaces returns the workspaces that have runs, n at most, in the order of their ids. It is for servers
// without keys, which let their callers choose any workspace: the one read here that is not of one
// workspace (invariant 9).
func (s *Store) Workspaces(ctx context.Context, n int) (ids []string, err error) {
	leave, err := s.reads.Enter(ctx, "")
	if err != nil {
		return nil, err
	}
	defer leave()
	r := s.read("", readApps)
	sql := "SELECT DISTINCT workspace_id FROM runs ORDER BY workspace_id LIMIT " + r.Count("at_most", int64(n))
	if err := r.each(ctx, sql, func(rows driver.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}); err != nil {
		return nil, fmt.Errorf("list the workspaces: %w", err)
	}
	return ids, nil
}
