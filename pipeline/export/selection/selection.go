// Package selection selects and reads the source rows of an export.
//
//	selection.go     a request's selection: its conditions, and how many rows it has
//	rows.go          the selected rows, and their keys with their feedback
//	sample.go        the runs of a sample
//	wide.go          grouped runs, and node runs with the run around them
//	nodes.go         the node runs that some targets need beside each run
//	snapshot.go      freezing a selection, and dropping it
//	cut.go           cutting a snapshot into windows
//	windowread.go    reading a window: a selection, or a part of a snapshot
//	read.go          streaming the rows of a query from ClickHouse
//	rowreader.go     columns of a block, and the fields of a row that they fill
//	judgements.go    the column of packed judgements
//	fields.go        the columns of runs, node runs, feedback and comparisons
//
// Every query that it generates can be read whole in testdata.
package selection

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/condition"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Selection builds the SQL that selects the source rows of an export: the newest version of each
// run, or node run, that the request asks for, with the feedback on it.
//
// Its queries read FINAL, see latest. They filter in WHERE and never in PREWHERE, which ClickHouse evaluates
// before FINAL, on superseded rows. No value of a request is part of their text (invariant 9).
//
// The rows are read in one of two ways. Ungrouped runs come in the order of their table, and are merged
// with their feedback, which comes in the same order. All other rows are wide, see
// wide.go.
type Selection struct {
	bind  clickhouse.Binder
	nodes []string // the rows are runs of these nodes; nil: they are runs
	needs record.Needs
	split bool // the rows need the input group of their run

	limit     int64 // select the most recent rows, so many, or of several nodes so many each; 0: all
	limitRuns int64 // select the node runs of the most recent runs, so many; 0: of all
	sample    *export.Sample

	inApp              string   // condition on a row of any table but feedback: workspace, source and apps
	rowConditions      []string // on a run or node run by itself
	runConditions      []string // on a node run s and its run r
	feedbackConditions []string // on a row s, its feedback and, for node runs, its run r
	joinsRun           bool     // whether conditions on node runs refer to r

	ordered   bool   // the rows come in the order of their table, see InsertSnapshot
	allJudged bool   // all feedback of the workspace is read, see WeighFeedback
	many      bool   // there are more than maxFewRuns of the selected rows
	few       bool   // the query merges the feedback of all related runs, see fewRelated
	arrived   string // with a window by ingested_at: selects the runs of which a part was stored in it
}

// Of returns the selection of a plan that [Resolve] has fixed.
func Of(p *export.Plan) *Selection {
	q := New(p.Request, p.Bounded())
	q.many, q.allJudged = p.Rows > maxFewRuns, p.AllFeedback
	return q
}

// New returns the selection of a request within bounds, which are the request's own or those that a
// plan has fixed.
func New(r *export.Request, bounds export.Selection) *Selection {
	q := &Selection{nodes: r.Nodes, needs: r.Needs(), split: r.Split != nil, limit: bounds.Limit,
		limitRuns: bounds.LimitRuns, sample: bounds.Sample}
	q.rowConditions = appConditions(&q.bind, r)
	q.inApp = and(q.rowConditions)
	if r.Nodes != nil {
		q.rowConditions = append(q.rowConditions, "node_id IN "+q.bind.IDs("nodes", r.Nodes))
	}
	if bounds.RunIDs != nil {
		q.rowConditions = append(q.rowConditions, "run_id IN "+q.bind.IDs("run_ids", bounds.RunIDs))
	}
	if bounds.Window != nil {
		q.addWindow(bounds.Window)
	}
	q.addFilters(&r.Filters)
	return q
}

// appConditions binds the apps. All tables but feedback have its columns.
func appConditions(b *clickhouse.Binder, r *export.Request) []string {
	conditions := []string{
		"workspace_id = " + b.ID("workspace", r.WorkspaceID),
		"source = " + b.ID("source", r.Source),
	}
	switch len(r.AppID) {
	case 0:
		return conditions
	case 1:
		return append(conditions, "app_id = "+b.ID("app", r.AppID[0]))
	}
	return append(conditions, "app_id IN "+b.IDs("app", r.AppID))
}

// perNode reports whether the limit counts the rows of each node. A node that rarely runs would
// otherwise have none among the most recent ones.
func (q *Selection) perNode() bool { return len(q.nodes) > 1 }

// table is the table of the rows.
func (q *Selection) table() string {
	if q.nodes != nil {
		return "nodes"
	}
	return "runs"
}

// latest begins a FROM that reads the newest snapshot of each run or node run; conditions follow. FINAL
// leaves one row of each sort key, and superseded is true where the newest snapshot has another key.
func latest(table string) string { return table + " FINAL WHERE NOT superseded AND " }

// wide reports how the rows are read, see [Selection].
func (q *Selection) wide() bool { return q.nodes != nil || q.needs.Group != record.Ungrouped }

func (q *Selection) addWindow(w *export.TimeWindow) {
	if w.By == export.ByIngestedAt {
		q.addIngested(q.bind.Micro("from", w.From.UnixMicro()), q.bind.Micro("to", w.To.UnixMicro()))
		return
	}
	// started_at has milliseconds. A bound between two milliseconds selects the same rows as the
	// later one.
	q.rowConditions = append(q.rowConditions,
		"started_at >= "+q.bind.Milli("from", ceilMilli(w.From)),
		"started_at < "+q.bind.Milli("to", ceilMilli(w.To)))
}

// addIngested selects rows that are as new as the window [from, to). A row is as new as its latest
// part: itself, its feedback, the run around a node run, and the node runs of a run where the target
// reads them. So what arrives later exports the row again, later.
//
// The index on ingested_at finds the parts that were stored in the window, and run_keys and node_keys
// find the rows that they belong to. So the query reads no more of a long history.
func (q *Selection) addIngested(from, to string) {
	stored := " AND ingested_at >= " + from + " AND ingested_at < " + to
	parts := "SELECT run_id FROM runs WHERE " + q.inApp + stored +
		" UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String}" + stored
	if q.nodes != nil || q.ReadsNodes() {
		parts += " UNION ALL SELECT run_id FROM nodes WHERE " + q.inApp + stored
	}
	// On a cluster, ClickHouse refuses a UNION that stands in an IN itself: "Invalid local IN function name globalIn".
	q.arrived = "SELECT run_id FROM (" + parts + ")"
	newest, arrived := "s.ingested_at, f.feedback_ingested_at", q.runsOfArrived
	switch { // what is missing in a join was stored in 1970, the default of its type
	case q.nodes != nil:
		newest, arrived = "s.ingested_at, r.ingested_at, s.feedback_ingested_at", q.nodesOfArrived
		q.joinsRun = true
	case q.ReadsNodes():
		newest += ", n.ingested_at"
	}
	q.rowConditions = append(q.rowConditions, arrived())
	newest = "greatest(" + newest + ")"
	q.feedbackConditions = append(q.feedbackConditions, newest+" >= "+from, newest+" < "+to)
}

// runsOfArrived is a condition on runs: a part of the run was stored in the window.
func (q *Selection) runsOfArrived() string {
	return "(started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE " + q.inApp + " AND run_id IN (" +
		q.arrived + "))"
}

// nodesOfArrived is a condition on node runs: a part of their run was stored in the window.
func (q *Selection) nodesOfArrived() string {
	return "(started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE " + q.inApp +
		" AND run_id IN (" + q.arrived + "))"
}

// ReadsNodes reports whether the rows are runs that bring their node runs along.
func (q *Selection) ReadsNodes() bool { return q.nodes == nil && q.needs.Nodes != record.NoNodes }

func ceilMilli(t time.Time) int64 {
	micro := t.UnixMicro()
	milli := micro / 1000
	if micro%1000 > 0 {
		milli++
	}
	return milli
}

func (q *Selection) addFilters(f *export.Filters) {
	q.rowConditions = append(q.rowConditions, condition.Row(&q.bind, f)...)
	ofRun, relation := condition.Run(&q.bind, f), "f."
	if q.nodes == nil {
		q.rowConditions = slices.Concat(q.rowConditions, ofRun, condition.Metadata(&q.bind, f, ""))
	} else {
		relation = "s."
		if len(ofRun) > 0 {
			q.rowConditions = append(q.rowConditions, "run_id IN (SELECT run_id FROM "+latest("runs")+q.inApp+" AND "+
				and(ofRun)+")")
		}
		labels := condition.Metadata(&q.bind, f, "s.", "r.") // of the node run or of its run
		q.runConditions, q.joinsRun = append(q.runConditions, labels...), q.joinsRun || len(labels) > 0
	}
	q.feedbackConditions = append(q.feedbackConditions, condition.Feedback(&q.bind, f, relation)...)
}

// Count is the query for [clickhouse.ReadInt]: how many rows are selected, but at most bound. It
// stops reading at bound.
func (q *Selection) Count(bound int64) clickhouse.Query {
	each := ""
	switch {
	case q.limit > 0 && q.perNode():
		each = "\nLIMIT " + q.bind.Count("limit", q.limit) + " BY s.node_id"
	case q.limit > 0:
		bound = min(bound, q.limit)
	}
	return q.bind.Query("SELECT toString(count()) FROM (SELECT 1 " +
		q.from(keyColumns, "", len(q.feedbackConditions) > 0) + each +
		"\nLIMIT " + q.bind.Count("bound", bound) + ")")
}

// Newest is the query for [clickhouse.ReadInt]: when the k-th newest row of the app started, in
// milliseconds since 1970, or 0 if there are fewer rows. It counts stored rows, those of older snapshots
// too, and ignores filters, so that it reads only the end of the table.
func Newest(r *export.Request, bounds export.Selection, k int64) clickhouse.Query {
	q := New(&export.Request{ID: r.ID, Source: r.Source, AppID: r.AppID, Nodes: r.Nodes}, bounds)
	number := q.bind.Count("k", k)
	return q.bind.Query("SELECT toString(if(count() = " + number +
		", min(toUnixTimestamp64Milli(started_at)), 0)) FROM (\n" +
		"    SELECT started_at FROM " + q.table() + " WHERE NOT superseded AND " +
		and(q.rowConditions) + " ORDER BY started_at DESC LIMIT " +
		number + "\n)")
}

// oldest is the query for [clickhouse.ReadInt]: when the n-th newest of the rows started, in
// milliseconds since 1970, or 0 if there are fewer rows. The selection has no limit.
func (q *Selection) oldest(n int64) clickhouse.Query {
	number := q.bind.Count("n", n)
	return q.bind.Query("SELECT toString(if(count() = " + number +
		", min(toUnixTimestamp64Milli(started_at)), 0)) FROM (SELECT s.started_at AS started_at " +
		q.from(keyColumns, "", len(q.feedbackConditions) > 0) + "\nORDER BY s.started_at DESC LIMIT " + number + ")")
}

// FoundRuns is the query for [clickhouse.ReadTexts]: those of the request's run_ids that the app
// has, in any status.
func FoundRuns(r *export.Request) clickhouse.Query {
	var b clickhouse.Binder
	conditions := append(appConditions(&b, r), "run_id IN "+b.IDs("run_ids", r.Selection.RunIDs))
	return b.Query("SELECT DISTINCT run_id FROM " + latest("runs") + and(conditions))
}

// ServerTime is the query for [clickhouse.ReadInt]: the server's clock, in microseconds since 1970.
func ServerTime() clickhouse.Query {
	return clickhouse.Query{SQL: "SELECT toString(toUnixTimestamp64Micro(now64(6)))"}
}

func and(conditions []string) string { return strings.Join(conditions, " AND ") }
