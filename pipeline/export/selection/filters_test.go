package selection_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/runs"
)

// nodeRows are the node runs of node solve, as an analyst would join them: with their run r, and with
// the judgements on them or their node, and after those the judgements on the run.
const nodeRows = `WITH judged AS (
	SELECT n.run_id AS run_id, n.node_run_id AS node_run_id, j.node_run_id != '' OR j.node_id != '' AS own,
		(own, j.kind = 'human', j.version) AS first, j.version AS at, j.rating AS rating, j.name AS name,
		j.score AS score, j.tags AS tags
	FROM nodes_latest AS n INNER JOIN feedback_latest AS j ON n.run_id = j.run_id
	WHERE n.workspace_id = 'acme' AND j.workspace_id = 'acme' AND
		(j.node_run_id = n.node_run_id OR j.node_run_id = '' AND (j.node_id = n.node_id OR j.node_id = ''))
), f AS (
	SELECT run_id, node_run_id, count() AS judgements, argMaxIf(j.rating, first, j.rating != '') AS rating,
		argMaxIf(j.score, first, name = '' AND j.score IS NOT NULL) AS score,
		argMaxIf(j.tags, first, notEmpty(j.tags)) AS tags,
		argMaxIf(j.score, (own, at), name = 'fair' AND j.score IS NOT NULL) AS fair
	FROM judged AS j GROUP BY run_id, node_run_id
)
SELECT concat(n.run_id, '/', n.node_run_id) FROM nodes_latest AS n
LEFT JOIN runs_latest AS r ON n.run_id = r.run_id AND r.workspace_id = 'acme'
LEFT JOIN f ON n.run_id = f.run_id AND n.node_run_id = f.node_run_id
WHERE n.workspace_id = 'acme' AND n.source = 'recipe' AND n.app_id = 'app' AND n.node_id = 'solve' AND `

// Filters of node runs are about the node run, but for what only its run has.
func TestFiltersOfNodeRunsAreThoseOfAnAnalyst(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.solved(150)
	used := reflect.ValueOf(&export.Filters{}).Elem()
	whole := len(h.lines(nodeRows + "1"))
	for where, f := range map[string]export.Filters{
		"position(lower(concat(r.question, '|', r.answer)), 'why') > 0": {Text: "WHY"},
		"n.app_version IN ('v1')":  {AppVersions: []string{"v1"}},
		"n.model IN ('m1', 'm2')":  {Models: []string{"m1", "m2"}},
		"r.trigger = 'chat'":       {Triggers: []string{"chat"}},
		"n.status = 'failed'":      {Statuses: []string{"failed"}},
		"n.error_type = ''":        {ErrorTypes: []string{""}},
		"has(f.tags, 'kind')":      {Tags: []string{"kind", "none"}},
		"f.rating = 'thumbsDown'":  {Rating: "thumbsDown"},
		"f.judgements = 0":         {Rating: export.Unrated},
		"f.rating != 'thumbsDown'": {Rating: export.NotThumbsDown},
		"f.score >= 0.5":           {MinScore: new(0.5)},
		"f.score <= 0.3":           scores("score", nil, new(0.3)),
		"f.judgements > 0 AND f.fair >= 0.2 AND f.fair < 0.7": scores("fair", new(0.2), new(0.69)),
		"n.ended_at - n.started_at >= 1":                      {MinLatencyMS: new(int64(1000))},
		"n.ended_at - n.started_at = 0":                       {MinLatencyMS: new(int64(0)), MaxLatencyMS: new(int64(999))},
		"n.cost_usd >= 0.5":                                   {MinCostUSD: new(0.5)},
		"n.cost_usd <= 0.25":                                  {MaxCostUSD: new(0.25)},
		"length(n.files) > 0":                                 {HasFiles: new(true)},
		"length(n.files) = 0":                                 {HasFiles: new(false)},
		"r.session_id = 's1'":                                 {SessionID: new("s1")},
		"r.user_id = 'u1'":                                    {UserID: new("u1")},
		"(n.metadata['of'] = 'a' OR r.metadata['of'] = 'a')":  {Metadata: map[string]string{"of": "a"}},
		"r.trigger = 'chat' AND f.rating = 'thumbsUp'":        {Triggers: []string{"chat"}, Rating: "thumbsUp"},
	} {
		for i := range used.NumField() {
			if v := reflect.ValueOf(f).Field(i); !v.IsZero() {
				used.Field(i).Set(v)
			}
		}
		want := h.lines(nodeRows + where)
		if len(want) < 5 || len(want) == whole {
			t.Errorf("%s: %d of %d rows, which tells nothing", where, len(want), whole)
		}
		r := evaluated(export.NodeOptimization, "solve")
		r.Filters = f
		for path, rows := range map[string][]kept{"direct": h.direct(r),
			"staged": h.inWindows(fmt.Sprint("s", rand.Uint64()), r, 31)} {
			var got []string
			for _, row := range rows {
				got = append(got, row.run+"/"+row.node)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s, %s: %d rows, want %d", where, path, len(got), len(want))
			}
		}
	}
	for i := range used.NumField() {
		if used.Field(i).IsZero() {
			t.Errorf("no case has filter %s", used.Type().Field(i).Name)
		}
	}
}

func scores(name string, least, most *float64) export.Filters {
	return export.Filters{Scores: map[string]export.ScoreRange{name: {Min: least, Max: most}}}
}

// solved inserts runs with node runs of node solve and another, and judgements on all of them.
func (h *history) solved(n int) {
	h.t.Helper()
	dice := rand.New(rand.NewPCG(5, 6))
	of := func(n int) int { return dice.IntN(n) }
	var list []*runs.Run
	var nodes []*runs.Node
	var feedback []*runs.Feedback
	for i := range n {
		r := &runs.Run{WorkspaceID: "acme", RunID: fmt.Sprintf("run-%03d", i), Source: "recipe", AppID: "app",
			Status: "succeeded", StartedAt: day.Add(time.Duration(i) * time.Second), UpdatedAt: day,
			Question: []string{"Why?", "what", ""}[of(3)], Answer: []string{"", "that is why", "so"}[of(3)],
			Trigger: []string{"chat", "webhook"}[of(2)], SessionID: fmt.Sprint("s", of(3)), UserID: fmt.Sprint("u", of(3)),
			Metadata: []runs.Pair{{Key: "of", Value: []string{"a", "b"}[of(2)]}}}
		list = append(list, r)
		for j := range 1 + of(3) {
			node := &runs.Node{WorkspaceID: "acme", RunID: r.RunID, NodeRunID: fmt.Sprint("n", j), Source: "recipe",
				AppID: "app", NodeID: []string{"solve", "solve", "check"}[of(3)], StartedAt: r.StartedAt, UpdatedAt: day,
				AppVersion: fmt.Sprint("v", of(3)), Status: []string{"succeeded", "failed"}[of(2)], Model: fmt.Sprint("m", of(4)),
				Error: []*runs.Error{nil, {Type: "timeout"}}[of(2)], CostUSD: []*float64{nil, new(0.25), new(1.0)}[of(3)],
				Files:    [][]runs.File{nil, {{Name: "f"}}}[of(2)],
				Metadata: []runs.Pair{{Key: "of", Value: []string{"a", "c", "d"}[of(3)]}}}
			if of(4) > 0 {
				node.EndedAt = node.StartedAt.Add(time.Duration(of(3)) * time.Second)
			}
			nodes = append(nodes, node)
		}
		for j := range of(4) {
			f := &runs.Feedback{WorkspaceID: "acme", RunID: r.RunID, FeedbackID: fmt.Sprint("f", j),
				Kind: []string{"human", "model"}[of(2)], Rating: []string{"", "thumbsUp", "thumbsDown"}[of(3)],
				Name: []string{"", "", "fair"}[of(3)], Tags: [][]string{nil, {"kind"}, {"x"}}[of(3)],
				NodeID: []string{"", "", "solve", "check"}[of(4)], UpdatedAt: day.Add(time.Duration(len(feedback)) * time.Second)}
			if f.NodeID == "" && of(3) == 0 {
				f.NodeRunID = fmt.Sprint("n", of(3))
			}
			if of(4) > 0 {
				f.Score = new(float64(of(11)) / 10)
			}
			feedback = append(feedback, f)
		}
	}
	if refused, err := h.store.InsertRuns(h.t.Context(), list); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
	if refused, err := h.store.InsertNodes(h.t.Context(), nodes); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
	if refused, err := h.store.InsertFeedback(h.t.Context(), feedback); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
}
