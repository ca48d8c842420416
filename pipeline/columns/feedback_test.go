package columns_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/schemas/clickhouse"
)

// The view runs_with_feedback merges judgements as exports do.
func TestTheViewMergesWithTheSameSQL(t *testing.T) {
	t.Parallel()
	migration, err := clickhouse.Migrations.ReadFile("0009_judgements.sql")
	if err != nil {
		t.Fatal(err)
	}
	m := columns.Merge{Judgements: columns.Array}
	view := words(string(migration))
	for _, part := range []string{m.Merged(columns.MaxJudgements), m.Judged("workspace_id, run_id", columns.OnRun)} {
		if !strings.Contains(view, words(part)) {
			t.Errorf("the view does not have\n%s", part)
		}
	}
}

// words returns a text with one space between words.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }
