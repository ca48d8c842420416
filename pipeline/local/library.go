package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// LibraryVersion is the release of the @chdb/lib-* npm packages that is used.
const LibraryVersion = "26.7.3-stable.1"

// ErrNoLibrary is what [FindLibrary] fails with when it ran into nothing
// worse than the library's absence: the message says how to get it.
var ErrNoLibrary = errors.New("the embedded ClickHouse needs libchdb, which is not here")

// LibraryConfig says where the ClickHouse engine's library may come from.
type LibraryConfig struct {
	// Path is a copy of libchdb.so (or .dylib) to use as it is
	// (MILLRACE_LIBCHDB). Empty: the cache, and npm when that has none.
	Path string

	// CacheDir keeps fetched libraries, one folder for each version.
	// Empty: millrace/libchdb in the user's cache folder.
	CacheDir string

	// Npm is the npm command. Empty: npm, looked up in PATH.
	Npm string

	// Progress is told about a fetch, which takes about ten seconds to
	// minutes. Nil: nobody is. Nothing is written when there is no fetch.
	Progress io.Writer
}

// engine is one platform's npm package. The hash is the tarball's, as the
// registry published it; npm refuses any other bytes. Where none is pinned
// here, npm holds the bytes against the hash that the registry tells.
type engine struct {
	npmPackage string
	file       string // the library's name inside the package
	integrity  string
	packed     int64 // bytes to download
	unpacked   int64 // bytes on disk
}

// Sizes of the platform that was measured; the others' are about the same.
const packedSize, unpackedSize = 177_817_999, 569_042_837

var engines = map[string]engine{
	"linux/amd64": {
		npmPackage: "@chdb/lib-linux-x64-gnu",
		file:       "libchdb.so",
		integrity:  "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
		packed:     packedSize,
		unpacked:   unpackedSize,
	},
	"linux/arm64":  {"@chdb/lib-linux-arm64-gnu", "libchdb.so", "", packedSize, unpackedSize},
	"darwin/amd64": {"@chdb/lib-darwin-x64", "libchdb.so", "", packedSize, unpackedSize},
	"darwin/arm64": {"@chdb/lib-darwin-arm64", "libchdb.so", "", packedSize, unpackedSize},
}

// FindLibrary returns the path of the ClickHouse engine's library: the given
// copy, the cached one, or one it fetches through npm into the cache. Several
// processes may call it at once; a fetch that is cut short leaves nothing that
// would be used.
//
// Without a copy and without a way to fetch one the error is [ErrNoLibrary]
// and names both ways out.
func FindLibrary(ctx context.Context, cfg LibraryConfig) (string, error) {
	if cfg.Path != "" {
		info, err := os.Stat(cfg.Path)
		if err != nil {
			return "", fmt.Errorf("MILLRACE_LIBCHDB: %w", err)
		}
		if !info.Mode().IsRegular() {
			return "", fmt.Errorf("MILLRACE_LIBCHDB: %s is not a file: it must name libchdb.so itself", cfg.Path)
		}
		return filepath.Abs(cfg.Path)
	}

	platform := runtime.GOOS + "/" + runtime.GOARCH
	e, ok := engines[platform]
	if !ok {
		return "", fmt.Errorf("%w: none is published for %s; run Kafka and ClickHouse themselves instead", ErrNoLibrary,
			platform)
	}
	if cfg.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a cache folder for libchdb: %w", err)
		}
		cfg.CacheDir = filepath.Join(dir, "millrace", "libchdb")
	}
	if path, ok := cached(cfg.CacheDir, e); ok {
		return path, nil
	}
	if cfg.Npm == "" {
		cfg.Npm = "npm"
	}
	npm, err := exec.LookPath(cfg.Npm)
	if err != nil {
		return "", fmt.Errorf("%w and cannot be fetched without npm: install npm >= 9, or set MILLRACE_LIBCHDB to the %s "+
			"of the npm package %s@%s",
			ErrNoLibrary, e.file, e.npmPackage, LibraryVersion)
	}
	return fetch(ctx, npm, cfg, e)
}
