package selection

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// A stage is a selection that was frozen, because it does not fit one window: as keys and feedback in table
// export_stage, or as whole rows in export_stage_rows. Plan writes it with [Selection.Stage] and cuts it with [StageKeys]; extract reads a part
// of it with [ReadStaged]; seal drops it with [DropStage].

// maxStageMemory is what staging may use on the server, in bytes. 10 million runs joined with 3.3 million
// feedback take 2 GB.
const maxStageMemory = 8 << 30

// fewRuns is up to how many runs it pays to look their feedback up. Beyond, the set of their ids takes more
// time and memory than a join with all feedback of the workspace.
const fewRuns = 1_000_000

// StageSettings are the settings of [Selection.Stage].
func StageSettings(comment string, limit time.Duration) []ch.Setting {
	return append([]ch.Setting{
		{Key: "log_comment", Value: comment},
		{Key: "max_execution_time", Value: strconv.FormatFloat(limit.Seconds(), 'f', -1, 64), Important: true},
		ch.SettingInt("max_memory_usage", maxStageMemory),
		ch.SettingInt("max_bytes_before_external_sort", maxStageMemory/4), // window functions sort
		{Key: "async_insert", Value: "0", Important: true},
		{Key: "distributed_foreground_insert", Value: "1", Important: true}, // or the rows would be counted too early
	}, exact()...)
}

// Stage is the statement that freezes the selection of rows rows, or more, as the stage of that id.
func (q *Selection) Stage(id string, rows int64) Query {
	related := ""
	if rows <= fewRuns {
		related = q.related()
	}
	q.id("stage", id)
	if q.wide() {
		return q.wideStage(related)
	}
	return q.query("INSERT INTO export_stage (workspace_id, stage_id, started_at, run_id, " + feedbackColumns + ")\n" +
		"SELECT {workspace:String}, {stage:String}, s.started_at, s.run_id, " + q.feedbackOf() + "\n" + q.joined("started_at, run_id, ingested_at", related))
}

// feedbackColumns are those of a stage.
const feedbackColumns = "feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer"

// feedbackOf selects them of a joined row.
func (q *Selection) feedbackOf() string {
	list := strings.Split(feedbackColumns, ", ")
	for i, column := range list {
		list[i] = q.judged(column) + " AS " + column
	}
	return strings.Join(list, ", ")
}

// joined is the selected rows, of which it reads these columns, each with its newest feedback. Where no condition is
// about feedback, only the most recent rows are joined.
func (q *Selection) joined(columns, related string) string {
	if q.nodes == nil && q.feedback == nil && q.limit > 0 {
		return "FROM (SELECT " + columns + " FROM runs AS s FINAL WHERE " + and(q.subject) + q.newest() + ") AS s\n" +
			"LEFT JOIN (" + newestFeedback(nil, related) + ") AS f ON s.run_id = f.run_id"
	}
	return q.from(columns, related, true) + q.newest()
}

const stageOrder = "group_key, started_at, run_id, node_run_id"

// The tables that stages are in: of keys and feedback, and of whole rows.
const (
	stageTable     = "export_stage"
	stageRowsTable = "export_stage_rows"
)

// stageTable is the one that the selection is staged in.
func (q *Selection) stageTable() string {
	if q.wide() {
		return stageRowsTable
	}
	return stageTable
}

// StageKeys is the query for [ReadWindows]: the keys that windows of a stage begin at, of size rows and what is left of
// the group of the last one. The stage has its rows exactly once, so windows that begin at these keys partition it
// (invariant 3), and none begins inside of a group. Rows without a group are each their own.
func StageKeys(r *export.Request, stage string, size int64) Query {
	q, table := &Selection{parameters: map[string]string{"size": strconv.FormatInt(size, 10)}}, NewSelection(r, export.Selection{}).stageTable()
	return q.query("SELECT group_key, toUnixTimestamp64Milli(started_at) AS started_at_ms, run_id, node_run_id, toInt64(number - 1) AS before FROM (\n" +
		"    SELECT " + stageOrder + ", row_number() OVER w AS number, lagInFrame(group_key) OVER w AS last_group\n" +
		"    FROM " + table + " WHERE " + q.ofStage(r.WorkspaceID, stage) + "\n" +
		"    WINDOW w AS (ORDER BY " + stageOrder + " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)\n" +
		") WHERE group_key = '' OR group_key != last_group ORDER BY number LIMIT 1 BY intDiv(number - 1, {size:UInt64})")
}

// StageCount is the query for [ReadInt]: how many rows a stage has.
func StageCount(r *export.Request, stage string) Query {
	q, table := &Selection{parameters: map[string]string{}}, NewSelection(r, export.Selection{}).stageTable()
	return q.query("SELECT toString(count()) FROM " + table + " WHERE " + q.ofStage(r.WorkspaceID, stage))
}

func (q *Selection) ofStage(workspace, stage string) string {
	return "workspace_id = " + q.id("workspace", workspace) + " AND stage_id = " + q.id("stage", stage)
}

// ReadWindows returns the windows that a query such as [StageKeys] cuts a stage of that many rows into.
func ReadWindows(ctx context.Context, client *ch.Client, query Query, rows int64) (windows []export.PlannedWindow, err error) {
	var group, run, node proto.ColStr
	var at, before proto.ColInt64
	var starts []int64
	err = clickhouse.Do(ctx, client, ch.Query{
		Body: query.SQL, QueryID: query.ID, Parameters: query.Parameters, Settings: query.Settings,
		Result: proto.Results{{Name: "group_key", Data: &group}, {Name: "started_at_ms", Data: &at}, {Name: "run_id", Data: &run}, {Name: "node_run_id", Data: &node}, {Name: "before", Data: &before}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range run.Rows() {
				key := &export.Key{Group: group.Row(i), StartedAt: time.UnixMilli(at.Row(i)).UTC(), RunID: run.Row(i), NodeRunID: node.Row(i)}
				windows, starts = append(windows, export.PlannedWindow{From: key}), append(starts, before.Row(i))
			}
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query.ID, err)
	}
	for i := range windows {
		until := rows
		if i+1 < len(windows) {
			until = starts[i+1]
		}
		windows[i].Rows = until - starts[i]
	}
	return windows, nil
}

// StagedRange is the part of a stage from a key, up to a key that is not in it; nil is the stage's end.
type StagedRange struct {
	Request  *export.Request // whose rows were staged
	Stage    string
	From, To *export.Key
}

// shape is how the rows were staged.
func (r *StagedRange) shape() *Selection { return NewSelection(r.Request, export.Selection{}) }

// bounds are the conditions on rows of the stage's table that are in the range.
func (r *StagedRange) bounds(q *Selection) []string {
	conditions := []string{q.ofStage(r.Request.WorkspaceID, r.Stage)}
	bound := func(name, operator string, key *export.Key) {
		if key == nil {
			return
		}
		tuple := "(" + q.text(name+"_group", key.Group) + ", " + q.moment(name, key) + ", " + q.id(name+"_run", key.RunID) + ", " + q.id(name+"_node", key.NodeRunID) + ")"
		conditions = append(conditions, "("+stageOrder+") "+operator+" "+tuple)
	}
	bound("from", ">=", r.From)
	bound("to", "<", r.To)
	return conditions
}

func (q *Selection) moment(name string, key *export.Key) string {
	return "fromUnixTimestamp64Milli(" + q.integer(name, key.StartedAt.UnixMilli()) + ", 'UTC')"
}

// keys selects the staged keys of the range and their feedback, in the order of the stage.
func (r *StagedRange) keys() Query {
	q := &Selection{parameters: map[string]string{}}
	return q.query("SELECT\n" + selectList(newStaged().fields, "", "") + "\nFROM export_stage WHERE " + and(r.bounds(q)) + "\nORDER BY " + stageOrder)
}

// runs selects the staged runs of the range, in the same order. Both read in the order of their table's key,
// so nothing is sorted, however wide the rows are.
func (r *StagedRange) runs() Query {
	q := &Selection{parameters: map[string]string{}}
	conditions := q.app(r.Request)
	staged := "SELECT started_at, run_id FROM export_stage WHERE " + and(r.bounds(q))
	if r.From != nil {
		conditions = append(conditions, "started_at >= "+q.moment("from", r.From))
	}
	if r.To != nil {
		conditions = append(conditions, "started_at <= "+q.moment("to", r.To))
	}
	conditions = append(conditions, "(started_at, run_id) IN ("+staged+")")
	return q.query("SELECT\n" + selectList(newRuns(r.Request.Split != nil, nil).fields, "", "") + "\nFROM runs FINAL WHERE " + and(conditions) + "\nORDER BY started_at, run_id")
}

// DropStage removes a stage, on a cluster from all its servers. That there is none is fine.
func DropStage(ctx context.Context, dsn *clickhouse.DSN, cluster, stage string) error {
	conn, err := dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, table := range []string{stageTable, stageRowsTable} {
		if cluster != "" {
			table += "_shard"
		}
		if err := conn.Exec(ctx, "ALTER TABLE "+table+clickhouse.OnCluster(cluster)+" DROP PARTITION "+clickhouse.QuoteText(stage)); err != nil {
			return err
		}
	}
	return nil
}

// most binds the limit.
func (q *Selection) most() string {
	q.parameters["limit"] = strconv.FormatInt(q.limit, 10)
	return "{limit:UInt64}"
}
