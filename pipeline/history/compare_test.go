package history

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/runs"
)

// mathTutor is a recipe of 1,319 problems, each solved by four versions. It lies beside the
// repository on machines of the project.
const mathTutor = "../../../shared/data/math-recipe.events.jsonl.gz"

// load inserts the events of a file.
func (f *fixture) load(path string) {
	f.t.Helper()
	file, err := os.Open(filepath.FromSlash(path))
	if os.IsNotExist(err) {
		f.t.Skipf("no %s beside the module", path)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	lines, err := gzip.NewReader(file)
	if err != nil {
		f.t.Fatal(err)
	}
	var decoder runs.Decoder
	var all []*runs.Run
	var nodes []*runs.Node
	var feedback []*runs.Feedback
	for s := bufio.NewScanner(lines); s.Scan(); {
		e, err := event.Decode(&kgo.Record{Value: slices.Clone(s.Bytes())})
		if err != nil {
			f.t.Fatal(err)
		}
		decoded, err := decoder.Decode(e.Type, e.Data, "", e.Time)
		if err != nil {
			f.t.Fatal(err)
		}
		switch x := decoded.(type) {
		case *runs.Run:
			all = append(all, x)
		case *runs.Node:
			nodes = append(nodes, x)
		case *runs.Feedback:
			feedback = append(feedback, x)
		}
	}
	f.insertRuns(all...)
	f.insertNodes(nodes...)
	f.insertFeedback(feedback...)
}

func TestTheMathRecipeIsComparedAsItsGradersDid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.load(mathTutor)
	f.store.now = func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }
	c, err := f.store.Compare(t.Context(), CompareQuery{Workspace: "acme", Source: "recipe", AppID: "math-tutor",
		Outcome: Worse, Limit: 100, NodeRuns: true})
	if err != nil {
		t.Fatal(err)
	}
	v := c.Versions[0]
	if c.Inputs != 1319 || c.Base != "175b_finetuning" || v.Version != "175b_verification" || v.Better != 360 ||
		v.Worse != 76 || v.Same != 883 || v.Unjudged != 0 || c.Total != 76 || len(c.Pairs) != 76 {
		t.Errorf("%d inputs against %s: %+v, %d and %d pairs", c.Inputs, c.Base, v, c.Total, len(c.Pairs))
	}
	if len(c.Versions) != 4 || len(c.Nodes) != 2 || c.Nodes[0].NodeID != "solve" || c.Nodes[0].Base.NodeRuns != 1319 ||
		c.NodePairs != 1319 {
		t.Errorf("%d versions, nodes %+v", len(c.Versions), c.Nodes)
	}
	for _, p := range c.Pairs {
		if p.Base.Question != p.Version.Question || *p.Base.Feedback.Score != 1 || *p.Version.Feedback.Score != 0 {
			t.Fatalf("%+v", p)
		}
	}
}

// twice inserts what comparisons have to cope with: runs that were stored while they ran, that moved,
// that have not ended, and judgements of every kind.
func (f *fixture) twice(n int) {
	random := rand.New(rand.NewPCG(1, 2))
	var running, ended []*runs.Run
	var feedback []*runs.Feedback
	for i := range n {
		id := fmt.Sprintf("r%03d", i)
		at := time.Duration(random.IntN(5000)) * time.Minute
		r := run(id, at, func(r *runs.Run) {
			r.AppVersion = []string{"", "v1", "v2", "v3"}[random.IntN(4)]
			r.Question = fmt.Sprint("question ", random.IntN(n/6))
			r.AppID = []string{"app", "app", "app", "app", "other"}[random.IntN(5)]
			if r.CostUSD = nil; random.IntN(3) > 0 {
				r.CostUSD = of(random.Float64())
			}
			r.EndedAt, r.UpdatedAt = r.StartedAt.Add(time.Duration(random.IntN(9000))*time.Millisecond), r.StartedAt
		})
		while := *r
		while.Status, while.AppVersion, while.AppID = "running", []string{"v1", "v2"}[random.IntN(2)], "app"
		while.EndedAt = time.Time{}
		r.UpdatedAt = r.UpdatedAt.Add(time.Minute)
		if random.IntN(10) == 0 {
			r.Status = []string{"running", "failed"}[random.IntN(2)]
		}
		running, ended = append(running, &while), append(ended, r)
		for j := range random.IntN(4) {
			rating := []string{"", "thumbsUp", "thumbsDown"}[random.IntN(3)]
			at := noon.Add(time.Duration(random.IntN(1000)))
			feedback = append(feedback, judgement(id, fmt.Sprint("f", j), rating, at, func(x *runs.Feedback) {
				x.Kind = []string{"human", "model"}[random.IntN(2)]
				if x.Comment = "fine"; random.IntN(2) > 0 {
					x.Score = of(float64(random.IntN(3)))
				}
			}))
		}
	}
	f.insertRuns(running...)
	f.insertRuns(ended...)
	f.insertFeedback(feedback...)
}

// reference is what comparisons count, written from the views and with joins.
const reference = `WITH
ended AS (SELECT input_group, app_version, run_id, started_at, feedback_score AS score, feedback_rating AS rating
    FROM runs_with_feedback WHERE workspace_id = 'acme' AND source = 'recipe' AND app_id = 'app'
    AND status != 'running' AND app_version != ''),
ranked AS (SELECT *,
    row_number() OVER (PARTITION BY input_group, app_version ORDER BY started_at DESC, run_id DESC) AS n FROM ended),
newest AS (SELECT * FROM ranked WHERE n = 1),
pairs AS (SELECT b.run_id AS base, v.run_id AS run, b.app_version AS base_version, v.app_version AS version,
    multiIf(isNotNull(b.score) AND isNotNull(v.score), toFloat64(v.score) - b.score,
        b.rating != '' AND v.rating != '', toFloat64(v.rating = 'thumbsUp') - (b.rating = 'thumbsUp'), NULL) AS by
    FROM newest AS b INNER JOIN newest AS v ON b.input_group = v.input_group WHERE b.app_version != v.app_version)
SELECT toInt64(count()), toInt64(countIf(by > 0)), toInt64(countIf(by < 0)), toInt64(countIf(by = 0)),
    toInt64(countIf(isNull(by))), arraySort(groupArrayIf(concat(base, ' ', run), by < 0))
FROM pairs WHERE base_version = {base:String} AND version = {version:String}`

func TestComparisonsCountAsSeparateSQLDoes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.twice(600)
	for _, versions := range [][2]string{{"v1", "v2"}, {"v2", "v3"}, {"v3", "v1"}} {
		c, err := f.store.Compare(t.Context(), CompareQuery{Workspace: "acme", Source: "recipe", AppID: "app",
			Base: versions[0], Version: versions[1], Outcome: Worse, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range c.Pairs {
			got = append(got, p.Base.RunID+" "+p.Version.RunID)
		}
		slices.Sort(got)
		var n, better, worse, same, unjudged int64
		var want []string
		if err := f.conn.QueryRow(
			clickhouse.Query{Parameters: map[string]string{"base": versions[0], "version": versions[1]}}.Context(t.Context()),
			reference).Scan(&n, &better, &worse, &same, &unjudged, &want); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(c.Versions, func(v VersionResult) bool { return v.Version == versions[1] })
		v := c.Versions[i]
		if v.Inputs != n || v.Better != better || v.Worse != worse || v.Same != same || v.Unjudged != unjudged ||
			c.Total != worse || !slices.Equal(got, want) || n == 0 || better*worse*same*unjudged == 0 {
			t.Errorf("%v: %+v and pairs %q, want %d: %d better, %d worse, %d same, %d unjudged, %q", versions, v, got, n,
				better, worse, same, unjudged, want)
		}
		if v.Score == nil || v.LatencyMS == nil || v.CostUSD == nil || v.Tokens != nil || v.CostUSD.Count >= n {
			t.Errorf("%v: spreads %+v", versions, v)
		}
	}
}

func TestAComparisonOfTooManyRunsSaysSinceWhen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 20 {
		f.insertRuns(run(fmt.Sprintf("r%02d", i), time.Duration(i)*time.Hour, func(r *runs.Run) {
			r.Question, r.AppVersion = fmt.Sprint("q", i/2), fmt.Sprint("v", i%2)
		}))
	}
	q := CompareQuery{Workspace: "acme", Source: "recipe", AppID: "app"}
	for _, c := range []struct {
		most, inputs int64
		since        *time.Time
	}{{20, 10, of(noon.Add(-19 * time.Hour))}, {21, 10, nil}, {8, 4, of(noon.Add(-7 * time.Hour))}} {
		f.store.maxCompared = c.most
		got, err := f.store.Compare(t.Context(), q)
		if err != nil || got.Inputs != c.inputs || (got.Since == nil) != (c.since == nil) ||
			c.since != nil && !got.Since.Equal(*c.since) {
			t.Errorf("of %d runs: %+v, %v", c.most, got, err)
		}
	}
	f.store.maxCompared = MaxCompared
	none := CompareQuery{Workspace: "acme", Source: "copilot", AppID: "app"}
	if got, err := f.store.Compare(t.Context(), none); err != nil || len(got.Versions) != 0 {
		t.Errorf("without runs: %+v, %v", got, err)
	}
	q.From, q.To = noon.Add(-5*time.Hour), noon.Add(-2*time.Hour)
	if got, err := f.store.Compare(t.Context(), q); err != nil || got.Inputs != 1 {
		t.Errorf("of a time range: %+v, %v", got, err)
	}
}
