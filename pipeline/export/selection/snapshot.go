package selection

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// A snapshot is a selection that was frozen, since it does not fit into one window. Plan writes it
// with [Selection.InsertSnapshot] and cuts it into windows with [Cut]. Extract reads a
// part of it with [ReadSnapshot]. Seal drops it with [DropSnapshot].
//
// Of ungrouped runs, a snapshot has keys and feedback. Of other selections, it has whole rows. Where a target reads
// the node runs of runs, these are a snapshot of their own, of whole rows too: see [Selection.InsertNodeRuns].
const (
	keysTable = "export_stage"
	rowsTable = "export_stage_rows"
)

// The tables that the queries of this package read, for [clickhouse.DSN.Through].
var (
	Tables         = append([]string{"runs", "nodes", "feedback", "run_keys", "node_keys"}, SnapshotTables...)
	SnapshotTables = []string{keysTable, rowsTable}
)

// snapshotOrder is the order of both tables in a snapshot, and so of its windows and their rows.
const snapshotOrder = "group_key, started_at, run_id, node_run_id"

// tableOrder is the order of the runs of one app in their table, and of ungrouped runs in a snapshot.
const tableOrder = "started_at, run_id"

// maxSnapshotMemory is what writing a snapshot may use on the server, in bytes. 10 million runs
// joined with 3.3 million feedback take 2 GB.
const maxSnapshotMemory = 8 << 30

// maxSnapshotBlock is about how many bytes of a snapshot the server sorts in memory at a time, which takes twice as
// much.
const maxSnapshotBlock = 1 << 30

// maxRelatedRuns is the largest number of rows whose feedback is looked up by their runs. For more, the set
// of the runs' ids takes more time and memory than a join with all feedback of the workspace.
const maxRelatedRuns = 1_000_000

// SnapshotSettings returns the settings of [Selection.InsertSnapshot]. Comment and limit are as in
// [ReadSettings].
//
// Each block that is inserted becomes a part. Whole rows of several parts are merged one by one where a window is
// read, which takes four times as long as to read it from one part. So as many as possible are in one.
func SnapshotSettings(comment string, limit time.Duration) []ch.Setting {
	return append(clickhouse.InsertSettings(comment, limit, maxSnapshotMemory),
		ch.SettingInt("min_insert_block_size_bytes", maxSnapshotBlock))
}

// FeedbackCount is the query for [clickhouse.ReadInt]: how many judgements the workspace of a request has,
// about: it counts versions too.
func FeedbackCount(r *export.Request) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT toString(count()) FROM feedback WHERE workspace_id = " + b.ID("workspace", r.WorkspaceID))
}

// CountBound is how far the rows of a selection that needs a snapshot must be counted for [Selection.InsertSnapshot].
// Feedback is [FeedbackCount].
func CountBound(r *export.Request, feedback int64) int64 {
	if r.Nodes != nil {
		return maxRelatedRuns + 1
	}
	return min(feedback/muchFeedback, maxRelatedRuns) + 1
}

// muchFeedback is how many judgements for a run make a set of the runs' ids worth while, about. The larger it is, the
// fewer rows are counted for this choice.
const muchFeedback = 2

// InsertSnapshot is the statement that freezes the selection as the snapshot of an id. Rows is how
// many it has, or [CountBound] where it has more. Feedback is [FeedbackCount].
//
// Where there is little feedback, all of it is joined: to make a set of the ids of 400,000 runs, which takes
// 0.2 s, is more than that. Around node runs the set also leaves fewer runs to join.
//
// Ungrouped runs are inserted in their order, so that each part of a large snapshot follows the one before, see [Cut],
// and the server need not sort them. The join named hash keeps the order, and takes less processor time than the
// default one. 10 million runs with 3.3 million feedback take 11 to 14 s in place of 15, and 300,000 with 140,000 take
// 0.40 s in place of 0.48.
func (q *Selection) InsertSnapshot(id string, rows, feedback int64) clickhouse.Query {
	related := ""
	if rows <= maxRelatedRuns && (q.nodes != nil || rows < feedback/muchFeedback) {
		related = q.related()
	}
	snapshot := q.bind.ID("snapshot", id)
	if q.wide() {
		return q.insertWideSnapshot(snapshot, related)
	}
	keys := *q
	keys.ordered = true
	return q.bind.Query("INSERT INTO " + keysTable + " (workspace_id, stage_id, started_at, run_id, " +
		q.feedbackColumns() + ")\n" +
		"SELECT {workspace:String}, " + snapshot + ", s.started_at, s.run_id, " + q.feedbackList() + "\n" +
		keys.fromWithFeedback(keyColumns, related) + "\nSETTINGS join_algorithm = 'hash'")
}

// snapshotTable is the table of the selection's snapshot.
func (q *Selection) snapshotTable() string {
	if q.wide() {
		return rowsTable
	}
	return keysTable
}

// inSnapshot binds a snapshot, and returns the condition on its rows.
func inSnapshot(b *clickhouse.Binder, workspace, id string) string {
	return "workspace_id = " + b.ID("workspace", workspace) + " AND stage_id = " + b.ID("snapshot", id)
}

// SnapshotCount is the query for [clickhouse.ReadInt]: how many rows a request's snapshot has.
func SnapshotCount(r *export.Request, id string) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT toString(count()) FROM " + New(r, export.Selection{}).snapshotTable() + " WHERE " +
		inSnapshot(&b, r.WorkspaceID, id))
}

// QueryDrop is the name of DropSnapshot in metrics.
const QueryDrop = "drop_snapshot"

// DropSnapshot removes the snapshots of a plan, on a cluster from all its servers. It is no error that there are
// none.
func DropSnapshot(ctx context.Context, dsn *clickhouse.DSN, cluster string, p *export.Plan) error {
	return dsn.Timer().Time(ctx, QueryDrop, func() error { return dropSnapshot(ctx, dsn, cluster, p) })
}

func dropSnapshot(ctx context.Context, dsn *clickhouse.DSN, cluster string, p *export.Plan) error {
	conn, err := dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	if cluster != "" { // a server that is down drops it when it is back; to wait for it would take minutes
		ctx = chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"distributed_ddl_output_mode": "none_only_active"}))
	}
	for _, part := range [][2]string{{keysTable, p.Snapshot}, {rowsTable, p.Snapshot}, {rowsTable, p.NodeSnapshot}} {
		table, id := part[0], part[1]
		if id == "" {
			continue
		}
		if cluster != "" {
			table += "_shard"
		}
		// A statement of DDL has no parameters.
		statement := "ALTER TABLE " + table + clickhouse.OnCluster(cluster) + " DROP PARTITION " + clickhouse.QuoteText(id)
		if err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
