package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// receipt is written beside a fetched library once the library has the right hash, so that it need
// not be hashed at every start.
type receipt struct {
	Size    int64     `json:"size"` // bytes
	ModTime time.Time `json:"mod_time"`
	SHA256  string    `json:"sha256"`
}

const receiptName = "receipt.json"

func cachedDir(cacheDir string) string {
	return filepath.Join(cacheDir, LibraryVersion+"-"+runtime.GOOS+"-"+runtime.GOARCH)
}

// cached returns the path of the cached library if it is the right one, and if only this user or
// root can change it. Where the receipt does not say so, the file is read and hashed, which takes
// half a second.
func cached(cacheDir string, e engine) (string, bool) {
	dir := cachedDir(cacheDir)
	path := filepath.Join(dir, e.file)
	for _, p := range []string{cacheDir, dir, path} {
		if trusted(p) != nil {
			return "", false
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", false
	}
	r, err := readReceipt(dir)
	if err == nil && r.SHA256 == e.sha256 && r.Size == info.Size() && r.ModTime.Equal(info.ModTime()) {
		return path, true
	}
	now, err := newReceipt(path)
	if err != nil || now.SHA256 != e.sha256 {
		return "", false
	}
	_ = now.write(dir) // without the new receipt, the next start hashes the file again
	return path, true
}

// trusted returns an error if another user than this one and root can change a file or folder.
func trusted(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user (id %d): copy it", path, stat.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("other users may write %s (mode %04o): chmod go-w", path, mode)
	}
	return nil
}

// readReceipt reads the receipt in a folder, if only this user or root can have written it.
func readReceipt(dir string) (r receipt, err error) {
	path := filepath.Join(dir, receiptName)
	if err := trusted(path); err != nil {
		return r, err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

func newReceipt(path string) (receipt, error) {
	f, err := os.Open(path)
	if err != nil {
		return receipt{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return receipt{}, err
	}
	// Sync: a power cut after the rename must not leave an incomplete file with a valid receipt.
	if err := f.Sync(); err != nil {
		return receipt{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return receipt{}, err
	}
	return receipt{Size: n, ModTime: info.ModTime(), SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

func (r receipt) write(dir string) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, receiptName+".new")
	if err := os.WriteFile(tmp, body, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, receiptName))
}

// fetch installs the library's package into a folder beside the cache, and moves it into the cache
// when it is complete.
func fetch(ctx context.Context, npm string, cfg LibraryConfig, e engine) (string, error) {
	if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
		return "", fmt.Errorf("make the cache folder of libchdb: %w", err)
	}
	line := newProgress(cfg.Progress)
	lock, err := waitLock(ctx, filepath.Join(cfg.CacheDir, "lock"), func() {
		line.say("waiting: another process is fetching the ClickHouse engine")
	})
	if err != nil {
		return "", fmt.Errorf("lock the cache of libchdb: %w", err)
	}
	defer lock.Close()
	if path, ok := cached(cfg.CacheDir, e); ok {
		return path, nil
	}

	// While this process has the lock, such a folder can only be left from a fetch that was killed.
	if left, err := filepath.Glob(filepath.Join(cfg.CacheDir, "fetch-*")); err == nil {
		for _, dir := range left {
			os.RemoveAll(dir)
		}
	}
	tmp, err := os.MkdirTemp(cfg.CacheDir, "fetch-")
	if err != nil {
		return "", fmt.Errorf("make a folder for libchdb: %w", err)
	}
	defer os.RemoveAll(tmp)

	if err := install(ctx, npm, tmp, e, line); err != nil {
		return "", fmt.Errorf("fetch %s@%s with npm: %w; npm must be >= 9 and reach its registry, or give the path of a "+
			"copy of that package's %s",
			e.npmPackage, LibraryVersion, err, e.file)
	}
	pkg := filepath.Join(tmp, "node_modules", filepath.FromSlash(e.npmPackage))
	r, err := newReceipt(filepath.Join(pkg, e.file))
	if err != nil {
		return "", fmt.Errorf("fetched %s@%s, but: %w", e.npmPackage, LibraryVersion, err)
	}
	if r.SHA256 != e.sha256 {
		return "", fmt.Errorf("npm fetched %s@%s, but its %s has the SHA-256 %s instead of %s: do not use it; look "+
			"where npm fetches from", e.npmPackage, LibraryVersion, e.file, r.SHA256, e.sha256)
	}
	for _, p := range []string{pkg, filepath.Join(pkg, e.file)} {
		if err := os.Chmod(p, 0o700); err != nil {
			return "", fmt.Errorf("fetched %s@%s, but: %w", e.npmPackage, LibraryVersion, err)
		}
	}
	if err := r.write(pkg); err != nil {
		return "", fmt.Errorf("fetched %s@%s, but: %w", e.npmPackage, LibraryVersion, err)
	}
	dir := cachedDir(cfg.CacheDir)
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("replace a damaged libchdb: %w", err)
	}
	if err := os.Rename(pkg, dir); err != nil {
		return "", fmt.Errorf("move libchdb into its cache: %w", err)
	}
	return filepath.Join(dir, e.file), nil
}

// install runs npm with a lock file that pins the package's hash. The lock file names no registry,
// so npm uses the user's configuration.
func install(ctx context.Context, npm, dir string, e engine, line *progress) error {
	deps := map[string]string{e.npmPackage: LibraryVersion}
	locked := map[string]string{"version": LibraryVersion, "integrity": e.integrity}
	files := map[string]any{
		"package.json": map[string]any{"name": "libchdb", "version": "0.0.0", "private": true, "dependencies": deps},
		"package-lock.json": map[string]any{
			"name": "libchdb", "version": "0.0.0", "lockfileVersion": 3, "requires": true,
			"packages": map[string]any{
				"":                             map[string]any{"name": "libchdb", "version": "0.0.0", "dependencies": deps},
				"node_modules/" + e.npmPackage: locked,
			},
		},
	}
	for name, v := range files {
		body, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			return err
		}
	}

	// --ignore-scripts: npm runs no code of the package.
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
		"--prefix", dir)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		line.watch(dir, e, done)
	}()
	err := cmd.Wait()
	close(done)
	<-watched
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w\n%s", err, lastLines(out.String(), 10))
	}
	return nil
}

// progress shows the progress of a fetch: one line that is redrawn in a terminal, and a new line
// every ten seconds elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
}

func newProgress(w io.Writer) *progress {
	if w == nil {
		w = io.Discard
	}
	f, ok := w.(*os.File)
	if ok {
		info, err := f.Stat()
		ok = err == nil && info.Mode()&fs.ModeCharDevice != 0
	}
	return &progress{w: w, terminal: ok}
}

func (p *progress) say(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// watch shows how much npm has unpacked into dir, until done is closed.
func (p *progress) watch(dir string, e engine, done <-chan struct{}) {
	what := fmt.Sprintf("fetching the ClickHouse engine (%d MB, once)", (e.packed+500_000)/1_000_000)
	every := 10 * time.Second
	if p.terminal {
		every = 500 * time.Millisecond
	}
	start := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		state := fmt.Sprintf("%s %d%% %s", what, min(100*folderSize(dir)/e.unpacked, 99),
			time.Since(start).Round(time.Second))
		if first {
			state = what
		}
		if p.terminal {
			fmt.Fprintf(p.w, "\r\x1b[K%s", state)
		} else {
			p.say("%s", state)
		}
		select {
		case <-tick.C:
		case <-done:
			if p.terminal {
				fmt.Fprint(p.w, "\r\x1b[K")
			}
			p.say("%s: npm ended after %s", what, time.Since(start).Round(100*time.Millisecond))
			return
		}
	}
}

// folderSize returns the bytes of the files under dir. It skips files that cannot be read while npm
// writes them.
func folderSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
