// Package e2etest has what the tests of the binary share. They start `millrace` as a process and use only what users
// may rely on: what it prints, its exit codes, its topics, its tables, its files and its HTTP API.
package e2etest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the path of the binary under test.
var binary string

// Main builds the binary, runs the tests of a package and returns their exit code. Every package of tests calls it
// from its TestMain; only the first build of a `go test` compiles, the others link.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "millrace-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "millrace")
	build := exec.Command("go", "build", "-o", binary, "github.com/millrace/millrace/cmd/millrace")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
