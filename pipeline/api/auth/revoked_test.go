package auth_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
	"github.com/millrace/millrace/sinks/bucket"
)

func memory(t *testing.T) *bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// revoke signs the owner of a token out.
func revoke(t *testing.T, a *auth.Authenticator, token string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/logout", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	if err := a.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestARevokedTokenIsRefusedByEveryServerWithinFiveSecondsUntilItExpires(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := memory(t)
	synctest.Test(t, func(t *testing.T) {
		cfg := auth.Config{HMACSecretFile: secret}
		token := func(ttl time.Duration) string {
			return authtest.Forge(map[string]any{"alg": "HS256"}, map[string]any{"workspace": "acme",
				"exp": time.Now().Add(ttl).Unix()}, "HS256", []byte(strings.Repeat("s", 32)))
		}
		server := func() *auth.Authenticator {
			a := start(t, cfg)
			if err := a.LoadRevoked(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			go a.WatchRevoked(t.Context())
			return a
		}
		here, there := server(), server()
		refused := func(a *auth.Authenticator, token string) bool {
			_, _, err := a.Check(token)
			return err != nil
		}
		gone, kept := token(time.Hour), token(2*time.Hour)
		caller, _, err := there.Check(gone)
		if err != nil || there.IsRevoked(caller) {
			t.Fatal(err)
		}
		revoke(t, here, gone)
		if !refused(here, gone) || refused(here, kept) {
			t.Error("the server that signed its owner out accepts the token, or refuses another")
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // of a clock that does not wait
		synctest.Wait()
		if !refused(there, gone) || !there.IsRevoked(caller) || refused(there, kept) || refused(here, kept) {
			t.Error("five seconds later the other server accepts the token, or refuses another")
		}
		if !refused(server(), gone) {
			t.Error("a server that starts later accepts the token")
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // of a clock that does not wait
		synctest.Wait()
		if left, err := b.List(t.Context(), "server/"); err != nil || len(left) != 0 {
			t.Errorf("after the token has expired, the bucket has %v, %v", left, err)
		}
	})
}

// Of an ES256 signature (r, s), (r, n-s) is valid too: whoever has a token can make a second of it.
func TestATokenWithAnotherValidSignatureIsRevokedAsWell(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	a := start(t, keys.Config())
	if err := a.LoadRevoked(t.Context(), memory(t)); err != nil {
		t.Fatal(err)
	}
	token := keys.Token("ES256", keys.Claims("acme"))
	at := strings.LastIndexByte(token, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(token[at:])
	if err != nil || len(signature) != 64 {
		t.Fatalf("a signature of %d bytes, %v", len(signature), err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin := token[:at] + base64.RawURLEncoding.EncodeToString(signature)
	if _, _, err := a.Check(twin); err != nil {
		t.Fatalf("the other signature is not valid: %v", err)
	}
	revoke(t, a, token)
	for name, token := range map[string]string{"token": token, "twin": twin} {
		if _, _, err := a.Check(token); err == nil || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("the %s: %v", name, err)
		}
	}
}

func TestATokenThatExpiresTooLateIsRefused(t *testing.T) {
	t.Parallel()
	keys := authtest.New(t)
	for ahead, bound := range map[time.Duration]time.Duration{10 * 365 * 24 * time.Hour: 0, 2 * time.Hour: time.Hour} {
		cfg := keys.Config()
		cfg.MaxLifetime = bound
		claims := keys.Claims("acme")
		claims["exp"] = time.Now().Add(ahead).Unix()
		if _, _, err := start(t, cfg).Check(keys.Token("ES256", claims)); err == nil ||
			!strings.Contains(err.Error(), "exp is more than") {
			t.Errorf("%s ahead: %v", ahead, err)
		}
	}
}
