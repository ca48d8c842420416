package selection

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// RowQuery is a query for [ReadRows].
type RowQuery struct {
	clickhouse.Query
	reader func() *rowReader // reads what the query selects; nil: [RowColumns]
}

// keysQuery selects the keys and the feedback of the selected runs, in the order of their table.
func (q *Selection) keysQuery() clickhouse.Query {
	direct := *q
	direct.few = q.fewRelated()
	return q.bind.Query("SELECT\n" + selectList(q.newKeyReader().fields, "", "") +
		"\nFROM (SELECT s.started_at AS started_at, s.run_id AS run_id, " + q.feedbackList() + "\n" +
		direct.fromWithFeedback(keyColumns, q.related()) + ")\nORDER BY started_at, run_id")
}

// runsQuery selects the runs whose keys [Selection.keysQuery] selects, in the same order. It selects
// others too, which [merge] leaves out. It does not ask for the most recent ones again: with runs that
// arrive in between, it would ask for others. What it reads in vain is little, since a limit has a time
// since which hardly more rows have started, or hardly more rows match at all.
func (q *Selection) runsQuery() clickhouse.Query {
	conditions := slices.Clone(q.rowConditions)
	if q.feedbackConditions != nil || q.sample != nil {
		all := *q
		all.limit = 0
		conditions = append(conditions, "(started_at, run_id) IN ("+all.keys()+")")
	}
	return q.bind.Query("SELECT\n" + selectList(newRunReader(q.split, nil).fields, "", "") +
		"\nFROM " + latest("runs") + and(conditions) + "\nORDER BY started_at, run_id")
}

// keyColumns are the columns that keys and ingested_at windows need.
const keyColumns = "started_at, run_id, ingested_at"

// keys selects the keys of the selected rows.
func (q *Selection) keys() string {
	key := "s.started_at AS started_at, s.run_id AS run_id"
	if q.nodes != nil {
		key += ", s.node_run_id AS node_run_id"
	}
	return "SELECT " + key + " " + q.from(keyColumns, "", len(q.feedbackConditions) > 0) + q.mostRecent()
}

// related is a condition on feedback, and on the runs around node runs, that leaves those of the
// selected rows. Since it does not read FINAL, it leaves some others too. They join with nothing. It is "" where
// all feedback is read.
func (q *Selection) related() string {
	if q.allJudged {
		return ""
	}
	return "run_id IN (SELECT run_id FROM " + q.table() + " WHERE " + and(q.rowConditions) + ")"
}

// maxFewRuns bounds the runs whose feedback is merged as a whole. A window may have a million.
const maxFewRuns = 100_000

// fewRelated reports whether [Selection.related] leaves few runs where the selected rows fit into one window.
// Where more than the conditions on a row by itself chooses them, as a sample, it leaves all runs of the app.
func (q *Selection) fewRelated() bool {
	return !q.many && q.sample == nil && q.feedbackConditions == nil && !q.joinsRun && q.arrived == ""
}

// mostRecent is the end of a query that selects the most recent rows, "" where all are selected.
func (q *Selection) mostRecent() string {
	switch {
	case q.limit == 0:
		return ""
	case q.nodes != nil:
		text := "\nORDER BY s.started_at DESC, s.run_id DESC, s.node_run_id DESC LIMIT " + q.bind.Count("limit", q.limit)
		if q.perNode() {
			text += " BY s.node_id"
		}
		return text
	}
	return "\nORDER BY s.started_at DESC, s.run_id DESC LIMIT " + q.bind.Count("limit", q.limit)
}

// from is the FROM and WHERE of the selected rows s, with these columns of their table. Node runs
// are joined with their run r where a condition refers to it. With feedback, runs are joined with
// their feedback f, and node runs have theirs among their own columns. Related is "" or a condition
// that narrows the feedback.
func (q *Selection) from(list, related string, feedback bool) string {
	if q.nodes != nil {
		list += ", node_run_id, node_id, metadata"
	}
	around, ofNodes := q.inApp, q.inApp
	if q.arrived != "" {
		around, ofNodes = around+" AND "+q.runsOfArrived(), ofNodes+" AND "+q.nodesOfArrived()
		if related == "" {
			related = "run_id IN (" + q.arrived + ")"
		}
	}
	rows := "SELECT " + list + " FROM " + latest(q.table()) + and(q.rowConditions)
	if q.ordered {
		rows += " ORDER BY " + tableOrder
	}
	text := "(" + rows + ") AS s"
	switch {
	case feedback && q.nodes != nil:
		text = "(" + q.withNodeFeedback(text, related) + ") AS s"
	case feedback:
		text += "\nLEFT ANY JOIN (" + q.runFeedback(related) + ") AS f ON s.run_id = f.run_id"
	}
	text = "FROM " + text
	if q.joinsRun {
		text += "\nLEFT JOIN (SELECT run_id, metadata, ingested_at FROM " + latest("runs") + around +
			") AS r ON s.run_id = r.run_id"
	}
	if q.arrived != "" && q.ReadsNodes() {
		text += "\nLEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM " + latest("nodes") + ofNodes +
			q.neededNodes() + " GROUP BY run_id) AS n ON s.run_id = n.run_id"
	}
	conditions := slices.Concat(q.runConditions, q.feedbackConditions)
	if q.limitRuns > 0 {
		conditions = append(conditions, "s.run_id IN ("+q.recentRuns(related)+")")
	}
	if q.sample != nil {
		conditions = append(conditions, "s.run_id IN ("+q.sampled(related)+")")
	}
	if len(conditions) > 0 {
		text += "\nWHERE " + and(conditions)
	}
	return text
}

// recentRuns selects the most recent runs that have a selected node run. A run is as recent as the
// newest of these node runs.
func (q *Selection) recentRuns(related string) string {
	all := *q
	all.limitRuns = 0
	return "SELECT s.run_id " + all.from(keyColumns, related, len(q.feedbackConditions) > 0) +
		"\nGROUP BY s.run_id ORDER BY max(s.started_at) DESC, s.run_id DESC LIMIT " + q.bind.Count("limit_runs", q.limitRuns)
}

// fromWithFeedback is from with feedback, limited to the most recent rows. It joins no more than
// those, if no condition is on feedback.
func (q *Selection) fromWithFeedback(list, related string) string {
	if q.nodes == nil && q.feedbackConditions == nil && q.limit > 0 && q.sample == nil {
		rows := "SELECT " + list + " FROM " + latest("runs AS s") + and(q.rowConditions) + q.mostRecent()
		if q.ordered {
			rows = "SELECT * FROM (" + rows + ") ORDER BY " + tableOrder
		}
		return "FROM (" + rows + ") AS s\n" +
			"LEFT ANY JOIN (" + q.runFeedback(related) + ") AS f ON s.run_id = f.run_id"
	}
	return q.from(list, related, true) + q.mostRecent()
}

// feedbackColumn is a column of the feedback of a row.
func (q *Selection) feedbackColumn(column string) string {
	if q.nodes == nil {
		return "f." + column
	}
	return "s." + column
}

// feedbackColumns are the columns of feedback in snapshots and wide rows.
func (q *Selection) feedbackColumns() string {
	list := "feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, " +
		"feedback_scores"
	if q.needs.Judgements {
		list += ", feedback_judgements"
	}
	return list
}

// feedbackList selects feedbackColumns of a joined row.
func (q *Selection) feedbackList() string {
	list := strings.Split(q.feedbackColumns(), ", ")
	for i, column := range list {
		list[i] = q.feedbackColumn(column) + " AS " + column
	}
	return strings.Join(list, ", ")
}

// maxJudgements is how many judgements a query selects of a run: one more than a record shows, so
// that a record knows of others.
const maxJudgements = record.MaxJudgements + 1

// runFeedback selects the feedback on each run of the workspace as a whole. Related is "" or a
// condition that leaves some of the runs.
func (q *Selection) runFeedback(related string) string {
	merge := columns.Merge{Judgements: q.judgements()}
	if q.few && (related != "" || q.allJudged) {
		return merge.FewRuns("workspace_id = {workspace:String}", related, maxJudgements)
	}
	return merge.Runs("workspace_id = {workspace:String}", related, maxJudgements)
}

// judgements is the form of the judgements that the rows need.
func (q *Selection) judgements() columns.Form {
	if q.needs.Judgements {
		return columns.Packed
	}
	return columns.None
}

// withNodeFeedback adds their feedback to the selected node runs: that on the node run or its node,
// and after it that on its run.
func (q *Selection) withNodeFeedback(selected, related string) string {
	merge := columns.Merge{Judgements: q.judgements(), OfNodes: true}
	where := "workspace_id = {workspace:String} AND (node_id = '' OR node_run_id != '' OR node_id IN " +
		q.bind.IDs("nodes", q.nodes) + ")"
	if related != "" {
		where += " AND " + related
	}
	return "SELECT * EXCEPT (own_judged, judged, own),\n" + merge.Merged(maxJudgements) + ",\n" +
		"arrayExists(v -> v != '', tupleElement(tupleElement(own_judged, 'judgement'), 'corrected_answer')) " +
		"AS feedback_on_node\n" +
		"FROM (SELECT s.*, arrayFilter(j -> j.node_run_id = s.node_run_id OR j.node_run_id = '' AND j.node_id = s.node_id, " +
		"f.judged) AS own_judged,\n" +
		"length(own_judged) AS own, arrayConcat(own_judged, arrayFilter(j -> j.node_run_id = '' AND j.node_id = '', " +
		"f.judged)) AS judged\n" +
		"FROM " + selected + "\nLEFT JOIN (" + merge.Judged("run_id", where) +
		") AS f ON s.run_id = f.run_id)"
}
