package bucket

import (
	"context"
	"io"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"
)

// memory is a store in the memory of this process. gocloud's store holds its lock from looking for
// the key until creating it.
type memory struct{ objects }

func openMemory() memory {
	return memory{objects{bucket: memblob.OpenBucket(&memblob.Options{NoMD5: true})}}
}

func (m memory) create(ctx context.Context, key string, body []byte) error {
	w, err := m.newUpload(ctx, key)
	if err != nil {
		return err
	}
	defer w.abort()
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.commit()
}

func (m memory) newUpload(ctx context.Context, key string) (upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w, err := m.bucket.NewWriter(ctx, key, &blob.WriterOptions{IfNotExist: true, ContentType: contentType})
	if err != nil {
		cancel()
		return nil, err
	}
	return &memoryUpload{Writer: w, cancel: cancel}, nil
}

// memoryUpload is an upload. gocloud discards a writer that is closed after its context was
// cancelled.
type memoryUpload struct {
	*blob.Writer
	cancel context.CancelFunc
	done   bool
}

func (u *memoryUpload) commit() error {
	u.done = true
	defer u.cancel()
	err := u.Close()
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return ErrExists
	}
	return err
}

func (u *memoryUpload) abort() {
	if u.done {
		return
	}
	u.done = true
	u.cancel()
	_ = u.Close() // the error is that the context was cancelled
}

func (m memory) sync(ctx context.Context, keys []string) error {
	for _, key := range keys {
		exists, err := m.bucket.Exists(ctx, key)
		if err != nil {
			return err
		}
		if !exists {
			return ErrNotFound
		}
	}
	return ctx.Err()
}

func (m memory) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, int64, error) {
	r, size, err := m.objects.open(ctx, key, offset, length)
	return r, size, missing(err)
}

func (m memory) delete(ctx context.Context, key string) error {
	if err := missing(m.bucket.Delete(ctx, key)); err != ErrNotFound { //nolint:errorlint // missing returns it bare
		return err
	}
	return nil
}

func missing(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return ErrNotFound
	}
	return err
}

func (m memory) check(ctx context.Context) error { return ctx.Err() }

func (m memory) url(key string) string { return "mem:///" + key }

func (m memory) signedURL(context.Context, string, time.Duration) (string, error) {
	return "", ErrNotSupported
}
