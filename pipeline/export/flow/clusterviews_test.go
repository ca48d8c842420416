package flow_test

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/dashboards/grafana/grafanatest"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/kafka"
)

// insertEnded inserts events of 30 exports, which succeeded, failed or still run, with notices and trails, and runs
// that failed.
func insertEnded(f *flow) {
	f.t.Helper()
	client, err := f.dsn.Dial(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	const requested = "toDateTime64('2026-03-01 00:00:00', 3, 'UTC') + toIntervalSecond(number)"
	for _, sql := range []string{
		"INSERT INTO export_events (workspace_id, export_id, name, purpose, source, app_id, target, format, requested_by, " +
			"requested_at, status, rows_planned, at) SELECT 'acme', format('e-{}', number), 'n', 'export_dataset', 'recipe', " +
			"'app', 'canonical', 'jsonl', 'p', " + requested + " AS asked, 'running', 10, asked FROM numbers(30)",
		"INSERT INTO export_events (workspace_id, export_id, name, purpose, source, app_id, target, format, requested_by, " +
			"requested_at, status, rows_planned, rows_done, records, dropped, bytes, error_code, completed_at, at) SELECT 'acme', " +
			"format('e-{}', number), 'n', 'export_dataset', 'recipe', 'app', 'canonical', 'jsonl', 'p', " + requested +
			" AS asked, if(number % 3 = 1, 'failed', 'succeeded'), 10, 10, 9, map('no_answer', 1), 800 + number, if(number % 3 = 1, 'read_failed', ''), " +
			"asked + toIntervalSecond(3), asked + toIntervalSecond(3) FROM numbers(30) WHERE number % 3 != 0",
		"INSERT INTO export_notices (workspace_id, export_id, cancelling, at) SELECT 'acme', format('e-{}', number), true, " +
			requested + " FROM numbers(30) WHERE number % 3 = 0",
		"INSERT INTO audit (workspace_id, export_id, at, id, action, outcome, subject, via, count) SELECT 'acme', " +
			"format('e-{}', number % 30), " + requested + ", toString(number), 'viewed', 'ok', 'p', 'serve', 1 FROM numbers(90)",
		"INSERT INTO runs (workspace_id, run_id, source, app_id, status, error_type, started_at, ended_at, version) SELECT " +
			"'acme', format('failed-{}', number), 'recipe', 'app', 'failed', 'timeout', " + requested +
			" AS began, began + toIntervalSecond(number), 1 FROM numbers(9)",
	} {
		if err := clickhouse.Do(f.t.Context(), client, ch.Query{Body: sql,
			Settings: []ch.Setting{ch.SettingInt("distributed_foreground_insert", 1)}}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// storedExports are readers of the exports that ended and of their trails.
func storedExports(ctx context.Context) map[string]func(*flow) (any, error) {
	of := func(q live.Query) func(*flow) (any, error) {
		q.Workspace, q.Limit = "acme", 8
		return func(f *flow) (any, error) {
			conn, err := f.dsn.Open()
			if err != nil {
				return nil, err
			}
			defer conn.Close()
			page, err := live.Stored{Conn: conn}.List(ctx, q)
			return page, err
		}
	}
	return map[string]func(*flow) (any, error){
		"exports":           of(live.Query{}),
		"exports of an app": of(live.Query{AppID: "app"}),
		"exports by name":   of(live.Query{Text: "N", AppID: "app", OfAll: true}),
		"failed exports":    of(live.Query{Status: []string{"failed"}}),
		"counts of exports": func(f *flow) (any, error) {
			conn, err := f.dsn.Open()
			if err != nil {
				return nil, err
			}
			defer conn.Close()
			exports := live.New(live.Config{Config: kafka.Config{Log: slog.New(slog.DiscardHandler)}}, conn, f.bucket)
			return exports.Counts(ctx, live.Query{Workspace: "acme", AppID: "app"})
		},
		"the trail": func(f *flow) (any, error) {
			conn, err := f.dsn.Open()
			if err != nil {
				return nil, err
			}
			defer conn.Close()
			return audit.Stored{Conn: conn}.OfExport(ctx, export.ID{WorkspaceID: "acme", ExportID: "e-5"}, 10)
		},
	}
}

// now is what queries of two servers cannot agree on.
var now = regexp.MustCompile(`now(64)?\(\d?\)`)

// analysts are what people ask the views, and every query of the dashboards for Grafana.
func analysts(t *testing.T) map[string]string {
	queries := map[string]string{
		"exports":            "SELECT * EXCEPT ingested_at FROM exports",
		"runs_latest":        "SELECT * EXCEPT ingested_at FROM runs_latest WHERE workspace_id = 'acme'",
		"nodes_latest":       "SELECT * EXCEPT ingested_at FROM nodes_latest WHERE workspace_id = 'acme'",
		"feedback_latest":    "SELECT * EXCEPT ingested_at FROM feedback_latest",
		"runs_with_feedback": "SELECT * EXCEPT ingested_at FROM runs_with_feedback WHERE workspace_id = 'acme'",
		"thumbs by version": "SELECT app_version, feedback_rating, count() FROM runs_with_feedback " +
			"WHERE workspace_id = 'acme' AND source = 'recipe' AND app_id = 'app' GROUP BY ALL",
		"nodes of runs that failed": "SELECT node_id, count() FROM nodes_latest WHERE workspace_id = 'acme' AND " +
			"run_id IN (SELECT run_id FROM runs_latest WHERE workspace_id = 'acme' AND status = 'succeeded') GROUP BY node_id",
		"runs with nodes": "SELECT r.app_version, n.node_id, count() FROM runs_latest r JOIN nodes_latest n " +
			"ON r.workspace_id = n.workspace_id AND r.run_id = n.run_id GROUP BY ALL",
	}
	for _, d := range grafanatest.Load(t, "../../../dashboards/grafana") {
		scope := grafanatest.Scope{From: day, To: day.Add(10 * time.Hour), Step: time.Hour, Values: map[string][]string{
			"workspace": {"acme"}, "app": {"app"}}}
		for _, p := range d.Panels {
			for i, q := range p.Targets {
				if q.RawSQL == "" {
					continue
				}
				sql, err := scope.SQL(now.ReplaceAllString(q.RawSQL, "toDateTime('2026-03-02 00:00:00')"))
				if err != nil {
					t.Fatal(err)
				}
				queries[fmt.Sprintf("%s, %s %d", d.Title, p.Title, i)] = sql
			}
		}
	}
	return queries
}

// asked returns the rows of a query as lines of JSON, in no order.
func (f *flow) asked(sql string) (any, error) {
	client, err := f.dsn.Dial(f.t.Context())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	rows, err := clickhouse.ReadTexts(f.t.Context(), client, clickhouse.Query{
		SQL: "SELECT formatRowNoNewline('JSONEachRow', *) FROM (" + strings.TrimSuffix(sql, ";") + ")"})
	slices.Sort(rows)
	return rows, err
}
