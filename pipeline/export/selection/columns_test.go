package selection

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export"
)

// The readers of rows leave out the columns that only the selection itself needs.
var notRead = []string{"context_hash", "version"}

// A row of export_stage_rows is a run, or a node run with the run around it, and the feedback.
func TestSnapshotsHaveTheTypesOfTheTablesThatTheyFreeze(t *testing.T) {
	t.Parallel()
	conn, err := clickhousetest.Database(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := map[string]string{}
	typesOf(want, columns.Feedback, func(name string) string { return "feedback_" + name })
	typesOf(want, columns.Runs, func(name string) string { return name })
	typesOf(want, columns.Nodes, func(name string) string { return name })
	typesOf(want, columns.Runs, func(name string) string { return "run_" + name })
	want["feedback_id"] = string(columns.TypeOf(columns.Feedback, "feedback_id"))
	want["feedback_scores"] = string(columns.ArrayOf(columns.Scores))
	want["feedback_judgements"] = string(columns.String)
	for _, q := range []*Selection{
		New(&export.Request{Purpose: export.RecipeEvaluation, Target: export.Canonical}, export.Selection{}),
		New(&export.Request{Purpose: export.NodeEvaluation, Target: export.Canonical, Nodes: []string{"n"}},
			export.Selection{}),
	} {
		for _, name := range append(q.wideColumns(), "started_at") {
			var got string
			row := conn.QueryRow(t.Context(), "SELECT type FROM system.columns WHERE database = currentDatabase() "+
				"AND table = 'export_stage_rows' AND name = $1", name)
			if err := row.Scan(&got); err != nil {
				t.Errorf("export_stage_rows has no column %s: %v", name, err)
			}
			if want[name] == "" && !slices.Contains(ownColumns, name) {
				t.Errorf("no table has column %s", name)
			}
			if want[name] != "" && got != want[name] {
				t.Errorf("column %s is %s, and in its table %s", name, got, want[name])
			}
		}
	}
}

// ownColumns are in no table that a snapshot freezes.
var ownColumns = append(strings.Split(comparedColumns+", previous_answer", ", "), "feedback_on_node")

// typesOf adds the type of each column, under another name.
func typesOf[R any](types map[string]string, list []columns.Column[R], rename func(string) string) {
	for _, c := range list {
		types[rename(c.Name)] = string(c.Type)
	}
}

func TestReadersReadEveryColumnOfATable(t *testing.T) {
	t.Parallel()
	run := aliases(newRunReader(true, (&Selection{}).feedbackFields))
	node := append(aliases(newNodeRunReader()), "workspace_id", "source", "app_id", "input_group") // of the run around it
	for reader, c := range map[string]struct{ table, read []string }{
		"runs": {names(columns.Runs), run}, "nodes": {names(columns.Nodes), node},
	} {
		for _, name := range c.table {
			if !slices.Contains(notRead, name) && !slices.Contains(c.read, name) {
				t.Errorf("the reader of %s does not read column %s", reader, name)
			}
		}
	}
}

func names[R any](list []columns.Column[R]) (names []string) {
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

// aliases returns the names of the columns that a reader reads.
func aliases(r *rowReader) (names []string) {
	for _, f := range r.fields {
		names = append(names, strings.TrimPrefix(f.name, "row_"))
	}
	return names
}
