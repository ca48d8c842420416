// Package auth says who calls: it checks the tokens of requests and confines each caller to one workspace.
//
// Tokens are JWTs (RFC 7519) in the compact serialization of JWS. RS256, ES256 and EdDSA are checked with the keys of a JWK
// Set, HS256 with a shared secret and nothing else: a key that is public never serves as a secret. What a header says about
// where keys are (jku, x5u) or what they are (jwk, x5c) is ignored. The rules are those of RFC 8725 where it has one.
//
// github.com/golang-jwt/jwt/v5 verifies signatures and times, and github.com/MicahParks/jwkset reads keys. What JSON they are given has
// been held against [strictjson] before, since a document that says a thing twice says different things to different readers.
//
// [strictjson]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/strictjson
package auth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Scopes of the contract.
const (
	ExportsRead    = "millrace.exports.read"
	ExportsWrite   = "millrace.exports.write"
	RunsRead       = "millrace.runs.read"
	RunsWrite      = "millrace.runs.write"
	AnswerInsights = "answer_insights"
)

// Scopes are all there are.
var Scopes = []string{ExportsRead, ExportsWrite, RunsRead, RunsWrite, AnswerInsights}

// Where a caller is named, beside the Authorization header.
const (
	WorkspaceHeader = "X-Millrace-Workspace" // without keys: the workspace
	WorkspaceCookie = "millrace_workspace"   // the same, set by the pages' switcher; the header goes first
	TokenCookie     = "millrace_token"       // with keys: the token, set by the pages' sign-in
	InsightsHeader  = "auth"                 // the token, for the Answer Insights routes alone
)

// Config says which tokens are good.
type Config struct {
	JWKSFile       string // keys of RS256, ES256 and EdDSA; read again when it changes
	JWKSURL        string // the same, fetched and refreshed; one of the two at most
	HMACSecretFile string // secret of HS256; read once
	Issuer         string // iss that tokens must have; "" = any
	Audience       string // aud that tokens must have; "" = any

	DefaultWorkspace string // without keys
	Log              *slog.Logger

	Transport http.RoundTripper // of JWKSURL; nil = http.DefaultTransport
}

// Caller is who calls: everything they read and write is in their workspace.
type Caller struct {
	Workspace string
	Subject   string // sub of the token; "" without keys
	Scopes    []string
}

// Has says whether the caller may do what a scope is for.
func (c *Caller) Has(scope string) bool { return slices.Contains(c.Scopes, scope) }

// Authenticator checks requests. It is safe for concurrent use.
type Authenticator struct {
	cfg    Config
	parser *jwt.Parser
	keys   *source // nil without a JWK Set
	secret []byte  // nil without HS256
}

// New reads the keys. It fetches those of a URL, and keeps them fresh until ctx is done. Errors begin with the setting
// to change: JWKS_FILE, JWKS_URL or HMAC_SECRET_FILE.
func New(ctx context.Context, cfg Config) (*Authenticator, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	a := &Authenticator{cfg: cfg, parser: newParser(cfg)}
	var err error
	if cfg.HMACSecretFile != "" {
		if a.secret, err = readSecret(cfg.HMACSecretFile); err != nil {
			return nil, err
		}
	}
	switch {
	case cfg.JWKSFile != "" && cfg.JWKSURL != "":
		return nil, errors.New("JWKS_FILE and JWKS_URL are both set: set one of them")
	case cfg.JWKSFile != "":
		a.keys, err = watchFile(ctx, cfg)
	case cfg.JWKSURL != "":
		a.keys, err = watchURL(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	if !a.Keyless() {
		a.warn()
	}
	return a, nil
}

// warn says what of the configuration is allowed but risky.
func (a *Authenticator) warn() {
	if a.cfg.Issuer == "" {
		a.cfg.Log.Warn("no issuer is configured: a token of any issuer that has one of the keys is accepted")
	}
	if a.cfg.Audience == "" {
		a.cfg.Log.Warn("no audience is configured: a token for another service is accepted if it names a workspace")
	}
}

// Keyless says that no keys are configured: everybody who reaches the server has every scope.
func (a *Authenticator) Keyless() bool { return a.keys == nil && a.secret == nil }

// Describe says in a few words which tokens are good, for the log at start.
func (a *Authenticator) Describe() string {
	if a.Keyless() {
		return "no keys: every caller has every scope"
	}
	var parts []string
	if a.keys != nil {
		parts = append(parts, strings.Join(a.keys.set.Load().algorithms(), ", ")+" by the keys of "+a.keys.name)
	}
	if a.secret != nil {
		parts = append(parts, "HS256 by the secret of "+a.cfg.HMACSecretFile)
	}
	return strings.Join(parts, "; ")
}

// Refusal is why a request is not let in.
type Refusal struct {
	Status int    // 401; 403 for a workspace that is not the token's; 400 for one that is no workspace id
	Detail string // for the caller; says nothing that helps an attacker

	missing bool // there is no token at all
}

func (r *Refusal) Error() string { return r.Detail }

// Challenge is the header WWW-Authenticate of a response with status 401; "" for other statuses. See RFC 6750, section 3.
func (r *Refusal) Challenge() string {
	switch {
	case r.Status != http.StatusUnauthorized:
		return ""
	case r.missing:
		return `Bearer realm="millrace"`
	}
	return `Bearer realm="millrace", error="invalid_token"`
}

func unauthorized(detail string) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Detail: detail}
}

type key struct{}

// With returns a context that knows the caller.
func With(ctx context.Context, c *Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the caller of a context that has one; nil otherwise.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(key{}).(*Caller)
	return c
}
