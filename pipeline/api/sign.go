package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/bucket"
)

// signingKey is the object with the key of signed URLs. It is in the bucket, so that all servers
// have the same key, also after a restart, and nobody has to distribute it; whoever can read the
// bucket needs no signed URL. Delete it and restart the servers to invalidate all signed URLs.
const signingKey = "server/url-signing-key"

// signer signs and checks URLs of files, which need no token.
type signer struct {
	bucket *bucket.Bucket
	mu     sync.Mutex
	key    []byte
}

// secret returns the key. It creates the object if it is missing.
func (s *signer) secret(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	key, err := s.bucket.Read(ctx, signingKey)
	if errors.Is(err, bucket.ErrNotFound) {
		created := []byte(rand.Text() + rand.Text())
		if err = s.bucket.Create(ctx, signingKey, created); err == nil || errors.Is(err, bucket.ErrExists) {
			key, err = s.bucket.Read(ctx, signingKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of signed URLs: %w", err)
	}
	if len(key) < sha256.Size {
		return nil, fmt.Errorf("the key of signed URLs, object %s, has only %d bytes: delete it, and the server makes a "+
			"new one", signingKey, len(key))
	}
	s.key = key
	return key, nil
}

// signature signs everything that a URL gives access to. No part has a line break.
func (s *signer) signature(ctx context.Context, id export.ID, key string, expires int64) (string, error) {
	secret, err := s.secret(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "millrace file v1\n%s\n%s\n%s\n%d", id.WorkspaceID, id.ExportID, key, expires)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// fileURL returns a URL from which anybody can GET a file until it expires: of the object store, or
// else of this server.
func (a *API) fileURL(ctx context.Context, base string, d *files.Dataset, f export.File, expiry time.Duration) (string,
	error) {
	signed, err := d.SignedURL(ctx, f, expiry)
	if err == nil || !errors.Is(err, bucket.ErrNotSupported) {
		return signed, err
	}
	id, expires := d.Plan.ID, time.Now().Add(expiry).Unix()
	signature, err := a.sign.signature(ctx, id, f.Key, expires)
	if err != nil {
		return "", err
	}
	query := url.Values{"workspace": {id.WorkspaceID}, "expires": {strconv.FormatInt(expires, 10)},
		"signature": {signature}}
	return base + "/v1/exports/" + url.PathEscape(id.ExportID) + "/files/" + (&url.URL{Path: f.Key}).EscapedPath() + "?" +
		query.Encode(), nil
}

// signedFile returns the file of a signed URL, and whether the request has one.
func signedFile(r *http.Request) (id export.ID, key string, ok bool) {
	query := r.URL.Query()
	if !query.Has("signature") {
		return id, "", false
	}
	return export.ID{WorkspaceID: query.Get("workspace"), ExportID: r.PathValue("id")}, r.PathValue("key"), true
}

// check returns a problem unless the signature is valid and has not expired.
func (s *signer) check(ctx context.Context, r *http.Request, id export.ID, key string) error {
	query := r.URL.Query()
	bad := problem(http.StatusForbidden, "the signature of this URL is not valid, or it has expired: ask for a new one")
	expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	if err != nil || !runs.ValidWorkspaceID(id.WorkspaceID) || !runs.ValidID(id.ExportID) || strings.Contains(key, "\n") {
		return bad
	}
	want, err := s.signature(ctx, id, key, expires)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(query.Get("signature"))) || time.Now().Unix() > expires {
		return bad
	}
	return nil
}

// base returns the URL under which clients reach the server.
func (a *API) base(r *http.Request) string {
	if a.cfg.PublicURL != "" {
		return strings.TrimSuffix(a.cfg.PublicURL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
