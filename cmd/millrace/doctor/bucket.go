package doctor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/sinks/bucket"
)

// probeRounds is how often writers race for a key: more than at the start of a role.
const probeRounds = 20

// bucket checks the object store.
func (e *examination) bucket(ctx context.Context) {
	const action = "correct MILLRACE_BUCKET_URL, or mend the object store"
	b, err := bucket.Open(ctx, e.Config.BucketURL)
	if err != nil {
		e.add(areaBucket, Error, action, "%v", err)
		return
	}
	defer b.Close()
	if err := b.Check(ctx); err != nil {
		e.add(areaBucket, Error, action, "%v", err)
		return
	}
	if err := b.ProbeRounds(ctx, probeRounds); err != nil {
		e.add(areaBucket, Error, action, "%v", err)
		return
	}
	e.ok(areaBucket, "%s creates a key once, also when writers and multipart uploads race for it", b.URL(""))
	e.signingKey(ctx, b)
	key := "probe-" + uuid.NewString()
	before := time.Now()
	if err := b.Create(ctx, key, []byte(key)); err != nil {
		e.add(areaBucket, Error, action, "%v", err)
		return
	}
	after := time.Now()
	defer func() { _ = b.Delete(context.WithoutCancel(ctx), key) }()
	e.signedURL(ctx, b, key)
	if objects, err := b.List(ctx, key); err == nil && len(objects) == 1 {
		e.clock("the object store", objects[0].ModTime, before.Truncate(time.Second), after) // S3 has whole seconds
	}
}

// signedURLTimeout bounds the request of a signed URL.
const signedURLTimeout = 10 * time.Second

// signedURL asks for an object, as those do who are given a URL.
func (e *examination) signedURL(ctx context.Context, b *bucket.Bucket, key string) {
	signed, err := b.SignedURL(ctx, key, time.Minute)
	if errors.Is(err, bucket.ErrNotSupported) {
		e.publicURL(ctx)
		return
	}
	if err != nil {
		e.add(areaBucket, Error, "correct the credentials of the object store", "%v", err)
		return
	}
	const action = "make the endpoint of MILLRACE_BUCKET_URL one that readers of exports reach"
	body, err := get(ctx, signed)
	switch {
	case err != nil:
		e.add(areaBucket, Error, action, "a signed URL cannot be read from here: %v", err)
	case body != key:
		e.add(areaBucket, Error, action, "a signed URL leads to something else than its object")
	default:
		e.ok(areaBucket, "signed URLs can be read from here")
	}
}

// publicURL asks the server for files of a store without HTTP.
func (e *examination) publicURL(ctx context.Context) {
	if e.Config.HTTPURL == "" {
		e.add(areaBucket, Note, "", "files are read through `millrace serve`; MILLRACE_HTTP_URL is not set, so that signed URLs "+
			"are for this machine alone")
		return
	}
	if _, err := get(ctx, e.Config.HTTPURL+"/healthz"); err != nil {
		e.add(areaBucket, Error, "start `millrace serve`, or correct MILLRACE_HTTP_URL",
			"signed URLs cannot be read from here: %v", err)
		return
	}
	e.ok(areaBucket, "`millrace serve` answers at %s", e.Config.HTTPURL)
}

// get returns the body of an answer with status 200.
func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, signedURLTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", errors.New("the URL is not valid")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", errors.Unwrap(err) // without the URL, which is a secret
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New("the answer is " + resp.Status)
	}
	return string(body), err
}
