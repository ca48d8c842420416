package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxKeySet    = 1 << 20          // bytes of a JWK Set
	fileInterval = 2 * time.Second  // between checks of a file
	urlInterval  = 5 * time.Minute  // between fetches
	urlTimeout   = 10 * time.Second // of a fetch
	askInterval  = time.Minute      // between fetches for an unknown kid, which anybody can invent
	askPatience  = time.Second      // how long a request waits for such a fetch
)

var errNoKeys = errors.New("it has no key for RS256, ES256 or EdDSA")

// source is a JWK Set that is refreshed. If a set cannot be fetched or read, the one before stays
// in effect. A set without a key revokes the key, even if none is left.
type source struct {
	name string // for logs
	log  *slog.Logger
	set  atomic.Pointer[keySet]
	ask  func() <-chan struct{} // asks for a fetch, and returns nil if none is due; nil for files

	// the last logged error, so that it is not logged every two seconds; used by the refreshing
	// goroutine alone
	complaint string
}

// find returns the key that a token names, or nil.
func (s *source) find(h header) any {
	key := s.set.Load().find(h)
	if key != nil || !h.named || s.ask == nil {
		return key
	}
	done := s.ask()
	if done == nil {
		return nil
	}
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
	return s.set.Load().find(h)
}

// first puts the set at start into effect. It must have a usable key.
func (s *source) first(doc []byte) error {
	set, ignored, err := readKeySet(doc)
	if err == nil && len(set.keys) == 0 {
		err = errors.Join(append([]error{errNoKeys}, ignored...)...)
	}
	if err != nil {
		return err
	}
	s.put(set, ignored)
	return nil
}

func (s *source) put(set *keySet, ignored []error) {
	s.set.Store(set)
	for _, err := range ignored {
		s.log.Warn("a key of the set is passed over", "keys", s.name, "reason", err)
	}
}

// next puts a later set into effect, or logs why it cannot.
func (s *source) next(doc []byte, err error) {
	var set *keySet
	var ignored []error
	if err == nil {
		set, ignored, err = readKeySet(doc)
	}
	if err != nil {
		if text := err.Error(); text != s.complaint {
			s.complaint = text
			s.log.Error("tokens are still checked with the keys from before", "keys", s.name, "error", err)
		}
		return
	}
	s.complaint = ""
	if len(set.keys) == 0 {
		s.log.Error("the set of keys is empty now: no token is accepted by it", "keys", s.name)
	}
	s.put(set, ignored)
}

// watchFile reads a file, and reads it again after each change.
func watchFile(ctx context.Context, cfg Config) (*source, error) {
	s := &source{name: cfg.JWKSFile, log: cfg.Log}
	seen, doc, err := readFile(cfg.JWKSFile)
	if err == nil {
		err = s.first(doc)
	}
	if err != nil {
		return nil, fmt.Errorf("JWKS_FILE: %s: %w", cfg.JWKSFile, err)
	}
	go every(ctx, fileInterval, func() {
		// A file that could not be read is read again, changed or not: its time of change does not
		// cover permissions.
		if now, err := os.Stat(s.name); err == nil && s.complaint == "" && unchanged(seen, now) {
			return
		}
		seen, doc, err = readFile(s.name)
		s.next(doc, err)
		if err == nil && s.complaint == "" {
			s.log.Info("the keys have been read again", "keys", s.name, "count", len(s.set.Load().keys))
		}
	})
	return s, nil
}

// every calls f at each interval until ctx is done.
func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// readFile stats a file before it reads it, so that a change in between is seen next time.
func readFile(path string) (os.FileInfo, []byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	doc, err := readLimited(f)
	return info, doc, err
}

func unchanged(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func readLimited(r io.Reader) ([]byte, error) {
	doc, err := io.ReadAll(io.LimitReader(r, maxKeySet+1))
	if err == nil && len(doc) > maxKeySet {
		err = errors.New("larger than 1 MiB")
	}
	return doc, err
}

// remote fetches a source.
type remote struct {
	*source
	ctx    context.Context // of the server
	url    string
	client *http.Client

	mu      sync.Mutex
	running chan struct{} // closed at the end of the present fetch; nil without one
	asked   time.Time     // when an unknown kid last caused a fetch
}

// watchURL fetches a URL, and fetches it again every few minutes and when a token names an unknown
// key.
func watchURL(ctx context.Context, cfg Config) (*source, error) {
	u, err := url.Parse(cfg.JWKSURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("JWKS_URL: must be http://… or https://…")
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path} // users and parameters may be secret
	r := &remote{
		source: &source{name: shown.String(), log: cfg.Log}, ctx: ctx, url: cfg.JWKSURL,
		client: &http.Client{Transport: cfg.Transport, Timeout: urlTimeout, CheckRedirect: checkRedirect},
	}
	r.ask = func() <-chan struct{} { return r.start(true) }
	doc, err := r.fetch()
	if err == nil {
		err = r.first(doc)
	}
	if err != nil {
		return nil, fmt.Errorf("JWKS_URL: %s: %w", r.name, err)
	}
	if u.Scheme == "http" {
		r.log.Warn("the URL of the JWK Set is not https: anybody on the way can replace the keys", "keys", r.name)
	}
	go every(ctx, urlInterval, func() { r.start(false) })
	return r.source, nil
}

// start starts a fetch unless one runs, and returns a channel that is closed at its end. It returns
// nil if the fetch is for an unknown kid and not due.
func (r *remote) start(asked bool) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		return r.running
	}
	if asked {
		if time.Since(r.asked) < askInterval {
			return nil
		}
		r.asked = time.Now()
	}
	done := make(chan struct{})
	r.running = done
	go func() {
		defer close(done)
		doc, err := r.fetch()
		if r.ctx.Err() == nil {
			r.next(doc, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running = nil
	}()
	return done
}

func (r *remote) fetch() ([]byte, error) {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, unwrapURL(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	return readLimited(response.Body)
}

// unwrapURL removes the URL from an error; the caller adds it.
func unwrapURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > 3 {
		return errors.New("more than 3 redirects")
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("a redirect from https to http")
	}
	return nil
}
