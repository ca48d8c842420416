package selection_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

func TestAMistakeInANameIsAWarningThatNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("r1", 1, func(r *runs.Run) {
		r.AppVersion, r.SessionID, r.UserID = "1.10", "s 1", "u1"
		r.Model, r.Trigger = "m1", "chat"
	})
	h.run("r2", 2, func(r *runs.Run) { r.Source, r.AppID = "copilot", "chat" })
	if refused, err := h.store.InsertNodes(t.Context(), []*runs.Node{{WorkspaceID: "acme", RunID: "r1", NodeRunID: "n1",
		Source: "recipe", AppID: "app", NodeID: "solve", AppVersion: "2", Model: "m2", Status: "succeeded", StartedAt: day,
		UpdatedAt: day}}); err != nil || refused != nil {
		t.Fatal(refused, err)
	}
	client, err := h.dsn.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := &selection.Reader{Client: client, Comment: "test"}
	text := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		change func(*export.Request)
		rows   int64
		want   []string // code and words of the message of each warning
	}{
		"all there":    {func(*export.Request) {}, 0, nil},
		"another app":  {func(q *export.Request) { q.AppID = export.Apps{"ap"} }, 0, []string{`app_not_found "ap" "copilot chat", "recipe app"`}},
		"other source": {func(q *export.Request) { q.Source = "copilot" }, 0, []string{`app_not_found copilot "app" "recipe app"`}},
		"no workspace": {func(q *export.Request) { q.WorkspaceID = "acm" }, 0, []string{`app_not_found acm at all`}},
		"node": {func(q *export.Request) { q.Nodes = []string{"solve", "slove"} }, 1,
			[]string{`node_not_found "slove" "solve"`}},
		"version of nodes": {func(q *export.Request) {
			q.Nodes, q.Filters.AppVersions = []string{"solve"}, []string{"1.10"}
		}, 0, []string{`version_not_found "1.10" "2"`}},
		"version": {func(q *export.Request) { q.Filters.AppVersions = []string{"1.1", "1.10"} }, 1,
			[]string{`version_not_found "1.1" "1.10"`}},
		"model of nodes": {func(q *export.Request) {
			q.Nodes, q.Filters.Models = []string{"solve"}, []string{"m1"}
		}, 0, []string{`model_not_found "m1" "m2"`}},
		"model and trigger": {func(q *export.Request) {
			q.Filters.Models, q.Filters.Triggers = []string{"m1", "m2"}, []string{"chat", "caht"}
		}, 1, []string{`model_not_found "m2" "m1"`, `trigger_not_found "caht" "chat"`}},
		"session and user": {func(q *export.Request) {
			q.Filters.SessionID, q.Filters.UserID = text("s"), text("u")
		}, 0, []string{`session_not_found "s" "s 1"`, `user_not_found "u" "u1"`}},
		"session and user that exist": {func(q *export.Request) {
			q.Filters.SessionID, q.Filters.UserID = text("s 1"), text("u1")
		}, 0, nil},
	} {
		q := &export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"}}
		c.change(q)
		got, err := selection.UnknownNames(t.Context(), r, q, c.rows)
		if err != nil {
			t.Fatal(err)
		}
		ok := slices.EqualFunc(got, c.want, func(w export.Warning, want string) bool {
			code, words, _ := strings.Cut(want, " ")
			return w.Code == code && w.Count == 1 && !slices.ContainsFunc(strings.Fields(words), func(word string) bool {
				return !strings.Contains(w.Message, strings.Trim(word, ","))
			})
		})
		if !ok {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}
