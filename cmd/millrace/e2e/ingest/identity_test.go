package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// A later snapshot may have another start, source, app or node. It is one run, one node run and one record all
// the same, in two batches or in one.
func TestARunThatMovesIsOneRowAndOneRecord(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env = append(s.Env, "DEFAULT_WORKSPACE=acme")
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	const run = `{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"%s","source":"%s","app_id":"%s","started_at":"%s",` +
		`"updated_at":"%s","status":"succeeded","question":"Q","answer":"%s"}`
	const node = `{"type":"dev.millrace.node.v1","workspace_id":"acme","run_id":"start","node_run_id":"n","source":"recipe",` +
		`"app_id":"new","node_id":"%s","started_at":"2026-11-01T00:00:00Z","updated_at":"%s","status":"succeeded"}`
	const early, late = "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z"
	first := []string{
		fmt.Sprintf(run, "start", "recipe", "new", early, early, "old"),
		fmt.Sprintf(run, "source", "copilot", "new", early, early, "old"),
		fmt.Sprintf(run, "app", "recipe", "old", early, early, "old"),
		fmt.Sprintf(run, "late", "recipe", "new", early, late, "new"),
		fmt.Sprintf(node, "old", early),
	}
	second := []string{
		fmt.Sprintf(run, "start", "recipe", "new", "2026-09-30T00:00:00Z", late, "new"),
		fmt.Sprintf(run, "source", "recipe", "new", early, late, "new"),
		fmt.Sprintf(run, "app", "recipe", "new", early, late, "new"),
		fmt.Sprintf(run, "late", "recipe", "old", late, early, "old"),
		fmt.Sprintf(node, "new", late),
	}
	for _, lines := range [][]string{first, second, append(second, first...)} {
		if got := s.Env.Try(t, strings.Join(lines, "\n"), "replay", "-"); got.Code != 0 {
			t.Fatalf("exit code %d\n%s", got.Code, got.Stderr)
		}
		e2etest.WaitIngested(t, s)
	}
	// One conversation at two times, the later one first.
	for _, created := range []string{"1793577600", "1793491200"} {
		got := s.Env.Try(t, `{"id":"c1","created":`+created+`,"messages":[{"role":"user","content":"Hello"},`+
			`{"role":"assistant","content":"Ahoy"}]}`, "replay", "--as", "openai-chat", "--app", "chats", "-")
		if got.Code != 0 {
			t.Fatalf("exit code %d\n%s", got.Code, got.Stderr)
		}
	}
	e2etest.WaitIngested(t, s)
	for query, want := range map[string]uint64{
		"SELECT count() FROM runs_latest": 5,
		"SELECT count() FROM runs_latest WHERE app_id = 'new' AND source = 'recipe' AND answer = 'new'":        4,
		"SELECT count() FROM runs_latest WHERE app_id = 'chats' AND started_at = '2026-11-02 00:00:00'":        1,
		"SELECT count() FROM runs_with_feedback":                                                               5,
		"SELECT count() FROM nodes_latest":                                                                     1,
		"SELECT count() FROM nodes_latest WHERE node_id = 'new' AND updated_at = '2026-11-20 00:00:00'":        1,
		"SELECT count() FROM runs_latest WHERE run_id = 'start' AND started_at = '2026-09-30 00:00:00'":        1,
		"SELECT count() FROM runs FINAL WHERE NOT superseded AND run_id IN ('app', 'late') AND app_id = 'old'": 0,
	} {
		if got := e2etest.Count(t, s.Conn, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}

	batch := e2etest.NewBatch(t, s)
	for id, app := range map[string][2]string{"new": {"recipe", "new"}, "old": {"recipe", "old"},
		"moved": {"copilot", "new"}, "chats": {"copilot", "chats"}} {
		batch.File(t, object{"export_id": id, "workspace_id": "acme", "purpose": "export_dataset", "source": app[0],
			"app_id": app[1], "selection": object{"limit": 100}})
	}
	for id, c := range batch.Wait(t) {
		want := map[string]string{"new": "app late source start", "chats": "1"}[id.ExportID]
		var got []string
		for _, r := range e2etest.RecordsOf(t, &c) {
			got = append(got, fmt.Sprint(r["run_id"]))
		}
		if id.ExportID == "chats" {
			got = []string{fmt.Sprint(len(got))}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("export %s has the runs %q, want %q", id.ExportID, got, want)
		}
	}
}
