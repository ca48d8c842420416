package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// algorithms adds tokens with an alg that the server does not accept.
func (f *forger) algorithms() {
	k, c := f.keys, f.claims
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", ""} {
		f.refuse("alg "+alg+", unsigned", segment(map[string]any{"alg": alg, "typ": "JWT"})+"."+segment(c)+".")
		f.refuse("alg "+alg+", signed", Forge(with(k.header("ES256"), "alg", alg), c, "ES256", k.EC))
	}
	for alg, key := range map[string]any{
		"HS384": k.Secret, "HS512": k.Secret, "RS384": k.RSA, "RS512": k.RSA, "PS256": k.RSA, "PS512": k.RSA,
	} {
		f.refuse(alg, Forge(with(k.header("RS256"), "alg", alg), c, alg, key))
	}
	for name, alg := range map[string]any{
		"missing": nil, "a number": 256, "an array": []string{"ES256"}, "an object": map[string]any{"ES256": true},
		"in lower case": "es256", "with a space": "ES256 ", "with NUL": "ES256\x00", "of a name that came later": "ESP256",
	} {
		f.refuse("alg "+name, Forge(with(k.header("ES256"), "alg", alg), c, "ES256", k.EC))
	}
	f.refuse("alg null", Forge(`{"alg":null,"kid":"ec-1"}`, c, "ES256", k.EC))
}

// confusion adds HS256 tokens that are signed with public values, and tokens that use the key of
// another algorithm.
func (f *forger) confusion() {
	k, c := f.keys, f.claims
	n := k.RSA.N.Bytes()
	for kid, public := range map[string]crypto.PublicKey{RSAKey: k.RSA.Public(), ECKey: k.EC.Public(),
		EdKey: k.Ed.Public()} {
		der := must(x509.MarshalPKIXPublicKey(public))
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		for form, secret := range map[string][]byte{"PEM": text, "PEM without the last line break": text[:len(text)-1],
			"DER": der} {
			f.refuse("HS256 with public key "+kid+" as "+form, Forge(with(k.header("HS256"), "kid", kid), c, "HS256", secret))
		}
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&k.RSA.PublicKey)
	for form, secret := range map[string][]byte{
		"PKCS #1 DER": pkcs1, "PKCS #1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"n": n, "n of its JWK": []byte(encode(n)), "the JWK Set": k.JWKS(), "nothing": {}, "a zero": {0},
		"secret":                      []byte("secret"),
		"the secret's first half":     k.Secret[:len(k.Secret)/2],
		"the secret and a line break": append(k.Secret[:len(k.Secret):len(k.Secret)], '\n'),
		"the raw Ed25519 key":         k.Ed.Public().(ed25519.PublicKey),
	} {
		f.refuse("HS256 with "+form, Forge(with(k.header("HS256"), "kid", RSAKey), c, "HS256", secret))
	}
	f.refuse("HS256 with a secret of the JWK Set", Forge(with(k.header("HS256"), "kid", "oct"), c, "HS256", k.oct))
	for _, mix := range [][2]string{{"RS256", ECKey}, {"ES256", RSAKey}, {"EdDSA", ECKey}, {"ES256", EdKey},
		{"RS256", EdKey}} {
		f.refuse(mix[0]+" with the kid of "+mix[1], Forge(with(k.header(mix[0]), "kid", mix[1]), c, mix[0], k.key(mix[0])))
	}
	f.refuse("RS256 in the header, ES256 in the signature", Forge(with(k.header("ES256"), "alg", "RS256"), c, "ES256",
		k.EC))
	f.refuse("ES256 in the header, RS256 in the signature", Forge(with(k.header("RS256"), "alg", "ES256"), c, "RS256",
		k.RSA))
	f.refuse("RS256 in the header, PS256 in the signature", Forge(k.header("RS256"), c, "PS256", k.RSA))
	f.refuse("RS256 in the header, HS256 in the signature", Forge(k.header("RS256"), c, "HS256", k.Secret))
}

// strangers adds tokens that are signed with foreign keys, or with keys that are not for signing.
func (f *forger) strangers() {
	k, c := f.keys, f.claims
	own := map[string]any{"RS256": k.foreign.rsa, "ES256": k.foreign.ec, "EdDSA": k.foreign.ed}
	for alg, key := range own {
		f.refuse(alg+" with a foreign key", Forge(k.header(alg), c, alg, key))
		f.refuse(alg+" with a foreign key without a kid", Forge(with(k.header(alg), "kid", nil), c, alg, key))
	}
	jwk := JWK(k.foreign.rsa.Public(), "RS256", "mine", "sig")
	for name, header := range map[string]map[string]any{
		"jwk": {"jwk": jwk}, "jku": {"jku": "https://attacker.example/jwks.json"},
		"x5u":           {"x5u": "https://attacker.example/cert.pem"},
		"jku of a file": {"jku": "file:///etc/passwd"},
		"x5c":           {"x5c": []string{base64.StdEncoding.EncodeToString([]byte("cert"))}},
	} {
		for kid, value := range map[string]any{"its own kid": "mine", "our kid": RSAKey, "no kid": nil} {
			h := with(k.header("RS256"), "kid", value)
			for field, v := range header {
				h[field] = v
			}
			f.refuse("a foreign key in "+name+" with "+kid, Forge(h, c, "RS256", k.foreign.rsa))
		}
	}
	for kid, key := range map[string]*rsa.PrivateKey{"enc": k.decoy, "ps": k.decoy, "ops": k.decoy, "weak": k.weak} {
		f.refuse("RS256 with the key "+kid+" of the set, which is not for it", Forge(with(k.header("RS256"), "kid", kid), c,
			"RS256", key))
	}
	f.refuse("PS256 with the key of the set that is for it", Forge(with(k.header("RS256"), "kid", "ps", "alg", "PS256"), c,
		"PS256", k.decoy))
}

// signatures adds valid tokens with wrong signatures.
func (f *forger) signatures() {
	k := f.keys
	for _, alg := range []string{"RS256", "ES256", "EdDSA", "HS256"} {
		good := k.Token(alg, f.claims)
		dot := strings.LastIndex(good, ".")
		input, signature := good[:dot], must(base64.RawURLEncoding.DecodeString(good[dot+1:]))
		for name, s := range map[string][]byte{
			"stripped": nil, "cut": signature[:len(signature)-1], "longer": append(signature[:len(signature):len(signature)], 0),
			"zero": make([]byte, len(signature)), "of other claims": sign(segment(k.header(alg))+"."+
				segment(with(f.claims, "x", 1)), alg, k.key(alg)),
		} {
			f.refuse(alg+" signature "+name, input+"."+encode(s))
		}
		f.refuse(alg+" claims exchanged", segment(k.header(alg))+"."+segment(with(f.claims, "workspace", "victim"))+
			good[dot:])
	}
	input := segment(k.header("ES256")) + "." + segment(f.claims)
	order := k.EC.Params().N
	// CVE-2022-21449: a verifier that does not check that r and s are from 1 to n-1 accepts these
	// for any token.
	for name, rs := range map[string][2]*big.Int{
		"0, 1": {new(big.Int), big.NewInt(1)}, "1, 0": {big.NewInt(1), new(big.Int)}, "n, n": {order, order},
		"n, 1": {order, big.NewInt(1)},
	} {
		signature := make([]byte, 64)
		rs[0].FillBytes(signature[:32])
		rs[1].FillBytes(signature[32:])
		f.refuse("ES256 signature r, s = "+name, input+"."+encode(signature))
	}
	digest := jwt.SigningMethodES256.Hash.New()
	digest.Write([]byte(input))
	f.refuse("ES256 signature in DER", input+"."+encode(must(ecdsa.SignASN1(rand.Reader, k.EC, digest.Sum(nil)))))
}

// kids adds tokens whose kid is unknown, or tries to be a path, a URL or a query.
func (f *forger) kids() {
	k, c := f.keys, f.claims
	for name, kid := range map[string]any{
		"unknown": "nobody", "empty": "", "a path": "../../../../dev/null", "a file": "/dev/null",
		"the set's own file": k.JWKSFile,
		"with NUL":           RSAKey + "\x00", "a URL": "https://attacker.example/key", "SQL": "x' UNION SELECT 'key",
		"a command": "x|id", "a number": 1,
		"an array": []string{RSAKey}, "an object": map[string]any{"kid": RSAKey}, "in upper case": strings.ToUpper(RSAKey),
		"with a space": RSAKey + " ",
		"very long":    strings.Repeat("k", 4096), "missing, while two keys fit": nil, "a wildcard": "*",
	} {
		f.refuse("kid "+name, Forge(with(k.header("RS256"), "kid", kid), c, "RS256", k.RSA))
	}
	for _, kid := range []string{"../../../../dev/null", "/dev/null"} {
		f.refuse("HS256, kid "+kid+", signed with nothing", Forge(with(k.header("HS256"), "kid", kid), c, "HS256", []byte{}))
	}
	f.refuse("kid missing, while two keys fit, signed with the second", Forge(with(k.header("RS256"), "kid", nil), c,
		"RS256", k.second))
	f.refuse("kid null", Forge(`{"alg":"ES256","kid":null}`, c, "ES256", k.EC))
}
