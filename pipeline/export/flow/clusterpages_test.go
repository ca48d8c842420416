package flow_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/history"
)

// The pages and commands that show runs and exports, the views, and the dashboards for Grafana have on a cluster what
// they have on one server.
func TestAClusterIsShownAsOneServerIs(t *testing.T) {
	notShort(t)
	t.Parallel()
	c := newCluster(t, 2, 2)
	one, many := newFlow(t), newFlow(t)
	many.dsn = c.direct[0]
	insertEverything(one, 0, 90)
	insertEverything(many, 0, 90)
	insertEnded(one)
	insertEnded(many)
	for i, dsn := range c.direct {
		client, err := dsn.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"runs_shard", "nodes_shard", "feedback_shard", "export_events_shard",
			"export_notices_shard", "audit_shard"} {
			if err := c.copyRows(t.Context(), client, i^1, table); err != nil {
				t.Fatal(err)
			}
		}
		client.Close()
	}
	ctx := t.Context()
	runs := func(q history.Query) func(*flow, *history.Store) (any, error) {
		q.Workspace, q.Source, q.AppID, q.Limit = "acme", "recipe", "app", 50
		return func(_ *flow, s *history.Store) (any, error) { return s.Runs(ctx, q) }
	}
	compared := history.CompareQuery{Workspace: "acme", Source: "recipe", AppID: "app", Limit: 10, NodeRuns: true}
	readers := storedExports(ctx)
	for name, sql := range analysts(t) {
		readers[name] = func(f *flow) (any, error) { return f.asked(sql) }
	}
	for name, read := range map[string]func(*flow, *history.Store) (any, error){
		"runs":     runs(history.Query{}),
		"rated":    runs(history.Query{Filters: export.Filters{Rating: "thumbsUp"}}),
		"unrated":  runs(history.Query{Filters: export.Filters{Rating: export.Unrated}}),
		"by text":  runs(history.Query{Filters: export.Filters{Text: "why 1"}}),
		"slowest":  runs(history.Query{Sort: history.SortLatency}),
		"some ids": runs(history.Query{RunIDs: []string{"run-00003", "run-00070"}}),
		"apps":     func(_ *flow, s *history.Store) (any, error) { return s.Apps(ctx, "acme", "recipe", 10_000) },
		"an app":   func(_ *flow, s *history.Store) (any, error) { return s.App(ctx, "acme", "recipe", "app", 10_000) },
		"charts": func(_ *flow, s *history.Store) (any, error) {
			q := history.Query{Workspace: "acme", Source: "recipe", AppID: "app", From: day, To: day.Add(time.Hour)}
			return s.Charts(ctx, q, time.Minute)
		},
		"versions":    func(_ *flow, s *history.Store) (any, error) { return s.Compare(ctx, compared) },
		"paired runs": func(_ *flow, s *history.Store) (any, error) { return s.PairRuns(ctx, compared, 100) },
		"nodes":       func(_ *flow, s *history.Store) (any, error) { return s.Nodes(ctx, "acme", "recipe", "app") },
		"a run":       func(_ *flow, s *history.Store) (any, error) { return s.Run(ctx, "acme", "run-00003") },
		"workspaces":  func(_ *flow, s *history.Store) (any, error) { return s.Workspaces(ctx, 10) },
		"first run":   func(_ *flow, s *history.Store) (any, error) { return s.FirstRun(ctx, "acme", "recipe", "app") },
		"values of filters": func(_ *flow, s *history.Store) (any, error) {
			var all [][]string
			for _, key := range []string{"version", "tag", "score", "metadata"} {
				values, err := s.Values(ctx, "acme", "recipe", "app", key, "", "")
				if err != nil {
					return nil, err
				}
				slices.Sort(values) // the more frequent come first, and snapshots that one server has merged are counted once
				all = append(all, values)
			}
			return all, nil
		},
		"same input": func(_ *flow, s *history.Store) (any, error) {
			d, err := s.Run(ctx, "acme", "run-00003")
			if err != nil {
				return nil, err
			}
			return s.SameInput(ctx, "acme", &d.Run)
		},
		"names that are not there": func(f *flow, _ *history.Store) (any, error) {
			client, err := f.dsn.Dial(ctx)
			if err != nil {
				return nil, err
			}
			defer client.Close()
			return selection.UnknownNames(ctx, &selection.Reader{Client: client, Comment: "test"}, &export.Request{
				ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app", "gone"},
				Filters: export.Filters{AppVersions: []string{"v1", "v9"}}}, 1)
		},
	} {
		readers[name] = func(f *flow) (any, error) { return f.inHistory(read) }
	}
	for name, read := range readers {
		var texts []string
		for _, f := range []*flow{one, many} {
			text, err := f.shown(read)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			texts = append(texts, text)
		}
		if texts[0] != texts[1] || len(texts[0]) < 5 {
			t.Errorf("%s: one server has\n%.1000s\nand a cluster\n%.1000s", name, texts[0], texts[1])
		}
	}
}

var ingestedAt = regexp.MustCompile(`"ingested_at":"[^"]*"`)

// inHistory reads the history.
func (f *flow) inHistory(read func(*flow, *history.Store) (any, error)) (any, error) {
	conn, err := f.dsn.Open()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return read(f, history.New(conn, f.dsn.Timer()))
}

// shown returns what is read, as JSON without the times when rows were stored.
func (f *flow) shown(read func(*flow) (any, error)) (string, error) {
	found, err := read(f)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(found)
	return ingestedAt.ReplaceAllString(string(text), ""), err
}
