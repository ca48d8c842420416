package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
)

func TestThumbprintsAreThoseOfTheStandards(t *testing.T) {
	t.Parallel()
	decode := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// RFC 7638, section 3.1.
	n := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o" +
		"knjhMs" +
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5" +
		"hajrn1n91CbOpbI" +
		"SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	rsaKey := &rsa.PublicKey{N: new(big.Int).SetBytes(decode(n)), E: 65537}
	if got, err := thumbprint(rsaKey); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("RSA: %s, %v", got, err)
	}
	// RFC 8037, appendix A.3.
	if got, err := thumbprint(ed25519.PublicKey(
		decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))); got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("Ed25519: %s, %v", got, err)
	}
}

func TestEveryKindOfPrivateKeySigns(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []any{rsaKey, ecKey, edKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Marshal: jwkset.JWKMarshalOptions{Private: true}})
		if err != nil {
			t.Fatal(err)
		}
		m := private.Marshal()
		m.KID = "mine"
		one, set := text(t, m), text(t, jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{m}})
		for kid, content := range map[string]string{
			"": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "mine": one, "mine ": set,
		} {
			signs(t, m, strings.TrimSpace(kid), content)
		}
	}
}

// signs checks that the server accepts what the content of a private key's file has signed.
func signs(t *testing.T, m jwkset.JWKMarshal, kid, content string) {
	t.Helper()
	dir := t.TempDir()
	s, err := KeySigner(write(t, dir, "private", content))
	if err != nil {
		t.Error(err)
		return
	}
	if kid != "" && s.kid != kid || s.kid == "" {
		t.Errorf("kid %q, want %q", s.kid, kid)
	}
	m.KID, m.D = s.kid, ""
	token, err := s.Sign(map[string]any{"workspace": "acme", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Error(err)
		return
	}
	a, err := New(t.Context(), Config{JWKSFile: write(t, dir, "public",
		text(t, jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{m}}))})
	if err != nil {
		t.Error(err)
		return
	}
	if _, _, err := a.Check(token); err != nil {
		t.Errorf("%s %s: %v", m.KTY, kid, err)
	}
}

func TestAGeneratedPairSignsAndIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "keys")
	if err := GenerateKey(dir); err != nil {
		t.Fatal(err)
	}
	private, public := filepath.Join(dir, PrivateKeyFile), filepath.Join(dir, PublicKeysFile)
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	set, err := os.ReadFile(public)
	if err != nil || strings.Contains(string(set), `"d"`) {
		t.Errorf("the public set has the private key: %v %s", err, set)
	}
	s, err := KeySigner(private)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Sign(map[string]any{"workspace": "acme", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), Config{JWKSFile: public})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Check(token); err != nil {
		t.Error(err)
	}
	before := read(t, private)
	if err := GenerateKey(dir); err == nil {
		t.Error("a pair was written over another")
	}
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	if err := GenerateKey(dir); err == nil || read(t, private) != before {
		t.Errorf("a private key was written over another, %v", err)
	}
	if err := os.Rename(private, public); err != nil {
		t.Fatal(err)
	}
	if err := GenerateKey(dir); err == nil || read(t, public) != before {
		t.Errorf("a public key was written over another, %v", err)
	}
	if _, err := os.Stat(private); err == nil {
		t.Error("half a pair is left")
	}
}

func TestWhatCannotSignIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := GenerateKey(dir); err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	// its last letter is o
	okp := `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR`
	for name, test := range map[string]struct{ content, want string }{
		"nothing": {"", "neither PEM nor a JWK"}, "text": {"secret", "neither PEM nor a JWK"},
		"a public key":        {read(t, filepath.Join(dir, PublicKeysFile)), "not a private key"},
		"PEM of another kind": {string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), "openssl pkcs8"},
		"broken PEM":          {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[:9]})), "private: "},
		"another curve":       {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "P-384"},
		"two keys":            {`{"keys":[` + okp + `o"},` + okp + `o"}]}`, "a set of 2 keys"},
		"parts of two keys":   {okp + `8"}`, "do not belong together"},
		"another algorithm":   {`{"alg":"ES256",` + okp[1:] + `o"}`, "a key for ES256"},
		"a secret":            {`{"kty":"oct","k":"AAAA"}`, "not a private key"},
	} {
		if _, err := KeySigner(write(t, dir, "private", test.content)); err == nil || !strings.Contains(err.Error(),
			test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if _, err := KeySigner(filepath.Join(dir, "nothing")); err == nil {
		t.Error("no file signs")
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
