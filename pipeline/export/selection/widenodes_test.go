package selection_test

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

func TestNodeRunsComeWithTheRunAroundThemAndTheFeedbackOnTheirNode(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.invent(120)
	r := evaluated(export.NodeOptimization, "node0", "node1")
	rows := h.direct(r)
	seen := map[string]int{}
	for _, row := range rows {
		seen[row.comment]++
		if !strings.Contains(row.text, " of succeeded,") || !strings.Contains(row.text, "reference ref") ||
			strings.Contains(row.text, "user  ") {
			t.Errorf("the run around %s/%s is missing: %s", row.run, row.node, row.text)
		}
	}
	if seen["run"] == 0 || seen["node"] == 0 || seen[""] == 0 || seen["old"] > 0 {
		t.Errorf("feedback on %v", seen)
	}
	if !slices.IsSortedFunc(rows, func(a, b kept) int {
		return cmp.Or(cmp.Compare(a.startedAt, b.startedAt), cmp.Compare(a.run, b.run), cmp.Compare(a.node, b.node))
	}) {
		t.Error("node runs are not in order")
	}
	half, user := 0.5, "u1"
	failed := func(k kept) bool { return strings.Contains(k.text, "status failed") }
	for name, c := range map[string]struct {
		change func(*export.Request)
		wanted func(kept) bool
		limit  int
	}{
		"one node": {func(r *export.Request) { r.Nodes = []string{"node1"} },
			func(k kept) bool { return k.node == "n1" }, 0},
		"the newest":      {func(r *export.Request) { r.Selection.Limit = 13 }, func(kept) bool { return true }, 13},
		"the newest runs": {func(r *export.Request) { r.Selection.LimitRuns = 7 }, newestRuns(rows, 7), 0},
		"the newest runs of a status": {func(r *export.Request) {
			r.Filters.Statuses, r.Selection.LimitRuns = []string{"failed"}, 5
		}, and(failed, newestRuns(filtered(rows, failed), 5)), 0},
		"its status": {func(r *export.Request) { r.Filters.Statuses = []string{"failed"} },
			func(k kept) bool { return strings.Contains(k.text, "status failed") }, 0},
		"its rating": {func(r *export.Request) { r.Filters.Rating = "thumbsDown" },
			func(k kept) bool { return k.rating == "thumbsDown" }, 0},
		"its score": {func(r *export.Request) { r.Filters.MinScore = &half },
			func(k kept) bool { return k.score.Valid && k.score.Value >= half }, 0},
		"its run's user": {func(r *export.Request) { r.Filters.UserID = &user },
			func(k kept) bool { return strings.Contains(k.text, "user u1") }, 0},
		"its run's label": {func(r *export.Request) { r.Filters.Metadata = map[string]string{"of": "run"} },
			func(kept) bool { return true }, 0},
		"no label": {func(r *export.Request) { r.Filters.Metadata = map[string]string{"of": "node"} },
			func(kept) bool { return false }, 0},
		"when stored": {func(r *export.Request) {
			r.Selection = window(export.ByIngestedAt, day, time.Now().Add(time.Hour))
		}, func(kept) bool { return true }, 0},
		"not yet stored": {func(r *export.Request) {
			r.Selection = window(export.ByIngestedAt, time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
		}, func(kept) bool { return false }, 0},
		"liked of one user, the newest": {func(r *export.Request) {
			r.Filters.UserID, r.Filters.Rating,
				r.Selection.Limit = &user, "thumbsUp", 5
		},
			func(k kept) bool { return strings.Contains(k.text, "user u1") && k.rating == "thumbsUp" }, 5},
	} {
		var want []kept
		for _, row := range rows {
			if c.wanted(row) {
				want = append(want, row)
			}
		}
		narrower := r
		c.change(&narrower)
		if c.limit > 0 {
			want = newestOfEachNode(want, c.limit)
		}
		if got := h.direct(narrower); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %d rows, want %d", name, len(got), len(want))
		}
		if got := h.inWindows("s-"+strings.NewReplacer(" ", "", ",", "", "'", "").Replace(name), narrower,
			9); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s, snapshot: %d rows, want %d", name, len(got), len(want))
		}
	}
}

// newestOfEachNode returns the last n rows of each node. invent names the node by the number of the
// node run: even or odd.
func newestOfEachNode(rows []kept, n int) []kept {
	left := map[bool]int{true: n, false: n}
	var list []kept
	for _, k := range slices.Backward(rows) {
		if even := k.node != "n1"; left[even] > 0 {
			left[even]--
			list = append(list, k)
		}
	}
	slices.Reverse(list)
	return list
}

// newestRuns returns whether a row is of one of the n runs whose rows are the newest.
func newestRuns(rows []kept, n int) func(kept) bool {
	newest := map[string]int64{}
	for _, k := range rows {
		newest[k.run] = max(newest[k.run], k.startedAt)
	}
	order := slices.SortedFunc(maps.Keys(newest), func(a, b string) int {
		return cmp.Or(cmp.Compare(newest[b], newest[a]), cmp.Compare(b, a))
	})
	return func(k kept) bool { return slices.Contains(order[:min(n, len(order))], k.run) }
}

func filtered(rows []kept, wanted func(kept) bool) []kept {
	return slices.DeleteFunc(slices.Clone(rows), func(k kept) bool { return !wanted(k) })
}

func and(a, b func(kept) bool) func(kept) bool { return func(k kept) bool { return a(k) && b(k) } }

func TestEveryFieldOfANodeRunIsRead(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	one, x, yes := int64(1), 0.5, true
	h.run("r", 1, func(r *runs.Run) {
		r.RequestID, r.AppName, r.SessionID, r.UserID, r.Trigger, r.Question, r.Answer, r.Reference, r.TraceID = "1", "2",
			"3", "4", "5", "6", "7", "8", "9"
	})
	h.feedback("r", "f", func(f *runs.Feedback) {
		f.NodeID, f.Score, f.Comment, f.Tags, f.CorrectedAnswer = "node", &x, "c", []string{"t"}, "a"
	})
	h.feedback("r", "g", func(f *runs.Feedback) { f.NodeRunID, f.Name, f.Score = "n", "helpful", &x })
	n := &runs.Node{
		WorkspaceID: "acme", RunID: "r", NodeRunID: "n", Source: "recipe", AppID: "app", AppVersion: "v", NodeID: "node",
		NodeName: "name", NodeType: "llm",
		ParentNodeRunID: "p", Sequence: &one, Status: "failed", StartedAt: day, EndedAt: day.Add(time.Second), UpdatedAt: day,
		Inputs: "{}", Outputs: "{}",
		PromptTemplate: "t", PromptVariables: "{}", Messages: "[]", Tools: "[]", Model: "m",
		Parameters: []runs.Pair{{Key: "k", Value: "1"}},
		Chunks: []runs.Chunk{{ChunkID: "c", Text: "t", Score: &x, SourceURI: "u", Title: "t", SentToLLM: &yes,
			UsedInAnswer: &yes}},
		Error: &runs.Error{Type: "t", Message: "m"}, Files: []runs.File{{FileID: "f"}}, Usage: &runs.Usage{InputTokens: &one,
			OutputTokens: &one},
		CostUSD: &x, Metadata: []runs.Pair{{Key: "k", Value: "v"}},
	}
	if refused, err := h.store.InsertNodes(t.Context(), []*runs.Node{n}); err != nil || refused != nil {
		t.Fatal(refused, err)
	}
	r := evaluated(export.NodeEvaluation, "node")
	chosen, rows := selection.New(&r, r.Selection), 0
	_, err := h.reader().ReadSelection(t.Context(), chosen, func(row *record.Row) error {
		rows++
		for _, v := range []reflect.Value{
			reflect.ValueOf(*row), reflect.ValueOf(*row.Node), reflect.ValueOf(row.Node.Execution),
			reflect.ValueOf(row.Feedback), reflect.ValueOf(row.Node.Chunks[0]),
		} {
			for i := range v.NumField() {
				switch name := v.Type().Field(i).Name; name {
				case "Nodes", "TooLarge", "SystemInputs", "Split", "Judgements":
				default:
					if v.Field(i).IsZero() {
						t.Errorf("%s.%s is not read", v.Type(), name)
					}
				}
			}
		}
		if string(row.Status) != "succeeded" || len(row.InputGroup) != 32 || string(row.Node.Status) != "failed" {
			t.Errorf("the run is %s, in group %s, and the node run %s", row.Status, row.InputGroup, row.Node.Status)
		}
		return nil
	})
	if err != nil || rows != 1 {
		t.Fatal(rows, err)
	}
}
