package clickhouse

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

	"github.com/millrace/millrace/pipeline/export"
)

// Selection is the one builder of the SQL that selects the source rows of an export: the newest snapshot
// of each run that the request asks for, with the newest feedback on the whole run.
//
// Its queries read FINAL and filter in WHERE, never in PREWHERE, which would see superseded rows. No value
// of a request is part of their text. Parameters of type String are unescaped by the server, so only ids
// are bound as they are; other texts are bound in hexadecimal.
type Selection struct {
	runs       []string // conditions on a run by itself
	feedback   []string // conditions on a run r with its newest feedback f
	parameters map[string]string
	limit      int64 // of the most recent runs; 0 = none
}

// NewSelection returns the selection of a request with the bounds of s, which are its own or those that a
// plan has fixed.
func NewSelection(r *export.Request, s export.Selection) *Selection {
	q := &Selection{parameters: map[string]string{}, limit: s.Limit}
	q.runs = []string{
		"workspace_id = " + q.id("workspace", r.WorkspaceID),
		"source = " + q.id("source", r.Source),
		"app_id = " + q.id("app", r.AppID),
	}
	if s.RunIDs != nil {
		q.runs = append(q.runs, "run_id IN ("+q.ids("run_ids", s.RunIDs)+")")
	}
	if w := s.Window; w != nil {
		q.window(w)
	}
	q.filters(&r.Filters)
	return q
}

func (q *Selection) window(w *export.TimeWindow) {
	if w.By == export.ByIngestedAt {
		// A row is as new as the latest of its parts, so that feedback that comes later is exported later.
		// Without feedback f.ingested_at is 1970.
		const at = "greatest(r.ingested_at, f.ingested_at)"
		q.feedback = append(q.feedback,
			at+" >= fromUnixTimestamp64Micro("+q.integer("from", w.From.UnixMicro())+", 'UTC')",
			at+" < fromUnixTimestamp64Micro("+q.integer("to", w.To.UnixMicro())+", 'UTC')")
		return
	}
	// started_at has milliseconds; a bound between two of them is as good as the later one.
	q.runs = append(q.runs,
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
	add := func(condition string) { q.runs = append(q.runs, condition) }
	if f.Statuses != nil {
		add("status IN (" + q.ids("statuses", f.Statuses) + ")")
	}
	if f.AppVersions != nil {
		add("app_version IN (" + q.texts("app_versions", f.AppVersions) + ")")
	}
	if f.SessionID != nil {
		add("session_id = " + q.text("session", *f.SessionID))
	}
	if f.UserID != nil {
		add("user_id = " + q.text("user", *f.UserID))
	}
	for i, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		label := q.text(fmt.Sprintf("label%d", i), key)
		value := q.text(fmt.Sprintf("value%d", i), f.Metadata[key])
		// Not mapContains, which does not find an empty key of type LowCardinality (ClickHouse 26.7).
		add("arrayExists((k, v) -> k = " + label + " AND v = " + value + ", mapKeys(metadata), mapValues(metadata))")
	}
	if f.Rating != "" {
		q.feedback = append(q.feedback, "f.feedback_rating = "+q.id("rating", f.Rating))
	}
	if f.MinScore != nil {
		q.parameters["min_score"] = strconv.FormatFloat(*f.MinScore, 'g', -1, 64)
		q.feedback = append(q.feedback, "f.feedback_score >= {min_score:Float64}") // NULL is not
	}
}

// Rows is the query for [ReadRows]: the selected rows, ascending by started_at and run_id.
func (q *Selection) Rows() Query {
	conditions := slices.Clone(q.runs)
	related := "SELECT run_id FROM runs WHERE " + and(q.runs) // without FINAL: a superset will do
	if q.limit > 0 || q.feedback != nil {
		related = "SELECT run_id FROM (" + q.keys() + ")"
		conditions = append(conditions, "(started_at, run_id) IN ("+q.keys()+")")
	}
	return q.query("SELECT\n" + RowColumns("r.", "f.") + "\nFROM (SELECT * FROM runs FINAL WHERE " + and(conditions) + ") AS r\n" +
		"LEFT JOIN (" + newestFeedback("run_id IN ("+related+")") + ") AS f ON r.run_id = f.run_id\n" +
		"ORDER BY r.started_at, r.run_id")
}

// Count is the query for [ReadInt]: how many rows are selected, bound at most. It reads no more than it
// needs to tell.
func (q *Selection) Count(bound int64) Query {
	if q.limit > 0 {
		bound = min(bound, q.limit)
	}
	q.parameters["bound"] = strconv.FormatInt(bound, 10)
	return q.query("SELECT toString(count()) FROM (SELECT 1 " + q.from() + "\nLIMIT {bound:UInt64})")
}

// Newest is the query for [ReadInt]: when the k-th newest row of the app started, in milliseconds since 1970, or 0
// where there are fewer. It looks at rows as they are stored, superseded ones too, and at no filter, so that it
// reads no more than the end of the table.
func Newest(r *export.Request, s export.Selection, k int64) Query {
	q := NewSelection(&export.Request{ID: r.ID, Source: r.Source, AppID: r.AppID}, s)
	q.parameters["k"] = strconv.FormatInt(k, 10)
	return q.query("SELECT toString(if(count() = {k:UInt64}, min(toUnixTimestamp64Milli(started_at)), 0)) FROM (\n" +
		"    SELECT started_at FROM runs WHERE " + and(q.runs) + " ORDER BY started_at DESC LIMIT {k:UInt64}\n)")
}

// keys selects the keys of the selected rows.
func (q *Selection) keys() string {
	text := "SELECT r.started_at, r.run_id " + q.from()
	if q.limit > 0 {
		text += "\nORDER BY r.started_at DESC, r.run_id DESC LIMIT " + q.most()
	}
	return text
}

// from is what both keys and Count read: runs, joined with feedback only where a condition needs it.
func (q *Selection) from() string {
	text := "FROM (SELECT * FROM runs FINAL WHERE " + and(q.runs) + ") AS r"
	if q.feedback != nil {
		text += "\nLEFT JOIN (" + newestFeedback("") + ") AS f ON r.run_id = f.run_id\nWHERE " + and(q.feedback)
	}
	return text
}

// newestFeedback selects the newest feedback on a whole run, for each run of the workspace that the
// condition leaves. In the order of the table's key LIMIT BY costs next to nothing: argMax over a tuple
// takes fifty times as long, and over single columns it skips a NULL score.
func newestFeedback(condition string) string {
	conditions := []string{"workspace_id = {workspace:String}", "node_id = ''"}
	if condition != "" {
		conditions = append(conditions, condition)
	}
	return `SELECT run_id, feedback_id, rating AS feedback_rating, score AS feedback_score, comment AS feedback_comment,
    tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, ingested_at
FROM feedback FINAL WHERE ` + and(conditions) + `
ORDER BY run_id, version DESC, feedback_id DESC LIMIT 1 BY run_id`
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
	err = Do(ctx, client, ch.Query{
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
