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

// LibraryVersion is the version of the @chdb/lib-* npm packages.
const LibraryVersion = "26.7.3-stable.1"

// ErrNoLibrary is the error of [FindLibrary] when there is no library and no way to fetch one. The
// message explains how to get the library.
var ErrNoLibrary = errors.New("the embedded ClickHouse needs libchdb, which is missing")

// LibraryConfig is where the library of the ClickHouse engine may come from.
type LibraryConfig struct {
	// Path is a copy of libchdb.so (or .dylib) to use as it is. Empty: the
	// cached library, or one fetched through npm if the cache has none.
	Path string

	// CacheDir is the folder of fetched libraries, with one folder for each version. Empty:
	// millrace/libchdb in the user's cache folder.
	CacheDir string

	// Npm is the npm command. Empty: npm from PATH.
	Npm string

	// Progress receives the progress of a fetch, which takes from ten seconds to minutes. Nil: the
	// progress is not shown. Nothing is written if there is no fetch.
	Progress io.Writer
}

// engine is the npm package of one platform. The hash is that of the tarball as the registry
// published it. npm refuses any other bytes. If no hash is pinned here, npm compares the bytes with
// the hash that the registry gives.
type engine struct {
	npmPackage string
	file       string // the library's name inside the package
	integrity  string
	packed     int64 // bytes to download
	unpacked   int64 // bytes on disk
}

// The sizes were measured on one platform, and are about the same on the others.
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

// FindLibrary returns the path of the library of the ClickHouse engine: the given copy, the cached
// library, or a library that it fetches through npm into the cache. Several processes may call it
// at once. A fetch that is interrupted leaves nothing that a later call would use.
//
// If there is no copy and no way to fetch one, the error is [ErrNoLibrary]. It explains how to
// fetch the library and how to give a copy.
func FindLibrary(ctx context.Context, cfg LibraryConfig) (string, error) {
	if cfg.Path != "" {
		info, err := os.Stat(cfg.Path)
		if err != nil {
			return "", fmt.Errorf("find libchdb: %w", err)
		}
		if !info.Mode().IsRegular() {
			return "", fmt.Errorf("find libchdb: %s is not a file: give the path of libchdb.so itself", cfg.Path)
		}
		return filepath.Abs(cfg.Path)
	}

	platform := runtime.GOOS + "/" + runtime.GOARCH
	e, ok := engines[platform]
	if !ok {
		return "", fmt.Errorf("%w: none is published for %s; install and run Kafka and ClickHouse instead", ErrNoLibrary,
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
		return "", fmt.Errorf("%w and cannot be fetched without npm: install npm >= 9, or give the path of the %s "+
			"of the npm package %s@%s",
			ErrNoLibrary, e.file, e.npmPackage, LibraryVersion)
	}
	return fetch(ctx, npm, cfg, e)
}
