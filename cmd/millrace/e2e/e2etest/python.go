package e2etest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Python returns a function that runs a script of .ci/python, with a text as its standard input, and
// returns what it prints. Without the readers that .ci/setup installs, the test is skipped; it fails
// where CI=true.
func Python(t *testing.T, script string) func(t *testing.T, stdin string, args ...string) []byte {
	t.Helper()
	dir := filepath.Join(Root(t), ".ci", "python")
	python := filepath.Join(dir, ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the readers must be there where CI=true: %v; .ci/setup installs them", err)
		}
		t.Skipf("no readers: %v; .ci/setup installs them", err)
	}
	return func(t *testing.T, stdin string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), python, append([]string{filepath.Join(dir, script)}, args...)...)
		cmd.Stdin, cmd.WaitDelay = strings.NewReader(stdin), time.Second
		// Readers cache what they load, and ask their hubs, unless they are told not to.
		cmd.Env = append(os.Environ(), "HF_HOME="+t.TempDir(), "HF_HUB_OFFLINE=1", "HF_DATASETS_OFFLINE=1")
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				t.Fatalf("%s %q: %v: %.2000s", script, args, err, exit.Stderr)
			}
			t.Fatalf("%s %q: %v", script, args, err)
		}
		return out
	}
}
