package selection_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

// moved inserts runs whose newest snapshots have other sort keys. ClickHouse merges nothing, so that all rows of
// older snapshots are there.
func (h *history) moved() {
	h.t.Helper()
	for _, table := range []string{"runs", "nodes", "run_keys", "node_keys"} {
		h.exec("SYSTEM STOP MERGES " + h.dsn.Database + "." + table)
	}
	snapshot := func(n int, version, session string, changes ...func(*runs.Run)) func(*runs.Run) {
		return func(r *runs.Run) {
			r.UpdatedAt, r.AppVersion, r.SessionID = day.Add(time.Duration(n)*time.Second), version, session
			r.UserID, r.Metadata = "u"+session, []runs.Pair{{Key: "session", Value: session}}
			for _, change := range changes {
				change(r)
			}
		}
	}
	app := func(id string) func(*runs.Run) { return func(r *runs.Run) { r.AppID = id } }
	h.run("stays", 1, snapshot(1, "kept", "kept"))
	h.run("later", 2, snapshot(1, "old", "old"))
	h.run("later", 2, snapshot(2, "new", "new", func(r *runs.Run) { r.StartedAt = day.AddDate(0, 2, 0) }))
	h.run("leaves", 3, snapshot(1, "kept", "left"))
	h.run("leaves", 3, snapshot(2, "elsewhere", "left", app("other")))
	h.run("comes", 4, snapshot(1, "elsewhere", "came", app("gone")))
	h.run("comes", 4, snapshot(2, "came", "came"))
	h.run("returns", 5, snapshot(1, "away", "away"))
	h.run("returns", 5, snapshot(2, "away", "away", app("gone")))
	h.run("returns", 5, snapshot(3, "back", "back"))
	for _, id := range []string{"stays", "later", "leaves", "comes", "returns"} {
		h.feedback(id, "f")
	}
	h.node("stays", "n1", 1, func(n *runs.Node) { n.NodeID = "kept" })
	h.node("stays", "n2", 2, func(n *runs.Node) { n.NodeID = "kept" })
	h.node("stays", "n2", 2, func(n *runs.Node) { n.NodeID, n.UpdatedAt = "new", n.UpdatedAt.Add(time.Second) })
	h.node("stays", "n3", 3, func(n *runs.Node) { n.NodeID = "old" })
	h.node("stays", "n3", 3, func(n *runs.Node) { n.NodeID, n.UpdatedAt = "new", n.UpdatedAt.Add(time.Second) })
}

func TestRunsThatMovedAreSelectedByTheirNewestSnapshot(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.moved()
	text := func(s string) *string { return &s }
	of := func(list ...string) (want []string) {
		for _, id := range list {
			want = append(want, id+"(thumbsUp )")
		}
		return want
	}
	all := export.Selection{Limit: 100}
	window := func(from, to time.Time) export.Selection {
		return export.Selection{Window: &export.TimeWindow{By: export.ByStartedAt, From: from, To: to}}
	}
	for name, c := range map[string]struct {
		filters export.Filters
		bounds  export.Selection
		want    []string
	}{
		"all":               {export.Filters{}, export.Selection{}, of("stays", "comes", "returns", "later")},
		"most recent":       {export.Filters{}, export.Selection{Limit: 2}, of("returns", "later")},
		"by id":             {export.Filters{}, export.Selection{RunIDs: []string{"leaves", "later"}}, of("later")},
		"old start":         {export.Filters{}, window(day.Add(2*time.Second), day.Add(3*time.Second)), nil},
		"new start":         {export.Filters{}, window(day.AddDate(0, 2, 0), day.AddDate(0, 3, 0)), of("later")},
		"old version":       {export.Filters{AppVersions: []string{"old", "away", "elsewhere"}}, all, nil},
		"new version":       {export.Filters{AppVersions: []string{"new", "back", "came"}}, all, of("comes", "returns", "later")},
		"version that left": {export.Filters{AppVersions: []string{"kept"}}, all, of("stays")},
		"old session":       {export.Filters{SessionID: text("old")}, all, nil},
		"session that left": {export.Filters{SessionID: text("left")}, all, nil},
		"session that came": {export.Filters{SessionID: text("came")}, all, of("comes")},
		"session away":      {export.Filters{SessionID: text("away")}, all, nil},
		"old user":          {export.Filters{UserID: text("uold")}, all, nil},
		"old label":         {export.Filters{Metadata: map[string]string{"session": "old"}}, all, nil},
		"rated":             {export.Filters{Rating: "thumbsUp"}, all, of("stays", "comes", "returns", "later")},
	} {
		if got := h.selected(export.Request{Filters: c.filters}, c.bounds); !slices.Equal(got, c.want) {
			t.Errorf("%s: selected %q, want %q", name, got, c.want)
		}
	}
}

func TestANameThatOnlyOlderSnapshotsHaveIsUnknown(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.moved()
	r := &selection.Reader{Client: h.dial(), Comment: "test"}
	text := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		change func(*export.Request)
		rows   int64
		want   string // message of the warning
	}{
		"app":     {func(q *export.Request) { q.AppID = export.Apps{"gone"} }, 0, `The workspace acme has no run of the recipe "gone". It has "recipe app", "recipe other".`},
		"version": {func(q *export.Request) { q.Filters.AppVersions = []string{"kept", "elsewhere"} }, 1, `The recipe app has no version "elsewhere". It has "kept", "new", "back", "came".`},
		"node":    {func(q *export.Request) { q.Nodes = []string{"kept", "new", "old"} }, 1, `The recipe app has no node "old". It has "new", "kept".`},
		"session": {func(q *export.Request) { q.Filters.SessionID = text("left") }, 0, `The recipe app has no session "left". It has "new", "back", "came", "kept".`},
		"known":   {func(q *export.Request) { q.Filters.AppVersions, q.Nodes = nil, []string{"kept", "new"} }, 1, ""},
		"kept":    {func(q *export.Request) { q.Filters.AppVersions = []string{"kept", "back"} }, 1, ""},
	} {
		q := &export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"}}
		c.change(q)
		got, err := selection.UnknownNames(t.Context(), r, q, c.rows)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > 1 || len(got) == 1 && got[0].Message != c.want || len(got) == 0 && c.want != "" {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}
