package authtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
)

// Attack is a request that a server with [Keys.Config] must answer with Status.
type Attack struct {
	Name   string
	Token  string      // the bearer token if Header is nil; also valid in a cookie or the header auth
	Header http.Header // the headers of the request instead
	Status int
}

// Set puts the attack on a request.
func (a Attack) Set(r *http.Request) {
	if a.Header == nil {
		r.Header.Set("Authorization", "Bearer "+a.Token)
		return
	}
	for name, values := range a.Header {
		r.Header[name] = values
	}
}

// Attacks returns requests that every route must refuse: with 401, or with 403 if the token is
// valid but does not allow the request. Each has a valid token for the workspace, except for the
// one fault that its name describes.
func Attacks(k *Keys, workspace string) []Attack {
	f := &forger{keys: k, claims: k.Claims(workspace)}
	f.algorithms()
	f.confusion()
	f.strangers()
	f.signatures()
	f.kids()
	f.headers()
	f.forms()
	f.documents()
	f.audiences()
	f.times()
	f.workspaces()
	f.scopes()
	f.carriers()
	return f.attacks
}

// Accepted returns requests that are unusual but valid. Every route accepts them. Status is 200,
// which stands for the normal status of the route.
func Accepted(k *Keys, workspace string) []Attack {
	f := &forger{keys: k, claims: k.Claims(workspace)}
	for _, alg := range []string{"RS256", "ES256", "EdDSA", "HS256"} {
		f.accept(alg, k.Token(alg, f.claims))
	}
	c, now := f.claims, time.Now().Unix()
	f.accept("the second key", Forge(with(k.header("RS256"), "kid", "rsa-2"), c, "RS256", k.second))
	f.accept("no kid, and one key fits", Forge(with(k.header("ES256"), "kid", nil), c, "ES256", k.EC))
	f.accept("HS256 with a kid", Forge(with(k.header("HS256"), "kid", RSAKey), c, "HS256", k.Secret))
	f.accept("jku, x5u and jwk beside a good kid", Forge(with(k.header("RS256"), "jku", "http://127.0.0.1:1/", "x5u",
		"http://127.0.0.1:1/",
		"jwk", JWK(k.foreign.rsa.Public(), "RS256", RSAKey, "sig")), c, "RS256", k.RSA))
	f.accept("no typ, no iat, no nbf, no sub", Forge(with(k.header("ES256"), "typ", nil), with(c, "iat", nil, "nbf", nil,
		"sub", nil), "ES256", k.EC))
	f.accept("claims that mean nothing here", f.token(with(c, "jti", "x", "roles", []any{1, nil}, "Workspace", "other",
		"admin", true)))
	f.accept("audience among others", f.token(with(c, "aud", []string{"other", Audience})))
	f.accept("scopes as an array", f.token(with(c, "scope", auth.Scopes)))
	f.accept("expiry with a fraction", f.token(with(c, "exp", float64(now)+3600.5)))
	f.accept("expiry with an exponent", f.token(with(c, "exp", json.RawMessage(fmt.Sprintf("%.9e", float64(now+3600))))))
	f.accept("valid from a moment on", f.token(with(c, "nbf", now+15, "iat", now+15)))
	token := k.Token("ES256", c)
	f.send("bearer in lower case", 200, "Authorization", "bearer "+token)
	f.send("two spaces after the scheme", 200, "Authorization", "BEARER  "+token)
	f.send("the same header twice", 200, "Authorization", "Bearer "+token, "Bearer "+token)
	f.send("the workspace in its header", 200, "Authorization", "Bearer "+token)
	f.attacks[len(f.attacks)-1].Header.Set(auth.WorkspaceHeader, workspace)
	return f.attacks
}

// forger collects attacks on one workspace.
type forger struct {
	keys    *Keys
	claims  map[string]any
	attacks []Attack
}

// token returns a token that is signed in the usual way.
func (f *forger) token(claims any) string {
	return Forge(f.keys.header("ES256"), claims, "ES256", f.keys.EC)
}

func (f *forger) accept(name, token string) {
	f.attacks = append(f.attacks, Attack{Name: name, Token: token, Status: http.StatusOK})
}

func (f *forger) refuse(name, token string) {
	f.attacks = append(f.attacks, Attack{Name: name, Token: token, Status: http.StatusUnauthorized})
}

// send adds a request with one header.
func (f *forger) send(name string, status int, header string, values ...string) {
	f.attacks = append(f.attacks, Attack{Name: name, Header: http.Header{http.CanonicalHeaderKey(header): values},
		Status: status})
}

// carriers adds requests whose valid token is in the wrong place.
func (f *forger) carriers() {
	good, other := f.keys.Token("ES256", f.claims), f.keys.Token("RS256", f.claims)
	const unauthorized = http.StatusUnauthorized
	f.attacks = append(f.attacks, Attack{Name: "nothing at all", Header: http.Header{}, Status: unauthorized})
	f.send("Basic", unauthorized, "Authorization", "Basic "+good)
	f.send("a token without a scheme", unauthorized, "Authorization", good)
	f.send("a scheme without a token", unauthorized, "Authorization", "Bearer")
	f.send("an empty Authorization", unauthorized, "Authorization", "")
	f.send("a scheme that only begins like it", unauthorized, "Authorization", "Bearerx "+good)
	f.send("a token in quotes", unauthorized, "Authorization", `Bearer "`+good+`"`)
	f.send("a tab after the scheme", unauthorized, "Authorization", "Bearer\t"+good)
	f.send("two tokens in a header", unauthorized, "Authorization", "Bearer "+good+", Bearer "+other)
	f.send("two headers", unauthorized, "Authorization", "Bearer "+good, "Bearer "+other)
	f.send("two headers, one of them Basic", unauthorized, "Authorization", "Basic eDp5", "Bearer "+good)
	f.send("a header of a proxy", unauthorized, "X-Forwarded-Authorization", "Bearer "+good)
	f.send("a bad cookie", unauthorized, "Cookie", auth.TokenCookie+"=x.y.z")
	f.send("a bad token and a good cookie", unauthorized, "Authorization", "Bearer x.y.z")
	f.attacks[len(f.attacks)-1].Header.Set("Cookie", auth.TokenCookie+"="+good)
	f.send("two cookies", unauthorized, "Cookie", auth.TokenCookie+"="+good+"; "+auth.TokenCookie+"="+other)
	f.send("workspace header without a token", unauthorized, auth.WorkspaceHeader, f.claims["workspace"].(string))
	for name, values := range map[string][]string{
		"the header of another workspace": {"other-workspace"}, "an empty workspace header": {""},
		"the headers of two workspaces": {f.claims["workspace"].(string), "other-workspace"},
	} {
		f.send(name, http.StatusForbidden, auth.WorkspaceHeader, values...)
		f.attacks[len(f.attacks)-1].Header.Set("Authorization", "Bearer "+good)
	}
}
