package selection

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Some targets need the node runs of each run. They come from a query of their own, in the order of
// the runs, and are given to them as they pass: a join would sort rows that have all of them.

// NodeRuns is the query for [WithNodes] beside [WindowReader.ReadSelection]; its SQL is "" where the rows need
// no node runs.
func (q *Selection) NodeRuns() RowQuery {
	if !q.ReadsNodes() {
		return RowQuery{}
	}
	if q.wide() {
		return q.nodeRuns(q.chosen(q.related()))
	}
	return q.nodeRuns("SELECT '' AS group_key, started_at, run_id FROM (" + q.keys() + ")")
}

// NodeRuns is the query for [WithNodes] beside [WindowReader.ReadSnapshot], see [Selection.NodeRuns].
func (r *SnapshotRange) NodeRuns() RowQuery {
	q := r.shape()
	if !q.ReadsNodes() {
		return RowQuery{}
	}
	if r.Nodes != "" {
		return r.frozenNodeRuns(q)
	}
	return q.nodeRuns("SELECT group_key, started_at, run_id FROM " + q.snapshotTable() + " WHERE " +
		and(r.conditions(&q.bind)))
}

// nodeRuns selects the node runs of the runs of these keys. Table nodes is in the order of their starts, and node_keys
// in that of their runs: so ClickHouse looks there when they started, and reads neither table as a whole.
func (q *Selection) nodeRuns(keys string) RowQuery {
	return RowQuery{q.bind.Query("SELECT\n" + selectList(newNodeRunReader().fields, "n.", "k.") +
		"\nFROM (SELECT * FROM " + latest("nodes") + q.inApp +
		" AND (node_id, started_at, run_id) IN (SELECT node_id, started_at, run_id FROM node_keys WHERE " + q.inApp +
		" AND run_id IN (SELECT run_id FROM (" + keys + ")))" + q.neededNodes() + ") AS n\n" +
		"INNER JOIN (SELECT group_key, started_at, run_id FROM (" + keys + ")) AS k ON n.run_id = k.run_id\n" +
		"ORDER BY k.group_key, k.started_at, k.run_id"),
		newNodeRunReader}
}

// frozenNodeRuns selects the node runs of the range from their snapshot, in its order. There started_at is that of the
// run.
func (r *SnapshotRange) frozenNodeRuns(q *Selection) RowQuery {
	of := *r
	of.Snapshot = r.Nodes
	return RowQuery{q.bind.Query("SELECT\n" + selectList(newNodeRunReader().fields, "", "run_") +
		"\nFROM (SELECT * EXCEPT (started_at, node_started_at), group_key AS run_group_key, " +
		"s.started_at AS run_started_at, run_id AS run_run_id, s.node_started_at AS started_at\n" +
		"FROM (SELECT * FROM " + rowsTable + " WHERE " +
		and(of.conditions(&q.bind)) + ") AS s)\nORDER BY run_group_key, run_started_at, run_run_id, node_run_id"),
		newNodeRunReader}
}

// InsertNodeRuns is the statement that freezes the node runs that the target reads, as the snapshot of an id, beside
// the snapshot of their runs, which is in its table already, and has so many rows. The SQL is "" where the target reads
// none.
//
// In their table, the node runs of a window may be anywhere: they are in the order of their own starts, and a window of
// grouped runs has runs of all times. Of 300,000 runs, each of ten windows read 1,380,000 rows for 130,000 node runs,
// and sorted them. So the more runs an export had, the longer each of them took.
func (q *Selection) InsertNodeRuns(id, runs string, rows int64) clickhouse.Query {
	if !q.ReadsNodes() {
		return clickhouse.Query{}
	}
	columns := commonColumns + ", " + nodeColumns
	var names, list []string
	for _, name := range strings.Split(columns, ", ") {
		if name != "started_at" {
			names, list = append(names, name), append(list, "n."+name)
		}
	}
	keys := " FROM " + q.snapshotTable() + " WHERE workspace_id = {workspace:String} AND stage_id = " +
		q.bind.ID("snapshot", runs)
	narrow := ""
	if rows <= maxRelatedRuns {
		narrow = " AND run_id IN (SELECT run_id" + keys + ")"
	}
	return q.bind.Query("INSERT INTO " + rowsTable + " (workspace_id, stage_id, group_key, started_at, run_id, " +
		"node_started_at, " + strings.Join(names, ", ") + ")\n" +
		"SELECT {workspace:String}, " + q.bind.ID("node_runs", id) + ", k.group_key, k.started_at, n.run_id, n.started_at, " +
		strings.Join(list, ", ") + "\nFROM (SELECT * FROM " + latest("nodes") + q.inApp + narrow + q.neededNodes() +
		") AS n\nINNER JOIN (SELECT group_key, started_at, run_id" + keys + ") AS k ON n.run_id = k.run_id")
}

// NodeSnapshotCount is the query for [clickhouse.ReadInt]: how many rows a snapshot of node runs has.
func NodeSnapshotCount(r *export.Request, id string) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT toString(count()) FROM " + rowsTable + " WHERE " + inSnapshot(&b, r.WorkspaceID, id))
}

// neededNodes ends a condition on the node runs that the target reads.
func (q *Selection) neededNodes() string {
	switch q.needs.Nodes {
	case record.WithChunks:
		return " AND notEmpty(chunks)"
	case record.WithToolCalls:
		return " AND (notEmpty(chunks) OR node_type = 'tool')"
	}
	return ""
}

// newNodeRunReader returns the reader of a node run and of the key of its run.
func newNodeRunReader() *rowReader {
	reader := &rowReader{}
	reader.row.Node = &reader.node
	key := []field{text("{f}group_key", &reader.row.Group), milliseconds("{f}started_at", &reader.row.StartedAt),
		text("{f}run_id", &reader.row.RunID)}
	key[1].name = "row_run_started_at"
	reader.fields = append(key, nodeFields(&reader.node)...)
	return reader
}

// maxNodes bounds the bytes of node runs that a run brings along. No record may be so large, see
// package extract.
const maxNodes = 64 << 20

// runNodes are the node runs of a run. Size is their memory in bytes.
type runNodes struct {
	group, runID []byte
	startedAt    int64
	nodes        []record.Node
	size         int
}

// weight is what the node runs count as beside those of other runs.
func (n *runNodes) weight() int64 { return int64(min(n.size, maxNodes)) }

// inOrder compares node runs of a run by their place in it: those that say none come last.
func inOrder(a, b record.Node) int {
	place := func(n *record.Node) int64 {
		if n.Sequence.Valid {
			return n.Sequence.Value
		}
		return math.MaxInt64
	}
	return cmp.Or(cmp.Compare(place(&a), place(&b)), cmp.Compare(a.StartedAt, b.StartedAt),
		bytes.Compare(a.NodeRunID, b.NodeRunID))
}

func (n *runNodes) compare(row *record.Row) int {
	return cmp.Or(bytes.Compare(n.group, row.Group), cmp.Compare(n.startedAt, row.StartedAt),
		bytes.Compare(n.runID, row.RunID))
}

// WithNodes calls read with a function that adds the node runs to each row and then calls fn. The
// node runs come from query, in the order of the rows; the query needs a connection of its own. The
// node runs of a run are cut at 64 MiB, and such a row is TooLarge. Errors and connections are as
// in [ReadRows].
func WithNodes(
	ctx context.Context, client *ch.Client, query RowQuery,
	read func(ctx context.Context, fn func(*record.Row) error) error, fn func(*record.Row) error,
) error {
	group, ctx := errgroup.WithContext(ctx)
	enough, stop := context.WithCancel(ctx)
	defer stop()
	runs := make(chan *runNodes, 8)
	ahead := semaphore.NewWeighted(maxNodes) // of the bytes that are sent and not yet taken
	group.Go(func() error {
		err := sendNodes(enough, client, query, ahead, runs)
		if err != nil && errors.Is(context.Cause(enough), context.Canceled) && ctx.Err() == nil {
			return nil // all rows have been read
		}
		if err == nil {
			close(runs)
		}
		return err
	})
	group.Go(func() error {
		defer stop()
		var next *runNodes
		return read(ctx, func(row *record.Row) error {
			row.Nodes, row.TooLarge = nil, false
			for next == nil || next.compare(row) < 0 {
				var more bool
				select {
				case next, more = <-runs:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if !more {
					return fn(row)
				}
				ahead.Release(next.weight())
			}
			if next.compare(row) == 0 {
				row.Nodes, row.TooLarge = next.nodes, next.size > maxNodes
			}
			return fn(row)
		})
	})
	return group.Wait()
}

// sendNodes sends the node runs of each run, one run after the other.
func sendNodes(ctx context.Context, client *ch.Client, query RowQuery, ahead *semaphore.Weighted,
	runs chan<- *runNodes) error {
	var run *runNodes
	send := func() error {
		if run == nil {
			return nil
		}
		slices.SortStableFunc(run.nodes, inOrder)
		if err := ahead.Acquire(ctx, run.weight()); err != nil {
			return context.Cause(ctx)
		}
		select {
		case runs <- run:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := readRows(ctx, client, query, defaultPatience, func(row *record.Row) error {
		if run == nil || run.compare(row) != 0 {
			if err := send(); err != nil {
				return err
			}
			run = &runNodes{group: bytes.Clone(row.Group), runID: bytes.Clone(row.RunID), startedAt: row.StartedAt}
		}
		if run.size <= maxNodes {
			node, size := row.Node.Clone()
			run.nodes, run.size = append(run.nodes, node), run.size+size
		}
		return nil
	})
	if err != nil {
		return err
	}
	return send()
}
