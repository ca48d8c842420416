package export

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// workspaces are 50 whose ids begin with each other, look like something else, or are as long as
// they may be.
var workspaces = func() []string {
	list := []string{
		"a", "a-", "a_", "a-b", "a_b", "a--b", "a__b", "ab", "a0", "b-a", "0", "00", "0-0", "1e9", "0x0", "null", "true",
		"nan", "select",
		"default", "system", "millrace", "exports", "plan", "windows", "data", "manifest", "deleted", "acme", "acme-",
		"acme_", "acme2", "con", "x--", "c---",
	}
	for n := range 14 { // each begins with the one before
		list = append(list, strings.Repeat("w", n+1))
	}
	return append(list, strings.Repeat("w", 63))
}()

// hostile are texts that mean something to SQL, JSON, a path, a template, a shell or a spreadsheet.
var hostile = []string{
	`'; DROP TABLE runs; --`, `' OR workspace_id != '`, `\' OR 1=1 --`, `{workspace:String}`, `a') OR ('a' = 'a`,
	`","workspace_id":"a","owner":"a`,
	`../../../../exports/a/`, `/etc/passwd`, `{{.WorkspaceID}}`, `${HOME}`, `$(id)`, "`id`", `%s%n%00`, `\N`, `\t\\`,
	"tab\tline\nreturn\r", `</script>`,
	`=cmd|' /C calc'!A0`, "\u2028\u202e", `*`, `a,b`, ` `, `null`, `🙂`,
}

// The ids are the same in all workspaces.
const manyApp, manyOtherApp = "a..b:c~d", "a..b"

func manyRunID(i int) string {
	return []string{"r", "R", "r.", "r..", "r-", "r_", "r~", "r:", "r:r", "r.r", "0", "00", "a",
		strings.Repeat("r", 128)}[i]
}

// Those of the exports, by what is asked for.
const (
	allDirect, allStaged = "a..b", "A..b"
	byUser, byLabel      = "a~:_-.", "plan.json"
)

// manyRun is a run of a workspace, as a bare event.
func manyRun(workspace, i int) object {
	other, text := workspaces[(workspace+i+1)%len(workspaces)], hostile[(workspace+i)%len(hostile)]
	app := manyApp
	if i == 5 {
		app = manyOtherApp
	}
	return object{
		"type": "dev.millrace.run.v1", "workspace_id": workspaces[workspace], "run_id": manyRunID(i), "source": "recipe",
		"app_id": app, "status": "succeeded",
		"started_at": time.Date(2026, 11, 1, 0, 0, i/2, 0, time.UTC), "question": text, "answer": "of " + other,
		"user_id": hostile[i%3], "session_id": other,
		"inputs": object{"workspace_id": other, text: hostile},
		"messages": []object{{"role": "user", "content": text}, {"role": "assistant", "content": `{"workspace_id":"` + other +
			`"}`}},
		"metadata": object{"owner": workspaces[workspace], hostile[i%2]: text, "other": other},
	}
}

// manyRuns is how many a workspace has; the last ones are not in all of them.
func manyRuns(workspace int) int { return 9 + workspace%6 }

func manyEvents(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	line := func(data object) {
		text, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(text, '\n'))
	}
	for w, id := range workspaces {
		for i := range manyRuns(w) {
			line(manyRun(w, i))
			line(object{"type": "dev.millrace.feedback.v1", "workspace_id": id, "run_id": manyRunID(i), "feedback_id": "f",
				"rating":  "thumbsUp",
				"comment": "by " + id, "updated_at": "2026-11-02T00:00:00Z"})
		}
	}
	return out.String()
}

// 50 workspaces with the same ids of everything, and contents that try to reach each other's,
// export at once.
func TestWorkspacesThatExportAtOnceGetTheirOwnRunsAndNoOthers(t *testing.T) {
	t.Parallel()
	if len(workspaces) != 50 {
		t.Fatalf("%d workspaces", len(workspaces))
	}
	s := e2etest.NewSite(t)
	ingest := s.Env.Start(t, "ingest")
	if got := s.Env.Try(t, manyEvents(t), "replay", "-"); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	runs := 0
	for w := range workspaces {
		runs += manyRuns(w)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_with_feedback WHERE feedback_id != ''": uint64(runs),
		"SELECT uniqExact(workspace_id) FROM runs_latest":                50,
	})
	ingest.Stop(t)
	for range 2 {
		append(s.Env, "EXPORT_WINDOW_RECORDS=1").Start(t, "export") // the requests say how large windows are
	}
	batch := e2etest.NewBatch(t, s)
	for w := range workspaces {
		for _, request := range manyRequests(w) {
			batch.File(t, request)
		}
	}
	ids := map[string]string{} // of records, and the export of whom
	for id, c := range batch.Wait(t) {
		checkMany(t, &c)
		for _, r := range e2etest.RecordsOf(t, &c) {
			key := id.WorkspaceID + "/" + r["run_id"].(string)
			if of, there := ids[r["id"].(string)]; there && of != key {
				t.Errorf("a record of %s has the id of one of %s", key, of)
			}
			ids[r["id"].(string)] = key
		}
	}
	checkManyFolders(t, s)
	checkManyListed(t, s)
}

func manyRequests(workspace int) (list []object) {
	for id, r := range map[string]struct {
		window             int
		selection, filters object
	}{
		allDirect: {1000, object{"limit": 1000}, object{}},
		allStaged: {4, object{"window": object{"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}}, object{}},
		byUser:    {2, object{"limit": 1000}, object{"user_id": hostile[1]}},
		byLabel: {1000, object{"run_ids": []string{manyRunID(0), manyRunID(2), manyRunID(4), "nobody"}},
			object{"metadata": object{hostile[0]: hostile[(workspace+2)%len(hostile)]}}},
	} {
		list = append(list, object{
			"export_id": id, "workspace_id": workspaces[workspace], "name": hostile[workspace%len(hostile)],
			"purpose": "export_dataset", "source": "recipe",
			"app_id": manyApp, "selection": r.selection, "filters": r.filters, "fragment": object{"max_records": r.window},
		})
	}
	return list
}

// manyWanted are the runs of a workspace that an export selects.
func manyWanted(workspace int, exportID string) (list []int) {
	for i := range manyRuns(workspace) {
		switch {
		case i == 5: // another app's
		case exportID == byUser && i%3 != 1, exportID == byLabel && i != 2:
		default:
			list = append(list, i)
		}
	}
	return list
}

// checkMany holds an export against what its workspace sent, and nobody else.
func checkMany(t *testing.T, c *export.Completion) {
	t.Helper()
	if c.Status != export.StatusSucceeded {
		t.Errorf("export %s: %s: %+v", c.ID, c.Status, c.Failure())
		return
	}
	workspace := slices.Index(workspaces, c.WorkspaceID)
	want := map[string]object{}
	for _, i := range manyWanted(workspace, c.ExportID) {
		want[manyRunID(i)] = manyRun(workspace, i)
	}
	p := e2etest.PlanOf(t, c)
	if staged := c.ExportID == allStaged || c.ExportID == byUser; staged != (p.Snapshot != "") ||
		staged != (len(p.Windows) > 1) {
		t.Errorf("export %s has %d windows, stage %q", c.ID, len(p.Windows), p.Snapshot)
	}
	got := e2etest.CheckedRunIDs(t, *c)
	for _, r := range e2etest.RecordsOf(t, c) {
		sent := want[r["run_id"].(string)]
		feedback, _ := r["feedback"].(object)
		if sent == nil || feedback["comment"] != "by "+c.WorkspaceID {
			t.Errorf("export %s has run %v, judged %v", c.ID, r["run_id"], feedback)
			continue
		}
		for _, field := range []string{"question", "answer", "user_id", "session_id", "inputs", "messages", "metadata"} {
			if has, wanted := e2etest.JSONText(t, r[field]), e2etest.JSONText(t, sent[field]); has != wanted {
				t.Errorf("export %s, run %v: %s is %s, sent was %s", c.ID, r["run_id"], field, has, wanted)
			}
		}
	}
	slices.Sort(got)
	if len(got) != len(want) || len(slices.Compact(got)) != len(want) || len(got) == 0 {
		t.Errorf("export %s has the runs %q, want %d others", c.ID, got, len(want))
	}
}

// checkManyFolders checks that each workspace has one folder, with its exports.
func checkManyFolders(t *testing.T, s *e2etest.Site) {
	t.Helper()
	names := func(dir string) (list []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	if got := names(s.ExportFolder(t, "", "")); !slices.Equal(got, slices.Sorted(slices.Values(workspaces))) {
		t.Errorf("the bucket has the workspaces %q", got)
	}
	for _, w := range workspaces {
		if got := names(s.ExportFolder(t, w, "")); !slices.Equal(got, manyExports()) {
			t.Errorf("the bucket has the exports %q of %s", got, w)
		}
	}
}

func manyExports() []string {
	return slices.Sorted(slices.Values([]string{allDirect, allStaged, byUser, byLabel}))
}

// checkManyListed checks that `exports ls` shows a workspace its own exports.
func checkManyListed(t *testing.T, s *e2etest.Site) {
	t.Helper()
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM exports WHERE status = 'succeeded'": 200})
	for w, id := range workspaces {
		var got []string
		for _, e := range e2etest.JSONLines(t, s.Env.Run(t, "exports", "ls", "--workspace", id, "--json")) {
			if e["workspace_id"] != id || e["name"] != hostile[w%len(hostile)] ||
				fmt.Sprint(e["records"]) != fmt.Sprint(len(manyWanted(w, e["export_id"].(string)))) {
				t.Errorf("exports ls --workspace %s shows %v", id, e)
			}
			got = append(got, e["export_id"].(string))
		}
		if slices.Sort(got); !slices.Equal(got, manyExports()) {
			t.Errorf("exports ls --workspace %s shows %q", id, got)
		}
	}
}
