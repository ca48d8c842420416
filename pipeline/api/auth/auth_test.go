package auth_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
)

func TestWithoutKeysTheWorkspaceIsTheHeadersElseTheCookiesElseTheDefault(t *testing.T) {
	t.Parallel()
	url := serve(t, auth.Config{DefaultWorkspace: "default"})
	cookie := auth.WorkspaceCookie + "="
	for _, test := range []struct {
		headers []string
		status  int
		want    string
	}{
		{nil, 200, "default"},
		{[]string{auth.WorkspaceHeader, "acme"}, 200, "acme"},
		{[]string{"x-millrace-workspace", "acme"}, 200, "acme"},
		{[]string{"Cookie", cookie + "blue"}, 200, "blue"},
		{[]string{"Cookie", cookie}, 200, "default"},
		{[]string{auth.WorkspaceHeader, "acme", "Cookie", cookie + "blue"}, 200, "acme"},
		{[]string{auth.WorkspaceHeader, "acme", auth.WorkspaceHeader, "acme"}, 200, "acme"},
		{[]string{"Authorization", "Bearer x.y.z"}, 200, "default"},
		{[]string{auth.WorkspaceHeader, "acme", auth.WorkspaceHeader, "blue"}, 400, auth.WorkspaceHeader},
		{[]string{auth.WorkspaceHeader, ""}, 400, auth.WorkspaceHeader},
		{[]string{auth.WorkspaceHeader, "../x"}, 400, auth.WorkspaceHeader},
		{[]string{auth.WorkspaceHeader, "acme/"}, 400, auth.WorkspaceHeader},
		{[]string{auth.WorkspaceHeader, "Acme"}, 400, auth.WorkspaceHeader},
		{[]string{auth.WorkspaceHeader, "acme,blue"}, 400, auth.WorkspaceHeader},
		{[]string{auth.WorkspaceHeader, "*"}, 400, auth.WorkspaceHeader},
		{[]string{auth.WorkspaceHeader, strings.Repeat("a", 64)}, 400, auth.WorkspaceHeader},
		{[]string{"Cookie", cookie + "../x"}, 400, "cookie"},
		{[]string{"Cookie", cookie + "a; " + cookie + "b"}, 400, "cookie"},
	} {
		status, body := get(t, url, test.headers...)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%q: %d %s, want %d %s", test.headers, status, body, test.status, test.want)
		}
	}
}

func TestWithoutKeysEveryScopeIsGranted(t *testing.T) {
	t.Parallel()
	a := start(t, auth.Config{DefaultWorkspace: "default"})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := a.Caller(r)
	if err != nil || !a.Keyless() || caller.Subject != "" || !slices.Equal(caller.Scopes, auth.Scopes) {
		t.Errorf("%+v, %v", caller, err)
	}
	if _, _, err := a.Check(""); err == nil {
		t.Error("a token is good, but there is no key")
	}
}

func TestATokenIsFoundWhereItsRouteLooksForIt(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	url := serve(t, keys.Config())
	good, bad := keys.Token("ES256", keys.Claims("acme")), "x.y.z"
	cookie := auth.TokenCookie + "="
	const insights = "/api/public/bot/b/search/analytics-export"
	for _, test := range []struct {
		path    string
		headers []string
		status  int
	}{
		{"/exports", []string{"Cookie", cookie + good}, 200},
		{"/exports", []string{"Cookie", cookie + good + "; " + cookie + good}, 200},
		{"/exports", []string{"Cookie", cookie + good, "Authorization", "Bearer " + bad}, 401},
		{"/exports", []string{"Cookie", cookie + bad, "Authorization", "Bearer " + good}, 200},
		{"/exports", []string{"auth", good}, 401},
		{"/exports?access_token=" + good, nil, 401},
		{insights, []string{"auth", good}, 200},
		{insights, []string{"auth", "Bearer " + good}, 200},
		{insights, []string{"auth", good, "auth", good}, 200},
		{insights, []string{"auth", good, "auth", bad}, 401},
		{insights, []string{"auth", good, "Authorization", "Basic eDp5"}, 200},
		{insights, []string{"auth", bad, "Authorization", "Bearer " + good}, 401},
		{insights, []string{"auth", ""}, 401},
		{insights, []string{"Authorization", "Bearer " + good}, 200},
		{insights, []string{"Authorization", good}, 401},
		{insights, []string{"Cookie", cookie + good}, 401},
		{"/api/public/bots", []string{"auth", good}, 401},
	} {
		if status, body := get(t, url+test.path, test.headers...); status != test.status {
			t.Errorf("%s %.40q: %d %s, want %d", test.path, test.headers, status, body, test.status)
		}
	}
}

func TestCheckTellsWhoCallsAndUntilWhen(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	a := start(t, keys.Config())
	claims := keys.Claims("acme", auth.RunsRead, "other")
	claims["exp"] = time.Now().Unix() + 90
	caller, expires, err := a.Check(keys.Token("RS256", claims))
	if err != nil {
		t.Fatal(err)
	}
	if caller.Workspace != "acme" || caller.Subject != authtest.Subject ||
		!slices.Equal(caller.Scopes, []string{auth.RunsRead, "other"}) {
		t.Errorf("%+v", caller)
	}
	if expires.Unix() != claims["exp"] || !caller.Has(auth.RunsRead) || caller.Has(auth.RunsWrite) {
		t.Errorf("%s, %+v", expires, caller)
	}
	if got := auth.From(auth.With(t.Context(), caller)); got != caller || auth.From(t.Context()) != nil {
		t.Errorf("the context has %+v", got)
	}
	if got, want := a.Describe(), "ES256, EdDSA, RS256 by the keys of "+keys.JWKSFile+"; HS256 by the secret of "+
		keys.SecretFile; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// No header of HTTP has a line break, but the form of the sign-in may.
func TestATokenIsNotMendedBeforeItIsChecked(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	a := start(t, keys.Config())
	good := keys.Token("RS256", keys.Claims("acme"))
	if _, _, err := a.Check(good); err != nil {
		t.Fatal(err)
	}
	for _, space := range []string{"\n", "\r", "\r\n", " ", "\t", "\x00", "\u00a0", "\u200b"} {
		for _, at := range []int{0, 10, strings.LastIndex(good, "."), len(good) - 1, len(good)} {
			if _, _, err := a.Check(good[:at] + space + good[at:]); err == nil {
				t.Errorf("accepted with %q at %d", space, at)
			}
		}
	}
}

func TestAKeyWithoutAKidIsForTokensWithoutOne(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	replace(t, path, authtest.Set(authtest.JWK(keys.EC.Public(), "", "", "")))
	a := start(t, auth.Config{JWKSFile: path})
	for kid, good := range map[any]bool{nil: true, "": false, "x": false} {
		header := map[string]any{"alg": "ES256", "kid": kid}
		if kid == nil {
			delete(header, "kid")
		}
		if _, _, err := a.Check(authtest.Forge(header, keys.Claims("acme"), "ES256", keys.EC)); (err == nil) != good {
			t.Errorf("kid %v: %v", kid, err)
		}
	}
}

func TestWhatIsWrongWithATokenIsSaid(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	a := start(t, keys.Config())
	now := time.Now().Unix()
	for claim, cases := range map[string]map[string]any{
		"exp": {"expired": now - 100, "lacks the claim exp": nil, "/exp: must be a number, not a string": "1"},
		"nbf": {"not valid yet": now + 100}, "iat": {"not valid yet": now + 100},
		"iss": {"issuer": "x", "lacks the claim iss": nil}, "aud": {"audience": "x", "lacks the claim aud": nil},
		"workspace": {"claim workspace must": "x/", "/workspace: must be a string, not an array": []string{"acme"}},
	} {
		for want, value := range cases {
			claims := keys.Claims("acme")
			claims[claim] = value
			if value == nil {
				delete(claims, claim)
			}
			if _, _, err := a.Check(keys.Token("HS256", claims)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %v: %v, want %s", claim, value, err, want)
			}
			// Of a token that is forged, nothing is said about values.
			forged := authtest.Forge(map[string]any{"alg": "HS256"}, claims, "HS256", []byte("x"))
			if _, _, err := a.Check(forged); err == nil || !strings.Contains(err.Error(), "signature") &&
				!strings.Contains(err.Error(), "must be a") {
				t.Errorf("forged, %s %v: %v", claim, value, err)
			}
		}
	}
}

func TestClocksMayDifferByHalfAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := authtest.New(t)
		a := start(t, auth.Config{HMACSecretFile: keys.SecretFile})
		now := time.Now().Unix()
		for claim, offsets := range map[string]map[int64]bool{
			"exp": {-29: true, -31: false, 1: true}, "nbf": {29: true, 31: false, -1: true},
			"iat": {29: true, 31: false, -1: true},
		} {
			for offset, good := range offsets {
				claims := keys.Claims("acme")
				claims[claim] = now + offset
				if _, _, err := a.Check(keys.Token("HS256", claims)); (err == nil) != good {
					t.Errorf("%s %+d: %v", claim, offset, err)
				}
			}
		}
	})
}

func TestWhatCannotServeAsKeysIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), rand.Text())
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ec := authtest.JWK(keys.EC.Public(), "ES256", "a", "sig")
	oct := map[string]any{"kty": "oct", "k": strings.Repeat("A", 43)}
	marshal := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, test := range map[string]struct {
		cfg  auth.Config
		want string
	}{
		"secret too short": {auth.Config{HMACSecretFile: file(strings.Repeat("x", 31) + "\n")},
			"HMAC_SECRET_FILE: the secret in"},
		"no secret": {auth.Config{HMACSecretFile: file("")}, "at least 32"},
		"no file":   {auth.Config{HMACSecretFile: "/does/not/exist"}, "HMAC_SECRET_FILE: "},
		"a public key": {auth.Config{HMACSecretFile: file(
			"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n")}, "looks like a key"},
		"a JWK Set":           {auth.Config{HMACSecretFile: keys.JWKSFile}, "looks like a key"},
		"file and URL":        {auth.Config{JWKSFile: keys.JWKSFile, JWKSURL: "https://idp.example/"}, "set one of them"},
		"no set":              {auth.Config{JWKSFile: "/does/not/exist"}, "JWKS_FILE: /does/not/exist: "},
		"not JSON":            {auth.Config{JWKSFile: file("keys")}, "not a JWK Set"},
		"one key":             {auth.Config{JWKSFile: file(marshal(ec))}, `no array "keys"`},
		"an empty set":        {auth.Config{JWKSFile: file(`{"keys":[]}`)}, "no key for RS256"},
		"secrets alone":       {auth.Config{JWKSFile: file(string(authtest.Set(oct)))}, "a secret does not belong"},
		"two keys of one kid": {auth.Config{JWKSFile: file(string(authtest.Set(ec, ec)))}, "two keys for ES256"},
		"keys twice":          {auth.Config{JWKSFile: file(`{"keys":[],"keys":[]}`)}, "twice"},
		"another scheme":      {auth.Config{JWKSURL: "file:///etc/passwd"}, "JWKS_URL: must be http"},
		"no host":             {auth.Config{JWKSURL: "https:///x"}, "JWKS_URL: must be http"},
	} {
		if a, err := auth.New(t.Context(), test.cfg); err == nil || a != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}
