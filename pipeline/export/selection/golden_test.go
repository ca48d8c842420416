package selection

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
)

var update = flag.Bool("update", false, "write the golden files anew")

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
		"run_ids": {RunIDs: []string{"run-1", "run-2"}},
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
	}
}

// golden is a file of queries.
type golden struct {
	names   []string
	queries []clickhouse.Query
}

func (g *golden) add(name string, q clickhouse.Query) {
	if q.SQL != "" {
		g.names, g.queries = append(g.names, name), append(g.queries, q)
	}
}

// text is the file: each query below its name and parameters.
func (g *golden) text() []byte {
	var b bytes.Buffer
	for i, q := range g.queries {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "-- %s\n", g.names[i])
		for _, name := range slices.Sorted(maps.Keys(q.Parameters)) {
			fmt.Fprintf(&b, "-- %s = %s\n", name, q.Parameters[name])
		}
		b.WriteString(q.SQL + ";\n")
	}
	return b.Bytes()
}

// goldens returns the queries of every shape of selection, by the name of their file.
func goldens() map[string]*golden {
	files := map[string]*golden{}
	for shape, r := range shapes {
		if r.Target == "" {
			r.Target = export.Canonical
		}
		r.ID, r.Source, r.AppID = export.ID{WorkspaceID: "acme"}, "recipe", "app"
		for name, bounds := range goldenBounds {
			if name == "limit" || slices.Contains(wholeShapes, shape) {
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
	other := &golden{}
	r := shapes["runs"]
	r.ID, r.Source, r.AppID, r.Selection.RunIDs = export.ID{WorkspaceID: "acme"}, "recipe", "app", []string{"run-1"}
	other.add("newest run", Newest(&r, export.Selection{}, 100))
	other.add("found runs", FoundRuns(&r))
	other.add("server time", ServerTime())
	n := shapes["nodes"]
	n.ID, n.Source, n.AppID = r.ID, r.Source, r.AppID
	other.add("newest node run", Newest(&n, export.Selection{}, 100))
	other.add("variables", New(&n, export.Selection{Limit: 1000}).Variables())
	files["other"] = other
	return files
}

func selectionGolden(r export.Request, bounds export.Selection) *golden {
	g := &golden{}
	s := New(&r, bounds)
	g.add("rows", s.Rows().Query)
	g.add("node runs", s.NodeRuns().Query)
	g.add("count", s.Count(5000))
	g.add("insert snapshot", s.InsertSnapshot("snapshot-1", 10))
	if !s.wide() { // the difference is in one place
		g.add("insert large snapshot", s.InsertSnapshot("snapshot-1", maxRelatedRuns+1))
	}
	return g
}

func snapshotGolden(r export.Request) *golden {
	g := &golden{}
	g.add("count", SnapshotCount(&r, "snapshot-1"))
	g.add("keys of windows", SnapshotKeys(&r, "snapshot-1", 100))
	part := &SnapshotRange{
		Request: &r, Snapshot: "snapshot-1",
		From: &export.Key{Group: "a", StartedAt: goldenDay, RunID: "run-1"},
		To:   &export.Key{Group: "b", StartedAt: goldenDay, RunID: "run-9"},
	}
	if shape := part.shape(); shape.wide() {
		g.add("rows", part.wideQuery(shape))
	} else {
		g.add("keys", part.keysQuery())
		g.add("runs", part.runsQuery())
	}
	g.add("node runs", part.NodeRuns().Query)
	return g
}

// Every generated query can be read whole in testdata. `make golden` writes the files.
func TestGoldenQueriesAreThoseThatAreGenerated(t *testing.T) {
	t.Parallel()
	files := goldens()
	for name, g := range files {
		path := filepath.Join("testdata", name+".sql")
		if *update {
			if err := os.WriteFile(path, g.text(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(path); err != nil || !bytes.Equal(g.text(), want) {
			t.Errorf("%s differs from the queries of today, %v: look at them with `make golden` and git diff", path, err)
		}
	}
	found, err := filepath.Glob("testdata/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if name := strings.TrimSuffix(filepath.Base(path), ".sql"); files[name] == nil {
			if *update {
				os.Remove(path)
				continue
			}
			t.Errorf("no shape of selection has the queries of %s: delete it", path)
		}
	}
}

func TestEveryGoldenQueryRuns(t *testing.T) {
	t.Parallel()
	conn, err := clickhousetest.Database(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, g := range goldens() {
		for i, q := range g.queries {
			if err := runGolden(t, conn, q); err != nil {
				t.Errorf("%s, %s: %v", name, g.names[i], err)
			}
		}
	}
}

func runGolden(t *testing.T, conn driver.Conn, q clickhouse.Query) error {
	if strings.HasPrefix(q.SQL, "INSERT") {
		q.Settings = SnapshotSettings("test", time.Minute)
		return conn.Exec(q.Context(t.Context()), q.SQL)
	}
	q.Settings = append(ReadSettings("test", time.Minute), ch.SettingInt("max_threads", 1))
	rows, err := conn.Query(q.Context(t.Context()), q.SQL)
	if err != nil {
		return err
	}
	for rows.Next() { // there are none: the tables are empty
	}
	return rows.Close()
}
