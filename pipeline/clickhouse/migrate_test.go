package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/local/localtest"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

// discard is the log of migrations.
var discard = slog.New(slog.DiscardHandler)

// emptyDatabase returns a database of the test's own.
func emptyDatabase(t *testing.T) *clickhouse.DSN {
	t.Helper()
	server := localtest.ClickHouse(t)
	dsn, err := clickhouse.ParseDSN(server.DSN(server.Database(t)))
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func open(t *testing.T, dsn *clickhouse.DSN) driver.Conn {
	t.Helper()
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// strs returns the rows of a query of one String column.
func strs(t *testing.T, conn driver.Conn, query string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func migrationNames(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(schema.Migrations, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return names
}

func TestMigrateMakesAnEmptyServerReadyAndThenDoesNothing(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	for try, want := range [][]string{migrationNames(t), nil, nil} {
		applied, err := clickhouse.Migrate(t.Context(), dsn, schema.Migrations, "", discard)
		if err != nil || !slices.Equal(applied, want) {
			t.Fatalf("time %d applied %q, %v; want %q", try+1, applied, err, want)
		}
	}
	got := strs(t, open(t, dsn), "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")
	want := []string{"export_events", "export_stage", "exports", "feedback", "feedback_latest", "node_keys", "nodes",
		"nodes_latest", "run_keys", "runs", "runs_latest", "runs_with_feedback", "schema_migrations"}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("no table or view %s", name)
		}
	}
}

func TestMigrateCreatesTheDatabase(t *testing.T) {
	t.Parallel()
	server := localtest.ClickHouse(t)
	name := server.Database(t) // dropped at the end, whoever creates it
	dsn, err := clickhouse.ParseDSN(server.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	other, err := clickhouse.ParseDSN(server.DSN("system"))
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t, other).Exec(t.Context(), "DROP DATABASE "+name+" SYNC"); err != nil {
		t.Fatal(err)
	}
	if _, err := clickhouse.Migrate(t.Context(), dsn, schema.Migrations, "", discard); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationsOfManyProcessesAtOnceAreAllFine(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() {
			_, errs[i] = clickhouse.Migrate(t.Context(), dsn, schema.Migrations, "", discard)
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	got := strs(t, open(t, dsn), "SELECT name FROM schema_migrations FINAL ORDER BY version")
	if want := migrationNames(t); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestAMigrationWhoseTextChangedIsRefused(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	files := fstest.MapFS{"0001_a.sql": {Data: []byte("CREATE TABLE IF NOT EXISTS a (n UInt64) ENGINE = " +
		"{{merge_tree}} ORDER BY n;\n")}}
	if _, err := clickhouse.Migrate(t.Context(), dsn, files, "", discard); err != nil {
		t.Fatal(err)
	}
	files["0001_a.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE IF NOT EXISTS b (n UInt64) ENGINE = " +
		"{{merge_tree}} ORDER BY n;\n")}
	files["0002_c.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE IF NOT EXISTS c (n UInt64) ENGINE = " +
		"{{merge_tree}} ORDER BY n;\n")}
	applied, err := clickhouse.Migrate(t.Context(), dsn, files, "", discard)
	if err == nil || !strings.Contains(err.Error(), "0001_a.sql") || len(applied) > 0 {
		t.Fatalf("applied %q, %v", applied, err)
	}
	if got := strs(t, open(t, dsn), "SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN "+
		"('b', 'c')"); len(got) > 0 {
		t.Errorf("it created %q", got)
	}
}

func TestAMigrationThatFailedHalfwayIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	text := "CREATE TABLE IF NOT EXISTS a (n UInt64) ENGINE = {{merge_tree}} ORDER BY n;\n\nCREATE VIEW IF NOT EXISTS " +
		"v AS SELECT * FROM missing;\n"
	files := fstest.MapFS{"0001_a.sql": {Data: []byte(text)}}
	applied, err := clickhouse.Migrate(t.Context(), dsn, files, "", discard)
	if err == nil || !strings.Contains(err.Error(), "0001_a.sql") || len(applied) > 0 {
		t.Fatalf("applied %q, %v", applied, err)
	}
	files["0001_a.sql"] = &fstest.MapFile{Data: []byte(strings.Replace(text, "missing", "a", 1))}
	if applied, err = clickhouse.Migrate(t.Context(), dsn, files, "", discard); err != nil || len(applied) != 1 {
		t.Fatalf("applied %q, %v", applied, err)
	}
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	file := &fstest.MapFile{Data: []byte("SELECT 1;\n")}
	for name, files := range map[string]fstest.MapFS{
		"a gap":             {"0001_a.sql": file, "0003_c.sql": file},
		"a missing first":   {"0002_a.sql": file},
		"two of one number": {"0001_a.sql": file, "0001_b.sql": file},
		"no number":         {"a.sql": file},
		"a number of words": {"one_a.sql": file},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := clickhouse.Render(files, "db", ""); err == nil {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestATemplateThatCannotBeFilledInIsAnError(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an unknown function": "{{nonsense}}",
		"an open action":      "{{table \"a\"",
		"an unknown table":    "ALTER TABLE v {{comments_of \"nothing\"}};\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := clickhouse.Render(fstest.MapFS{"0001_a.sql": {Data: []byte(text)}}, "db", ""); err == nil {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestEveryTableViewAndColumnHasAComment(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	if _, err := clickhouse.Migrate(t.Context(), dsn, schema.Migrations, "", discard); err != nil {
		t.Fatal(err)
	}
	conn := open(t, dsn)
	for _, name := range strs(t, conn, "SELECT name FROM system.tables WHERE database = currentDatabase() AND comment "+
		"= ''") {
		t.Errorf("%s has no comment", name)
	}
	for _, name := range strs(t, conn, "SELECT concat(table, '.', name) FROM system.columns WHERE database = "+
		"currentDatabase() AND comment = ''") {
		t.Errorf("column %s has no comment", name)
	}
	// A view and its table have the same comment on a column.
	for _, name := range strs(t, conn, `SELECT concat(v.table, '.', v.name) FROM system.columns AS v
		JOIN system.columns AS t ON t.database = v.database AND v.name = t.name AND v.table = concat(t.table, '_latest')
		WHERE v.database = currentDatabase() AND v.comment != t.comment`) {
		t.Errorf("column %s has another comment than its table's", name)
	}
}

func TestOnAClusterTablesAreReplicatedAndSharded(t *testing.T) {
	t.Parallel()
	migrations, err := clickhouse.Render(schema.Migrations, "millrace", "c1")
	if err != nil {
		t.Fatal(err)
	}
	distributed := map[string]string{}
	form := regexp.MustCompile(
		`^CREATE TABLE IF NOT EXISTS (\w+) ON CLUSTER 'c1' AS (\w+) ENGINE = Distributed\('c1', 'millrace', (\w+), (.+)\)$`)
	for _, m := range migrations {
		for _, s := range m.Statements {
			if strings.HasPrefix(s, "INSERT INTO ") { // of rows, which the Distributed tables send to their shards
				if strings.Contains(s, "_shard") || !strings.Contains(s, "distributed_foreground_insert = 1") {
					t.Errorf("%s: not through the Distributed tables: %s", m.Name, s)
				}
			} else if !strings.Contains(s, "ON CLUSTER 'c1'") {
				t.Errorf("%s: only on this server: %s", m.Name, head(s))
			}
			if strings.Contains(s, "{{") || strings.Contains(s, "<no value>") {
				t.Errorf("%s: not filled in: %s", m.Name, head(s))
			}
			if match := form.FindStringSubmatch(s); match != nil {
				if match[2] != match[1]+"_shard" || match[3] != match[2] {
					t.Errorf("%s: %s is over %s and made like %s", m.Name, match[1], match[3], match[2])
				}
				distributed[match[1]] = match[4]
				continue
			}
			if strings.Contains(s, "ENGINE = ") {
				if !strings.Contains(s, "MergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}'") ||
					!strings.Contains(s, "ENGINE = Replicated") {
					t.Errorf("%s: not replicated: %s", m.Name, head(s))
				}
				if !strings.Contains(head(s), "_shard ") {
					t.Errorf("%s: the table of the rows has the Distributed table's name: %s", m.Name, head(s))
				}
			}
		}
	}
	want := map[string]string{
		"runs": "cityHash64(workspace_id, run_id)", "nodes": "cityHash64(workspace_id, run_id)",
		"feedback": "cityHash64(workspace_id, run_id)",
		"run_keys": "cityHash64(workspace_id, run_id)", "node_keys": "cityHash64(workspace_id, run_id)",
		"export_events": "cityHash64(workspace_id, export_id)", "export_stage": "cityHash64(stage_id)",
		"export_notices":    "cityHash64(workspace_id, export_id)",
		"export_stage_rows": "cityHash64(stage_id)",
		"audit":             "cityHash64(workspace_id, export_id)",
	}
	if fmt.Sprint(distributed) != fmt.Sprint(want) {
		t.Errorf("sharded by %v, want %v", distributed, want)
	}
}

// The engine of the tests has no Keeper, so that it cannot execute the statements of a cluster. It parses them, and
// would refuse a mistake in them.
func TestTheStatementsOfAClusterAreParsed(t *testing.T) {
	t.Parallel()
	migrations, err := clickhouse.Render(schema.Migrations, "millrace", "c1")
	if err != nil {
		t.Fatal(err)
	}
	conn := open(t, emptyDatabase(t))
	parsed := 0
	for _, m := range migrations {
		for _, s := range m.Statements {
			rows, err := conn.Query(t.Context(), "EXPLAIN AST "+s)
			if err != nil {
				t.Errorf("%s: %v in %s", m.Name, err, head(s))
				continue
			}
			parsed++
			rows.Close()
		}
	}
	if rows, err := conn.Query(t.Context(), "EXPLAIN AST CREATE TABLE t ON CLUSTER 'c1' AS"); err == nil {
		rows.Close()
		t.Error("a statement that ends early is parsed")
	}
	if parsed < 20 {
		t.Errorf("only %d statements", parsed)
	}
}

func TestOnOneServerNothingIsReplicated(t *testing.T) {
	t.Parallel()
	migrations, err := clickhouse.Render(schema.Migrations, "millrace", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations {
		for _, s := range m.Statements {
			for _, word := range []string{"CLUSTER", "Replicated", "Distributed", "_shard", "{{"} {
				if strings.Contains(s, word) {
					t.Errorf("%s: %s in %s", m.Name, word, head(s))
				}
			}
		}
	}
}

func TestTheServerCanParseEveryStatementInBothModes(t *testing.T) {
	t.Parallel()
	conn := open(t, emptyDatabase(t))
	for _, cluster := range []string{"", "c1", "it's"} {
		migrations, err := clickhouse.Render(schema.Migrations, "db", cluster)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range migrations {
			for _, s := range m.Statements {
				var formatted string
				if err := conn.QueryRow(t.Context(), "SELECT formatQuery(?)", s).Scan(&formatted); err != nil {
					t.Errorf("%s with cluster %q: %v in %s", m.Name, cluster, err, s)
				}
			}
		}
	}
}

// head is a statement's first line.
func head(statement string) string {
	line, _, _ := strings.Cut(statement, "\n")
	return line
}

func TestMigratingWithTheWrongPasswordSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dsn, err := clickhouse.ParseDSN("clickhouse://nobody:canary@" +
		clickhousetest.Refuse(t, 516, "nobody: Authentication failed") + "/db")
	if err != nil {
		t.Fatal(err)
	}
	_, err = clickhouse.Migrate(context.Background(), dsn, schema.Migrations, "", discard)
	if err == nil || !errors.Is(err, clickhouse.ErrCredentials) || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}
