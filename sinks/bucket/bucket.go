// Package bucket is the object store of exports. What it adds to one is that creating is atomic: of all
// the processes that create a key at once exactly one succeeds, the others get [ErrExists], and a reader
// sees the whole object or none (invariant 4). Nothing is ever overwritten.
//
// A small object that is a commit point is written with [Bucket.Create], which returns when the object is
// durable. The many fragments of a window are written with [Bucket.NewWriter], whose Commit only makes
// them visible; one [Bucket.Sync] then makes all of them durable before the manifest that names them is
// created. So after a crash of the machine an object that no manifest names may be cut short, and one that
// a manifest names may not (invariant 6).
//
// # S3
//
// s3://bucket/prefix?name=value&… is a bucket of S3, or of a store that speaks its protocol and honours
// If-None-Match on PutObject, which [Bucket.Probe] finds out. After the question mark:
//
//	region=eu-west-1       the bucket's; or AWS_REGION. Needed for Amazon, others rarely look at it.
//	endpoint=http://host   another server than Amazon's; https:// where the scheme is left out
//	use_path_style=false   a bucket's name is part of the host; the default with endpoint= is true
//	disable_https=true     for an endpoint= without a scheme
//	profile=name           of ~/.aws/config
//	role=arn:…             to assume
//	anonymous=true         no credentials
//	timeout=60s            how long the store may be silent, after which a request is sent again; up to 4 times
//
// Credentials come from where the AWS SDK finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the
// profile, the machine's role. They have to allow s3:GetObject, s3:PutObject, s3:DeleteObject,
// s3:AbortMultipartUpload and s3:ListBucket.
//
// A process that is killed while it writes a large object leaves an upload that is nobody's object, is in no
// listing, and is paid for. Only a lifecycle rule of the bucket removes it, and each bucket should have one:
// AbortIncompleteMultipartUpload with DaysAfterInitiation 1. Millrace does not, since it cannot tell its
// own from others' that share the bucket.
package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
)

var (
	// ErrExists says that the key has an object already.
	ErrExists = errors.New("object exists")
	// ErrNotFound says that the key has no object.
	ErrNotFound = errors.New("object not found")
	// ErrNotSupported says that this kind of store cannot do that.
	ErrNotSupported = errors.New("not supported by this kind of object store")
)

// Object is an entry of a listing.
type Object struct {
	Key     string
	Size    int64 // bytes
	ModTime time.Time
}

// store is what a kind of object store does. Keys are valid, see checkKey. Errors need not name the key.
type store interface {
	// create is Create. It does not keep body.
	create(ctx context.Context, key string, body []byte) error
	newUpload(ctx context.Context, key string) (upload, error)
	sync(ctx context.Context, keys []string) error
	// open returns length bytes of an object from offset on, as many as there are, or all of them where length
	// is negative; and the size of the whole object in bytes. Or ErrNotFound.
	open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, int64, error)
	// list returns the objects whose keys start with prefix, in ascending order of keys.
	list(ctx context.Context, prefix string) ([]Object, error)
	// delete returns nil where there is no such object.
	delete(ctx context.Context, key string) error
	url(key string) string
	// signedURL is SignedURL, or ErrNotSupported.
	signedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
	close() error
}

// upload is an object that is not visible yet. Commit ends it, whatever it returns; abort after that, and
// a second time, does nothing.
type upload interface {
	io.Writer
	commit() error
	abort()
}

// Bucket is an open object store. It is safe for concurrent use, by this process and others.
type Bucket struct{ store store }

// Close frees what Open took. Writers and readers must be done.
func (b *Bucket) Close() error { return b.store.close() }

// Create creates an object and returns when it is durable; ErrExists where the key has one, which is durable
// then if it was made by Create. After any other error there may be an object or none.
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

// Sync returns when these objects, which were committed, are durable. ErrNotFound where one is missing.
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

// Read returns a whole object, or ErrNotFound.
func (b *Bucket) Read(ctx context.Context, key string) ([]byte, error) {
	r, size, err := b.NewReader(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	n, err := body.ReadFrom(r)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes instead of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, err)
	}
	return body.Bytes(), nil
}

// NewReader returns an object and its size in bytes, or ErrNotFound. The reader must be closed.
func (b *Bucket) NewReader(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	return b.NewRangeReader(ctx, key, 0, -1)
}

// NewRangeReader returns length bytes of an object from offset on, or fewer where the object ends before, or
// all the rest where length is negative; and the size of the whole object in bytes. Or ErrNotFound. The
// reader must be closed.
func (b *Bucket) NewRangeReader(ctx context.Context, key string, offset, length int64) (r io.ReadCloser, size int64, err error) {
	err = b.do("read", key, func() (err error) {
		if offset < 0 {
			return fmt.Errorf("offset %d is negative", offset)
		}
		r, size, err = b.store.open(ctx, key, offset, length)
		return err
	})
	return r, size, err
}

// List returns the objects whose keys start with prefix, in ascending order of keys. Objects that are not
// committed yet are not among them.
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

// Delete deletes an object. That there is none is fine.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return b.do("delete", key, func() error { return b.store.delete(ctx, key) })
}

// URL returns where an object is, for people and for tools on this machine or with its credentials.
func (b *Bucket) URL(key string) string { return b.store.url(key) }

// maxExpiry is the limit of S3's signatures.
const maxExpiry = 7 * 24 * time.Hour

// SignedURL returns an HTTP URL from which anybody can GET the object until it expires: after expiry, which
// is at most 7 days, or before, together with the credentials that sign it where those are temporary.
// ErrNotSupported where the store does not speak HTTP. It does not look whether there is such an object.
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

// Probe checks that the store keeps the promise of Create: it creates a key twice, and the second time
// must fail. It leaves nothing behind.
func (b *Bucket) Probe(ctx context.Context) error {
	key := "probe-" + uuid.NewString()
	defer func() { _ = b.Delete(context.WithoutCancel(ctx), key) }()
	first := []byte("first")
	if err := b.Create(ctx, key, first); err != nil {
		return fmt.Errorf("probe the object store of MILLRACE_BUCKET_URL: %w", err)
	}
	switch err := b.Create(ctx, key, []byte("second")); {
	case err == nil:
		return errors.New("the object store of MILLRACE_BUCKET_URL created the same key twice: it ignores the condition that the key must not exist, so exports could overwrite each other; use a store that honours it (S3: If-None-Match; a local disk: link)")
	case !errors.Is(err, ErrExists):
		return fmt.Errorf("probe the object store of MILLRACE_BUCKET_URL: %w", err)
	}
	switch body, err := b.Read(ctx, key); {
	case err != nil:
		return fmt.Errorf("probe the object store of MILLRACE_BUCKET_URL: %w", err)
	case !bytes.Equal(body, first):
		return errors.New("the object store of MILLRACE_BUCKET_URL refused to create a key twice and yet changed its object; it cannot be used")
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

// Writer writes one object. Its memory is nothing on a file system, and at most a part of an upload, 8 MiB,
// on S3. It is not safe for concurrent use.
type Writer struct {
	key    string
	upload upload
	err    error // final
}

var errDone = errors.New("the writer is done")

// Write adds to the object. After an error the object cannot be committed.
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

// Commit makes the object visible, whole, or returns ErrExists where the key has one by now; then nothing is
// left of what was written. After any other error there may be the object or none, as after Create. A
// committed object is durable after [Bucket.Sync].
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
