package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Files that GenerateKey writes.
const (
	PrivateKeyFile = "private.jwk"
	PublicKeysFile = "jwks.json"
)

// Signer makes tokens, for development and tests.
type Signer struct {
	method jwt.SigningMethod
	key    any
	kid    string // "" = none
}

// SecretSigner signs HS256 with the secret of a file. The rules for the secret are those of the
// Authenticator.
func SecretSigner(path string) (*Signer, error) {
	secret, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	return &Signer{method: jwt.SigningMethodHS256, key: secret}, nil
}

// KeySigner signs RS256, ES256 or EdDSA with the private key of a file: PKCS #8 in PEM, or a JWK,
// or a JWK Set of one key. The kid of a PEM file's key is its thumbprint, RFC 7638.
func KeySigner(path string) (*Signer, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s *Signer
	if block, _ := pem.Decode(doc); block != nil {
		s, err = pemSigner(block)
	} else {
		s, err = jwkSigner(doc)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Sign returns a token.
func (s *Signer) Sign(claims map[string]any) (string, error) {
	token := jwt.NewWithClaims(s.method, jwt.MapClaims(claims))
	if s.kid != "" {
		token.Header["kid"] = s.kid
	}
	return token.SignedString(s.key)
}

func pemSigner(block *pem.Block) (*Signer, error) {
	if block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("PEM block %q; PKCS #8 has PRIVATE KEY, see openssl pkcs8 -topk8 -nocrypt", block.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	s, err := newSigner(key)
	if err != nil {
		return nil, err
	}
	s.kid, err = thumbprint(key.(crypto.Signer).Public())
	return s, err
}

func jwkSigner(doc []byte) (*Signer, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &set); err != nil {
		return nil, errors.New("neither PEM nor a JWK")
	}
	if len(set.Keys) > 1 {
		return nil, fmt.Errorf("a set of %d keys; keep the one to sign with", len(set.Keys))
	}
	if len(set.Keys) == 1 {
		doc = set.Keys[0]
	}
	jwk, err := jwkset.NewJWKFromRawJSON(doc, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, err
	}
	s, err := newSigner(jwk.Key())
	if err != nil {
		return nil, err
	}
	if alg := jwk.Marshal().ALG.String(); alg != "" && alg != s.method.Alg() {
		return nil, fmt.Errorf("a key for %s; a key like it signs %s here", alg, s.method.Alg())
	}
	s.kid = jwk.Marshal().KID
	return s, nil
}

func newSigner(key any) (*Signer, error) {
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a private key")
	}
	if k, ok := key.(ed25519.PrivateKey); ok && !bytes.Equal(k, ed25519.NewKeyFromSeed(k.Seed())) {
		// A signature with a foreign public key reveals the private key.
		return nil, errors.New("its private and its public part do not belong together")
	}
	alg, err := algorithm(private.Public())
	if err != nil {
		return nil, err
	}
	return &Signer{method: jwt.GetSigningMethod(alg), key: key}, nil
}

// thumbprint returns the thumbprint of RFC 7638: the hash of the required members of a JWK, sorted
// by name.
func thumbprint(public crypto.PublicKey) (string, error) {
	jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{})
	if err != nil {
		return "", err
	}
	m := jwk.Marshal()
	doc, err := json.Marshal(struct {
		CRV jwkset.CRV `json:"crv,omitempty"`
		E   string     `json:"e,omitempty"`
		KTY jwkset.KTY `json:"kty"`
		N   string     `json:"n,omitempty"`
		X   string     `json:"x,omitempty"`
		Y   string     `json:"y,omitempty"`
	}{m.CRV, m.E, m.KTY, m.N, m.X, m.Y})
	sum := sha256.Sum256(doc)
	return base64.RawURLEncoding.EncodeToString(sum[:]), err
}

// GenerateKey makes a key for ES256 and writes it into a folder: private.jwk for [KeySigner], which
// nobody else may read, and jwks.json for the server. It returns an error if one of the files
// exists.
func GenerateKey(dir string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	kid, err := thumbprint(private.Public())
	if err != nil {
		return err
	}
	jwk, err := jwkset.NewJWKFromKey(private, jwkset.JWKOptions{
		Marshal:  jwkset.JWKMarshalOptions{Private: true},
		Metadata: jwkset.JWKMetadataOptions{ALG: es256, KID: kid, USE: jwkset.UseSig},
	})
	if err != nil {
		return err
	}
	public := jwk.Marshal()
	public.D = ""
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, PrivateKeyFile), jwk.Marshal(), 0o600); err != nil {
		return err
	}
	err = writeNew(filepath.Join(dir, PublicKeysFile), jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{public}}, 0o644)
	if err != nil {
		os.Remove(filepath.Join(dir, PrivateKeyFile)) // a private key alone is useless, and blocks the next try
	}
	return err
}

// writeNew writes a document into a file that must not exist.
func writeNew(path string, document any, mode os.FileMode) error {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}
