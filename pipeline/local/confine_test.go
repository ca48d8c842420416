package local_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/local"
)

// The test has the password: what it may not reach, nobody may.
func TestTheEngineReachesOnlyItsFolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can confine the engine")
	}
	cfg := realConfig(t)
	cfg.Dir = filepath.Join(cfg.Dir, `a "folder" with \ and 'quotes' & <more>`)
	c, _ := run(t, cfg)
	waitReady(t, c)
	if text, err := os.ReadFile(filepath.Join(c.Dir(), "clickhouse.log")); err != nil || len(text) > 0 {
		t.Errorf("the log after the start: %s, %v", text, err)
	}

	outside := t.TempDir()
	secret, fresh := filepath.Join(outside, "secret"), filepath.Join(outside, "new")
	if err := os.WriteFile(secret, []byte("a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(c.Dir(), "data", "link")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	environment := fmt.Sprintf("/proc/%d/environ", os.Getpid())
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	for _, path := range []string{secret, link, "/etc/shadow", "/etc/passwd", environment} {
		text := "SELECT * FROM file(" + quote(path) + ", 'LineAsString', 'line String')"
		if status, body := query(t, c, text); status == http.StatusOK {
			t.Errorf("%s: %.100q", text, body)
		}
	}
	for _, path := range []string{secret, link, fresh} {
		text := "INSERT INTO FUNCTION file(" + quote(path) + ", 'LineAsString', 'line String') SELECT 'evil'"
		if status, body := query(t, c, text); status == http.StatusOK {
			t.Errorf("%s: %.100q", text, body)
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "a secret\n" {
		t.Errorf("the file outside: %q, %v", text, err)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a file was made outside")
	}

	// What is its own works: files, and all that tables do with files.
	own := quote(filepath.Join(c.Dir(), "data", "user_files", "own"))
	for _, text := range []string{
		"INSERT INTO FUNCTION file(" + own + ", 'LineAsString', 'line String') SELECT 'mine'",
		"CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n PARTITION BY n % 2",
		"INSERT INTO t SELECT number, 'x' FROM numbers(1000)",
		"ALTER TABLE t UPDATE s = 'y' WHERE n < 10 SETTINGS mutations_sync = 2",
		"ALTER TABLE t ADD INDEX i s TYPE bloom_filter", "ALTER TABLE t MATERIALIZE INDEX i SETTINGS mutations_sync = 2",
		"OPTIMIZE TABLE t FINAL", "ALTER TABLE t DETACH PARTITION 0", "ALTER TABLE t ATTACH PARTITION 0",
		"ALTER TABLE t FREEZE", "CREATE TABLE u AS t", "ALTER TABLE u ATTACH PARTITION 1 FROM t", "RENAME TABLE u TO v",
		"SELECT * FROM t ORDER BY s, n SETTINGS max_bytes_before_external_sort = 1, max_bytes_ratio_before_external_sort = 0",
		"TRUNCATE TABLE t", "DROP TABLE v SYNC",
	} {
		if status, body := query(t, c, text); status != http.StatusOK {
			t.Errorf("%s: %s", text, body)
		}
	}
	if c.Restarts() != 0 {
		t.Errorf("%d restarts", c.Restarts())
	}
}

// query returns what the server answers to a query with the password.
func query(t *testing.T, c *local.ClickHouse, text string) (status int, body string) {
	t.Helper()
	resp, err := http.Post(c.HTTPURL(), "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}
