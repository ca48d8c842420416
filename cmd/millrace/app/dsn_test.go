package app

import (
	"os"
	"path/filepath"
	"testing"
)

// Not parallel: it sets the environment.
func TestClientsFindThePasswordOfMillraceLocal(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	dsn := func(environ ...string) string {
		t.Helper()
		cfg, err := Load(environ)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.ClickHouseDSN
	}
	const bare = "clickhouse://127.0.0.1:9000/millrace"
	if got := dsn(); got != bare {
		t.Errorf("without a local stack: %s", got)
	}
	if err := os.MkdirAll(DefaultDataDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(DefaultDataDir(), "clickhouse-password")
	if err := os.WriteFile(file, []byte("se/cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := dsn(); got != "clickhouse://millrace:se%2Fcret@127.0.0.1:9000/millrace" {
		t.Errorf("with a local stack: %s", got)
	}
	if got := dsn("MILLRACE_CLICKHOUSE_DSN=" + bare); got != bare {
		t.Errorf("set by the user: %s", got)
	}
}
