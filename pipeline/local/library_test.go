package local_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/local"
)

// fakeNpm writes an npm command that runs script in the folder to install into. runs returns how
// often the command was run.
func fakeNpm(t *testing.T, script string) (npm string, runs func() int) {
	t.Helper()
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		t.Skip("no library is pinned for this platform")
	}
	dir := t.TempDir()
	npm, log := filepath.Join(dir, "npm"), filepath.Join(dir, "runs")
	if err := os.WriteFile(npm, []byte("#!/bin/sh\necho \"$@\" >> "+log+"\nset -e\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return npm, func() int {
		body, _ := os.ReadFile(log)
		return strings.Count(string(body), "\n")
	}
}

// installs is a script that checks its arguments and then installs a small file, as npm would
// install the library.
const installs = `
[ "$1" = ci ]
echo "$@" | grep -q -- --ignore-scripts
grep -q '"integrity": "sha512-' package-lock.json
! grep -q resolved package-lock.json
mkdir -p node_modules/@chdb/lib-linux-x64-gnu
echo engine > node_modules/@chdb/lib-linux-x64-gnu/libchdb.so
`

// engineHash is the hash of what installs installs.
var engineHash = fmt.Sprintf("%x", sha256.Sum256([]byte("engine\n")))

func TestALibraryIsFetchedOnce(t *testing.T) {
	t.Parallel()
	npm, runs := fakeNpm(t, installs)
	cfg := local.LibraryConfig{CacheDir: filepath.Join(t.TempDir(), "cache"), Npm: npm, SHA256: engineHash}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			cfg := cfg
			cfg.Progress = t.Output()
			path, err := local.FindLibrary(t.Context(), cfg)
			if err != nil {
				t.Error(err)
			} else if body, err := os.ReadFile(path); err != nil || string(body) != "engine\n" {
				t.Errorf("%s: %q, %v", path, body, err)
			}
		})
	}
	all.Wait()
	if runs() != 1 {
		t.Errorf("npm ran %d times, want once", runs())
	}
	left, err := filepath.Glob(filepath.Join(cfg.CacheDir, "fetch-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestADamagedLibraryIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(path string) error
		runs   int // of npm, the first fetch included
	}{
		{"untouched", func(string) error { return nil }, 1},
		{"only its time has changed", func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) }, 1},
		{"cut short", func(path string) error { return os.Truncate(path, 3) }, 2},
		{"other bytes", func(path string) error {
			if err := os.WriteFile(path, []byte("ENGINE\n"), 0o600); err != nil {
				return err
			}
			return os.Chtimes(path, time.Time{}, time.Unix(1, 0))
		}, 2},
		{"other bytes at the same time", func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, []byte("ENGINE\n"), 0o600),
				os.Chtimes(path, time.Time{}, info.ModTime()), receipt(path, "ENGINE\n", info.ModTime()))
		}, 2},
		{"no receipt", func(path string) error { return os.Remove(filepath.Join(filepath.Dir(path), "receipt.json")) }, 1},
		{"a receipt that others may write", func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, []byte("ENGINE\n"), 0o600), os.Chtimes(path, time.Time{}, info.ModTime()),
				os.Chmod(filepath.Join(filepath.Dir(path), "receipt.json"), 0o666))
		}, 2},
		{"others may write the library", func(path string) error { return os.Chmod(path, 0o660) }, 2},
		{"others may write its folder", func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) }, 2},
		{"another user's", func(path string) error {
			if os.Getuid() != 0 {
				return os.Remove(path) // only root can give it away
			}
			return os.Chown(path, 65534, 65534)
		}, 2},
		{"gone", os.Remove, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			npm, runs := fakeNpm(t, installs)
			cfg := local.LibraryConfig{CacheDir: t.TempDir(), Npm: npm, SHA256: engineHash}
			path, err := local.FindLibrary(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.damage(path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if path, err = local.FindLibrary(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
			}
			if body, err := os.ReadFile(path); err != nil || string(body) != "engine\n" {
				t.Errorf("%q, %v", body, err)
			}
			if runs() != test.runs {
				t.Errorf("npm ran %d times, want %d", runs(), test.runs)
			}
		})
	}
}

// receipt writes the receipt that says that a library has these bytes.
func receipt(path, bytes string, modTime time.Time) error {
	body, err := json.Marshal(map[string]any{"size": len(bytes), "mod_time": modTime,
		"sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(bytes)))})
	return errors.Join(err, os.WriteFile(filepath.Join(filepath.Dir(path), "receipt.json"), body, 0o600))
}

func TestALibraryOfAnotherHashIsRefused(t *testing.T) {
	t.Parallel()
	npm, _ := fakeNpm(t, installs)
	cfg := local.LibraryConfig{CacheDir: t.TempDir(), Npm: npm} // expects the real library
	path, err := local.FindLibrary(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), engineHash) {
		t.Errorf("%s, %v, want an error with the hash %s", path, err, engineHash)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.CacheDir, "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestAFailedFetchLeavesNothing(t *testing.T) {
	t.Parallel()
	npm, _ := fakeNpm(t, installs+"echo the registry is out >&2; exit 1")
	cfg := local.LibraryConfig{CacheDir: t.TempDir(), Npm: npm, SHA256: engineHash}
	_, err := local.FindLibrary(t.Context(), cfg)
	for _, want := range []string{"the registry is out", "npm must be >= 9", "path of a copy of",
		"@chdb/lib-linux-x64-gnu@" + local.LibraryVersion} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error without %q: %v", want, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(cfg.CacheDir, "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}

	// The next fetch removes what a killed fetch has left.
	if err := os.MkdirAll(filepath.Join(cfg.CacheDir, "fetch-killed", "node_modules"), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg.Npm, _ = fakeNpm(t, installs)
	if _, err := local.FindLibrary(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.CacheDir, "fetch-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestAFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	npm, runs := fakeNpm(t, "exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "npm runs", func() bool { return runs() == 1 })
		cancel()
	}()
	cfg := local.LibraryConfig{CacheDir: t.TempDir(), Npm: npm}
	if _, err := local.FindLibrary(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.CacheDir, "fetch-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestWithoutALibraryTheErrorNamesTheWaysOut(t *testing.T) {
	t.Parallel()
	_, err := local.FindLibrary(t.Context(), local.LibraryConfig{CacheDir: t.TempDir(), Npm: "no-such-npm"})
	if !errors.Is(err, local.ErrNoLibrary) {
		t.Errorf("%v, want ErrNoLibrary", err)
	}
	for _, want := range []string{"path of the ", "@chdb/lib-", local.LibraryVersion} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error without %q: %v", want, err)
		}
	}
}

func TestAGivenLibraryIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "libchdb.so")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := local.FindLibrary(t.Context(), local.LibraryConfig{Path: path}); err != nil || got != path {
		t.Errorf("%s, %v, want %s", got, err, path)
	}
	open := filepath.Join(dir, "open.so")
	if err := errors.Join(os.WriteFile(open, nil, 0o600), os.Chmod(open, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{dir, filepath.Join(dir, "missing.so"), open} {
		_, err := local.FindLibrary(t.Context(), local.LibraryConfig{Path: wrong})
		if err == nil || !strings.Contains(err.Error(), "libchdb") || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: error %v, want one that names the file and libchdb", wrong, err)
		}
	}
}

// This test downloads the real library of 178 MB, so it runs only in CI.
func TestTheRealLibraryIsFetchedThroughNpm(t *testing.T) {
	t.Parallel()
	if os.Getenv("CI") != "true" {
		t.Skip("only with CI=true: it downloads 178 MB")
	}
	cfg := local.LibraryConfig{CacheDir: t.TempDir(), Progress: t.Output()}
	path, err := local.FindLibrary(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() < 100<<20 {
		t.Errorf("%s: %v, %v", path, fmt.Sprint(info), err)
	}
	cfg.Npm = "no-such-npm"
	if again, err := local.FindLibrary(t.Context(), cfg); err != nil || again != path {
		t.Errorf("the second time: %s, %v, want %s from the cache", again, err, path)
	}
}
