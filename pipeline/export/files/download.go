package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/export"
)

// DownloadOptions say how to download; the zero value is the usual way.
type DownloadOptions struct {
	Fragments bool              // keep the fragments, and the folder's layout
	Force     bool              // replace files that are there and differ
	Progress  func(bytes int64) // of objects, as they come; it is called at once by several. May be nil
}

// ErrExists says that a download would replace a file that is another one.
var ErrExists = errors.New("the file is there already and differs; nothing was changed")

// LocalFile is a file that was downloaded.
type LocalFile struct {
	Path    string          // as Download was given the folder
	Kind    export.FileKind // Other for the manifest
	Records int64
	Bytes   int64
}

// Download writes the export's files into a folder, which is made if need be.
//
// The fragments of JSONL and CSV become one file a split, train.jsonl, with one header. Everything
// else goes to __meta__/, which the loaders of data sets skip: the lineage, which tells of lines of
// the joined files then, the sidecars, the manifest, and the dataset card, whose list of fragments
// would mislead a loader. With Fragments, and for JSON and Parquet, whose fragments are complete
// documents, the folder is that of the bucket: data/, __meta__/, README.md and manifest.json.
//
// Every object is held against the manifest, and a difference is a [Problem]. The files get their
// names at the end, when all of them are there; one that has the name and is the same stays, one
// that differs is an ErrExists, and nothing has changed. A process that is killed leaves a hidden
// folder, .millrace-…, and no file that is cut short.
func (d *Dataset) Download(ctx context.Context, dir string, o DownloadOptions) (files []LocalFile, err error) {
	if err := d.Readable(); err != nil {
		return nil, err
	}
	targets, err := d.targets(o.Fragments)
	if err != nil {
		return nil, err
	}
	moved := relocations(targets)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	staging, err := os.MkdirTemp(dir, ".millrace-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(staging)
	p := placer{dir: dir, objects: filepath.Join(staging, "objects"), finished: filepath.Join(staging, "finished"),
		force: o.Force}
	if err := d.fetch(ctx, p.objects, o.Progress); err != nil {
		return nil, err
	}
	for i := range targets {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := d.finish(&p, &targets[i], moved); err != nil {
			return nil, fmt.Errorf("%s: %w", targets[i].path, err)
		}
	}
	return p.place(targets)
}

// target is a file to be, made from the objects of files; the manifest has none.
type target struct {
	path    string // in the folder, with slashes
	kind    export.FileKind
	objects []export.File
	records int64
}

// targets returns the files of a download, the data first.
func (d *Dataset) targets(fragments bool) ([]target, error) {
	joined := !fragments && (d.Manifest.Format == export.JSONL || d.Manifest.Format == export.CSV)
	var data, rest []target
	for _, f := range d.Manifest.Files {
		name := f.Key
		switch {
		case joined && f.Kind == export.Data:
			_, extension, _ := strings.Cut(path.Base(f.Key), ".")
			name = f.Split + "." + extension
		case joined && !strings.HasPrefix(f.Key, export.MetaDir):
			name = export.MetaDir + f.Key
		}
		// A manifest that somebody changed leads out of the folder no more than an honest one does.
		if !filepath.IsLocal(filepath.FromSlash(name)) || strings.HasPrefix(name, ".") ||
			!filepath.IsLocal(filepath.FromSlash(f.Key)) {
			return nil, fmt.Errorf("manifest.json lists a file %q, which Millrace does not write", f.Key)
		}
		t := target{path: name, kind: f.Kind, objects: []export.File{f}, records: f.Records}
		if f.Kind != export.Data {
			rest = append(rest, t)
			continue
		}
		if i := slices.IndexFunc(data, func(t target) bool { return t.path == name }); joined && i >= 0 {
			data[i].objects = append(data[i].objects, f)
			data[i].records += f.Records
			continue
		}
		data = append(data, t)
	}
	manifest := export.ManifestName
	if joined {
		manifest = export.MetaDir + manifest
	}
	return append(append(data, rest...), target{path: manifest, kind: export.Other}), nil
}

// fetch copies all objects of the manifest into a folder and checks them.
func (d *Dataset) fetch(ctx context.Context, dir string, progress func(bytes int64)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(objectsAtOnce)
	for _, f := range d.Manifest.Files {
		group.Go(func() error {
			return create(filepath.Join(dir, filepath.FromSlash(f.Key)), func(w io.Writer) error {
				got, err := d.copyTo(ctx, w, f, progress)
				if err != nil {
					return err
				}
				if problems := got.differences(f); len(problems) > 0 {
					return problems[0]
				}
				return nil
			})
		})
	}
	return group.Wait()
}

// create makes a file that must not exist, and the folders above it.
func create(name string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// finish makes one file of the objects that were fetched, and removes them.
func (d *Dataset) finish(p *placer, t *target, moved map[string]place) error {
	name := filepath.Join(p.finished, filepath.FromSlash(t.path))
	object := func(f export.File) string { return filepath.Join(p.objects, filepath.FromSlash(f.Key)) }
	switch {
	case len(t.objects) == 0:
		return create(name, func(w io.Writer) error {
			_, err := w.Write(d.manifest)
			return err
		})
	case t.kind == export.Lineage && len(moved) > 0:
		return create(name, func(w io.Writer) error { return relocate(w, object(t.objects[0]), moved) })
	case len(t.objects) == 1:
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return os.Rename(object(t.objects[0]), name)
	}
	return create(name, func(w io.Writer) error {
		j, err := newJoiner(w, d.Manifest.Format, d.Manifest.Compression)
		if err != nil {
			return err
		}
		for _, f := range t.objects {
			if err := j.add(object(f)); err != nil {
				return fmt.Errorf("join %s: %w", f.Key, err)
			}
			if err := os.Remove(object(f)); err != nil {
				return err
			}
		}
		return j.close()
	})
}

// placer gives finished files their names.
type placer struct {
	dir, objects, finished string
	force                  bool
}

func (p *placer) place(targets []target) ([]LocalFile, error) {
	files := make([]LocalFile, len(targets))
	there := make([]bool, len(targets))
	for i, t := range targets {
		name := filepath.FromSlash(t.path)
		info, err := os.Stat(filepath.Join(p.finished, name))
		if err != nil {
			return nil, err
		}
		files[i] = LocalFile{Path: filepath.Join(p.dir, name), Kind: t.kind, Records: t.records, Bytes: info.Size()}
		if there[i], err = same(filepath.Join(p.finished, name), files[i].Path); err != nil {
			return nil, err
		}
		if _, err := os.Lstat(files[i].Path); err == nil && !there[i] && !p.force {
			return nil, fmt.Errorf("%s: %w", files[i].Path, ErrExists)
		}
	}
	for i, t := range targets {
		if there[i] {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(files[i].Path), 0o755); err != nil {
			return nil, err
		}
		if err := os.Rename(filepath.Join(p.finished, filepath.FromSlash(t.path)), files[i].Path); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// same says whether two files have the same bytes; the second need not exist.
func same(a, b string) (bool, error) {
	x, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return false, nil //nolint:nilerr // what cannot be opened is not the same
	}
	defer y.Close()
	xi, err1 := x.Stat()
	yi, err2 := y.Stat()
	if err1 != nil || err2 != nil || !yi.Mode().IsRegular() || xi.Size() != yi.Size() {
		return false, nil
	}
	var p, q [32 << 10]byte
	for {
		n, err := io.ReadFull(x, p[:])
		m, _ := io.ReadFull(y, q[:])
		switch {
		case !bytes.Equal(p[:n], q[:m]):
			return false, nil
		case err != nil: // the end of both
			return true, nil
		}
	}
}
