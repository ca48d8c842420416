package purposes

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// Option columns picks fields of every canonical target: the same records have the same values as without it, and a
// field that is not there is refused by name.
func TestColumnsAreKeptByEveryCanonicalTarget(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSampleSite(t, 300)
	found := strings.Fields(e2etest.QueryTexts(t, s.Conn, "SELECT concat(app_id, ' ', node_id) AS node FROM nodes "+
		"WHERE source = 'recipe' GROUP BY node ORDER BY count() DESC, node LIMIT 1")[0])
	app, node := found[0], found[1]
	columns := []string{"started_at", "id", "scores"}
	batch := e2etest.NewBatch(t, s)
	asked := 0
	for _, p := range e2etest.Combinations(t, s.Env) {
		if p.Target != "canonical" {
			continue
		}
		asked++
		for _, kept := range []bool{false, true} {
			id := fmt.Sprintf("%s-%t", p.Purpose, kept)
			request := object{"workspace_id": "default", "export_id": id, "purpose": p.Purpose, "source": "recipe",
				"app_id": app, "selection": object{"limit": 1000}, "format": "jsonl"}
			if strings.HasPrefix(p.Purpose, "node_") {
				request["nodes"] = []string{node}
			}
			if kept {
				request["options"] = object{"columns": columns}
			}
			batch.File(t, request)
		}
	}
	if asked != 4 {
		t.Fatalf("%d purposes have a canonical target", asked)
	}
	records := map[string][]object{}
	for id, c := range batch.Wait(t) {
		if c.Status != export.StatusSucceeded || c.Records == 0 {
			t.Fatalf("%s: %s with %d records: %+v", id.ExportID, c.Status, c.Records, c.Failure())
		}
		records[id.ExportID] = e2etest.RecordsOf(t, &c)
	}
	slices.Sort(columns)
	for id, whole := range records {
		purpose, ok := strings.CutSuffix(id, "-false")
		if !ok {
			continue
		}
		kept := records[purpose+"-true"]
		if len(kept) != len(whole) {
			t.Fatalf("%s: %d records, and %d with all columns", purpose, len(kept), len(whole))
		}
		for i := range kept {
			if keys := slices.Sorted(maps.Keys(kept[i])); !slices.Equal(keys, columns) {
				t.Fatalf("%s: record %d has %v", purpose, i, keys)
			}
			for _, key := range columns {
				if !reflect.DeepEqual(kept[i][key], whole[i][key]) {
					t.Errorf("%s: %s of record %d is %v, and %v beside all columns", purpose, key, i, kept[i][key], whole[i][key])
				}
			}
		}
	}
	got := s.Env.Try(t, "", "request", "--source", "recipe", "--app", app, "--purpose", "recipe_evaluation",
		"--limit", "1", "--option", `columns=["idd"]`)
	if got.Code == 0 || !strings.Contains(got.Stderr, `no column "idd"`) {
		t.Errorf("a column that is not there: exit code %d, %s", got.Code, got.Stderr)
	}
}
