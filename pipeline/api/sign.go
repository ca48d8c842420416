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
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/bucket"
)

// SigningKey is the object with the key of signed URLs. It is in the bucket, so that all servers
// have the same key, also after a restart, and nobody has to distribute it; whoever can read the
// bucket needs no signed URL. Delete it and restart the servers to invalidate all signed URLs.
const SigningKey = "server/url-signing-key"

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
	key, err := s.bucket.Read(ctx, SigningKey)
	if errors.Is(err, bucket.ErrNotFound) {
		created := []byte(rand.Text() + rand.Text())
		if err = s.bucket.Create(ctx, SigningKey, created); err == nil || errors.Is(err, bucket.ErrExists) {
			key, err = s.bucket.Read(ctx, SigningKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of signed URLs: %w", err)
	}
	if len(key) < sha256.Size {
		return nil, fmt.Errorf("the key of signed URLs, object %s, has only %d bytes: delete it, and the server makes a "+
			"new one", SigningKey, len(key))
	}
	s.key = key
	return key, nil
}

// signedURL is what a signed URL gives access to.
type signedURL struct {
	export.ID
	key      string // of the file, relative to the export
	fileName string // under which a client stores the file
}

// signature signs everything that a URL gives access to. No part has a line break.
func (s *signer) signature(ctx context.Context, u signedURL, expires int64) (string, error) {
	secret, err := s.secret(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "millrace file v2\n%s\n%s\n%s\n%s\n%d", u.WorkspaceID, u.ExportID, u.key, u.fileName, expires)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// fileURL returns a URL of this server from which anybody can GET a file until the URL expires. It
// is never a URL of the object store: clients of Answer Insights append parameters, which would
// break a store's signature.
func (a *API) fileURL(ctx context.Context, base string, u signedURL, expiry time.Duration) (string, error) {
	expires := time.Now().Add(expiry).Unix()
	signature, err := a.sign.signature(ctx, u, expires)
	if err != nil {
		return "", err
	}
	query := url.Values{"workspace": {u.WorkspaceID}, "filename": {u.fileName},
		"expires": {strconv.FormatInt(expires, 10)}, "signature": {signature}}
	return base + "/v1/exports/" + url.PathEscape(u.ExportID) + "/files/" + (&url.URL{Path: u.key}).EscapedPath() + "?" +
		query.Encode(), nil
}

// signedFile returns what the URL of a request gives access to, and whether the URL is a signed one.
func signedFile(r *http.Request) (u signedURL, ok bool) {
	query := r.URL.Query()
	if !query.Has("signature") {
		return u, false
	}
	return signedURL{export.ID{WorkspaceID: query.Get("workspace"), ExportID: r.PathValue("id")}, r.PathValue("key"),
		query.Get("filename")}, true
}

// check returns a problem unless the signature is valid and has not expired.
func (s *signer) check(ctx context.Context, r *http.Request, u signedURL) error {
	query := r.URL.Query()
	bad := problem(http.StatusForbidden, "the signature of this URL is not valid, or it has expired: ask for a new one")
	expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	if err != nil || !runs.ValidWorkspaceID(u.WorkspaceID) || !runs.ValidID(u.ExportID) ||
		strings.Contains(u.key+u.fileName, "\n") {
		return bad
	}
	want, err := s.signature(ctx, u, expires)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(query.Get("signature"))) || time.Now().Unix() > expires {
		return bad
	}
	return nil
}

// base returns the URL under which clients reach the server. Without a public URL it is the host that
// the request was sent to, if that is this machine: a client can write any host, and a signed URL would
// carry its signature there.
func (a *API) base(r *http.Request) (string, error) {
	if a.cfg.PublicURL != "" {
		return strings.TrimSuffix(a.cfg.PublicURL, "/"), nil
	}
	if !isLoopback(r.Host) {
		return "", problem(http.StatusInternalServerError, "the server does not know the URL under which its files are "+
			"reached: its operator has to configure its public URL")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host, nil
}
