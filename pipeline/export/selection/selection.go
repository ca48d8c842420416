package selection

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Selection is the one builder of the SQL that selects the source rows of an export: the newest snapshot
// of each run, or node run, that the request asks for, with the newest feedback on it.
//
// Its queries read FINAL and filter in WHERE, never in PREWHERE, which would see superseded rows. No value
// of a request is part of their text. Parameters of type String are unescaped by the server, so only ids
// are bound as they are; other texts are bound in hexadecimal.
//
// There are two ways to read them. Runs that are not grouped come in the order of their table, joined with their feedback
// or merged with what was staged of them. All others are wide: chosen first, by keys and feedback, and then joined with
// all that is known of them, see wide.go.
type Selection struct {
	nodes      []string // the rows are runs of these nodes; nil: they are runs
	needs      record.Needs
	split      bool     // rows have the input group of their run
	subject    []string // conditions on a run or node run by itself
	around     []string // conditions on a node run s with its run r
	feedback   []string // conditions on a row s with its newest feedback
	parameters map[string]string
	limit      int64 // of the most recent rows; 0 = none
}

// NewSelection returns the selection of a request with the bounds of s, which are its own or those that a
// plan has fixed.
func NewSelection(r *export.Request, s export.Selection) *Selection {
	q := &Selection{parameters: map[string]string{}, limit: s.Limit, nodes: r.Nodes, needs: r.Needs(), split: r.Split != nil}
	q.subject = q.app(r)
	if r.Nodes != nil {
		q.subject = append(q.subject, "node_id IN ("+q.ids("nodes", r.Nodes)+")")
	}
	if s.RunIDs != nil {
		q.subject = append(q.subject, "run_id IN ("+q.ids("run_ids", s.RunIDs)+")")
	}
	if w := s.Window; w != nil {
		q.window(w)
	}
	q.filters(&r.Filters)
	return q
}

// app binds the app, which every table but feedback has.
func (q *Selection) app(r *export.Request) []string {
	return []string{
		"workspace_id = " + q.id("workspace", r.WorkspaceID),
		"source = " + q.id("source", r.Source),
		"app_id = " + q.id("app", r.AppID),
	}
}

// inApp are the conditions of app, once they are bound.
const inApp = "workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}"

// table is the one that the rows are in.
func (q *Selection) table() string {
	if q.nodes != nil {
		return "nodes"
	}
	return "runs"
}

// wide says how the rows are read, see [Selection].
func (q *Selection) wide() bool { return q.nodes != nil || q.needs.Group != record.Ungrouped }

func (q *Selection) window(w *export.TimeWindow) {
	if w.By == export.ByIngestedAt {
		// A row is as new as the latest of its parts, so that feedback that comes later is exported later.
		// Without feedback f.ingested_at is 1970.
		at := "greatest(s.ingested_at, f.ingested_at)"
		if q.nodes != nil {
			at = "greatest(s.ingested_at, r.ingested_at, " + q.judged("ingested_at") + ")"
			q.around = append(q.around, "1") // so that it is joined
		}
		q.feedback = append(q.feedback,
			at+" >= fromUnixTimestamp64Micro("+q.integer("from", w.From.UnixMicro())+", 'UTC')",
			at+" < fromUnixTimestamp64Micro("+q.integer("to", w.To.UnixMicro())+", 'UTC')")
		return
	}
	// started_at has milliseconds; a bound between two of them is as good as the later one.
	q.subject = append(q.subject,
		"started_at >= fromUnixTimestamp64Milli("+q.integer("from", ceilMilli(w.From))+", 'UTC')",
		"started_at < fromUnixTimestamp64Milli("+q.integer("to", ceilMilli(w.To))+", 'UTC')")
}

func ceilMilli(t time.Time) int64 {
	micro := t.UnixMicro()
	milli := micro / 1000
	if micro%1000 > 0 {
		milli++
	}
	return milli
}

func (q *Selection) filters(f *export.Filters) {
	add := func(condition string) { q.subject = append(q.subject, condition) }
	ofRun := add // what only runs have
	if q.nodes != nil {
		ofRun = func(condition string) { q.around = append(q.around, "r."+condition) }
	}
	if f.Statuses != nil {
		add("status IN (" + q.ids("statuses", f.Statuses) + ")")
	}
	if f.AppVersions != nil {
		add("app_version IN (" + q.texts("app_versions", f.AppVersions) + ")")
	}
	if f.SessionID != nil {
		ofRun("session_id = " + q.text("session", *f.SessionID))
	}
	if f.UserID != nil {
		ofRun("user_id = " + q.text("user", *f.UserID))
	}
	for i, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		label := q.text(fmt.Sprintf("label%d", i), key)
		value := q.text(fmt.Sprintf("value%d", i), f.Metadata[key])
		// Not mapContains, which does not find an empty key of type LowCardinality (ClickHouse 26.7).
		has := func(of string) string {
			return "arrayExists((k, v) -> k = " + label + " AND v = " + value + ", mapKeys(" + of + "metadata), mapValues(" + of + "metadata))"
		}
		if q.nodes != nil { // a label of either will do
			q.around = append(q.around, "("+has("s.")+" OR "+has("r.")+")")
		} else {
			add(has(""))
		}
	}
	if f.Rating != "" {
		q.feedback = append(q.feedback, q.judged("feedback_rating")+" = "+q.id("rating", f.Rating))
	}
	if f.MinScore != nil {
		q.parameters["min_score"] = strconv.FormatFloat(*f.MinScore, 'g', -1, 64)
		q.feedback = append(q.feedback, q.judged("feedback_score")+" >= {min_score:Float64}") // NULL is not
	}
}

// judged is a column of the newest feedback: of a node run that on its node g, or else that on its run f.
func (q *Selection) judged(column string) string {
	if q.nodes == nil {
		return "f." + column
	}
	return "if(g.feedback_id != '', g." + column + ", f." + column + ")"
}

// Rows is the query for [ReadRows]: the selected rows. Those that are grouped ascend by their group, and all by
// started_at, run_id and node_run_id.
func (q *Selection) Rows() Query {
	if q.wide() {
		return q.wideRows()
	}
	conditions := slices.Clone(q.subject)
	related := q.related()
	if q.limit > 0 || q.feedback != nil {
		related = "run_id IN (SELECT run_id FROM (" + q.keys() + "))"
		conditions = append(conditions, "(started_at, run_id) IN ("+q.keys()+")")
	}
	columns := func() *window { return newRuns(q.split, feedbackFields) }
	query := q.query("SELECT\n" + selectList(columns().fields, "r.", "f.") +
		"\nFROM (SELECT * FROM runs FINAL WHERE " + and(conditions) + ") AS r\n" +
		"LEFT JOIN (" + newestFeedback(nil, related) + ") AS f ON r.run_id = f.run_id\n" +
		"ORDER BY r.started_at, r.run_id")
	query.columns = columns
	return query
}

// related is a condition that the run of a selected row meets. Without FINAL it is met by some others, which will do.
func (q *Selection) related() string {
	return "run_id IN (SELECT run_id FROM " + q.table() + " WHERE " + and(q.subject) + ")"
}

// Count is the query for [ReadInt]: how many rows are selected, bound at most. It reads no more than it
// needs to tell.
func (q *Selection) Count(bound int64) Query {
	if q.limit > 0 {
		bound = min(bound, q.limit)
	}
	q.parameters["bound"] = strconv.FormatInt(bound, 10)
	return q.query("SELECT toString(count()) FROM (SELECT 1 " + q.from("started_at, run_id, ingested_at", "", len(q.feedback) > 0) + "\nLIMIT {bound:UInt64})")
}

// Newest is the query for [ReadInt]: when the k-th newest row of the app started, in milliseconds since 1970, or 0
// where there are fewer. It looks at rows as they are stored, superseded ones too, and at no filter, so that it
// reads no more than the end of the table.
func Newest(r *export.Request, s export.Selection, k int64) Query {
	q := NewSelection(&export.Request{ID: r.ID, Source: r.Source, AppID: r.AppID, Nodes: r.Nodes}, s)
	q.parameters["k"] = strconv.FormatInt(k, 10)
	return q.query("SELECT toString(if(count() = {k:UInt64}, min(toUnixTimestamp64Milli(started_at)), 0)) FROM (\n" +
		"    SELECT started_at FROM " + q.table() + " WHERE " + and(q.subject) + " ORDER BY started_at DESC LIMIT {k:UInt64}\n)")
}

// keys selects the keys of the selected rows.
func (q *Selection) keys() string {
	key := "s.started_at, s.run_id"
	if q.nodes != nil {
		key += ", s.node_run_id"
	}
	return "SELECT " + key + " " + q.from("started_at, run_id, ingested_at", "", len(q.feedback) > 0) + q.newest()
}

// newest cuts what it follows to the most recent rows.
func (q *Selection) newest() string {
	switch {
	case q.limit == 0:
		return ""
	case q.nodes != nil:
		return "\nORDER BY s.started_at DESC, s.run_id DESC, s.node_run_id DESC LIMIT " + q.most()
	}
	return "\nORDER BY s.started_at DESC, s.run_id DESC LIMIT " + q.most()
}

// from is the selected rows s, of which it reads these columns of the table, joined with the run r around a node run
// where a condition needs it, and with feedback: f, and for node runs g. Related narrows the feedback, see
// [newestFeedback].
func (q *Selection) from(columns, related string, feedback bool) string {
	if q.nodes != nil {
		columns += ", node_run_id, node_id, metadata"
	}
	text := "FROM (SELECT " + columns + " FROM " + q.table() + " FINAL WHERE " + and(q.subject) + ") AS s"
	if q.around != nil {
		text += "\nLEFT JOIN (SELECT run_id, session_id, user_id, metadata, ingested_at FROM runs FINAL WHERE " + inApp + ") AS r ON s.run_id = r.run_id"
	}
	if feedback {
		text += "\nLEFT JOIN (" + newestFeedback(nil, related) + ") AS f ON s.run_id = f.run_id"
		if q.nodes != nil {
			text += "\nLEFT JOIN (" + newestFeedback(q, related) + ") AS g ON s.run_id = g.run_id AND s.node_id = g.judged_node"
		}
	}
	if conditions := slices.Concat(q.around, q.feedback); len(conditions) > 0 {
		text += "\nWHERE " + and(conditions)
	}
	return text
}

// newestFeedback selects the newest feedback on a whole run, for each run of the workspace that the
// condition leaves; or of a selection of node runs, on each of their nodes in a run. In the order of the table's key
// LIMIT BY costs next to nothing: argMax over a tuple takes fifty times as long, and over single columns it
// skips a NULL score.
func newestFeedback(of *Selection, condition string) string {
	node, by := "node_id = ''", "run_id"
	if of != nil {
		node, by = "node_id IN ("+of.ids("nodes", of.nodes)+")", "run_id, judged_node"
	}
	conditions := []string{"workspace_id = {workspace:String}", node}
	if condition != "" {
		conditions = append(conditions, condition)
	}
	return `SELECT run_id, node_id AS judged_node, feedback_id, rating AS feedback_rating, score AS feedback_score, comment AS feedback_comment,
    tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, ingested_at
FROM feedback FINAL WHERE ` + and(conditions) + `
ORDER BY ` + by + `, version DESC, feedback_id DESC LIMIT 1 BY ` + by
}

// FoundRuns is the query for [ReadTexts]: those of the runs that the workspace's app has, in any status.
func FoundRuns(r *export.Request) Query {
	q := &Selection{parameters: map[string]string{}}
	return q.query("SELECT DISTINCT run_id FROM runs WHERE workspace_id = " + q.id("workspace", r.WorkspaceID) +
		" AND source = " + q.id("source", r.Source) + " AND app_id = " + q.id("app", r.AppID) +
		" AND run_id IN (" + q.ids("run_ids", r.Selection.RunIDs) + ")")
}

func and(conditions []string) string { return strings.Join(conditions, " AND ") }

// id binds a text that needs no escaping: an id, or one of the contract's words.
func (q *Selection) id(name, value string) string {
	q.parameters[name] = value
	return "{" + name + ":String}"
}

// ids binds a set of them; no id has a comma.
func (q *Selection) ids(name string, values []string) string {
	return "splitByChar(',', " + q.id(name, strings.Join(values, ",")) + ")"
}

// text binds any text.
func (q *Selection) text(name, value string) string {
	return "unhex(" + q.id(name, hex.EncodeToString([]byte(value))) + ")"
}

func (q *Selection) texts(name string, values []string) string {
	encoded := make([]string, len(values))
	for i, v := range values {
		encoded[i] = hex.EncodeToString([]byte(v))
	}
	return "arrayMap(x -> unhex(x), " + q.ids(name, encoded) + ")"
}

func (q *Selection) integer(name string, value int64) string {
	q.parameters[name] = strconv.FormatInt(value, 10)
	return "{" + name + ":Int64}"
}

// query gives the text its parameters: the server refuses those that a query does not have.
func (q *Selection) query(text string) Query {
	var parameters []proto.Parameter
	for _, name := range slices.Sorted(maps.Keys(q.parameters)) {
		if strings.Contains(text, "{"+name+":") {
			parameters = append(parameters, proto.Parameter{Key: name, Value: "'" + q.parameters[name] + "'"})
		}
	}
	return Query{SQL: text, Parameters: parameters}
}

// ServerTime is the query for [ReadInt]: the server's clock, in microseconds since 1970.
func ServerTime() Query { return Query{SQL: "SELECT toString(toUnixTimestamp64Micro(now64(6)))"} }

// ReadTexts returns what a query selects that has one column of type String and few rows.
func ReadTexts(ctx context.Context, client *ch.Client, query Query) (texts []string, err error) {
	var column proto.ColStr
	err = clickhouse.Do(ctx, client, ch.Query{
		Body: query.SQL, QueryID: query.ID, Parameters: query.Parameters, Settings: query.Settings,
		Result: proto.Results{{Data: &column}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range column.Rows() {
				texts = append(texts, column.Row(i))
			}
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query.ID, err)
	}
	return texts, nil
}

// ReadInt returns the one number, in decimal, that a query such as [Selection.Count] selects.
func ReadInt(ctx context.Context, client *ch.Client, query Query) (int64, error) {
	texts, err := ReadTexts(ctx, client, query)
	if err != nil {
		return 0, err
	}
	if len(texts) != 1 {
		return 0, fmt.Errorf("query %s: %d rows instead of one", query.ID, len(texts))
	}
	return strconv.ParseInt(texts[0], 10, 64)
}
