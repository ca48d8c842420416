package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/sinks/bucket"
)

// revokedPrefix begins the keys of the objects that revoke tokens, which all servers of a bucket
// read: <expiry in seconds since 1970>-<SHA-256 of what the token's signature signs>.
const revokedPrefix = "server/revoked-tokens/"

// How often a server reads what the others have revoked, and how long that may take: together less
// than the five seconds after which every server knows.
const (
	revokedEvery   = 2 * time.Second
	revokedTimeout = 2 * time.Second
)

// revoked are the tokens that were revoked and have not expired.
type revoked struct {
	bucket *bucket.Bucket // nil before LoadRevoked
	mu     sync.RWMutex
	until  map[string]time.Time // the expiry, by the id of the token
}

// tokenID identifies a token by what its signature signs: of ES256, anybody can make a second valid
// signature of a first.
func tokenID(token string) string {
	sum := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
	return hex.EncodeToString(sum[:])
}

func (r *revoked) has(id string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.until[id]
	return ok
}

// LoadRevoked makes the authenticator refuse the tokens that are revoked in a bucket. Without it,
// none can be revoked.
func (a *Authenticator) LoadRevoked(ctx context.Context, b *bucket.Bucket) error {
	a.revoked.bucket = b
	if a.Keyless() {
		return nil
	}
	return a.readRevoked(ctx, time.Now())
}

// WatchRevoked reads again and again what other servers have revoked, until ctx is done. While the
// bucket does not answer, what is known stays revoked.
func (a *Authenticator) WatchRevoked(ctx context.Context) error {
	if a.Keyless() {
		return nil
	}
	ticker := time.NewTicker(revokedEvery)
	defer ticker.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			reading, cancel := context.WithTimeout(ctx, revokedTimeout)
			err := a.readRevoked(reading, now)
			cancel()
			if err != nil && !failed && ctx.Err() == nil {
				a.cfg.Log.Error("which tokens were revoked cannot be read: those that other servers revoke stay valid here",
					"error", err)
			}
			failed = err != nil
		}
	}
}

// readRevoked reads which tokens are revoked, and deletes what is about tokens that have expired.
func (a *Authenticator) readRevoked(ctx context.Context, now time.Time) error {
	objects, err := a.revoked.bucket.List(ctx, revokedPrefix)
	if err != nil {
		return fmt.Errorf("read the revoked tokens: %w", err)
	}
	until := make(map[string]time.Time, len(objects))
	var expired []string
	for _, o := range objects {
		seconds, id, _ := strings.Cut(strings.TrimPrefix(o.Key, revokedPrefix), "-")
		expiry, err := strconv.ParseInt(seconds, 10, 64)
		switch {
		case err != nil: // none of ours
		case time.Unix(expiry, 0).Add(2 * leeway).Before(now):
			expired = append(expired, o.Key)
		default:
			until[id] = time.Unix(expiry, 0)
		}
	}
	a.revoked.mu.Lock()
	for id, expiry := range a.revoked.until { // those that were revoked here while the list was read
		if expiry.Add(2 * leeway).After(now) {
			until[id] = expiry
		}
	}
	a.revoked.until = until
	a.revoked.mu.Unlock()
	for _, key := range expired {
		if err := a.revoked.bucket.Delete(ctx, key); err != nil {
			return fmt.Errorf("forget an expired token: %w", err)
		}
	}
	return nil
}

// Revoke revokes the token of a request: here at once, and on every server within five seconds. A
// request without a valid token has nothing to revoke.
func (a *Authenticator) Revoke(ctx context.Context, r *http.Request) error {
	if a.Keyless() {
		return nil
	}
	token, refusal := bearer(r)
	if refusal != nil {
		return nil //nolint:nilerr // there is no token
	}
	caller, expiry, err := a.Check(token)
	if err != nil {
		return nil //nolint:nilerr // it opens nothing
	}
	if a.revoked.bucket == nil {
		return errors.New("revoke a token: no bucket is loaded")
	}
	a.revoked.mu.Lock()
	if a.revoked.until == nil {
		a.revoked.until = map[string]time.Time{}
	}
	a.revoked.until[caller.id] = expiry
	a.revoked.mu.Unlock()
	key := fmt.Sprintf("%s%d-%s", revokedPrefix, expiry.Unix()+1, caller.id)
	if err := a.revoked.bucket.Create(ctx, key, []byte("{}")); err != nil && !errors.Is(err, bucket.ErrExists) {
		return fmt.Errorf("revoke a token: %w", err)
	}
	return nil
}

// IsRevoked reports whether the token of a caller was revoked after it was checked.
func (a *Authenticator) IsRevoked(c *Caller) bool {
	return c != nil && c.id != "" && a.revoked.has(c.id)
}
