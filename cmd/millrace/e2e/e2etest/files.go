package e2etest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// ListFiles lists the files under a folder, sorted.
func ListFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// ReplaceFile writes a file anew, since the bucket's may be read-only.
func ReplaceFile(path string, body []byte) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o600)
}

// Root returns the folder of the repository.
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("this test does not run inside of the repository")
		}
	}
}
