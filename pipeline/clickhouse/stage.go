package clickhouse

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/export"
)

// A stage is a selection that was frozen as keys and feedback in table export_stage, because it does not
// fit one window. Plan writes it with [Selection.Stage] and cuts it with [StageKeys]; extract reads a part
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
		{Key: "async_insert", Value: "0", Important: true},
		{Key: "distributed_foreground_insert", Value: "1", Important: true}, // or the rows would be counted too early
	}, exact()...)
}

// Stage is the statement that freezes the selection of rows runs, or more, as the stage of that id.
func (q *Selection) Stage(id string, rows int64) Query {
	related := ""
	if rows <= fewRuns {
		related = "run_id IN (SELECT run_id FROM runs WHERE " + and(q.runs) + ")" // a superset will do
	}
	return q.query(`INSERT INTO export_stage (workspace_id, stage_id, started_at, run_id, feedback_id, feedback_rating,
    feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer)
SELECT {workspace:String}, ` + q.id("stage", id) + `, r.started_at, r.run_id, f.feedback_id, f.feedback_rating,
    f.feedback_score, f.feedback_comment, f.feedback_tags, f.feedback_corrected_answer
` + q.joined(related))
}

// joined is the selected runs, each with its newest feedback.
func (q *Selection) joined(related string) string {
	newest := ""
	if q.limit > 0 {
		newest = "\nORDER BY r.started_at DESC, r.run_id DESC LIMIT " + q.most()
	}
	runs := "SELECT started_at, run_id, ingested_at FROM runs AS r FINAL WHERE " + and(q.runs)
	if q.feedback == nil {
		return "FROM (" + runs + newest + ") AS r\nLEFT JOIN (" + newestFeedback(related) + ") AS f ON r.run_id = f.run_id"
	}
	return "FROM (" + runs + ") AS r\nLEFT JOIN (" + newestFeedback(related) + ") AS f ON r.run_id = f.run_id\nWHERE " + and(q.feedback) + newest
}

const stageOrder = "group_key, started_at, run_id, node_run_id"

// StageKeys is the query for [ReadKeys]: the key of every size-th row of a stage, from the first one on. The
// stage has its rows exactly once, so windows that begin at these keys partition it (invariant 3).
func StageKeys(workspace, stage string, size int64) Query {
	q := &Selection{parameters: map[string]string{"size": strconv.FormatInt(size, 10)}}
	return q.query("SELECT group_key, toUnixTimestamp64Milli(started_at) AS started_at_ms, run_id, node_run_id FROM (\n" +
		"    SELECT " + stageOrder + ", row_number() OVER (ORDER BY " + stageOrder + ") AS number\n" +
		"    FROM export_stage WHERE " + q.ofStage(workspace, stage) + "\n) WHERE number % {size:UInt64} = 1 % {size:UInt64} ORDER BY number")
}

// StageCount is the query for [ReadInt]: how many rows a stage has.
func StageCount(workspace, stage string) Query {
	q := &Selection{parameters: map[string]string{}}
	return q.query("SELECT toString(count()) FROM export_stage WHERE " + q.ofStage(workspace, stage))
}

func (q *Selection) ofStage(workspace, stage string) string {
	return "workspace_id = " + q.id("workspace", workspace) + " AND stage_id = " + q.id("stage", stage)
}

// ReadKeys returns the keys that a query such as [StageKeys] selects.
func ReadKeys(ctx context.Context, client *ch.Client, query Query) (keys []export.Key, err error) {
	var group, run, node proto.ColStr
	var at proto.ColInt64
	err = Do(ctx, client, ch.Query{
		Body: query.SQL, QueryID: query.ID, Parameters: query.Parameters, Settings: query.Settings,
		Result: proto.Results{{Name: "group_key", Data: &group}, {Name: "started_at_ms", Data: &at}, {Name: "run_id", Data: &run}, {Name: "node_run_id", Data: &node}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range run.Rows() {
				keys = append(keys, export.Key{Group: group.Row(i), StartedAt: time.UnixMilli(at.Row(i)).UTC(), RunID: run.Row(i), NodeRunID: node.Row(i)})
			}
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query.ID, err)
	}
	return keys, nil
}

// StagedRange is the part of a stage from a key, up to a key that is not in it; nil is the stage's end.
type StagedRange struct {
	WorkspaceID, Source, AppID string
	Stage                      string
	From, To                   *export.Key
}

// bounds are the conditions on rows of export_stage that are in the range.
func (r *StagedRange) bounds(q *Selection) []string {
	conditions := []string{q.ofStage(r.WorkspaceID, r.Stage)}
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
	conditions := []string{
		"workspace_id = " + q.id("workspace", r.WorkspaceID), "source = " + q.id("source", r.Source), "app_id = " + q.id("app", r.AppID),
	}
	staged := "SELECT started_at, run_id FROM export_stage WHERE " + and(r.bounds(q))
	if r.From != nil {
		conditions = append(conditions, "started_at >= "+q.moment("from", r.From))
	}
	if r.To != nil {
		conditions = append(conditions, "started_at <= "+q.moment("to", r.To))
	}
	conditions = append(conditions, "(started_at, run_id) IN ("+staged+")")
	w := &window{}
	return q.query("SELECT\n" + selectList(runFields(&w.row), "", "") + "\nFROM runs FINAL WHERE " + and(conditions) + "\nORDER BY started_at, run_id")
}

// DropStage removes a stage, on a cluster from all its servers. That there is none is fine.
func DropStage(ctx context.Context, dsn *DSN, cluster, stage string) error {
	conn, err := dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	table := "export_stage"
	if cluster != "" {
		table += "_shard"
	}
	return conn.Exec(ctx, "ALTER TABLE "+table+onCluster(cluster)+" DROP PARTITION "+quoteText(stage))
}

// most binds the limit.
func (q *Selection) most() string {
	q.parameters["limit"] = strconv.FormatInt(q.limit, 10)
	return "{limit:UInt64}"
}
