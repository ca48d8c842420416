package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The archives of a release are the same bytes each time, the program in them starts and knows its
// version, and the checksums and the list of modules are theirs.
func TestReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	cyclonedx := os.Getenv("MILLRACE_TEST_RELEASE")
	if cyclonedx == "" {
		t.Skip("it compiles everything: `make test-release` runs this")
	}
	dirs := []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	for _, dir := range dirs {
		cmd := exec.Command(filepath.Join("..", "..", ".ci", "release"), dir)
		cmd.Env = append(os.Environ(), "CYCLONEDX="+cyclonedx, "VERSION=v1.2.3", "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	list, err := os.ReadDir(dirs[0])
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, f := range list {
		one, err1 := os.ReadFile(filepath.Join(dirs[0], f.Name()))
		two, err2 := os.ReadFile(filepath.Join(dirs[1], f.Name()))
		if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Errorf("%s is another one the second time: %v, %v", f.Name(), err1, err2)
		}
		if strings.HasSuffix(f.Name(), ".cdx.json") {
			var bom struct {
				Components []struct{ Name, Version string }
			}
			if err := json.Unmarshal(one, &bom); err != nil || len(bom.Components) < 50 {
				t.Errorf("%d modules, %v", len(bom.Components), err)
			}
		}
	}
	// As the README says it.
	script := `sha256sum --check SHA256SUMS && tar -xzf "millrace-$(uname -s)-$(uname -m).tar.gz" millrace && ./millrace --version`
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dirs[0]
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "\nmillrace v1.2.3 (go") {
		t.Errorf("%v\n%s", err, out)
	}
}
