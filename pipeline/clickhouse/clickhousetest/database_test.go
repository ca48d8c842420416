package clickhousetest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
)

// The database of a test is one that was migrated.
func TestADatabaseIsWhatTheMigrationsMake(t *testing.T) {
	t.Parallel()
	migrated := clickhousetest.Empty(t)
	clickhousetest.Migrate(t, migrated)
	var made []map[string]string
	for _, dsn := range []*clickhouse.DSN{migrated, clickhousetest.Database(t)} {
		conn, err := dsn.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		rows, err := conn.Query(t.Context(), "SELECT name, create_table_query FROM system.tables WHERE database = "+
			"currentDatabase() UNION ALL SELECT concat('migration ', name), checksum FROM schema_migrations")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		all := map[string]string{}
		for rows.Next() {
			var name, text string
			if err := rows.Scan(&name, &text); err != nil {
				t.Fatal(err)
			}
			all[name] = strings.ReplaceAll(text, dsn.Database, "d")
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		made = append(made, all)
	}
	if len(made[0]) < 20 || !slices.Equal(slices.Sorted(maps.Keys(made[0])), slices.Sorted(maps.Keys(made[1]))) {
		t.Errorf("there are %q, want %q", slices.Sorted(maps.Keys(made[1])), slices.Sorted(maps.Keys(made[0])))
	}
	for name, want := range made[0] {
		if got := made[1][name]; got != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
	}
}
