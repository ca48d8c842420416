package history

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/runs"
)

// recorder is a connection that remembers the texts of its queries.
type recorder struct {
	driver.Conn
	mu    sync.Mutex
	texts []string
}

func (r *recorder) Query(ctx context.Context, sql string, args ...any) (driver.Rows, error) {
	r.mu.Lock()
	r.texts = append(r.texts, sql)
	r.mu.Unlock()
	return r.Conn.Query(ctx, sql, args...)
}

// golden returns the different queries of a read, sorted by text, since some run at the same time.
func (r *recorder) golden() *clickhousetest.Golden {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.texts)
	g := &clickhousetest.Golden{}
	for i, sql := range slices.Compact(r.texts) {
		g.Add(fmt.Sprint("query ", i+1), clickhouse.Query{SQL: sql})
	}
	r.texts = nil
	return g
}

// Which queries an answer takes depends on the rows, so these are the queries of reads of a small
// database. Each file has the queries of one read.
func TestGoldenQueriesAreThoseThatReadsTake(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"r1", "r2", "r3"} {
		f.insertRuns(run(id, time.Hour, func(r *runs.Run) {
			r.Question, r.AppVersion, r.SessionID, r.Model, r.Trigger = "why", "v1", "s", "m", "chat"
			r.EndedAt, r.CostUSD, r.Files = r.StartedAt, new(0.5), []runs.File{{Name: "f"}}
			r.Metadata = []runs.Pair{{Key: "region", Value: "eu"}}
		}))
		f.insertFeedback(judgement(id, "f", "thumbsUp", noon, func(j *runs.Feedback) {
			j.Score, j.Tags = new(0.5), []string{"true"}
		}), judgement(id, "fair", "", noon, func(j *runs.Feedback) { j.Name, j.Score = "fair", new(0.15) }))
	}
	f.insertRuns(run("old", 200*24*time.Hour, func(r *runs.Run) { r.AppID = "old-app" }))
	f.insertNodes(&runs.Node{WorkspaceID: "acme", RunID: "r1", NodeRunID: "n1", Source: "recipe", AppID: "app",
		NodeID: "draft", Status: "succeeded", StartedAt: noon, UpdatedAt: noon})
	conn := &recorder{Conn: f.conn}
	f.store.conn = conn
	goldens := map[string]*clickhousetest.Golden{}
	list := func(name string, q Query) *Page {
		q.Workspace = "acme"
		page, err := f.store.Runs(t.Context(), q)
		if err != nil || len(page.Runs) == 0 {
			t.Fatalf("%s: %+v, %v", name, page, err)
		}
		goldens[name] = conn.golden()
		return page
	}
	list("runs", Query{Limit: 50})
	first := list("runs_of_app", Query{Source: "recipe", AppID: "app", Limit: 2})
	list("runs_of_app_cursor", Query{Source: "recipe", AppID: "app", Limit: 2, Cursor: first.Next})
	list("runs_filters", Query{Source: "recipe", AppID: "app", RunIDs: []string{"r1", "r2"}, From: noon.AddDate(0, 0, -1),
		To: noon, Limit: 50, Filters: everyFilter})
	list("runs_rated", Query{Source: "recipe", AppID: "app", Filters: filters{Rating: "thumbsUp"}, Limit: 50})
	list("runs_unrated", Query{Source: "recipe", AppID: "old-app", Filters: filters{Rating: export.Unrated}, Limit: 50})
	if _, err := f.store.Run(t.Context(), "acme", "r1"); err != nil {
		t.Fatal(err)
	}
	goldens["run"] = conn.golden()
	if apps, err := f.store.Apps(t.Context(), "acme", "", 14); err != nil || len(apps) != 2 {
		t.Fatalf("%+v, %v", apps, err)
	}
	goldens["apps"] = conn.golden()
	if _, err := f.store.App(t.Context(), "acme", "recipe", "app", 14); err != nil {
		t.Fatal(err)
	}
	goldens["app"] = conn.golden()
	if _, err := f.store.Nodes(t.Context(), "acme", "recipe", "app"); err != nil {
		t.Fatal(err)
	}
	goldens["nodes"] = conn.golden()
	for _, key := range []string{"model", "tag", "score", "metadata"} {
		for _, name := range []string{"", "region"} {
			if _, err := f.store.Values(t.Context(), "acme", "recipe", "app", key, name, "x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	goldens["values"] = conn.golden()
	f.insertRuns(run("again", time.Minute, func(r *runs.Run) { r.Question, r.AppVersion = "why", "v2" }))
	if c, err := f.store.Compare(t.Context(), CompareQuery{Workspace: "acme", Source: "recipe", AppID: "app", Limit: 1,
		NodeRuns: true}); err != nil || c.Inputs != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	goldens["compare"] = conn.golden()
	clickhousetest.CompareGoldens(t, goldens)
}
