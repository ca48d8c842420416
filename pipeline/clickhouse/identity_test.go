package clickhouse_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/millrace/millrace/pipeline/clickhouse"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

func TestMigratingRowsOfAnOlderReleaseLeavesTheNewestOfEachIdentity(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	older := fstest.MapFS{}
	for _, name := range migrationNames(t)[:5] {
		text, err := schema.Migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		older[name] = &fstest.MapFile{Data: text}
	}
	if _, err := clickhouse.Migrate(t.Context(), dsn, older, "", discard); err != nil {
		t.Fatal(err)
	}
	conn := open(t, dsn)
	for _, insert := range []string{
		// Runs: one key; another start; another app and source; back to the first start; equal versions.
		`INSERT INTO runs (workspace_id, run_id, source, app_id, started_at, version, question) VALUES
			('w', 'one', 'copilot', 'a', '2026-01-01', 10, 'old'), ('w', 'one', 'copilot', 'a', '2026-01-01', 11, 'new'),
			('w', 'start', 'copilot', 'a', '2026-01-01', 10, 'old'), ('w', 'start', 'copilot', 'a', '2026-02-01', 12, 'new'),
			('w', 'app', 'copilot', 'a', '2026-01-01', 12, 'new'), ('w', 'app', 'recipe', 'b', '2026-01-01', 10, 'old'),
			('w', 'back', 'copilot', 'a', '2026-01-01', 10, 'old'), ('w', 'back', 'copilot', 'a', '2025-01-01', 12, 'old'),
			('w', 'back', 'copilot', 'a', '2026-01-01', 14, 'new'),
			('w', 'equal', 'copilot', 'a', '2026-01-01', 10, 'old'), ('w', 'equal', 'copilot', 'a', '2026-01-02', 10, 'new'),
			('w', 'next', 'copilot', 'a', '2026-01-02', 10, 'old'), ('w', 'next', 'copilot', 'a', '2026-01-01', 11, 'new'),
			('v', 'start', 'copilot', 'a', '2026-03-01', 1, 'new')`,
		`INSERT INTO nodes (workspace_id, run_id, node_run_id, source, app_id, node_id, started_at, version, node_name) VALUES
			('w', 'one', 'x', 'copilot', 'a', 'n', '2026-01-01', 10, 'new'), ('w', 'one', 'y', 'copilot', 'a', 'n', '2026-01-02', 9, 'new'),
			('w', 'two', 'x', 'copilot', 'a', 'n', '2026-01-01', 10, 'old'), ('w', 'two', 'x', 'copilot', 'a', 'm', '2026-01-01', 12, 'new')`,
	} {
		if err := conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	// The second time is that of a migration that was not recorded.
	for _, forget := range []string{"SELECT 1",
		"ALTER TABLE schema_migrations DELETE WHERE version > 5 SETTINGS mutations_sync = 1"} {
		if err := conn.Exec(t.Context(), forget); err != nil {
			t.Fatal(err)
		}
		if _, err := clickhouse.Migrate(t.Context(), dsn, schema.Migrations, "", discard); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]string{
			"SELECT concat(workspace_id, ' ', run_id, ' ', question) AS row FROM runs_latest ORDER BY row": "v start new, " +
				"w app new, w back new, w equal new, w next new, w one new, w start new",
			"SELECT concat(run_id, ' ', node_run_id, ' ', node_name) AS row FROM nodes_latest ORDER BY row": "one x new, " +
				"one y new, two x new",
			"SELECT concat(run_id, ' ', question) AS row FROM runs_with_feedback WHERE workspace_id = 'w' AND run_id = 'app'": "app new",
			"SELECT toString(count()) FROM (SELECT DISTINCT * EXCEPT version FROM run_keys)":                                  "17",
		} {
			if got := strs(t, conn, query); strings.Join(got, ", ") != want {
				t.Errorf("%s: %s, want %s", query, strings.Join(got, ", "), want)
			}
		}
	}
	if got := strs(t, conn, "SELECT name FROM system.columns WHERE database = currentDatabase() AND "+
		"table LIKE '%\\_latest' AND name = 'superseded'"); !slices.Equal(got, nil) {
		t.Errorf("views show %q", got)
	}
}
