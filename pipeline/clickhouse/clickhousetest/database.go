package clickhousetest

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/local/localtest"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

// template is what the migrations make, once for all tests of a process.
var template struct {
	once       sync.Once
	database   string
	statements []string // that make its tables and views
}

// Database creates a database for one test, with all tables and views, and returns its DSN. The migrations run for
// the first test only. The others get what they made, which takes a quarter of the time.
func Database(t testing.TB) *clickhouse.DSN {
	t.Helper()
	dsn := Empty(t)
	template.once.Do(func() { makeTemplate(t) })
	if template.statements == nil {
		t.Fatal("the template of databases could not be made")
	}
	conn := open(t, dsn)
	defer conn.Close()
	left := template.statements
	for len(left) > 0 { // a view may come before one that it reads
		var failed []string
		var err error
		for _, statement := range left {
			e := conn.Exec(t.Context(), strings.ReplaceAll(statement, template.database+".", dsn.Database+"."))
			if e != nil {
				failed, err = append(failed, statement), errors.Join(err, e)
			}
		}
		if len(failed) == len(left) {
			t.Fatal(err)
		}
		left = failed
	}
	err := conn.Exec(t.Context(), "INSERT INTO schema_migrations SELECT * FROM "+template.database+".schema_migrations")
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// makeTemplate runs the migrations in a database that stays until the server ends with its process.
func makeTemplate(t testing.TB) {
	dsn, err := clickhouse.ParseDSN(localtest.ClickHouse(t).DSN("template_" + strings.ToLower(rand.Text())))
	if err != nil {
		t.Fatal(err)
	}
	Migrate(t, dsn)
	conn := open(t, dsn)
	defer conn.Close()
	var statements []string
	rows, err := conn.Query(t.Context(), "SELECT create_table_query FROM system.tables "+
		"WHERE database = currentDatabase() ORDER BY position(engine, 'View'), name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var statement string
		if err := rows.Scan(&statement); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, statement)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	template.database, template.statements = dsn.Database, statements
}

func open(t testing.TB, dsn *clickhouse.DSN) driver.Conn {
	t.Helper()
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Empty creates a database without tables for one test, and returns its DSN.
func Empty(t testing.TB) *clickhouse.DSN {
	t.Helper()
	server := localtest.ClickHouse(t)
	dsn, err := clickhouse.ParseDSN(server.DSN(server.Database(t)))
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Migrate creates all tables and views in a database.
func Migrate(t testing.TB, dsn *clickhouse.DSN) {
	t.Helper()
	if _, err := clickhouse.Migrate(t.Context(), dsn, schema.Migrations, "", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
}
