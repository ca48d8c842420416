package selection_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/runs"
)

// boats are conversations about boats: the two first have the same input in the same context, the
// third has it in another one, and the fourth only begins alike. The last two are rows that the first
// release stored, with the same input in its sense.
func (h *history) boats() {
	h.t.Helper()
	for i, messages := range []string{
		`{"role":"system","content":"Rent boats."},{"role":"user","content":"Hello"}`,
		`{"role":"system","content":"Rent boats."},{"role":"user","content":" Hello"},{"role":"assistant","content":"Ahoy"}`,
		`{"role":"user","content":"Hello"},{"role":"assistant","content":"Ahoy"}`,
		`{"role":"user","content":"Hello"},{"role":"assistant","content":"Ahoy"},{"role":"user","content":"A raft"}`,
		`{"role":"user","content":"Hello"}`,
		`{"role":"user","content":"Hello"},{"role":"assistant","content":"Ahoy"},{"role":"user","content":"A canoe"}`,
	} {
		h.run("abcdef"[i:i+1], i, func(r *runs.Run) { r.Question, r.Messages = "Hello", "["+messages+"]" })
	}
	h.exec(`INSERT INTO runs SELECT * REPLACE ('0123456789abcdef0123456789abcdef' AS input_group, '' AS context_hash,
		version + 2 AS version) FROM runs FINAL WHERE run_id IN ('e', 'f')`)
}

// groupsOf returns the ids of the runs of each group, sorted.
func groupsOf(rows []kept) string {
	groups := map[string]string{}
	for _, r := range rows {
		groups[r.group] += r.run
	}
	return strings.Join(slices.Sorted(maps.Values(groups)), " ")
}

func TestEvaluationGroupsByInputAndFineTuningByContext(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.boats()
	evaluation := evaluated(export.RecipeEvaluation)
	tuning := evaluated(export.FineTuning)
	for name, c := range map[string]struct {
		request      export.Request
		target, want string
	}{
		"evaluation":  {evaluation, "canonical", "abc d ef"},
		"dedupe":      {tuning, "openai_chat", "ab c d ef"},
		"both labels": {tuning, "trl_kto", "ab c d ef"},
		"pairs":       {tuning, "trl_dpo", "ab c d ef"},
	} {
		c.request.Target = c.target
		direct := h.direct(c.request)
		if got := groupsOf(direct); got != c.want {
			t.Errorf("%s: groups %q, want %q", name, got, c.want)
		}
		id := "s-" + strings.ReplaceAll(name, " ", "-")
		if got := groupsOf(h.inWindows(id, c.request, 1)); got != c.want {
			t.Errorf("%s, of a snapshot: groups %q, want %q", name, got, c.want)
		}
		// Context groups come in the order of their input groups.
		for i := 1; i < len(direct); i++ {
			if direct[i-1].group[:32] > direct[i].group[:32] {
				t.Errorf("%s: group %s before %s", name, direct[i-1].group, direct[i].group)
			}
		}
	}
}

// An export that is under way during an upgrade has a snapshot of the release before, whose groups
// are input groups.
func TestASnapshotOfTheReleaseBeforeKeepsItsGroups(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.boats()
	r := evaluated(export.FineTuning)
	r.Target = "openai_chat"
	h.freeze("new", r, r.Selection, 1000, 1)
	h.exec(`INSERT INTO export_stage_rows SELECT * REPLACE ('old' AS stage_id, input_group AS group_key)
		FROM (SELECT * FROM export_stage_rows WHERE stage_id = 'new')`)
	windows := h.cut("old", r, 1)
	if got := groupsOf(h.ofWindows("old", r, windows)); got != "abc d ef" || len(windows) != 3 {
		t.Errorf("groups %q in %d windows", got, len(windows))
	}
}

func TestNodeRunsOfOneInputAreInOneContextIfTheirModelsWereGivenTheSame(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	var nodes []*runs.Node
	for id, system := range map[string]string{"a": "Rent boats.", "b": "Rent  boats.", "c": "Sell boats."} {
		h.run(id, 1)
		nodes = append(nodes, &runs.Node{WorkspaceID: "acme", RunID: id, NodeRunID: "n", Source: "recipe", AppID: "app",
			NodeID: "ask", NodeType: "llm", Status: "succeeded", StartedAt: day, UpdatedAt: day, Inputs: `{"boat":"raft"}`,
			Messages: `[{"role":"system","content":"` + system + `"},{"role":"user","content":"A raft"}]`})
	}
	if refused, err := h.store.InsertNodes(t.Context(), nodes); err != nil || refused != nil {
		t.Fatal(refused, err)
	}
	for purpose, c := range map[string]struct{ target, want string }{
		export.NodeEvaluation: {"canonical", "abc"}, export.FineTuning: {"openai_chat", "ab c"},
	} {
		r := evaluated(purpose, "ask")
		r.Target = c.target
		if got := groupsOf(h.direct(r)); got != c.want {
			t.Errorf("%s: groups %q, want %q", purpose, got, c.want)
		}
		if got := groupsOf(h.inWindows("s-"+purpose, r, 1)); got != c.want {
			t.Errorf("%s, of a snapshot: groups %q, want %q", purpose, got, c.want)
		}
	}
}
