package selection

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
)

// shapes are requests by the shape of their rows. Purposes and targets that are not among them need
// the rows of one that is.
var shapes = map[string]export.Request{
	"runs":            {Purpose: export.ExportDataset},
	"runs_split":      {Purpose: export.ExportDataset, Split: &export.Split{Validation: 0.1}},
	"runs_all_nodes":  {Purpose: export.ExportDataset, Target: "answer_insights"},
	"runs_chunks":     {Purpose: export.RecipeEvaluation, Target: "ragas"},
	"runs_tool_calls": {Purpose: export.RecipeEvaluation, Target: "deepeval"},
	"grouped_runs":    {Purpose: export.FineTuning, Target: "trl_dpo"},
	"compared_runs":   {Purpose: export.RecipeEvaluation},
	"nodes":           {Purpose: export.NodeOptimization, Nodes: []string{"draft", "solve"}},
	"grouped_nodes":   {Purpose: export.NodeOptimization, Target: "bedrock_apo", Nodes: []string{"draft"}},
	"compared_nodes":  {Purpose: export.NodeEvaluation, Nodes: []string{"draft"}},
}

var (
	goldenDay    = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	goldenBounds = map[string]export.Selection{
		"limit": {Limit: 1000},
		"started_at": {Window: &export.TimeWindow{By: export.ByStartedAt, From: goldenDay,
			To: goldenDay.AddDate(0, 1, 0)}},
		"ingested_at": {Window: &export.TimeWindow{By: export.ByIngestedAt, From: goldenDay,
			To: goldenDay.AddDate(0, 1, 0)}},
		"limit_runs": {LimitRuns: 1000},
		"sample":     {Sample: &export.Sample{Size: 1000, Seed: 7}},
		"sample_by_rating": {Sample: &export.Sample{Size: 1000, Seed: 7, By: export.ByRating}, Window: &export.TimeWindow{
			By: export.ByStartedAt, From: goldenDay, To: goldenDay.AddDate(0, 1, 0)}},
		"sample_by_label": {Sample: &export.Sample{Size: 1000, Seed: 7, By: "region"}},
		"run_ids":         {RunIDs: []string{"run-1", "run-2"}},
		"started_at_limit": {Limit: 10, Window: &export.TimeWindow{By: export.ByStartedAt, From: goldenDay,
			To: goldenDay.AddDate(0, 1, 0)}},
		"ingested_at_limit": {Limit: 10, Window: &export.TimeWindow{By: export.ByIngestedAt, From: goldenDay,
			To: goldenDay.AddDate(0, 1, 0)}},
	}
	// wholeShapes are the shapes whose queries are there for all bounds and filters. The others
	// have the same conditions.
	wholeShapes = []string{"runs", "compared_runs", "nodes"}
)

func filterShapes() map[string]export.Filters {
	session, user, score := "a session", "a user", 0.5
	return map[string]export.Filters{
		"filters": {
			Statuses: []string{"failed", "succeeded"}, AppVersions: []string{"v1", "v2"}, SessionID: &session, UserID: &user,
			Metadata: map[string]string{"customer": "it's"},
		},
		"feedback_filters": {Rating: "thumbsUp", MinScore: &score},
		"more_filters": {
			Text: "why", Models: []string{"m"}, Triggers: []string{"chat"}, ErrorTypes: []string{"timeout"},
			Tags: []string{"kind"}, Rating: export.Unrated,
			Scores:       map[string]export.ScoreRange{"fair": {Min: &score, Max: &score}, "score": {Max: &score}},
			MinLatencyMS: new(int64(1)), MaxLatencyMS: new(int64(2)), MinCostUSD: &score, MaxCostUSD: &score,
			HasFiles: new(true),
		},
	}
}

// goldens returns the queries of every shape of selection, by the name of their file.
func goldens() map[string]*clickhousetest.Golden {
	files := map[string]*clickhousetest.Golden{}
	for shape, r := range shapes {
		if r.Target == "" {
			r.Target = export.Canonical
		}
		r.ID, r.Source, r.AppID = export.ID{WorkspaceID: "acme"}, "recipe", export.Apps{"app"}
		for name, bounds := range goldenBounds {
			if name == "limit_runs" && r.Nodes == nil {
				continue // such a request has it as limit
			}
			readsNodes := shape == "runs_tool_calls" && name == "ingested_at" // which are parts of the run, too
			if name == "limit" || slices.Contains(wholeShapes, shape) || readsNodes {
				files[shape+"."+name] = selectionGolden(r, bounds)
			}
		}
		for name, filters := range filterShapes() {
			if slices.Contains(wholeShapes, shape) {
				filtered := r
				filtered.Filters = filters
				files[shape+"."+name] = selectionGolden(filtered, export.Selection{})
				files[shape+"."+name+"_limit"] = selectionGolden(filtered, export.Selection{Limit: 1000})
			}
		}
		files[shape+".snapshot"] = snapshotGolden(r)
	}
	other := &clickhousetest.Golden{}
	r := shapes["runs"]
	r.ID, r.Source, r.AppID = export.ID{WorkspaceID: "acme"}, "recipe", export.Apps{"app"}
	r.Selection.RunIDs = []string{"run-1"}
	other.Add("newest run", Newest(&r, export.Selection{}, 100))
	other.Add("found runs", FoundRuns(&r))
	other.Add("server time", ServerTime())
	n := shapes["nodes"]
	n.ID, n.Source, n.AppID = r.ID, r.Source, r.AppID
	other.Add("newest node run", Newest(&n, export.Selection{}, 100))
	bounded := export.Plan{Request: &r, Selection: export.Selection{Limit: 1000}, Since: goldenDay}
	other.Add("keys of a limit since a time", Of(&bounded).keysQuery())
	other.Add("runs of a limit since a time", Of(&bounded).runsQuery())
	bounded.Selection.Limit = 0
	other.Add("oldest run", Of(&bounded).oldest(1000))
	other.Add("variables", New(&n, export.Selection{Limit: 1000}).Variables())
	other.Add("newest runs", newestRuns(&r))
	n.Filters = filterShapes()["filters"]
	n.Filters.Models, n.Filters.Triggers = []string{"m"}, []string{"chat"}
	for _, names := range append(askedNames(&n), askedApp(&r)) {
		other.Add("known "+names.kind+"s", names.query(&n, true))
		other.Add("known "+names.kind+"s, all", names.query(&n, false))
	}
	files["other"] = other
	return files
}

func selectionGolden(r export.Request, bounds export.Selection) *clickhousetest.Golden {
	g := &clickhousetest.Golden{}
	s := New(&r, bounds)
	if s.wide() {
		g.Add("rows", s.wideRows())
	} else {
		g.Add("keys", s.keysQuery())
		g.Add("runs", s.runsQuery())
	}
	g.Add("node runs", s.NodeRuns().Query)
	g.Add("count", s.Count(5000))
	g.Add("insert snapshot", s.InsertSnapshot("snapshot-1", 10, 100))
	if !s.wide() { // the difference is in one place
		g.Add("insert large snapshot", s.InsertSnapshot("snapshot-1", maxRelatedRuns+1, 2*maxRelatedRuns))
	}
	return g
}

func snapshotGolden(r export.Request) *clickhousetest.Golden {
	g := &clickhousetest.Golden{}
	g.Add("count", SnapshotCount(&r, "snapshot-1"))
	g.Add("keys of windows", snapshotKeys(&r, "snapshot-1", 100))
	if placed := (&placed{id: "snapshot-1", request: &r}); !New(&r, export.Selection{}).wide() {
		g.Add("parts", placed.partsQuery())
		g.Add("runs at places", placed.atQuery("part-1", []int64{0, 100, 199}))
	}
	part := &SnapshotRange{
		Request: &r, Snapshot: "snapshot-1",
		From: &export.Key{Group: "a", StartedAt: goldenDay, RunID: "run-1"},
		To:   &export.Key{Group: "b", StartedAt: goldenDay, RunID: "run-9"},
	}
	if shape := part.shape(); shape.wide() {
		g.Add("rows", part.wideQuery(shape))
	} else {
		g.Add("keys", part.keysQuery())
		g.Add("runs", part.runsQuery())
	}
	g.Add("node runs", part.NodeRuns().Query)
	if s := New(&r, export.Selection{}); s.ReadsNodes() {
		part.Nodes = "nodes-1"
		g.Add("insert node runs", s.InsertNodeRuns("nodes-1", "snapshot-1", 10))
		g.Add("insert many node runs", s.InsertNodeRuns("nodes-1", "snapshot-1", maxRelatedRuns+1))
		g.Add("frozen node runs", part.NodeRuns().Query)
		g.Add("count of node runs", NodeSnapshotCount(&r, "nodes-1"))
	}
	return g
}

// Every generated query can be read whole in testdata. `make golden` writes the files.
func TestGoldenQueriesAreThoseThatAreGenerated(t *testing.T) {
	t.Parallel()
	clickhousetest.CompareGoldens(t, goldens())
}

func TestEveryGoldenQueryRuns(t *testing.T) {
	t.Parallel()
	clickhousetest.RunGoldens(t, goldens())
}

// Exports wait for the replicas of the tables that their queries read.
func TestTheBarrierKnowsTheTablesOfAllQueries(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	for _, file := range goldens() {
		for _, found := range tableOfQuery.FindAllStringSubmatch(string(file.Text()), -1) {
			read[found[1]] = true
		}
	}
	if got := slices.Sorted(maps.Keys(read)); !slices.Equal(got, slices.Sorted(slices.Values(Tables))) {
		t.Errorf("the queries read %s, and exports wait for %s", got, Tables)
	}
}

// tableOfQuery matches the tables of a query. Other relations are in parentheses.
var tableOfQuery = regexp.MustCompile(`(?:FROM|JOIN) ([a-z_]+)`)

// To merge the feedback of every run of a large app would take gigabytes, for a sample of 100 of them too.
func TestOnlyTheFeedbackOfFewRunsIsMergedAsAWhole(t *testing.T) {
	t.Parallel()
	request := func(more string) *export.Request {
		r, err := export.ParseRequest([]byte(`{"export_id":"e","workspace_id":"w","purpose":"export_dataset","source":"copilot",
			"app_id":"a",` + more + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, c := range map[string]struct {
		more string
		rows int64
		few  bool
	}{
		"a limit":         {`"selection":{"limit":100}`, 100, true},
		"a large window":  {`"selection":{"limit":900000}`, maxFewRuns + 1, false},
		"a sample":        {`"selection":{"sample":{"size":100}}`, 100, false},
		"a rating":        {`"selection":{"limit":100},"filters":{"rating":"thumbsDown"}`, 100, false},
		"what came since": {`"selection":{"window":{"from":"2026-01-01T00:00:00Z","to":"2026-02-01T00:00:00Z","by":"ingested_at"}}`, 9, false},
	} {
		r := request(c.more)
		sql := Of(&export.Plan{Request: r, Selection: r.Selection, Rows: c.rows}).keysQuery().SQL
		if few := !strings.Contains(sql, "AS several"); few != c.few {
			t.Errorf("%s: merged as a whole: %t", name, few)
		}
	}
}
