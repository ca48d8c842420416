package selection_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

// told returns the feedback of a row as one line.
func told(row *record.Row) string {
	f := row.Feedback
	if !row.HasFeedback {
		f = record.Feedback{}
	}
	score := "-"
	if f.Score.Valid {
		score = fmt.Sprint(f.Score.Value)
	}
	var scores, judgements []string
	for _, s := range f.Scores {
		scores = append(scores, fmt.Sprintf("%s=%v%s", s.Name, s.Value, s.Label))
	}
	for _, j := range f.Judgements {
		judgements = append(judgements, string(j.FeedbackID)+string(j.Kind)+string(j.CreatedBy))
	}
	return fmt.Sprintf("%s%s %v: %s, %s, %s, %s, %s, [%s], [%s], %v", row.RunID, row.NodeRunID(), row.HasFeedback,
		f.Rating, score, f.Comment, strings.Join(strs(f.Tags), "+"), f.CorrectedAnswer, strings.Join(scores, " "),
		strings.Join(judgements, " "), f.CorrectionOnNode && row.HasFeedback)
}

func strs(texts [][]byte) (list []string) {
	for _, text := range texts {
		list = append(list, string(text))
	}
	return list
}

// judgement is a row of the table test: who judged, when, and what.
func judgement(id, kind string, minute int, changes func(*runs.Feedback)) func(*history) {
	return func(h *history) {
		h.feedback("r", id, func(f *runs.Feedback) {
			f.Kind, f.Rating, f.UpdatedAt = kind, "", day.Add(time.Duration(minute)*time.Minute)
			changes(f)
		})
	}
}

func TestFeedbackIsMergedFieldByField(t *testing.T) {
	t.Parallel()
	score := func(x float64) func(*runs.Feedback) { return func(f *runs.Feedback) { f.Score = &x } }
	named := func(name string, x float64) func(*runs.Feedback) {
		return func(f *runs.Feedback) { f.Name, f.Score = name, &x }
	}
	down := func(f *runs.Feedback) { f.Rating, f.CorrectedAnswer, f.Comment = "thumbsDown", "better", "bad" }
	for name, c := range map[string]struct {
		given []func(*history)
		want  string
	}{
		"none": {nil, "r false: , -, , , , [], [], false"},
		"a model's score does not hide a person's correction": {
			[]func(*history){judgement("a", "human", 1, down), judgement("b", "model", 2, score(0.9))},
			"r true: thumbsDown, 0.9, bad, , better, [], [bmodel ahuman], false"},
		"a person's comes before a newer one of a model and of code": {
			[]func(*history){judgement("a", "human", 1, score(0.1)), judgement("b", "model", 2, score(0.2)),
				judgement("c", "code", 3, score(0.3))},
			"r true: , 0.1, , , , [], [ccode bmodel ahuman], false"},
		"of a model and code the newest counts": {
			[]func(*history){judgement("a", "model", 1, score(0.1)), judgement("b", "code", 2, score(0.2))},
			"r true: , 0.2, , , , [], [bcode amodel], false"},
		"a newer person's field replaces an older one's, and no other": {
			[]func(*history){judgement("a", "human", 1, down), judgement("b", "human", 2, func(f *runs.Feedback) {
				f.Rating, f.Tags = "thumbsUp", []string{"x", "y"}
			})},
			"r true: thumbsUp, -, bad, x+y, better, [], [bhuman ahuman], false"},
		"a named score is no score of the run": {
			[]func(*history){judgement("a", "human", 1, named("tone", 0.5)), judgement("b", "model", 2, score(0))},
			"r true: , 0, , , , [tone=0.5], [bmodel ahuman], false"},
		"the newest of each name": {
			[]func(*history){judgement("a", "human", 1, named("tone", 0.5)), judgement("b", "model", 2, named("tone", 0.6)),
				judgement("c", "code", 3, named("length", 1)), judgement("d", "human", 0, named("tone", 0.7))},
			"r true: , -, , , , [length=1 tone=0.6], [ccode bmodel ahuman dhuman], false"},
		"at the same time the later id": {
			[]func(*history){judgement("b", "human", 1, score(2)), judgement("a", "human", 1, score(1))},
			"r true: , 2, , , , [], [bhuman ahuman], false"},
		"of a node it is not of the run": {
			[]func(*history){judgement("a", "human", 1, func(f *runs.Feedback) { f.NodeID, f.Comment = "n", "node" }),
				judgement("b", "human", 1, func(f *runs.Feedback) { f.NodeRunID, f.Comment = "n1", "node run" })},
			"r false: , -, , , , [], [], false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.run("r", 1)
			for _, give := range c.given {
				give(h)
			}
			if got := h.told(evaluated(export.ExportDataset)); len(got) != 1 || strings.TrimSpace(got[0]) != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// told reads the feedback of a selection's rows, by a direct read and from windows of a snapshot.
func (h *history) told(r export.Request) (list []string) {
	h.t.Helper()
	chosen := selection.New(&r, r.Selection)
	if _, err := h.reader().ReadSelection(h.t.Context(), chosen, func(row *record.Row) error {
		list = append(list, told(row))
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	var frozen []string
	windows := h.freeze("s-"+r.Purpose, r, r.Selection, 1000, 50)
	for i := range windows {
		part := selection.SnapshotRange{Request: &r, Snapshot: "s-" + r.Purpose, From: windows[i].From}
		if i+1 < len(windows) {
			part.To = windows[i+1].From
		}
		read := func(ctx context.Context) error {
			_, err := h.reader().ReadSnapshot(ctx, &part, func(row *record.Row) error {
				frozen = append(frozen, told(row))
				return nil
			})
			return err
		}
		if err := read(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
	slices.Sort(list)
	slices.Sort(frozen)
	if !slices.Equal(list, frozen) {
		h.t.Errorf("%s: a direct read has\n%s\nand the snapshot\n%s", r.Purpose, strings.Join(list, "\n"),
			strings.Join(frozen, "\n"))
	}
	return list
}

// judge gives random judgements to the runs that invent made: on the runs, their nodes and node runs.
func (h *history) judge(n int) {
	h.t.Helper()
	dice := rand.New(rand.NewPCG(5, 6))
	pick := func(of ...string) string { return of[dice.IntN(len(of))] }
	var list []*runs.Feedback
	for i := range n {
		f := &runs.Feedback{
			WorkspaceID: "acme", RunID: fmt.Sprintf("run-%03d", (dice.IntN(60)*7919)%1000), FeedbackID: fmt.Sprintf("j%03d", i),
			Name: pick("", "", "tone", "length"), Kind: pick("human", "model", "code"),
			Rating:  pick("", "", "thumbsUp", "thumbsDown"),
			Comment: pick("", "", fmt.Sprint("c", i)), CorrectedAnswer: pick("", "", fmt.Sprint("a", i)),
			NodeID: pick("", "", "node0", "node1", "node9"), CreatedBy: pick("ann", "judge-7"),
			UpdatedAt: day.Add(time.Duration(dice.IntN(20)) * time.Second),
		}
		if dice.IntN(3) > 0 {
			score := float64(dice.IntN(5)) / 4
			f.Score = &score
		}
		if dice.IntN(3) == 0 {
			f.Tags = []string{fmt.Sprint("t", i), "t"}
		}
		if f.NodeID != "" {
			f.NodeRunID = pick("", "", "n0", "n1")
		}
		list = append(list, f)
	}
	if refused, err := h.store.InsertFeedback(h.t.Context(), list); err != nil || refused != nil {
		h.t.Fatal(refused, err)
	}
}

// separate is the merge, written another way: each field by itself, by argMax over the judgements that
// have it. It selects the lines that told writes of the rows of a query.
const separate = `WITH judged AS (
	SELECT s.run_id AS run, s.node_run_id AS of_node_run, f.*,
		s.node_run_id != '' AND (f.node_run_id = s.node_run_id OR f.node_run_id = '' AND f.node_id = s.node_id) AS own,
		f.feedback_id != '' AND (own OR f.node_id = '' AND f.node_run_id = '') AS counts,
		(own, f.kind = 'human', f.version, f.feedback_id) AS place, (own, f.version, f.feedback_id) AS newest,
		concat(f.name, '=', ifNull(toString(f.score), ''), f.rating) AS scored
	FROM (%s) AS s LEFT JOIN feedback_latest AS f ON s.run_id = f.run_id
)
SELECT concat(run, of_node_run, if(max(counts), ' true: ', ' false: '),
	argMaxIf(toString(rating), place, counts AND rating != ''), ', ',
	if(countIf(counts AND name = '' AND score IS NOT NULL) = 0, '-',
		argMaxIf(ifNull(toString(score), ''), place, counts AND name = '' AND score IS NOT NULL)), ', ',
	argMaxIf(comment, place, counts AND comment != ''), ', ',
	argMaxIf(arrayStringConcat(tags, '+'), place, counts AND notEmpty(tags)), ', ',
	argMaxIf(corrected_answer, place, counts AND corrected_answer != ''), ', [',
	trimBoth(if(maxIf(newest, counts AND name = 'tone' AND score IS NOT NULL) >
		maxIf(newest, counts AND name = 'length' AND score IS NOT NULL),
		concat(argMaxIf(scored, newest, counts AND name = 'tone' AND score IS NOT NULL), ' ',
			argMaxIf(scored, newest, counts AND name = 'length' AND score IS NOT NULL)),
		concat(argMaxIf(scored, newest, counts AND name = 'length' AND score IS NOT NULL), ' ',
			argMaxIf(scored, newest, counts AND name = 'tone' AND score IS NOT NULL)))), '], [',
	if(%t, arrayStringConcat(arrayMap(j -> j.3, arrayReverseSort(groupArrayIf((version, feedback_id,
		concat(feedback_id, toString(kind), created_by)), counts))), ' '), ''), '], ',
	if(max(counts AND own AND corrected_answer != ''), 'true', 'false')) AS line
FROM judged GROUP BY run, of_node_run`

func TestSnapshotsDirectReadsAndSeparateSQLAgree(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.invent(60)
	h.judge(400)
	const ofRuns = "SELECT run_id, '' AS node_run_id, '' AS node_id FROM runs_latest"
	for _, c := range []struct {
		request    export.Request
		rows       string
		judgements bool
	}{
		{evaluated(export.RecipeEvaluation), ofRuns, false},
		{evaluated(export.ExportDataset), ofRuns, true},
		{evaluated(export.NodeOptimization, "node0", "node1"), "SELECT run_id, node_run_id, node_id FROM nodes_latest", false},
	} {
		want := h.lines(fmt.Sprintf(separate, c.rows, c.judgements))
		got := h.told(c.request)
		if len(want) < 60 || len(got) != len(want) {
			t.Fatalf("%s: %d rows, want %d", c.request.Purpose, len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: got\n%s\nwant\n%s", c.request.Purpose, got[i], want[i])
			}
		}
	}
}

// lines returns the texts that a query selects, sorted.
func (h *history) lines(sql string) (list []string) {
	h.t.Helper()
	conn, err := h.dsn.Open()
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.Query(h.t.Context(), sql)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			h.t.Fatal(err)
		}
		list = append(list, line)
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
	slices.Sort(list)
	return list
}
