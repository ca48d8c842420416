package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/MicahParks/jwkset"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// minSecret is the minimum length of a secret in bytes, the length of the hash: RFC 7518, section
// 3.2.
const minSecret = 32

// minModulus is the minimum length of an RSA key in bits: RFC 7518, section 3.3.
const minModulus = 2048

// publicKey is a key of a set. It verifies one algorithm only: algorithm confusion needs a key that
// serves two.
type publicKey struct {
	kid string // "" = none
	alg string
	key any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// keySet is the usable keys of a JWK Set. It never changes.
type keySet struct{ keys []publicKey }

// find returns the key that a token names, or nil. The kid is compared with those of the set, and
// used for nothing else. A token without a kid is accepted only if exactly one key fits its
// algorithm.
func (s *keySet) find(h header) any {
	var found any
	for _, k := range s.keys {
		if k.alg != h.alg || h.named && (k.kid != h.kid || k.kid == "") {
			continue
		}
		if found != nil {
			return nil
		}
		found = k.key
	}
	return found
}

// algorithms returns the algorithms of the keys, sorted.
func (s *keySet) algorithms() (list []string) {
	for _, k := range s.keys {
		list = append(list, k.alg)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// readKeySet parses a JWK Set, RFC 7517. As its section 5 requires, it skips keys that are not
// usable here; ignored has the reasons. It returns an error if the document is not a JWK Set, or
// has two keys that no token could tell apart.
func readKeySet(doc []byte) (set *keySet, ignored []error, err error) {
	if err := strictjson.Check(doc); err != nil {
		return nil, nil, fmt.Errorf("not a JWK Set: %s", detail(err))
	}
	var list struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &list); err != nil || list.Keys == nil {
		return nil, nil, errors.New(`not a JWK Set: it has no array "keys"`)
	}
	set = new(keySet)
	for i, raw := range list.Keys {
		k, err := readKey(raw)
		if err != nil {
			ignored = append(ignored, fmt.Errorf("key %d, kid %q: %w", i, k.kid, err))
			continue
		}
		if k.kid != "" && slices.ContainsFunc(set.keys, func(o publicKey) bool { return o.kid == k.kid && o.alg == k.alg }) {
			return nil, nil, fmt.Errorf("two keys for %s have the kid %q", k.alg, k.kid)
		}
		set.keys = append(set.keys, k)
	}
	return set, ignored, nil
}

// readKey parses a JWK that verifies signatures.
func readKey(raw json.RawMessage) (publicKey, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return publicKey{}, errors.New("not a JWK")
	}
	k := publicKey{kid: m.KID}
	switch {
	case m.KTY == jwkset.KtyOct:
		return k, errors.New("a secret does not belong into a JWK Set: keep it in a file of its own")
	case m.USE != "" && m.USE != jwkset.UseSig:
		return k, fmt.Errorf("its use is %q, not sig", m.USE)
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return k, errors.New("its key_ops are without verify")
	}
	// Certificates are neither read nor fetched: the set itself is trusted.
	m.X5C, m.X5U, m.X5T, m.X5TS256 = nil, "", "", ""
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return k, err
	}
	k.key = jwk.Key()
	if k.alg, err = algorithm(k.key); err != nil {
		return k, err
	}
	if m.ALG != "" && m.ALG.String() != k.alg {
		return k, fmt.Errorf("its alg is %q; a key like it is for %s here", m.ALG, k.alg)
	}
	return k, nil
}

// algorithm returns the algorithm that a public key is for.
func algorithm(key any) (string, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minModulus {
			return "", fmt.Errorf("an RSA key of %d bits; at least %d are needed", bits, minModulus)
		}
		return rs256, nil
	case *ecdsa.PublicKey:
		// The library checks the length of a signature, not the curve.
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("a key on curve %s; ES256 is P-256", k.Curve.Params().Name)
		}
		return es256, nil
	case ed25519.PublicKey:
		return eddsa, nil
	}
	return "", errors.New("not a key for RS256, ES256 or EdDSA")
}

// readSecret reads the secret of HS256. A line break at its end, which editors add, is not part of
// the secret.
func readSecret(path string) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("HMAC_SECRET_FILE: "+format, args...)
	}
	secret, err := os.ReadFile(path)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return fail("read the file: %w", failed.Err) // without the path: somebody may have written the secret itself
	}
	if err != nil {
		return fail("%w", err)
	}
	secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
	switch {
	case len(secret) < minSecret:
		return fail("the secret in %s has %d bytes; HS256 needs at least %d", path, len(secret), minSecret)
	case bytes.Contains(secret, []byte("-----BEGIN ")) || json.Valid(secret) && secret[0] == '{':
		// Everybody knows a public key, and could sign with it.
		return fail("%s looks like a key, not like a secret; public keys belong into a JWK Set", path)
	}
	return secret, nil
}
