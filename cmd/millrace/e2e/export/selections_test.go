package export

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// The real runs are exported as they were sent, and each selection and filter finds the runs that a
// query of an analyst does: in one window that reads the selection itself, and from a stage in
// several.
func TestRealRunsAreSelectedAsAnAnalystWould(t *testing.T) {
	t.Parallel()
	files := map[e2etest.RealApp]string{e2etest.MathTutor: e2etest.Shared(t, e2etest.MathTutor.File),
		e2etest.Airline: e2etest.Shared(t, e2etest.Airline.File)}
	s := e2etest.NewSite(t)
	ingest := s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", files[e2etest.MathTutor], files[e2etest.Airline])
	e2etest.WaitForCounts(t, s.Conn, 2*time.Minute, map[string]uint64{
		"SELECT count() FROM runs_with_feedback WHERE feedback_id != '' AND status != 'running'": 5476,
	})
	// So small that a request's fragment.max_records is the size of its windows.
	append(s.Env, "EXPORT_WINDOW_RECORDS=1").Start(t, "export")
	t.Run("as they were sent", func(t *testing.T) { realRunsAsSent(t, s, files) })
	t.Run("with their node runs", func(t *testing.T) { realRunsWithNodes(t, s, files) })
	for _, file := range files {
		if got := s.Env.Try(t, changes(t, file), "replay", "-"); got.Code != 0 {
			t.Fatal(got.Stderr)
		}
	}
	e2etest.WaitIngested(t, s)
	ingest.Stop(t)
	now := spreadAges(t, s)
	t.Run("selected", func(t *testing.T) { realRunsSelected(t, s, now) })
}

// realRunsAsSent holds all records against the source events, field by field.
func realRunsAsSent(t *testing.T, s *e2etest.Site, files map[e2etest.RealApp]string) {
	batch := e2etest.NewBatch(t, s)
	windows := map[string]int{}
	for app, sizes := range map[e2etest.RealApp]map[int]int{e2etest.MathTutor: {150: 36, 6000: 1},
		e2etest.Airline: {40: 5, 200: 1}} {
		for size, n := range sizes {
			id := fmt.Sprintf("%s-%d", app.ID, size)
			windows[id] = n
			batch.File(t, app.Request(id, size, object{"limit": 10_000}, nil))
		}
	}
	want := map[string]map[string]object{}
	for app, file := range files {
		want[app.ID] = e2etest.SourceRecords(t, file)
	}
	for id, c := range batch.Wait(t) {
		sent := want[c.AppID]
		if n := len(e2etest.PlanOf(t, &c).Windows); c.Status != export.StatusSucceeded || c.Records != int64(len(sent)) ||
			n != windows[id.ExportID] {
			t.Errorf("export %s: %s, %d records in %d windows, want %d in %d", id, c.Status, c.Records, n, len(sent),
				windows[id.ExportID])
		}
		seen := e2etest.CheckedRunIDs(t, c)
		if !slices.Equal(slices.Sorted(slices.Values(seen)), slices.Sorted(maps.Keys(sent))) {
			t.Errorf("export %s has %d runs, not each of the %d once", id, len(seen), len(sent))
		}
		last := ""
		for _, record := range e2etest.RecordsOf(t, &c) {
			compareRecord(t, record, sent[record["run_id"].(string)])
			at := record["started_at"].(string) + record["run_id"].(string)
			if at < last {
				t.Errorf("export %s: run %v is out of order", id, record["run_id"])
			}
			last = at
		}
	}
}

// changes returns events about some of the runs of a file: newer snapshots with another status, and
// later feedback, also on nodes, which is not the run's.
func changes(t *testing.T, file string) string {
	t.Helper()
	var out strings.Builder
	line := func(kind string, data object) {
		text, err := json.Marshal(object{"specversion": "1.0", "id": uuid.NewString(), "source": "test", "type": kind,
			"data": data})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(text, '\n'))
	}
	now := time.Now().UTC()
	i := 0
	for _, l := range e2etest.ReadLines(t, file) {
		if !strings.Contains(l, `"type":"dev.millrace.run.v1"`) || strings.Contains(l, `"status":"running"`) {
			continue
		}
		run := e2etest.ParseObject(t, l)["data"].(object)
		status := []string{"succeeded", "failed", "succeeded", "cancelled", "succeeded", "running", "succeeded"}[i%7]
		run["status"], run["updated_at"] = status, now.Format(time.RFC3339Nano)
		line("dev.millrace.run.v1", run)
		feedback := object{"workspace_id": run["workspace_id"], "run_id": run["run_id"], "feedback_id": "later",
			"updated_at": now.Add(time.Hour).Format(time.RFC3339Nano)}
		switch i % 5 {
		case 0:
			feedback["rating"] = "thumbsUp"
		case 1:
			feedback["score"] = 0.5
		case 2:
			feedback["rating"], feedback["score"], feedback["node_id"] = "thumbsUp", 1, "solve"
		case 3:
			feedback["rating"], feedback["score"] = "thumbsDown", 0.75
		}
		if i%5 < 4 {
			line("dev.millrace.feedback.v1", feedback)
		}
		i++
	}
	return out.String()
}

// spreadAges spreads the rows over the last hour, 10 minutes ago and earlier, and a few into the next:
// what a window by ingested_at must not look at yet. It returns the server's time.
func spreadAges(t *testing.T, s *e2etest.Site) (now time.Time) {
	t.Helper()
	if err := s.Conn.QueryRow(t.Context(), "SELECT now64(6, 'UTC')").Scan(&now); err != nil {
		t.Fatal(err)
	}
	for table, id := range map[string]string{"runs": "run_id", "feedback": "concat(run_id, feedback_id)"} {
		statement := fmt.Sprintf(`ALTER TABLE %s UPDATE ingested_at = fromUnixTimestamp64Micro(%d) +
			if(cityHash64(%[3]s, version) %% 11 = 0, 3600, -600 - toInt64(cityHash64(version, %[3]s) %% 3600)) WHERE 1 SETTINGS mutations_sync = 1`, table, now.UnixMicro(), id)
		if err := s.Conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return now.UTC()
}

// realCase is a request, and what an analyst would write for it.
type realCase struct {
	name               string
	app                e2etest.RealApp
	selection, filters object
	where              string // of rows r of runs_with_feedback and their time ingested
	limit              int
}

// ingested is when the newest part of a run was stored: its snapshot, or a judgement.
const ingested = "greatest(r.ingested_at, f.judged_at)"

// query is an analyst's: the runs, ascending.
func (c *realCase) query() string {
	if c.filters["statuses"] == nil {
		c.where += " AND r.status != 'running'"
	}
	limit := ""
	if c.limit > 0 {
		limit = fmt.Sprintf("ORDER BY r.started_at DESC, r.run_id DESC LIMIT %d", c.limit)
	}
	return fmt.Sprintf(`SELECT id FROM (
		SELECT r.run_id AS id, r.started_at AS began FROM runs_with_feedback AS r
		LEFT JOIN (SELECT workspace_id, run_id, max(ingested_at) AS judged_at FROM feedback_latest
			WHERE node_id = '' AND node_run_id = '' GROUP BY workspace_id, run_id) AS f
		ON f.workspace_id = r.workspace_id AND f.run_id = r.run_id
		WHERE r.workspace_id = 'acme' AND r.source = '%s' AND r.app_id = '%s' AND %s %s
	) ORDER BY began, id`, c.app.Source, c.app.ID, c.where, limit)
}

func realCases(t *testing.T, conn driver.Conn, now time.Time) []realCase {
	t.Helper()
	window := func(by string, from, to time.Time) object {
		return object{"by": by, "from": from, "to": to}
	}
	literal := func(at time.Time) string {
		return fmt.Sprintf("fromUnixTimestamp64Micro(%d)", at.UnixMicro())
	}
	between := func(column string, from, to time.Time) string {
		return column + " >= " + literal(from) + " AND " + column + " < " + literal(to)
	}
	math, air := everyRun(t, conn, e2etest.MathTutor.ID), everyRun(t, conn, e2etest.Airline.ID)
	var some []string
	for i := 0; i < len(air); i += 9 {
		some = append(some, air[i].id)
	}
	listed := "r.run_id IN ('" + strings.Join(some, "', '") + "')"
	// Borders that are a run's time: the first is in, the last is not.
	mathFrom, mathTo, airFrom, airTo := math[1000].at, math[1300].at, air[30].at, air[150].at
	ago := func(minutes int) time.Time { return now.Add(time.Duration(-minutes) * time.Minute) }
	never := time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
	all := object{"limit": 100_000}
	session, user := mostFrequent(t, conn, "session_id"), mostFrequent(t, conn, "user_id")
	return []realCase{
		{"run ids", e2etest.Airline, object{"run_ids": append([]string{math[3].id, "nobody"}, some...)}, nil, listed, 0},
		{"most recent", e2etest.MathTutor, object{"limit": 333}, nil, "1", 333},
		{"most recent of all", e2etest.Airline, all, nil, "1", 0},
		{"started", e2etest.MathTutor, object{"window": window(export.ByStartedAt, mathFrom, mathTo)}, nil,
			between("r.started_at", mathFrom, mathTo), 0},
		{"started, most recent", e2etest.Airline, object{"limit": 40, "window": window(export.ByStartedAt, airFrom, airTo)},
			nil,
			between("r.started_at", airFrom, airTo), 40},
		{"ingested", e2etest.MathTutor, object{"window": window(export.ByIngestedAt, ago(35), ago(25))}, nil,
			between(ingested, ago(35), ago(25)), 0},
		{"ingested up to now", e2etest.Airline, object{"window": window(export.ByIngestedAt, ago(40), never)}, nil,
			between(ingested, ago(40), ago(1)), 0},
		{"ingested, most recent", e2etest.MathTutor, object{"limit": 70, "window": window(export.ByIngestedAt, ago(60),
			never)}, nil,
			between(ingested, ago(60), ago(1)), 70},
		{"version", e2etest.MathTutor, object{"window": window(export.ByStartedAt, mathFrom, mathTo)},
			object{"app_versions": []string{"6b_finetuning"}}, between("r.started_at", mathFrom, mathTo) +
				" AND r.app_version = '6b_finetuning'", 0},
		{"versions", e2etest.MathTutor, object{"limit": 200}, object{"app_versions": []string{"175b_verification",
			"175b_finetuning",
			"none"}}, "r.app_version LIKE '175b%'", 200},
		{"status", e2etest.Airline, all, object{"statuses": []string{"failed"}}, "r.status = 'failed'", 0},
		{"statuses", e2etest.Airline, all, object{"statuses": []string{"running", "cancelled"}},
			"r.status IN ('running', 'cancelled')", 0},
		{"thumbs up", e2etest.Airline, all, object{"rating": "thumbsUp"}, "r.feedback_rating = 'thumbsUp'", 0},
		{"thumbs down", e2etest.MathTutor, object{"limit": 150}, object{"rating": "thumbsDown"},
			"r.feedback_rating = 'thumbsDown'",
			150},
		{"score", e2etest.Airline, all, object{"min_score": 0.5}, "r.feedback_score >= 0.5", 0},
		{"higher score", e2etest.MathTutor, object{"limit": 99}, object{"min_score": 0.75}, "r.feedback_score >= 0.75", 99},
		{"session", e2etest.Airline, all, object{"session_id": session}, "r.session_id = '" + session + "'", 0},
		{"user", e2etest.Airline, all, object{"user_id": user}, "r.user_id = '" + user + "'", 0},
		{"label", e2etest.Airline, all, object{"metadata": object{"trial": "2"}}, "r.metadata['trial'] = '2'", 0},
		{"labels", e2etest.MathTutor, all, object{"metadata": object{"item": "7", "benchmark": "gsm8k"}},
			"r.metadata['item'] = '7' AND r.metadata['benchmark'] = 'gsm8k'", 0},
		{"failed in one trial and liked", e2etest.Airline, all, object{"statuses": []string{"failed", "cancelled"},
			"rating": "thumbsUp", "metadata": object{"domain": "airline"}},
			"r.status IN ('failed', 'cancelled') AND r.feedback_rating = 'thumbsUp' AND r.metadata['domain'] = 'airline'", 0},
		{"liked lately", e2etest.MathTutor, object{"limit": 45, "window": window(export.ByIngestedAt, ago(50), never)},
			object{"rating": "thumbsUp", "app_versions": []string{"6b_verification", "175b_verification"}},
			between(ingested, ago(50), ago(1)) + " AND r.feedback_rating = 'thumbsUp' AND r.app_version IN " +
				"('6b_verification', '175b_verification')", 45},
		{"scored by a user of those named", e2etest.Airline, object{"run_ids": some},
			object{"min_score": 0.0, "user_id": user},
			listed + " AND r.feedback_score >= 0 AND r.user_id = '" + user + "'", 0},
		{"nobody's", e2etest.Airline, all, object{"user_id": ""}, "r.user_id = ''", 0},
	}
}

type startedRun struct {
	id string
	at time.Time
}

// everyRun are the runs of an app, in whatever status, ascending.
func everyRun(t *testing.T, conn driver.Conn, app string) (runs []startedRun) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT run_id, started_at FROM runs_latest WHERE app_id = $1 ORDER BY "+
		"started_at, run_id", app)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r startedRun
		if err := rows.Scan(&r.id, &r.at); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return runs
}

// mostFrequent is the value of a column that most airline runs have.
func mostFrequent(t *testing.T, conn driver.Conn, column string) (value string) {
	t.Helper()
	query := "SELECT " + column + " FROM runs_latest WHERE app_id = 'airline-assistant' AND status != 'running' GROUP " +
		"BY 1 ORDER BY count() DESC, 1 LIMIT 1"
	if err := conn.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// noRuns are the cases that select none, which must be few.
var noRuns = []string{"nobody's"}

func realRunsSelected(t *testing.T, s *e2etest.Site, now time.Time) {
	cases := realCases(t, s.Conn, now)
	want := map[string][]string{}
	batch := e2etest.NewBatch(t, s)
	for i := range cases {
		c := &cases[i]
		runs := e2etest.QueryTexts(t, s.Conn, c.query())
		want[c.name] = runs
		if (len(runs) == 0) != slices.Contains(noRuns, c.name) {
			t.Errorf("%s: %d runs are selected", c.name, len(runs))
		}
		for path, size := range map[string]int{"direct": 100_000, "staged": max(1, (len(runs)+3)/4)} {
			batch.File(t, c.app.Request(fmt.Sprintf("%s-%d", path, i), size, c.selection, c.filters))
		}
	}
	ended := batch.Wait(t)
	for i, c := range cases {
		for _, path := range []string{"direct", "staged"} {
			completion := ended[export.ID{WorkspaceID: "acme", ExportID: fmt.Sprintf("%s-%d", path, i)}]
			if completion.Status != export.StatusSucceeded {
				t.Errorf("%s, %s: %s: %+v", c.name, path, completion.Status, completion.Failure())
				continue
			}
			if got := e2etest.CheckedRunIDs(t, completion); !slices.Equal(got, want[c.name]) {
				t.Errorf("%s, %s: %d runs, want these %d, in order", c.name, path, len(got), len(want[c.name]))
			}
			p := e2etest.PlanOf(t, &completion)
			if path == "direct" && p.Snapshot != "" || path == "staged" && len(want[c.name]) > 1 &&
				(p.Snapshot == "" || len(p.Windows) < 2) {
				t.Errorf("%s, %s: %d windows, stage %q", c.name, path, len(p.Windows), p.Snapshot)
			}
			checkWatermark(t, c.name, p, &completion)
		}
	}
}

// checkWatermark holds the watermark against the clamp: a minute before the plan, or the end of the
// window.
func checkWatermark(t *testing.T, name string, p *export.Plan, c *export.Completion) {
	t.Helper()
	w := p.Request.Selection.Window
	switch {
	case w == nil || w.By != export.ByIngestedAt:
		if c.Watermark != nil {
			t.Errorf("%s: watermark %s", name, c.Watermark)
		}
	case w.To.Before(c.AcceptedAt.Add(-time.Minute)):
		if c.Watermark == nil || !c.Watermark.Equal(w.To) {
			t.Errorf("%s: watermark %s, want %s", name, c.Watermark, w.To)
		}
	case c.Watermark == nil || c.Watermark.Before(c.AcceptedAt.Add(-time.Minute)) ||
		c.Watermark.After(c.CompletedAt.Add(time.Millisecond-time.Minute)):
		t.Errorf("%s: watermark %s of an export from %s to %s", name, c.Watermark, c.AcceptedAt, c.CompletedAt)
	}
}
