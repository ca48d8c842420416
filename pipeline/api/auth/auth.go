// Package auth authenticates callers: it checks the tokens of requests and confines each caller to
// one workspace.
//
// Tokens are JWTs (RFC 7519) in the compact serialization of JWS. RS256, ES256 and EdDSA are
// checked with the keys of a JWK Set, HS256 with a shared secret and nothing else: a public key
// never serves as a secret. Header parameters that name or carry keys (jku, x5u, jwk, x5c) are
// ignored. The rules are those of RFC 8725 where it has one.
//
// github.com/golang-jwt/jwt/v5 verifies signatures and times, and github.com/MicahParks/jwkset
// reads keys. Package [strictjson] checks their JSON first, because readers disagree about a
// document that has a key twice.
//
//	auth.go     New, Config, Caller
//	request.go  the caller of an HTTP request
//	token.go    Check: one token
//	claims.go   the claims of a token
//	source.go   a JWK Set that is refreshed from a file or URL
//	revoked.go  tokens that were revoked before they expire
//	keys.go     the keys of a JWK Set; the secret of HS256
//	signer.go   making tokens and keys, for development
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
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace/millrace/pipeline/audit"
)

// Scopes of the contract.
const (
	ExportsRead    = "millrace.exports.read"
	ExportsWrite   = "millrace.exports.write"
	RunsRead       = "millrace.runs.read"
	RunsWrite      = "millrace.runs.write"
	AnswerInsights = "answer_insights"
)

// Scopes are all scopes.
var Scopes = []string{ExportsRead, ExportsWrite, RunsRead, RunsWrite, AnswerInsights}

// Headers and cookies that name the caller, beside the Authorization header.
const (
	WorkspaceHeader = "X-Millrace-Workspace" // without keys: the workspace
	WorkspaceCookie = "millrace_workspace"   // the same, set by the pages' switcher; the header goes first
	TokenCookie     = "millrace_token"       // with keys: the token, set by the sign-in page
	InsightsHeader  = "auth"                 // the token, on the Answer Insights routes only
)

// Config is the configuration of an Authenticator.
type Config struct {
	JWKSFile       string // keys of RS256, ES256 and EdDSA; read again when it changes
	JWKSURL        string // the same, fetched and refreshed; at most one of the two
	HMACSecretFile string // secret of HS256; read once
	Issuer         string // required iss of tokens; "" = any
	Audience       string // required aud of tokens; "" = any
	// MaxLifetime is how far ahead the exp of a token may be; default DefaultLifetime. A token is
	// remembered as revoked until then.
	MaxLifetime time.Duration

	DefaultWorkspace string // without keys
	Log              *slog.Logger

	Transport http.RoundTripper // of JWKSURL; nil = http.DefaultTransport
}

// DefaultLifetime is the default of Config.MaxLifetime.
const DefaultLifetime = 90 * 24 * time.Hour

// Caller is the caller of a request. Everything that a caller reads and writes is in the caller's
// workspace.
type Caller struct {
	Workspace string
	Subject   string    // sub of the token; "" without keys
	Expires   time.Time // of the token; zero without keys
	Scopes    []string
	Keyless   bool   // there are no keys: a caller may give any name
	Address   string // of the network, without port

	id string // of the token, see tokenID
}

// Entry returns an entry of the trail about what the caller does now.
func (c *Caller) Entry(action, operation string) audit.Entry {
	return audit.Entry{At: time.Now(), WorkspaceID: c.Workspace, Subject: c.Subject, Address: c.Address, Action: action,
		Outcome: audit.OK, Operation: operation, Via: "serve"}
}

// Has reports whether the caller has a scope.
func (c *Caller) Has(scope string) bool { return slices.Contains(c.Scopes, scope) }

// Authenticator checks requests. It is safe for concurrent use.
type Authenticator struct {
	cfg    Config
	parser *jwt.Parser
	keys   *source // nil without a JWK Set
	secret []byte  // nil without HS256

	revoked revoked
}

// New reads the keys. It fetches those of a URL, and refreshes them until ctx is done. Errors begin
// with the setting to change: JWKS_FILE, JWKS_URL or HMAC_SECRET_FILE.
func New(ctx context.Context, cfg Config) (*Authenticator, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.MaxLifetime = cmp.Or(cfg.MaxLifetime, DefaultLifetime)
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

// warn logs settings that are allowed but risky.
func (a *Authenticator) warn() {
	if a.cfg.Issuer == "" {
		a.cfg.Log.Warn("no issuer is configured: a token of any issuer that has one of the keys is accepted")
	}
	if a.cfg.Audience == "" {
		a.cfg.Log.Warn("no audience is configured: a token for another service is accepted if it names a workspace")
	}
}

// Keyless reports that no keys are configured: everybody who reaches the server has every scope.
func (a *Authenticator) Keyless() bool { return a.keys == nil && a.secret == nil }

// Describe names the accepted algorithms and keys, for the log at start.
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

// Missing reports that there is no token at all.
func (r *Refusal) Missing() bool { return r.missing }

// Challenge is the header WWW-Authenticate of a response with status 401; "" for other statuses.
// See RFC 6750, section 3.
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
