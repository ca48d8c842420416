package selection_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

// evaluated asks for the runs of acme's recipe app with their comparison.
func evaluated(purpose string, nodes ...string) export.Request {
	return export.Request{
		ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"},
		Purpose: purpose, Target: export.Canonical,
		Nodes:     nodes,
		Selection: export.Selection{Limit: 1e6},
	}
}

// kept is the part of a row that a test keeps.
type kept struct {
	group, run, node, version, rating, comment string
	startedAt                                  int64
	score                                      record.Null[float64]
	comparison                                 record.Comparison
	nodes                                      []string // its node runs
	text                                       string
}

func keep(row *record.Row) kept {
	e, c := row.Subject(), row.Comparison
	k := kept{
		group: string(row.Group), run: string(row.RunID), node: string(row.NodeRunID()), version: string(e.AppVersion),
		startedAt: e.StartedAt,
		comparison: record.Comparison{
			RunsInGroup: c.RunsInGroup, Rank: c.Rank, BestVersion: bytes.Clone(c.BestVersion), HasPrevious: c.HasPrevious,
			PreviousVersion: bytes.Clone(c.PreviousVersion), PreviousAnswer: bytes.Clone(c.PreviousAnswer),
			PreviousScore: c.PreviousScore,
		},
		text: fmt.Sprintf("question %s answer %s status %s of %s, inputs %s outputs %s, user %s trace %s reference %s",
			row.Question, row.Answer, e.Status, row.Status, e.Inputs, e.Outputs, row.UserID, row.TraceID, row.Reference),
	}
	for _, v := range c.Versions {
		k.comparison.Versions = append(k.comparison.Versions, bytes.Clone(v))
	}
	if row.HasFeedback {
		if row.Feedback.CorrectionOnNode != (string(row.Feedback.Comment) == "node") && row.Node != nil {
			panic("feedback of " + string(row.Feedback.Comment))
		}
		k.rating, k.comment, k.score = string(row.Feedback.Rating), string(row.Feedback.Comment), row.Feedback.Score
	}
	for _, n := range row.Nodes {
		k.nodes = append(k.nodes, string(n.NodeRunID))
	}
	return k
}

// direct reads the rows of a selection.
func (h *history) direct(r export.Request) (rows []kept) {
	h.t.Helper()
	chosen := selection.New(&r, r.Selection)
	rows = h.read(chosen.NodeRuns(), func(ctx context.Context, fn func(*record.Row) error) error {
		_, err := h.reader().ReadSelection(ctx, chosen, fn)
		return err
	})
	query := chosen.Count(1e6)
	query.Settings = selection.ReadSettings("test", time.Minute, 0)
	if n, err := clickhouse.ReadInt(h.t.Context(), h.dial(), query); err != nil || n != int64(len(rows)) {
		h.t.Errorf("%d rows are counted, %v, and %d read", n, err, len(rows))
	}
	return rows
}

func (h *history) read(nodes selection.RowQuery, read func(context.Context, func(*record.Row) error) error) (
	rows []kept) {
	h.t.Helper()
	add := func(row *record.Row) error { rows = append(rows, keep(row)); return nil }
	var err error
	if nodes.SQL == "" {
		err = read(h.t.Context(), add)
	} else {
		nodes.Settings = selection.ReadSettings("test", time.Minute, 0)
		err = selection.WithNodes(h.t.Context(), h.dial(), nodes, read, add)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}

// inWindows freezes a selection and reads it window by window. A window has about size rows.
func (h *history) inWindows(id string, r export.Request, size int64) (rows []kept) {
	h.t.Helper()
	return h.ofWindows(id, r, h.freeze(id, r, r.Selection, 1000, size))
}

// ofWindows reads a snapshot window by window.
func (h *history) ofWindows(id string, r export.Request, windows []export.PlannedWindow) (rows []kept) {
	h.t.Helper()
	reader := h.reader()
	for i := range windows {
		part := selection.SnapshotRange{Request: &r, Snapshot: id, Nodes: nodesOf(id), From: windows[i].From}
		if i+1 < len(windows) {
			part.To = windows[i+1].From
		}
		read := func(ctx context.Context, fn func(*record.Row) error) error {
			reader.ID = fmt.Sprint(id, i, rand.Uint64())
			found, err := reader.ReadSnapshot(ctx, &part, fn)
			if found.Rows != windows[i].Rows {
				h.t.Errorf("window %d of %d has %d rows, not %d", i, len(windows), found.Rows, windows[i].Rows)
			}
			return err
		}
		got := h.read(part.NodeRuns(), read)
		if i%5 == 0 {
			part.Nodes = "" // as in the plan of an older release
			if older := h.read(part.NodeRuns(), read); fmt.Sprint(got) != fmt.Sprint(older) {
				h.t.Errorf("window %d has other node runs in the snapshot than in their table", i)
			}
		}
		if len(rows) > 0 && len(got) > 0 && got[0].group != "" && got[0].group == rows[len(rows)-1].group {
			h.t.Errorf("group %s is in two windows", got[0].group)
		}
		rows = append(rows, got...)
	}
	return rows
}

// invent inserts runs of three versions, several of which have the same input, with nodes and
// feedback on both.
func (h *history) invent(n int) {
	h.t.Helper()
	dice := rand.New(rand.NewPCG(3, 4))
	var list []*runs.Run
	var nodes []*runs.Node
	var feedback []*runs.Feedback
	score := func() *float64 {
		if dice.IntN(3) == 0 {
			return nil
		}
		x := float64(dice.IntN(3)) / 2
		return &x
	}
	for i := range n {
		r := &runs.Run{
			WorkspaceID: "acme", RunID: fmt.Sprintf("run-%03d", (i*7919)%1000), Source: "recipe", AppID: "app",
			AppVersion: fmt.Sprint("v", dice.IntN(3)),
			Status:     "succeeded", StartedAt: day.Add(time.Duration(i/3) * time.Second), UpdatedAt: day,
			Question: fmt.Sprint("q", dice.IntN(n/5)),
			Answer:   fmt.Sprint("a", i), UserID: fmt.Sprint("u", i%4), TraceID: fmt.Sprint("t", i), Reference: "ref",
			Metadata: []runs.Pair{{Key: "of", Value: "run"}},
		}
		list = append(list, r)
		for j := range dice.IntN(4) {
			s := int64(3 - j)
			nodes = append(nodes, &runs.Node{
				WorkspaceID: "acme", RunID: r.RunID, NodeRunID: fmt.Sprintf("n%d", j), Source: "recipe", AppID: "app",
				AppVersion: r.AppVersion, NodeID: fmt.Sprint("node", j%2),
				NodeType: "llm", Sequence: &s, Status: []string{"succeeded", "failed"}[dice.IntN(2)],
				StartedAt: r.StartedAt.Add(time.Duration(j) * time.Millisecond), UpdatedAt: day,
				Inputs: fmt.Sprintf(`{"q":%d}`, dice.IntN(n/5)), Outputs: fmt.Sprintf(`{"out":%d}`, i),
				PromptTemplate: fmt.Sprint("t", j), Chunks: []runs.Chunk{{ChunkID: "c", Text: "text"}},
			})
		}
		if dice.IntN(4) > 0 {
			feedback = append(feedback, &runs.Feedback{WorkspaceID: "acme", RunID: r.RunID, FeedbackID: "f", Kind: "human",
				Rating: []string{"thumbsUp", "thumbsDown"}[dice.IntN(2)], Score: score(), Comment: "run", UpdatedAt: day})
		}
		if dice.IntN(4) == 0 {
			feedback = append(feedback,
				&runs.Feedback{WorkspaceID: "acme", RunID: r.RunID, FeedbackID: "g", Kind: "human", NodeID: "node1", Rating: "thumbsUp",
					Comment: "old", UpdatedAt: day},
				&runs.Feedback{WorkspaceID: "acme", RunID: r.RunID, FeedbackID: "h", Kind: "human", NodeID: "node1", Rating: "thumbsDown",
					Score: score(), Comment: "node", CorrectedAnswer: "better", UpdatedAt: day.Add(time.Second)})
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

// compare is the comparison of a group's rows, by its rules and not by SQL.
func compare(rows []kept) []record.Comparison {
	began, newest := map[string]kept{}, map[string]kept{}
	after := func(a, b kept) int {
		return cmp.Or(cmp.Compare(a.startedAt, b.startedAt), cmp.Compare(a.run, b.run), cmp.Compare(a.node, b.node))
	}
	for _, r := range rows {
		if first, ok := began[r.version]; !ok || r.startedAt < first.startedAt {
			began[r.version] = r
		}
		if last, ok := newest[r.version]; !ok || after(r, last) > 0 {
			newest[r.version] = r
		}
	}
	var versions []string
	for v := range began {
		versions = append(versions, v)
	}
	slices.SortFunc(versions, func(a, b string) int {
		return cmp.Or(cmp.Compare(began[a].startedAt, began[b].startedAt), cmp.Compare(a, b))
	})
	verdict := func(k kept) (float64, int) {
		score := math.Inf(-1)
		if k.score.Valid {
			score = k.score.Value
		}
		return score, strings.Index("thumbsDown  thumbsUp", cmp.Or(k.rating, "  "))
	}
	best := slices.Clone(rows)
	slices.SortFunc(best, func(a, b kept) int {
		as, ar := verdict(a)
		bs, br := verdict(b)
		return cmp.Or(cmp.Compare(bs, as), cmp.Compare(br, ar), after(b, a))
	})
	all := make([]record.Comparison, len(rows))
	for i, r := range rows {
		c := &all[i]
		c.RunsInGroup, c.BestVersion = int64(len(rows)), []byte(best[0].version)
		c.Rank = int64(slices.IndexFunc(best, func(b kept) bool { return after(b, r) == 0 }) + 1)
		for _, v := range versions {
			c.Versions = append(c.Versions, []byte(v))
		}
		if at := slices.Index(versions, r.version); at > 0 {
			p := newest[versions[at-1]]
			c.HasPrevious, c.PreviousVersion, c.PreviousScore = true, []byte(p.version), p.score
			_, answer, _ := strings.Cut(p.text, "answer ")
			if r.node != "" {
				_, answer, _ = strings.Cut(p.text, "outputs ")
			}
			answer, _, _ = strings.Cut(strings.ReplaceAll(answer, ",", " "), " ")
			c.PreviousAnswer = []byte(answer)
		} else {
			c.PreviousVersion, c.PreviousAnswer = []byte{}, []byte{}
		}
	}
	return all
}

func TestRowsOfAGroupAreComparedWithEachOther(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.invent(300)
	sizes := []int64{10_000, 40, 7, 1}
	if testing.Short() {
		sizes = sizes[:2]
	}
	for name, r := range map[string]export.Request{
		"runs": evaluated(export.RecipeEvaluation), "node runs": evaluated(export.NodeEvaluation, "node1", "node0"),
	} {
		rows := h.direct(r)
		if !slices.IsSortedFunc(rows, func(a, b kept) int {
			return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.startedAt, b.startedAt), cmp.Compare(a.run, b.run),
				cmp.Compare(a.node, b.node))
		}) || len(rows) < 300 {
			t.Errorf("%s: %d rows, not in order", name, len(rows))
		}
		several := 0
		for i := 0; i < len(rows); {
			j := i
			for j < len(rows) && rows[j].group == rows[i].group {
				j++
			}
			for k, want := range compare(rows[i:j]) {
				if got := rows[i+k].comparison; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
					t.Fatalf("%s: %s has\n%+v, want\n%+v", name, rows[i+k].run, got, want)
				}
				if want.HasPrevious {
					several++
				}
			}
			i = j
		}
		if several < 100 {
			t.Errorf("%s: only %d rows have a version before them", name, several)
		}
		for _, size := range sizes {
			if got := h.inWindows(fmt.Sprint(strings.ReplaceAll(name, " ", "-"), size), r,
				size); fmt.Sprint(got) != fmt.Sprint(rows) {
				t.Errorf("%s: windows of %d rows have others than the direct way: %d and %d", name, size, len(got), len(rows))
			}
		}
	}
}

func TestRunsBringTheirNodeRunsAlong(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.invent(100)
	plain := evaluated(export.ExportDataset)
	plain.Target = "answer_insights"
	for name, r := range map[string]export.Request{"in time": plain, "in groups": evaluated(export.RecipeEvaluation)} {
		rows := h.direct(r)
		several := 0
		for _, row := range rows {
			var want []string // by sequence, which falls
			conn := h.dial()
			q := clickhouse.Query{SQL: "SELECT node_run_id FROM nodes FINAL WHERE run_id = '" + row.run + "' ORDER BY sequence"}
			want, err := clickhouse.ReadTexts(t.Context(), conn, q)
			conn.Close()
			if err != nil || !slices.Equal(row.nodes, want) {
				t.Fatalf("%s: run %s has node runs %v, want %v, %v", name, row.run, row.nodes, want, err)
			}
			if len(want) > 1 {
				several++
			}
		}
		if len(rows) != 100 || several < 20 {
			t.Errorf("%s: %d rows, %d with several node runs", name, len(rows), several)
		}
		if got := h.inWindows("s"+strings.ReplaceAll(name, " ", "-"), r, 9); fmt.Sprint(got) != fmt.Sprint(rows) {
			t.Errorf("%s: rows of the snapshot have other node runs", name)
		}
	}
}

func TestOfAGroupThatIsTooLargeTheNewestAreKept(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	var list []*runs.Run
	for i := range 1050 {
		list = append(list, &runs.Run{
			WorkspaceID: "acme", RunID: fmt.Sprintf("run-%04d", i), Source: "recipe", AppID: "app", Status: "succeeded",
			Question:  "always the same",
			StartedAt: day.Add(time.Duration(i) * time.Second), UpdatedAt: day,
		})
	}
	if refused, err := h.store.InsertRuns(t.Context(), list); err != nil || refused != nil {
		t.Fatal(refused, err)
	}
	r := evaluated(export.RecipeEvaluation)
	for name, rows := range map[string][]kept{"direct": h.direct(r), "snapshot": h.inWindows("s", r, 20)} {
		if len(rows) != 1050 || rows[49].group != "" || rows[50].group == "" || rows[50].run != "run-0050" ||
			rows[1049].comparison.RunsInGroup != 1000 {
			t.Errorf("%s: %d rows, %+v", name, len(rows), rows[min(50, len(rows)-1)])
		}
	}
}
