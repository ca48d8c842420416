package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	// The child keeps this file open and continues to write to it.
	f, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const limit = 1000
	for _, lines := range []int{99, 150, 5} { // of ten bytes
		if _, err := f.WriteString(strings.Repeat("123456789\n", lines)); err != nil {
			t.Fatal(err)
		}
		if err := boundLog(path, limit); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{path: 50, path + ".1": limit} {
		if body, err := os.ReadFile(name); err != nil || len(body) != want {
			t.Errorf("%s: %d bytes, want %d (%v)", name, len(body), want, err)
		}
	}
	if tail := logTail(path, 2); tail != "123456789\n123456789" {
		t.Errorf("tail %q", tail)
	}
}
