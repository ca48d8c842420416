package localtest

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/millrace/millrace/pipeline/local"
)

// serverPackage is the child's main package.
const serverPackage = "github.com/millrace/millrace/pipeline/local/localtest/server"

// Command is what [local.ClickHouseConfig].Command must be in a test: the
// child's own executable, built once without cgo and without the race
// detector. It is kept in the user's cache folder, one for each work tree, so
// that the next test process finds it up to date.
func Command() ([]string, error) { return command() }

var command = sync.OnceValues(func() ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	// Tests run in their package's folder; go list finds the module's.
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module that the tests are in: %w", err)
	}
	h := fnv.New64a()
	h.Write(root)
	dir := filepath.Join(cache, "millrace", "localtest", fmt.Sprintf("%016x", h.Sum64()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}

	// go test runs packages side by side: one builds, the others find it
	// built. (The lock waits; a build takes seconds.)
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-race=false", "-cover=false", "-buildvcs=false", "-o", binary, serverPackage)
	// GOTMPDIR: the result is renamed into place, which a running server
	// survives, and not copied over it.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the ClickHouse child for tests: %w\n%s", err, out)
	}
	return []string{binary, local.ChildCommand}, nil
})
