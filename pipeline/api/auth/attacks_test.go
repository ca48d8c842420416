package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
)

// handler is a route that needs a scope, and answers with the caller.
func handler(a *auth.Authenticator) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.Caller(r)
		var refusal *auth.Refusal
		switch {
		case errors.As(err, &refusal):
			if c := refusal.Challenge(); c != "" {
				w.Header().Set("WWW-Authenticate", c)
			}
			http.Error(w, refusal.Detail, refusal.Status)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case !caller.Has(auth.ExportsRead):
			http.Error(w, "the scope "+auth.ExportsRead+" is needed", http.StatusForbidden)
		default:
			io.WriteString(w, caller.Workspace+" "+caller.Subject)
		}
	})
}

// serve starts a server of an authenticator.
func serve(t *testing.T, cfg auth.Config) string {
	t.Helper()
	server := httptest.NewServer(handler(start(t, cfg)))
	t.Cleanup(server.Close)
	return server.URL
}

func start(t testing.TB, cfg auth.Config) *auth.Authenticator {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	a, err := auth.New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get sends a request with headers, name and value in turn.
func get(t *testing.T, url string, headers ...string) (status int, body string) {
	t.Helper()
	return send(t, url, func(r *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
	})
}

func send(t *testing.T, url string, set func(*http.Request)) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	set(r)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if challenged := strings.HasPrefix(response.Header.Get("WWW-Authenticate"),
		"Bearer"); challenged != (response.StatusCode == http.StatusUnauthorized) {
		t.Errorf("status %d, WWW-Authenticate %q", response.StatusCode, response.Header.Get("WWW-Authenticate"))
	}
	return response.StatusCode, strings.TrimSpace(string(text))
}

func TestNoAttackIsLetIn(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	url := serve(t, keys.Config())
	attacks := authtest.Attacks(keys, "acme")
	names := map[string]bool{}
	for _, a := range attacks {
		if names[a.Name] {
			t.Errorf("two attacks have the name %s", a.Name)
		}
		names[a.Name] = true
		check := func(how, path string, set func(*http.Request)) {
			status, body := send(t, url+path, set)
			if status != a.Status || body == "" {
				t.Errorf("%s, %s: %d %s, want %d", a.Name, how, status, body, a.Status)
			}
			if strings.Contains(body, string(keys.Secret)) || a.Token != "" && strings.Contains(body, a.Token) {
				t.Errorf("%s: the answer tells the token or a secret: %s", a.Name, body)
			}
		}
		check("as it is", "/v1/exports", a.Set)
		if a.Header != nil {
			continue
		}
		check("as a cookie", "/exports", func(r *http.Request) { r.Header.Set("Cookie", auth.TokenCookie+"="+a.Token) })
		check("as header auth", "/api/public/bot/b/search/jobs/j", func(r *http.Request) { r.Header.Set("auth", a.Token) })
	}
	if len(attacks) < 250 {
		t.Errorf("%d attacks", len(attacks))
	}
}

func TestUnusualButGoodTokensAreLetIn(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	url := serve(t, keys.Config())
	for _, a := range authtest.Accepted(keys, "acme") {
		status, body := send(t, url, a.Set)
		if status != http.StatusOK || !strings.HasPrefix(body, "acme") {
			t.Errorf("%s: %d %s", a.Name, status, body)
		}
	}
}

func TestATokenWithoutItsKeyConfiguredIsRefused(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	claims := keys.Claims("acme")
	algorithms := []string{"RS256", "ES256", "EdDSA", "HS256"}
	for name, test := range map[string]struct {
		cfg  auth.Config
		good string
	}{
		"set alone":    {auth.Config{JWKSFile: keys.JWKSFile}, "RS256 ES256 EdDSA"},
		"secret alone": {auth.Config{HMACSecretFile: keys.SecretFile}, "HS256"},
	} {
		url := serve(t, test.cfg)
		for _, alg := range algorithms {
			want := http.StatusUnauthorized
			if strings.Contains(test.good, alg) {
				want = http.StatusOK
			}
			if got, body := get(t, url, "Authorization", "Bearer "+keys.Token(alg, claims)); got != want {
				t.Errorf("%s, %s: %d %s", name, alg, got, body)
			}
		}
		// What attacks the keys does so whichever of them are configured.
		for _, a := range authtest.Attacks(keys, "acme") {
			if strings.HasPrefix(a.Name, "aud ") || strings.HasPrefix(a.Name, "iss ") {
				continue
			}
			if status, _ := send(t, url, a.Set); status == http.StatusOK {
				t.Errorf("%s lets in: %s", name, a.Name)
			}
		}
	}
}

// What must hold: no input makes Check panic; the one good token of the corpus is the only one that
// is accepted; what is accepted has a workspace; every error is a Refusal with status 401.
func FuzzCheck(f *testing.F) {
	keys := authtest.New(f)
	a := start(f, keys.Config())
	good := keys.Token("EdDSA", keys.Claims("acme"))
	f.Add(good)
	for _, attack := range authtest.Attacks(keys, "acme") {
		f.Add(attack.Token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		caller, expires, err := a.Check(token)
		if err == nil {
			if token != good && caller.Has(auth.ExportsRead) {
				t.Fatalf("accepted: %q", token)
			}
			if caller.Workspace != "acme" || expires.IsZero() {
				t.Fatalf("accepted without a workspace or an expiry: %q", token)
			}
			return
		}
		var refusal *auth.Refusal
		if !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized || refusal.Detail == "" {
			t.Fatalf("%q: %v", token, err)
		}
	})
}
