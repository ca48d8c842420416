package targets_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// Every canonical target keeps the columns that a request names, in its own order, with the values that they have
// beside all others. Its rows come without what no column needs.
func TestEveryCanonicalTargetKeepsTheColumnsThatAreNamed(t *testing.T) {
	t.Parallel()
	history := formattest.SampleHistory(t, 300)
	checked := 0
	for purpose, target := range formattest.EveryTarget() {
		if target.Name != record.Canonical {
			continue
		}
		checked++
		whole := formattest.StreamHistory(t, purpose, target.Name, nil, history).Records
		options := map[string]any{"columns": []any{"started_at", "scores", "id"}}
		kept := formattest.StreamHistory(t, purpose, target.Name, options, history).Records
		if len(whole) == 0 || len(kept) != len(whole) {
			t.Fatalf("%s: %d records, %d of all columns", purpose, len(kept), len(whole))
		}
		for i := range kept {
			want := slices.DeleteFunc(formattest.KeysOf(t, whole[i]), func(key string) bool {
				return !slices.Contains(options["columns"].([]any), any(key))
			})
			if keys := formattest.KeysOf(t, kept[i]); len(want) != 3 || !slices.Equal(keys, want) {
				t.Fatalf("%s: keys %v, want %v", purpose, keys, want)
			}
			all := formattest.AsJSON(t, whole[i])
			for key, value := range formattest.AsJSON(t, kept[i]) {
				if !reflect.DeepEqual(value, all[key]) {
					t.Fatalf("%s: %s is %v, and %v beside all columns", purpose, key, value, all[key])
				}
			}
		}
		f := formattest.NewRowFormatter(t, purpose, target.Name, options)
		formattest.CheckColumns(t, purpose, target, options, f.Columns(), kept)
		if needs := f.Needs(); needs.Nodes != record.NoNodes || needs.Judgements {
			t.Errorf("%s: needs %+v", purpose, needs)
		}
		for value, want := range map[any]string{
			"id": "must be a list", 1.0: "must be a list",
		} {
			checkRefused(t, purpose, value, want)
		}
		checkRefused(t, purpose, []any{"idd"}, `no column "idd"`)
		checkRefused(t, purpose, []any{"id", "id"}, "twice")
		checkRefused(t, purpose, []any{}, "at least one")
	}
	if checked != 4 {
		t.Errorf("%d targets", checked)
	}
	if f := formattest.NewRowFormatter(t, format.RecipeEvaluation, record.Canonical,
		map[string]any{"columns": []any{"retrieved_contexts"}}); f.Needs().Nodes != record.WithChunks {
		t.Errorf("contexts need %+v", f.Needs())
	}
}

func checkRefused(t *testing.T, purpose string, columns any, want string) {
	t.Helper()
	_, err := targets.New(purpose, record.Canonical, map[string]any{"columns": columns})
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "columns") {
		t.Errorf("%s: columns %v: %v, want %q", purpose, columns, err, want)
	}
}
