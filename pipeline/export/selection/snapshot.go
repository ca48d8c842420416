package selection

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// A snapshot is a selection that was frozen, since it does not fit into one window. Plan writes it
// with [Selection.InsertSnapshot] and cuts it into windows with [SnapshotKeys]. Extract reads a
// part of it with [ReadSnapshot]. Seal drops it with [DropSnapshot].
//
// Of ungrouped runs, a snapshot has keys and feedback. Of other selections, it has whole rows.
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
	return min(feedback, maxRelatedRuns) + 1
}

// InsertSnapshot is the statement that freezes the selection as the snapshot of an id. Rows is how
// many it has, or [CountBound] where it has more. Feedback is [FeedbackCount].
//
// Where there is less feedback than runs, all of it is joined: to make a set of the ids of 400,000 runs,
// which takes 0.2 s, is more than that. Around node runs the set also leaves fewer runs to join.
func (q *Selection) InsertSnapshot(id string, rows, feedback int64) clickhouse.Query {
	related := ""
	if rows <= maxRelatedRuns && (q.nodes != nil || rows < feedback) {
		related = q.related()
	}
	snapshot := q.bind.ID("snapshot", id)
	if q.wide() {
		return q.insertWideSnapshot(snapshot, related)
	}
	return q.bind.Query("INSERT INTO " + keysTable + " (workspace_id, stage_id, started_at, run_id, " +
		q.feedbackColumns() + ")\n" +
		"SELECT {workspace:String}, " + snapshot + ", s.started_at, s.run_id, " + q.feedbackList() + "\n" +
		q.fromWithFeedback(keyColumns, related))
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

// SnapshotKeys is the query for [ReadWindows]: the keys at which the windows of a request's
// snapshot begin. A window has size rows and the rest of its last group. A snapshot has each row
// exactly once, so windows that begin at these keys partition it (invariant 3). None begins inside
// a group. A row without a group is a group by itself.
func SnapshotKeys(r *export.Request, id string, size int64) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT tupleElement(key, 1) AS group_key,\n" +
		"toUnixTimestamp64Milli(tupleElement(key, 2)) AS started_at_ms,\n" +
		"tupleElement(key, 3) AS run_id, tupleElement(key, 4) AS node_run_id, toInt64(first) AS first,\n" +
		"toInt64(last) AS last FROM (\n" +
		"    SELECT argMinIf((" + snapshotOrder + "), number, begins) AS key, minIf(number, begins) AS first,\n" +
		"    max(number) AS last FROM (\n" +
		"        SELECT " + snapshotOrder + ", row_number() OVER w AS number,\n" +
		"        group_key = '' OR group_key != lagInFrame(group_key) OVER w AS begins\n" +
		"        FROM " + New(r, export.Selection{}).snapshotTable() + " WHERE " + inSnapshot(&b, r.WorkspaceID, id) + "\n" +
		"        WINDOW w AS (ORDER BY " + snapshotOrder + " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)\n" +
		"    ) GROUP BY intDiv(number - 1, " + b.Count("size", size) + ")\n) ORDER BY last")
}

// SnapshotCount is the query for [clickhouse.ReadInt]: how many rows a request's snapshot has.
func SnapshotCount(r *export.Request, id string) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT toString(count()) FROM " + New(r, export.Selection{}).snapshotTable() + " WHERE " +
		inSnapshot(&b, r.WorkspaceID, id))
}

// ReadWindows returns the windows that [SnapshotKeys] cuts a snapshot into, and how many rows it has.
func ReadWindows(ctx context.Context, client *ch.Client, q clickhouse.Query) (windows []export.PlannedWindow,
	rows int64, err error) {
	var group, run, node proto.ColStr
	var startedAt, first, last proto.ColInt64
	var starts []int64 // of each window, the number of rows before it
	query := q.Native()
	query.Result = proto.Results{
		{Name: "group_key", Data: &group}, {Name: "started_at_ms", Data: &startedAt}, {Name: "run_id", Data: &run},
		{Name: "node_run_id", Data: &node}, {Name: "first", Data: &first}, {Name: "last", Data: &last},
	}
	query.OnResult = func(context.Context, proto.Block) error {
		for i := range run.Rows() {
			if rows = last.Row(i); first.Row(i) == 0 {
				continue // all of them are in a group that began before
			}
			key := &export.Key{
				Group: group.Row(i), StartedAt: time.UnixMilli(startedAt.Row(i)).UTC(), RunID: run.Row(i), NodeRunID: node.Row(i),
			}
			windows, starts = append(windows, export.PlannedWindow{From: key}), append(starts, first.Row(i)-1)
		}
		return nil
	}
	if err := clickhouse.Do(ctx, client, query); err != nil {
		return nil, 0, fmt.Errorf("query %s: %w", q.ID, err)
	}
	for i := range windows {
		end := rows
		if i+1 < len(windows) {
			end = starts[i+1]
		}
		windows[i].Rows = end - starts[i]
	}
	return windows, rows, nil
}

// QueryDrop is the name of DropSnapshot in metrics.
const QueryDrop = "drop_snapshot"

// DropSnapshot removes a snapshot, on a cluster from all its servers. It is no error that there is
// none.
func DropSnapshot(ctx context.Context, dsn *clickhouse.DSN, cluster, id string) error {
	return dsn.Timer().Time(ctx, QueryDrop, func() error { return dropSnapshot(ctx, dsn, cluster, id) })
}

func dropSnapshot(ctx context.Context, dsn *clickhouse.DSN, cluster, id string) error {
	conn, err := dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	if cluster != "" { // a server that is down drops it when it is back; to wait for it would take minutes
		ctx = chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"distributed_ddl_output_mode": "none_only_active"}))
	}
	for _, table := range []string{keysTable, rowsTable} {
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
