// Package bucket is the object store of exports. It adds atomic creation: when several processes
// create a key at once, exactly one succeeds, and the others get [ErrExists]. A reader sees the
// whole object or none (invariant 4). Nothing is ever overwritten.
//
// [Bucket.Create] writes a small object that is a commit point, and returns when the object is
// durable. [Bucket.NewWriter] writes the fragments of a window. The Commit of a writer only makes
// the object visible; one [Bucket.Sync] then makes all fragments durable, before the manifest that
// names them is created. After a crash of the machine, an object that no manifest names may be cut
// short. An object that a manifest names is whole (invariant 6).
//
// # Folders
//
// file:///folder?mode=0640 is a folder. Only the user of the process may read what it writes, files
// of mode 0600 in folders of 0700, unless mode= says otherwise: of the files, and of the folders
// accordingly, less the umask. What was written before keeps its mode.
//
// # S3
//
// s3://bucket/prefix?name=value&… is a bucket of Amazon S3, or of another store with the same API
// that honours If-None-Match on PutObject. [Bucket.Probe] checks that the store does. Parameters:
//
//	region=eu-west-1       region of the bucket; default AWS_REGION. Amazon needs it, other stores rarely do.
//	endpoint=http://host   a server other than Amazon's; the default scheme is https://
//	use_path_style=false   the host has the name of the bucket; with endpoint= the default is true
//	disable_https=true     for an endpoint= without a scheme
//	profile=name           a profile of ~/.aws/config
//	role=arn:…             a role to assume
//	anonymous=true         no credentials
//	timeout=60s            how long the store may be silent before a request is sent again, up to 4 times
//
// The AWS SDK finds the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile, or
// the role of the machine. They must allow s3:GetObject, s3:PutObject, s3:DeleteObject,
// s3:AbortMultipartUpload and s3:ListBucket.
//
// A process that is killed while it writes a large object leaves an incomplete upload. No listing
// shows it, and it costs money. Each bucket should have a lifecycle rule that removes such uploads:
// AbortIncompleteMultipartUpload with DaysAfterInitiation 1. Millrace does not remove them, since
// it cannot tell its own uploads from those of other users of the bucket.
package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

var (
	// ErrExists means that the key already has an object.
	ErrExists = errors.New("object exists")
	// ErrNotFound means that the key has no object.
	ErrNotFound = errors.New("object not found")
	// ErrNotSupported means that this kind of store does not have the operation.
	ErrNotSupported = errors.New("not supported by this kind of object store")
)

// Object is an entry of a listing.
type Object struct {
	Key     string
	Size    int64 // bytes
	ModTime time.Time
}

// store is a kind of object store. Callers pass only valid keys, see checkKey. Errors need not name
// the key.
type store interface {
	// create implements Create. It does not keep body.
	create(ctx context.Context, key string, body []byte) error
	newUpload(ctx context.Context, key string) (upload, error)
	sync(ctx context.Context, keys []string) error
	// open implements NewRangeReader.
	open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, int64, error)
	// list returns the objects whose keys start with prefix, in ascending order of keys.
	list(ctx context.Context, prefix string) ([]Object, error)
	// delete returns nil if there is no such object.
	delete(ctx context.Context, key string) error
	check(ctx context.Context) error // implements Check
	url(key string) string
	// signedURL implements SignedURL, or returns ErrNotSupported.
	signedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
	close() error
}

// upload is an object that is not visible yet. Commit ends the upload, also with an error. Abort
// after that does nothing, and may be called again.
type upload interface {
	io.Writer
	commit() error
	abort()
}

// Bucket is an open object store. It is safe for concurrent use, by this process and others.
type Bucket struct{ store store }

// Close closes the store. All readers must be closed before, and all writers committed or aborted.
func (b *Bucket) Close() error { return b.store.close() }

// Create creates an object and returns when it is durable. It returns ErrExists if the key already
// has an object; if Create made that object, it is durable now. After any other error the object
// may exist or not.
func (b *Bucket) Create(ctx context.Context, key string, body []byte) error {
	return b.do("create", key, func() error { return b.store.create(ctx, key, body) })
}

// NewWriter returns a writer for a large object. It must end with Commit or Abort.
func (b *Bucket) NewWriter(ctx context.Context, key string) (*Writer, error) {
	w := &Writer{key: key}
	err := b.do("create", key, func() (err error) {
		w.upload, err = b.store.newUpload(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Sync returns when these committed objects are durable. It returns ErrNotFound if one is missing.
func (b *Bucket) Sync(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	if err := b.store.sync(ctx, keys); err != nil {
		return fmt.Errorf("make %d objects durable: %w", len(keys), err)
	}
	return nil
}

// MaxRead is the size of the largest object that Read returns, in bytes: that of the manifest of 3 million
// files.
const MaxRead = 1 << 30

// ErrTooLarge means that an object is larger than MaxRead.
var ErrTooLarge = fmt.Errorf("object is larger than %d MiB", MaxRead>>20)

// Read returns a whole object of up to MaxRead bytes, or ErrNotFound or ErrTooLarge.
func (b *Bucket) Read(ctx context.Context, key string) ([]byte, error) {
	r, size, err := b.NewReader(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > MaxRead {
		return nil, fmt.Errorf("read object %s of %d bytes: %w", key, size, ErrTooLarge)
	}
	body := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	n, err := body.ReadFrom(io.LimitReader(r, size+1)) // not more, should it have grown
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes instead of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, err)
	}
	return body.Bytes(), nil
}

// NewReader returns a reader of an object, and its size in bytes, or ErrNotFound. The caller closes
// the reader.
func (b *Bucket) NewReader(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	return b.NewRangeReader(ctx, key, 0, -1)
}

// NewRangeReader returns a reader of length bytes of an object, starting at offset, and the size of
// the whole object in bytes. The reader has fewer bytes if the object ends earlier. A negative
// length means all the rest. It returns ErrNotFound if there is no such object. The caller closes
// the reader.
func (b *Bucket) NewRangeReader(ctx context.Context, key string, offset, length int64) (r io.ReadCloser, size int64,
	err error) {
	err = b.do("read", key, func() (err error) {
		if offset < 0 {
			return fmt.Errorf("offset %d is negative", offset)
		}
		r, size, err = b.store.open(ctx, key, offset, length)
		return err
	})
	return r, size, err
}

// List returns the committed objects whose keys start with prefix, in ascending order of keys.
func (b *Bucket) List(ctx context.Context, prefix string) ([]Object, error) {
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		if err := checkKey(prefix[:i]); err != nil {
			return nil, err
		}
	}
	objects, err := b.store.list(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list objects %s: %w", prefix, err)
	}
	return objects, nil
}

// Delete deletes an object. It returns nil if there is none.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return b.do("delete", key, func() error { return b.store.delete(ctx, key) })
}

// URL returns the address of an object, for people, and for tools that run on this machine or have
// its credentials.
func (b *Bucket) URL(key string) string { return b.store.url(key) }

// maxExpiry is the longest time for which S3 signs a URL.
const maxExpiry = 7 * 24 * time.Hour

// SignedURL returns an HTTP URL from which anybody can GET the object until it expires. It expires
// after expiry, which is at most 7 days, or earlier with the credentials that signed it, if they
// are temporary. It returns ErrNotSupported if the store has no HTTP. It does not check that the
// object exists.
func (b *Bucket) SignedURL(ctx context.Context, key string, expiry time.Duration) (signed string, err error) {
	err = b.do("sign the URL of", key, func() (err error) {
		if expiry <= 0 || expiry > maxExpiry {
			return fmt.Errorf("expiry %s is not between 0 and %s", expiry, maxExpiry)
		}
		signed, err = b.store.signedURL(ctx, key, expiry)
		return err
	})
	return signed, err
}

// Check returns an error if the store is not there now. It writes nothing, and is not measured: many
// checks would hide the operations of exports.
func (b *Bucket) Check(ctx context.Context) error {
	if err := b.store.check(ctx); err != nil {
		return fmt.Errorf("check the object store: %w", err)
	}
	return nil
}

func (b *Bucket) do(what, key string, f func() error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := f(); err != nil {
		return fmt.Errorf("%s object %s: %w", what, key, err)
	}
	return nil
}

// Writer writes one object. It holds at most 8 MiB in memory on S3, which is a part of an upload,
// and nothing on a file system. It is not safe for concurrent use.
type Writer struct {
	key    string
	upload upload
	err    error // final
}

var errDone = errors.New("the writer was committed or aborted before")

// Write appends to the object. After an error the object cannot be committed.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.upload.Write(p)
	if err != nil {
		w.err = fmt.Errorf("write object %s: %w", w.key, err)
	}
	return n, w.err
}

// Commit makes the whole object visible. It returns ErrExists if the key has an object by now, and
// then removes what was written. After any other error the object may exist or not, as after
// Create. A committed object is durable after [Bucket.Sync].
func (w *Writer) Commit() error {
	if w.err != nil {
		w.upload.abort()
		return w.err
	}
	w.err = errDone
	if err := w.upload.commit(); err != nil {
		w.err = fmt.Errorf("create object %s: %w", w.key, err)
		return w.err
	}
	return nil
}

// Abort removes what was written. After Commit it does nothing, so it may be deferred.
func (w *Writer) Abort() {
	w.upload.abort()
	if w.err == nil {
		w.err = errDone
	}
}
