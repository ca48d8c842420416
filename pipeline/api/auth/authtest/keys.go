// Package authtest has keys, tokens and attacks for tests of servers that use package auth.
package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace/millrace/pipeline/api/auth"
)

// Values in the tokens of Claims.
const (
	Issuer   = "https://issuer.example/"
	Audience = "millrace-test"
	Subject  = "tester@millrace.example"
)

// Ids of the keys in the set.
const (
	RSAKey = "rsa-1"
	ECKey  = "ec-1"
	EdKey  = "ed-1"
)

// Keys are new keys, and the files that a server is configured with. The JWK Set also has keys that
// must not sign tokens, and a second RS256 key, so that an RS256 token needs a kid.
type Keys struct {
	RSA    *rsa.PrivateKey
	EC     *ecdsa.PrivateKey
	Ed     ed25519.PrivateKey
	Secret []byte

	JWKSFile, SecretFile string

	second, decoy, weak *rsa.PrivateKey // in the set; only second may sign
	oct                 []byte          // in the set; must not sign
	foreign             *foreign        // not in the set
}

// foreign is the keys of an attacker.
type foreign struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
}

// New makes keys and writes their files.
func New(t testing.TB) *Keys {
	t.Helper()
	k := &Keys{
		RSA: newRSA(t, 2048), EC: newEC(t), Ed: newEd(t), Secret: []byte(rand.Text() + rand.Text()),
		second: newRSA(t, 2048), decoy: newRSA(t, 2048), weak: newRSA(t, 1024), oct: []byte(rand.Text() + rand.Text()),
		foreign: &foreign{newRSA(t, 2048), newEC(t), newEd(t)},
	}
	dir := t.TempDir()
	k.JWKSFile, k.SecretFile = filepath.Join(dir, "jwks.json"), filepath.Join(dir, "secret")
	for path, content := range map[string][]byte{k.JWKSFile: k.JWKS(), k.SecretFile: append(k.Secret, '\n')} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd(t testing.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Config returns the configuration of a server with all keys, an issuer and an audience.
func (k *Keys) Config() auth.Config {
	return auth.Config{JWKSFile: k.JWKSFile, HMACSecretFile: k.SecretFile, Issuer: Issuer, Audience: Audience,
		DefaultWorkspace: "default"}
}

// Environment returns the same configuration as environment variables, NAME=value.
func (k *Keys) Environment() []string {
	return []string{
		"MILLRACE_AUTH_JWKS_FILE=" + k.JWKSFile, "MILLRACE_AUTH_HMAC_SECRET_FILE=" + k.SecretFile,
		"MILLRACE_AUTH_ISSUER=" + Issuer, "MILLRACE_AUTH_AUDIENCE=" + Audience,
	}
}

// JWKS returns the JWK Set: the public keys, and some keys that must not sign tokens.
func (k *Keys) JWKS() []byte {
	return Set(
		JWK(k.RSA.Public(), "", RSAKey, "sig"), JWK(k.EC.Public(), "ES256", ECKey, ""), JWK(k.Ed.Public(), "EdDSA", EdKey,
			"sig"),
		JWK(k.second.Public(), "RS256", "rsa-2", "sig"), JWK(k.decoy.Public(), "", "enc", "enc"),
		JWK(k.decoy.Public(), "PS256", "ps", "sig"),
		JWK(k.weak.Public(), "RS256", "weak", "sig"), with(JWK(k.decoy.Public(), "", "ops", ""), "key_ops",
			[]string{"encrypt", "wrapKey"}),
		map[string]any{"kty": "oct", "kid": "oct", "k": base64.RawURLEncoding.EncodeToString(k.oct)},
		map[string]any{"kty": "AKP", "kid": "later", "pub": "AAAA"},
	)
}

// JWK returns a public key as a JWK. alg and use may be empty.
func JWK(public crypto.PublicKey, alg, kid, use string) map[string]any {
	jwk := must(jwkset.NewJWKFromKey(public, jwkset.JWKOptions{}))
	m := map[string]any{}
	must(0, json.Unmarshal(must(json.Marshal(jwk.Marshal())), &m))
	delete(m, "alg")
	for name, value := range map[string]string{"alg": alg, "kid": kid, "use": use} {
		if value != "" {
			m[name] = value
		}
	}
	return m
}

// Set returns a JWK Set of the keys.
func Set(keys ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"keys": append([]map[string]any{}, keys...)}))
}

// Claims returns the claims of a token that is valid for an hour. Without scopes, the token has all
// scopes.
func (k *Keys) Claims(workspace string, scopes ...string) map[string]any {
	if len(scopes) == 0 {
		scopes = auth.Scopes
	}
	now := time.Now().Unix()
	return map[string]any{
		"iss": Issuer, "aud": Audience, "sub": Subject, "iat": now, "nbf": now, "exp": now + 3600,
		"workspace": workspace, "scope": strings.Join(scopes, " "),
	}
}

// Token returns claims signed as RS256, ES256, EdDSA or HS256, with the key for that algorithm.
func (k *Keys) Token(alg string, claims map[string]any) string {
	return Forge(k.header(alg), claims, alg, k.key(alg))
}

func (k *Keys) key(alg string) any {
	return map[string]any{"RS256": k.RSA, "ES256": k.EC, "EdDSA": k.Ed, "HS256": k.Secret}[alg]
}

func (k *Keys) header(alg string) map[string]any {
	h := map[string]any{"alg": alg, "typ": "JWT"}
	if kid := map[string]string{"RS256": RSAKey, "ES256": ECKey, "EdDSA": EdKey}[alg]; kid != "" {
		h["kid"] = kid
	}
	return h
}

// Forge signs any header and claims with an algorithm and a key, which need not match the header.
// Strings are used as they are; other values are encoded as JSON.
func Forge(header, claims any, alg string, key any) string {
	input := segment(header) + "." + segment(claims)
	return input + "." + encode(sign(input, alg, key))
}

func sign(input, alg string, key any) []byte {
	return must(jwt.GetSigningMethod(alg).Sign(input, key))
}

func segment(v any) string {
	if s, ok := v.(string); ok {
		return encode([]byte(s))
	}
	return encode(must(json.Marshal(v)))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// with returns a copy of m with changes, given as names and values in turn. A nil value removes the
// name.
func with(m map[string]any, changes ...any) map[string]any {
	m = maps.Clone(m)
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == nil {
			delete(m, changes[i].(string))
		} else {
			m[changes[i].(string)] = changes[i+1]
		}
	}
	return m
}

// must returns v. It panics on an error, which cannot occur with the arguments of its callers.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
