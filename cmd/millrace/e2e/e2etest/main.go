// Package e2etest has what the tests of the binary share. They start `millrace` as a process and use only what users
// may rely on: what it prints, its exit codes, its topics, its tables, its files and its HTTP API.
package e2etest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/pipeline/local/localtest"
)

// binary is the path of the binary under test.
var binary string

// Main builds the binary, runs the tests of a package and returns their exit code. Every package of tests calls it
// from its TestMain; only the first of a `go test` compiles and links.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "millrace-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "millrace")
		err = build(binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds the binary, and copies it, so that another build does not change it while the tests run.
func build(to string) error {
	kept, err := localtest.Program("github.com/millrace/millrace/cmd/millrace")
	if err != nil {
		return err
	}
	from, err := os.Open(kept)
	if err != nil {
		return err
	}
	defer from.Close()
	copied, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	if _, err := io.Copy(copied, from); err != nil {
		copied.Close()
		return err
	}
	return copied.Close()
}
