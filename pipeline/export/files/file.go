package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// ManifestText is the text of manifest.json; nil while the export has not ended.
func (d *Dataset) ManifestText() []byte { return d.manifest }

// Find returns a file of the manifest by its key.
func (d *Dataset) Find(key string) (export.File, bool) {
	if d.Manifest != nil {
		for _, f := range d.Manifest.Files {
			if f.Key == key {
				return f, true
			}
		}
	}
	return export.File{}, false
}

// Files returns the data files, in the order of their records; none unless the export succeeded.
func (d *Dataset) Files() []export.File {
	if d.Manifest == nil {
		return nil
	}
	return d.data()
}

// SignedURL returns a URL of the object store from which anybody can GET a file until it expires,
// or bucket.ErrNotSupported.
func (d *Dataset) SignedURL(ctx context.Context, f export.File, expiry time.Duration) (string, error) {
	return d.folder.Bucket.SignedURL(ctx, d.folder.Key(f.Key), expiry)
}

// Copy copies a file to w, and holds it against the manifest: after an error w has bytes that are
// not the file's.
func (d *Dataset) Copy(ctx context.Context, w io.Writer, f export.File) error {
	m, err := d.copyTo(ctx, w, f, nil)
	if err != nil {
		return err
	}
	for _, p := range m.differences(f) {
		return p
	}
	return nil
}

// Open returns a file to read from any place in it. It does not check its SHA-256. It must be
// closed.
func (d *Dataset) Open(ctx context.Context, f export.File) io.ReadSeekCloser {
	return &seeker{ctx: ctx, d: d, file: f}
}

// seeker reads an object forwards from where it was told to.
type seeker struct {
	ctx    context.Context //nolint:containedctx // io.Reader has no place for it
	d      *Dataset
	file   export.File
	offset int64
	r      io.ReadCloser
}

// Read implements io.Reader.
func (s *seeker) Read(p []byte) (int, error) {
	if s.offset >= s.file.Bytes {
		return 0, io.EOF
	}
	if s.r == nil {
		r, size, err := s.d.folder.Bucket.NewRangeReader(s.ctx, s.d.folder.Key(s.file.Key), s.offset, -1)
		if err != nil {
			return 0, s.d.explain(s.ctx, err)
		}
		s.r = r
		if size != s.file.Bytes {
			return 0, fmt.Errorf("object %s has %d bytes, and the manifest says %d", s.file.Key, size, s.file.Bytes)
		}
	}
	n, err := s.r.Read(p)
	s.offset += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.offset
	case io.SeekEnd:
		offset += s.file.Bytes
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	if offset != s.offset {
		s.Close()
		s.offset = offset
	}
	return offset, nil
}

// Close implements io.Closer.
func (s *seeker) Close() error {
	if s.r == nil {
		return nil
	}
	err := s.r.Close()
	s.r = nil
	return err
}
