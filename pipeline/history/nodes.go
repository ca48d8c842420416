package history

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/runs"
)

// Nodes returns the nodes of an app, the one with the most runs first, or ErrNotFound where there
// is no such app. Source "" is both sources. It counts the node runs of the last 90 days, or all
// where there are none.
func (s *Store) Nodes(ctx context.Context, workspace, source, appID string) ([]Node, error) {
	if !runs.ValidID(appID) {
		return nil, ErrNotFound
	}
	leave, err := s.reads.Enter(ctx, workspace)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := s.read(workspace, readNodes)
	nodes, known, err := r.nodes(ctx, r.app(source, appID))
	switch {
	case err != nil:
		return nil, fmt.Errorf("list the nodes of app %s of workspace %s: %w", appID, workspace, err)
	case !known:
		return nil, ErrNotFound
	}
	return nodes, nil
}

func (r *reading) nodes(ctx context.Context, inApp string) (nodes []Node, known bool, err error) {
	for _, since := range []int64{r.now.AddDate(0, 0, -recentDays).UnixMilli(), 0} {
		if nodes, err = r.countNodes(ctx, inApp+" AND started_at >= "+r.Milli("since", since)); err != nil {
			return nil, false, err
		}
		if len(nodes) > 0 {
			return nodes, true, r.nameNodes(ctx, inApp, nodes)
		}
	}
	err = r.each(ctx, "SELECT 1 FROM "+latest("runs", inApp)+" LIMIT 1", func(driver.Rows) error {
		known = true
		return nil
	})
	return nodes, known, err
}

func (r *reading) countNodes(ctx context.Context, condition string) ([]Node, error) {
	nodes := []Node{}
	sql := "SELECT node_id, toInt64(count()) AS n, max(started_at) FROM " + latest("nodes", condition) +
		"\nGROUP BY node_id ORDER BY n DESC, node_id"
	err := r.each(ctx, sql, func(rows driver.Rows) error {
		var n Node
		err := rows.Scan(&n.NodeID, &n.NodeRuns, &n.LastRunAt)
		nodes = append(nodes, n)
		return err
	})
	return nodes, err
}

// nameNodes reads the name and type of each node from its newest run.
func (r *reading) nameNodes(ctx context.Context, inApp string, nodes []Node) error {
	lasts := make([]string, len(nodes))
	places := make(map[string]*Node, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		lasts[i] = fmt.Sprintf("%x.%d", n.NodeID, n.LastRunAt.UnixMilli())
		places[n.NodeID] = n
	}
	sql := "SELECT node_id, node_name, node_type FROM " + latest("nodes", inApp+" AND (node_id, started_at) IN ("+
		"SELECT unhex(p[1]), fromUnixTimestamp64Milli(toInt64(p[2]), 'UTC') FROM "+r.tuples("lasts", lasts)+")") +
		"\nORDER BY run_id DESC, node_run_id DESC, source LIMIT 1 BY node_id"
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var id, name, kind string
		err := rows.Scan(&id, &name, &kind)
		if n := places[id]; n != nil {
			n.NodeName, n.NodeType = name, kind
		}
		return err
	})
}
