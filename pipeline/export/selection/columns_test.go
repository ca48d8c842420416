package selection

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/columns"
)

// The readers of rows leave out the columns that only the selection itself needs.
const notRead = "version"

func TestWideRowsHaveEveryColumnOfTheirTables(t *testing.T) {
	t.Parallel()
	runs, nodes := names(columns.Runs), names(columns.Nodes)
	for list, want := range map[string]func(string) bool{
		"workspace_id, run_id, " + notRead + ", " + commonColumns: func(name string) bool {
			return slices.Contains(runs, name) && slices.Contains(nodes, name)
		},
		"system_inputs, " + runColumns: func(name string) bool { return !slices.Contains(nodes, name) },
		nodeColumns:                    func(name string) bool { return !slices.Contains(runs, name) },
	} {
		got := strings.Split(list, ", ")
		for _, name := range slices.Concat(runs, nodes) {
			if want(name) != slices.Contains(got, name) {
				t.Errorf("column %s: in the list %t, want %t:\n%s", name, !want(name), want(name), list)
			}
		}
	}
}

func TestReadersReadEveryColumnOfATable(t *testing.T) {
	t.Parallel()
	run := aliases(newRunReader(true, feedbackFields))
	node := append(aliases(newNodeRunReader()), "workspace_id", "source", "app_id", "input_group") // of the run around it
	for reader, c := range map[string]struct{ table, read []string }{
		"runs": {names(columns.Runs), run}, "nodes": {names(columns.Nodes), node},
	} {
		for _, name := range c.table {
			if name != notRead && !slices.Contains(c.read, name) {
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
