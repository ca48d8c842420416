package clickhousetest

import (
	"log/slog"
	"testing"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/local/localtest"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

// Database creates a database for one test, with all tables and views, and returns its DSN.
func Database(t testing.TB) *clickhouse.DSN {
	t.Helper()
	dsn := Empty(t)
	Migrate(t, dsn)
	return dsn
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
