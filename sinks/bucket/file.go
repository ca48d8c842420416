package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// incomplete is the folder of files that are not committed. It stands beside the objects, and no
// object can be in it, since no part of a key starts with a dot. A killed process leaves its files
// there. The next process that opens the store removes files that were not written for staleAfter.
// If the writer of such a file is still alive, its commit fails, and no object is cut short.
const (
	incomplete = ".incomplete"
	staleAfter = time.Hour
)

// folder is a store in a folder of a file system with hard links, local or shared. Each object is
// written to a file of its own, and then link(2) gives it its key. link(2) is the one call that is
// atomic between processes and fails if the key exists; rename(2) would overwrite.
type folder struct {
	path string
	root *os.Root    // so that no symbolic link leads out of the folder
	mode fs.FileMode // of new files

	mu      sync.Mutex
	durable map[string]struct{} // folders whose entries in their parents are known to be durable
}

func openFolder(path string, mode fs.FileMode) (*folder, error) {
	if err := makeFolder(path, folderMode(mode)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &folder{path: filepath.Clean(path), root: root, mode: mode, durable: map[string]struct{}{}}
	if err := d.root.Mkdir(incomplete, folderMode(mode)); err != nil && !errors.Is(err, fs.ErrExist) {
		root.Close()
		return nil, err
	}
	d.sweep(time.Now().Add(-staleAfter))
	return d, nil
}

// folderMode returns the mode of folders whose files have a mode: whoever may read the files may
// also find them.
func folderMode(mode fs.FileMode) fs.FileMode { return mode | mode&0o444>>2 }

// makeFolder makes a folder and its parents, and makes them durable.
func makeFolder(path string, mode fs.FileMode) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := makeFolder(parent, mode); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer f.Close()
	return ignoreInvalid(f.Sync())
}

// ignoreInvalid drops the error of a file system that cannot sync folders. Some network and shared
// file systems cannot. PostgreSQL's fsync_fname ignores the same error.
func ignoreInvalid(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// sweep removes the files of dead writers. Files that it cannot remove do no harm.
func (d *folder) sweep(before time.Time) {
	entries, _ := fs.ReadDir(d.root.FS(), incomplete)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.ModTime().Before(before) {
			_ = d.root.Remove(incomplete + "/" + entry.Name())
		}
	}
}

// check returns an error if the folder is not at its path any more: files that are written now would
// be in a folder that nobody else sees.
func (d *folder) check(context.Context) error {
	opened, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	there, err := os.Stat(d.path)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, there) {
		return fmt.Errorf("another folder has replaced %s: start the process again", d.path)
	}
	return nil
}

func (d *folder) close() error { return d.root.Close() }

func (d *folder) url(key string) string {
	return (&url.URL{Scheme: "file", Path: d.path + "/" + key}).String()
}

func (d *folder) signedURL(context.Context, string, time.Duration) (string, error) {
	return "", ErrNotSupported
}

func (d *folder) create(ctx context.Context, key string, body []byte) error {
	w, err := d.newFile(ctx, key)
	if err != nil {
		return err
	}
	defer w.abort()
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	created := w.commit()
	if created != nil && !errors.Is(created, ErrExists) {
		return created
	}
	// The object that exists may be new, and its writer may not have synced the folder, or may be
	// dead.
	if err := d.syncFolder(path.Dir(key)); err != nil {
		return err
	}
	return created
}

func (d *folder) newUpload(ctx context.Context, key string) (upload, error) {
	return d.newFile(ctx, key)
}

func (d *folder) newFile(ctx context.Context, key string) (*file, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := incomplete + "/" + rand.Text()
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, d.mode)
	if err != nil {
		return nil, err
	}
	return &file{ctx: ctx, folder: d, key: key, name: name, file: f}, nil
}

// file is an upload.
type file struct {
	ctx       context.Context
	folder    *folder
	key, name string // name is that of the incomplete file
	file      *os.File
	done      bool
}

func (f *file) Write(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.file.Write(p)
}

func (f *file) commit() error {
	defer f.abort()
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if err := f.file.Close(); err != nil { // some file systems report a failed write only now
		return err
	}
	root := f.folder.root
	err := root.Link(f.name, f.key)
	if errors.Is(err, fs.ErrNotExist) {
		if err := root.MkdirAll(path.Dir(f.key), folderMode(f.folder.mode)); err != nil {
			return err
		}
		err = root.Link(f.name, f.key)
	}
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

func (f *file) abort() {
	if f.done {
		return
	}
	f.done = true
	f.file.Close()
	_ = f.folder.root.Remove(f.name) // if this fails, sweep removes the file later
}

// syncsAtOnce is the number of files that are synced in parallel: a journal commits them together.
const syncsAtOnce = 16

func (d *folder) sync(ctx context.Context, keys []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(syncsAtOnce)
	parents := map[string]struct{}{}
	for _, key := range keys {
		parents[path.Dir(key)] = struct{}{}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return d.syncFile(key)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for parent := range parents {
		if err := d.syncFolder(parent); err != nil {
			return err
		}
	}
	return nil
}

func (d *folder) syncFile(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return notFound(err)
	}
	defer f.Close()
	return f.Sync()
}

// syncFolder makes the entries of a folder durable, and the entries of its parents that lead to it.
// A process syncs each parent once, since nothing removes folders.
func (d *folder) syncFolder(name string) error {
	if err := ignoreInvalid(d.syncFile(name)); err != nil {
		return err
	}
	var fresh []string
	for ; name != "." && !d.isDurable(name); name = path.Dir(name) {
		if err := ignoreInvalid(d.syncFile(path.Dir(name))); err != nil {
			return err
		}
		fresh = append(fresh, name)
	}
	d.markDurable(fresh)
	return nil
}

func (d *folder) isDurable(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, durable := d.durable[name]
	return durable
}

// maxDurable bounds the number of folders that are remembered as durable.
const maxDurable = 4096

func (d *folder) markDurable(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.durable)+len(names) > maxDurable {
		clear(d.durable)
	}
	for _, name := range names {
		d.durable[name] = struct{}{}
	}
}

func (d *folder) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	f, err := d.root.Open(key)
	if err != nil {
		return nil, 0, notFound(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err == nil && offset > 0 {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if length < 0 {
		return f, info.Size(), nil
	}
	return limitedFile{io.LimitReader(f, length), f}, info.Size(), nil
}

// limitedFile reads a range of a file.
type limitedFile struct {
	io.Reader
	io.Closer
}

func (d *folder) list(ctx context.Context, prefix string) (objects []Object, err error) {
	start := "."
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		start = prefix[:i]
	}
	err = fs.WalkDir(d.root.FS(), start, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case isMissing(err):
			return nil // it was deleted while listing, or the prefix does not exist
		case err != nil:
			return err
		case entry.IsDir():
			if name == "." {
				return nil
			}
			if entry.Name()[0] == '.' || !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular(), entry.Name()[0] == '.', !strings.HasPrefix(name, prefix):
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			if isMissing(err) {
				return nil
			}
			return err
		}
		objects = append(objects, Object{Key: name, Size: info.Size(), ModTime: info.ModTime()})
		return nil
	})
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, err
}

// delete does not sync the folder. After a crash the object may be back, and the caller deletes it
// again.
func (d *folder) delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := d.root.Lstat(key)
	if err == nil && info.IsDir() {
		return nil // it is a prefix of keys and not a key
	}
	if err == nil {
		err = d.root.Remove(key)
	}
	if isMissing(err) {
		return nil
	}
	return err
}

// isMissing reports whether a name does not exist. It also does not exist if an object has the name
// of its folder.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func notFound(err error) error {
	if isMissing(err) {
		return ErrNotFound
	}
	return err
}
