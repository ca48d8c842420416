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

	// SHA256 is the hash of the library that is fetched or cached, in hexadecimal. Empty: that of
	// LibraryVersion. Tests give others.
	SHA256 string

	// Npm is the npm command. Empty: npm from PATH.
	Npm string

	// Progress receives the progress of a fetch, which takes from ten seconds to minutes. Nil: the
	// progress is not shown. Nothing is written if there is no fetch.
	Progress io.Writer
}

// engine is the npm package of one platform. The hashes pin what runs, whatever a registry or a
// cache delivers: npm checks the package, and FindLibrary the library.
type engine struct {
	npmPackage string
	file       string // the library's name inside the package
	integrity  string // of the package, as the registry published it
	sha256     string // of the library, in hexadecimal
	packed     int64  // bytes to download
	unpacked   int64  // bytes on disk
}

// engines has the platforms whose library was fetched and hashed by whoever wrote the hash here. The
// packages of linux/arm64, darwin/amd64 and darwin/arm64 (@chdb/lib-linux-arm64-gnu, -darwin-x64,
// -darwin-arm64) could not be, so their users give a copy that they trust.
var engines = map[string]engine{
	"linux/amd64": {
		npmPackage: "@chdb/lib-linux-x64-gnu",
		file:       "libchdb.so",
		integrity:  "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
		sha256:     "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5",
		packed:     177_817_999,
		unpacked:   569_042_837,
	},
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
		if err := trusted(cfg.Path); err != nil {
			return "", fmt.Errorf("find libchdb: %w", err)
		}
		return filepath.Abs(cfg.Path)
	}

	platform := runtime.GOOS + "/" + runtime.GOARCH
	e, ok := engines[platform]
	if !ok {
		return "", fmt.Errorf("%w: for %s Millrace knows no hash to check a download by; give the path of a libchdb that "+
			"you trust, such as that of the npm package @chdb/lib-… of the platform at %s, or run Kafka and ClickHouse instead",
			ErrNoLibrary, platform, LibraryVersion)
	}
	if cfg.SHA256 != "" {
		e.sha256 = cfg.SHA256
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
