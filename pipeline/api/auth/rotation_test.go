package auth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
)

// pass lets time go by in a bubble of synctest, and what is due happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// rotation is two keys of which a set has one, the other, or both.
type rotation struct {
	a        *auth.Authenticator
	old, new *authtest.Keys
}

func newRotation(t *testing.T) *rotation {
	t.Helper()
	var r rotation
	for _, keys := range []**authtest.Keys{&r.old, &r.new} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		*keys = &authtest.Keys{EC: key}
	}
	return &r
}

// set is a set of the named keys.
func (r *rotation) set(names ...string) []byte {
	var keys []map[string]any
	for _, name := range names {
		public := map[string]*authtest.Keys{"old": r.old, "new": r.new}[name].EC.Public()
		keys = append(keys, authtest.JWK(public, "ES256", name, "sig"))
	}
	return authtest.Set(keys...)
}

// expect checks which tokens are good.
func (r *rotation) expect(t *testing.T, when string, old, new bool) {
	t.Helper()
	for name, good := range map[string]bool{"old": old, "new": new} {
		if err := r.check(name); (err == nil) != good {
			t.Errorf("%s: the %s key: %v", when, name, err)
		}
	}
}

func (r *rotation) check(name string) error {
	keys := map[string]*authtest.Keys{"old": r.old, "new": r.new}[name]
	_, _, err := r.a.Check(authtest.Forge(map[string]any{"alg": "ES256", "kid": name}, keys.Claims("acme"), "ES256",
		keys.EC))
	return err
}

// replace exchanges a file for another, as a mounted secret is.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", content, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func TestKeysOfAFileRotateWithoutARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRotation(t)
		log := &journal{}
		path := filepath.Join(t.TempDir(), "jwks.json")
		replace(t, path, r.set("old"))
		r.a = start(t, auth.Config{JWKSFile: path, Log: slog.New(slog.NewTextHandler(log, nil))})
		r.expect(t, "at start", true, false)
		replace(t, path, r.set("old", "new"))
		pass(3 * time.Second)
		r.expect(t, "with both", true, true)
		replace(t, path, r.set("new"))
		pass(3 * time.Second)
		r.expect(t, "with the new one", false, true)

		for what, content := range map[string]string{"cut": `{"keys":[`, "no set": `{}`, "empty": "",
			"too large": strings.Repeat(" ", 1<<20) + string(r.set("old"))} {
			log.Reset()
			replace(t, path, []byte(content))
			pass(time.Minute)
			r.expect(t, what, false, true)
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%s: %d errors are logged in a minute:\n%s", what, n, log)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		r.expect(t, "removed", false, true)
		replace(t, path, r.set("old"))
		pass(3 * time.Second)
		r.expect(t, "back again", true, false)
		replace(t, path, r.set())
		pass(3 * time.Second)
		r.expect(t, "all revoked", false, false)
	})
}

func TestAFileIsReadAgainWhenOnlyItsTimeTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRotation(t)
		path := filepath.Join(t.TempDir(), "jwks.json")
		replace(t, path, r.set("old"))
		r.a = start(t, auth.Config{JWKSFile: path})
		if err := errors.Join(os.WriteFile(path, r.set("new"), 0o600), os.Chtimes(path, time.Time{},
			time.Unix(1e9, 0))); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		r.expect(t, "written in place", false, true)
	})
}

func TestKeysThatAreOfNoUseArePassedOverWithTheReason(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	log := &journal{}
	cfg := keys.Config()
	cfg.Log, cfg.Issuer, cfg.Audience = slog.New(slog.NewTextHandler(log, nil)), "", ""
	start(t, cfg)
	for _, want := range []string{
		`kid \"enc\": its use is`, `kid \"ps\": its alg is`, `kid \"weak\": an RSA key of 1024 bits`,
		`kid \"oct\": a secret does not belong`, `kid \"later\"`,
		"no issuer is configured", "no audience is configured",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("not logged: %s in\n%s", want, log)
		}
	}
}

// endpoint answers fetches of a set, inside a bubble, where a network would stop the clock.
type endpoint struct {
	mu      sync.Mutex
	status  int
	body    []byte
	delay   time.Duration
	fetches int
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	e.fetches++
	status, body, delay := e.status, e.body, e.delay
	e.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(bytes.NewReader(body)),
		Request: r}, nil
}

func (e *endpoint) answer(status int, body []byte, delay time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.body, e.delay = status, body, delay
}

func (e *endpoint) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fetches
}

// remote runs a test against an endpoint that has the old key.
func remote(t *testing.T, test func(t *testing.T, r *rotation, e *endpoint)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRotation(t)
		e := &endpoint{status: 200, body: r.set("old")}
		r.a = start(t, auth.Config{JWKSURL: "https://idp.example/jwks.json", Transport: e})
		if n := e.count(); n != 1 {
			t.Errorf("%d fetches at start", n)
		}
		test(t, r, e)
	})
}

func TestKeysOfAURLAreRefreshedEveryFiveMinutes(t *testing.T) {
	t.Parallel()
	remote(t, func(t *testing.T, r *rotation, e *endpoint) {
		r.expectOld(t, "at start", true)
		e.answer(200, r.set("new"), 0)
		pass(4 * time.Minute)
		r.expectOld(t, "after four minutes", true)
		pass(90 * time.Second)
		r.expect(t, "after five and a half", false, true)
		if n := e.count(); n != 3 { // at start, after five minutes, and for the token of the key that is gone
			t.Errorf("%d fetches", n)
		}
	})
}

func (r *rotation) expectOld(t *testing.T, when string, good bool) {
	t.Helper()
	if err := r.check("old"); (err == nil) != good {
		t.Errorf("%s: the old key: %v", when, err)
	}
}

func TestAnUnknownKidFetchesTheKeysOnceAMinute(t *testing.T) {
	t.Parallel()
	remote(t, func(t *testing.T, r *rotation, e *endpoint) {
		e.answer(200, r.set("old", "new"), 100*time.Millisecond)
		r.expect(t, "right after the start", true, true)
		if n := e.count(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		unknown := authtest.Forge(map[string]any{"alg": "ES256", "kid": "nobody"}, r.new.Claims("acme"), "ES256", r.new.EC)
		for range 170 { // seconds
			for range 20 {
				if _, _, err := r.a.Check(unknown); err == nil {
					t.Fatal("accepted")
				}
			}
			pass(time.Second)
		}
		if n := e.count(); n < 4 || n > 5 {
			t.Errorf("%d fetches after three minutes of tokens with unknown keys", n)
		}
		r.expect(t, "meanwhile", true, true)
	})
}

func TestRequestsAtOnceWaitForTheSameFetch(t *testing.T) {
	t.Parallel()
	remote(t, func(t *testing.T, r *rotation, e *endpoint) {
		e.answer(200, r.set("old", "new"), 100*time.Millisecond)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := r.check("new"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := e.count(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestATokenWithoutAKidOrOfAnotherAlgorithmFetchesNothing(t *testing.T) {
	t.Parallel()
	remote(t, func(t *testing.T, r *rotation, e *endpoint) {
		for _, h := range []map[string]any{{"alg": "RS256"}, {"alg": "HS256", "kid": "x"}, {"alg": "none", "kid": "x"},
			{"alg": "PS256", "kid": "x"}} {
			if _, _, err := r.a.Check(authtest.Forge(h, r.new.Claims("acme"), "ES256", r.new.EC)); err == nil {
				t.Errorf("%v is accepted", h)
			}
		}
		if n := e.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestARequestDoesNotWaitForASlowFetch(t *testing.T) {
	t.Parallel()
	remote(t, func(t *testing.T, r *rotation, e *endpoint) {
		e.answer(200, r.set("new"), 5*time.Second)
		began := time.Now()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := r.check("new"); err == nil {
					t.Error("accepted before its key is there")
				}
			})
		}
		all.Wait()
		if d := time.Since(began); d > time.Second {
			t.Errorf("the requests took %s", d)
		}
		pass(5 * time.Second)
		if n := e.count(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		if err := r.check("new"); err != nil {
			t.Error(err)
		}
	})
}

func TestARefreshThatFailsKeepsTheKeys(t *testing.T) {
	t.Parallel()
	remote(t, func(t *testing.T, r *rotation, e *endpoint) {
		for _, answer := range []struct {
			status int
			body   string
			delay  time.Duration
		}{{500, "", 0}, {404, string(r.set("new")), 0}, {200, "<html>", 0}, {200, "{}", 0},
			{200, strings.Repeat(" ", 1<<20) + string(r.set("new")), 0}, {200, string(r.set("new")), time.Hour}} {
			before := e.count()
			e.answer(answer.status, []byte(answer.body), answer.delay)
			pass(6 * time.Minute)
			r.expect(t, "after a bad answer", true, false)
			if e.count() == before {
				t.Error("there was no fetch")
			}
		}
		e.answer(200, r.set("new"), 0)
		pass(6 * time.Minute)
		r.expect(t, "after a good answer", false, true)
	})
}

func TestNothingIsFetchedAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRotation(t)
		e := &endpoint{status: 200, body: r.set("old")}
		ctx, cancel := context.WithCancel(t.Context())
		a, err := auth.New(ctx, auth.Config{JWKSURL: "https://idp.example/jwks.json", Transport: e})
		if err != nil {
			t.Fatal(err)
		}
		r.a = a
		cancel()
		pass(time.Hour)
		r.expectOld(t, "after the end", true)
		if n := e.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestAURLThatHasNoKeysStopsTheStart(t *testing.T) {
	t.Parallel()
	set := newRotation(t).set("new")
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { w.Write(set) })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[]}`) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat(" ", 1<<20))
		w.Write(set)
	})
	mux.Handle("/redirect", http.RedirectHandler("/good", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	plain := httptest.NewServer(mux)
	defer plain.Close()
	mux.Handle("/downgrade", http.RedirectHandler(plain.URL+"/good", http.StatusFound))
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	for url, want := range map[string]string{
		plain.URL + "/good": "", plain.URL + "/redirect": "", secure.URL + "/good": "", plain.URL + "/nothing": "404",
		plain.URL + "/empty": "no key for",
		plain.URL + "/large": "larger than 1 MiB", plain.URL + "/loop": "redirects",
		secure.URL + "/downgrade": "from https to http",
		"http://127.0.0.1:1/":     "JWKS_URL: http://127.0.0.1:1/: ", "http://user:hunter2@127.0.0.1:1/": "127.0.0.1:1/: ",
		"http://hunter2@127.0.0.1:1/": "127.0.0.1:1/: ", "http://127.0.0.1:1/?key=hunter2": "127.0.0.1:1/: ",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := auth.New(ctx, auth.Config{JWKSURL: url, Transport: secure.Client().Transport})
		cancel()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the secret: %v", url, err)
		}
	}
}
