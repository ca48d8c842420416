// Package cardtest runs the commands that load data sets, for tests.
package cardtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// DuckDB returns an environment in which the command duckdb runs: the installed one, or else that
// of .ci/npm. It skips the test where there is none, and fails it on a CI server.
func DuckDB(t *testing.T) (env []string) {
	t.Helper()
	if _, err := exec.LookPath("duckdb"); err == nil {
		return os.Environ()
	}
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "../../../../.ci/npm")
	if _, err := exec.LookPath(filepath.Join(dir, "duckdb")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the command duckdb is missing: ", err)
		}
		t.Skip("there is no command duckdb; npm ci --prefix .ci/npm installs one")
	}
	return append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// Load runs the command load_with of a completion in a folder, with another SELECT before its FROM,
// and returns what the command prints.
func Load(t *testing.T, env []string, dir, command, selected string) string {
	t.Helper()
	i := strings.LastIndex(command, "FROM read_")
	if i < 0 {
		t.Fatalf("there is nothing to load in %q", command)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command[:i]+selected+" "+command[i:])
	cmd.Env, cmd.Dir = env, dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%.2000s", command, err, out)
	}
	return string(out)
}

// Python returns the path of a Python that has the readers of .ci/python. It skips the test where
// there is none, and fails it on a CI server.
func Python(t *testing.T) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	python := filepath.Join(filepath.Dir(file), "../../../../.ci/python/.venv/bin/python")
	if err := exec.CommandContext(t.Context(), python, "-c", "import datasets, pandas").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the readers of .ci/python are missing: ", err)
		}
		t.Skip("there are no readers of .ci/python; .ci/setup installs them")
	}
	return python
}
