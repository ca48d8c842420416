package localtest

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/millrace/millrace/pipeline/local"
)

// serverPackage is the child's main package.
const serverPackage = "github.com/millrace/millrace/pipeline/local/localtest/server"

// Command returns the value of [local.ClickHouseConfig].Command for tests: an executable of the
// child, as [Program] builds it.
func Command() ([]string, error) { return command() }

var command = sync.OnceValues(func() ([]string, error) {
	binary, err := Program(serverPackage, "-buildvcs=false")
	if err != nil {
		return nil, err
	}
	return []string{binary, local.ChildCommand}, nil
})

// Program builds a main package of this module without cgo and without the race detector, with
// further flags of go build, and returns the path of the executable. The executable is kept in the
// user's cache folder, one for each work tree, so that the next test process need not link it
// again. A process that finds changed code replaces it.
func Program(pkg string, flags ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	// Tests run in the folder of their package. go list finds the folder of the module.
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module that the tests are in: %w", err)
	}
	h := fnv.New64a()
	h.Write(root)
	dir := filepath.Join(cache, "millrace", "localtest", fmt.Sprintf("%016x", h.Sum64()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, path.Base(pkg))

	// go test runs several packages at once. One of them builds; the others wait for the lock, some
	// seconds, and find the executable.
	lock, err := os.OpenFile(binary+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	args := append([]string{"build", "-race=false", "-cover=false"}, flags...)
	build := exec.Command("go", append(args, "-o", binary, pkg)...)
	// GOTMPDIR is on the same file system, so that go build renames the executable into place.
	// Copying over it would break a running server.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s for tests: %w\n%s", pkg, err, out)
	}
	return binary, nil
}
