package auth

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/runs"
)

// insightsPath is where the token may be in InsightsHeader.
const insightsPath = "/api/public/bot/"

const workspaceRule = "must be a workspace id: [a-z0-9][a-z0-9_-]{0,62}"

// Caller returns who calls. The error is a *Refusal.
//
// With keys, the token comes from the Authorization header, else from the cookie millrace_token.
// Below /api/public/bot/ it comes from the header auth, else from Authorization, and cookies do not
// count. A header X-Millrace-Workspace has to name the token's workspace. Without keys, the
// workspace comes from that header, else from the cookie millrace_workspace, else it is the default
// one.
func (a *Authenticator) Caller(r *http.Request) (*Caller, error) {
	if a.Keyless() {
		return a.anybody(r)
	}
	token, refusal := bearer(r)
	if refusal != nil {
		return nil, refusal
	}
	caller, _, err := a.Check(token)
	if err != nil {
		return nil, err
	}
	for _, w := range r.Header.Values(WorkspaceHeader) {
		if w != caller.Workspace {
			return nil, &Refusal{Status: http.StatusForbidden, Detail: WorkspaceHeader + " is not the workspace of the token"}
		}
	}
	caller.Address = Address(r)
	return caller, nil
}

// Address returns the address of the network that a request comes from, without the port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// anybody is the caller where there are no keys.
func (a *Authenticator) anybody(r *http.Request) (*Caller, error) {
	workspace, where := a.cfg.DefaultWorkspace, "the default workspace"
	named, where2 := r.Header.Values(WorkspaceHeader), WorkspaceHeader
	if len(named) == 0 {
		named, where2 = cookies(r, WorkspaceCookie), "the cookie "+WorkspaceCookie
	}
	if len(named) > 0 {
		workspace, where = named[0], where2
	}
	bad := func(rule string) (*Caller, error) {
		return nil, &Refusal{Status: http.StatusBadRequest, Detail: where + " " + rule}
	}
	if !same(named) {
		return bad("is there twice, with different values")
	}
	if !runs.ValidWorkspaceID(workspace) {
		return bad(workspaceRule)
	}
	return &Caller{Workspace: workspace, Scopes: slices.Clone(Scopes), Keyless: true,
		Address: Address(r)}, nil
}

// bearer finds the token of a request.
func bearer(r *http.Request) (string, *Refusal) {
	insights := strings.HasPrefix(r.URL.Path, insightsPath)
	if insights {
		if values := r.Header.Values(InsightsHeader); len(values) > 0 {
			if !same(values) {
				return "", unauthorized("the header " + InsightsHeader + " is there twice, with different values")
			}
			if token, ok := cutBearer(values[0]); ok {
				return token, nil
			}
			return values[0], nil
		}
	}
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		if !same(values) {
			return "", unauthorized("the header Authorization is there twice, with different values")
		}
		token, ok := cutBearer(values[0])
		if !ok {
			return "", unauthorized("the header Authorization must be: Bearer TOKEN")
		}
		return token, nil
	}
	if values := cookies(r, TokenCookie); len(values) > 0 && !insights {
		// A site next to this one can add a cookie of the same name, but not take ours away.
		if !same(values) {
			return "", unauthorized("the cookie " + TokenCookie + " is there twice, with different values")
		}
		return values[0], nil
	}
	return "", &Refusal{Status: http.StatusUnauthorized, Detail: "a token is needed: Authorization: Bearer TOKEN",
		missing: true}
}

// cutBearer takes the scheme off, whatever its case (RFC 9110, section 11.1).
func cutBearer(value string) (string, bool) {
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimLeft(token, " "), true
}

// cookies returns the values of the cookies of a name. A browser keeps a cookie that was emptied;
// it is none.
func cookies(r *http.Request, name string) (values []string) {
	for _, c := range r.CookiesNamed(name) {
		if c.Value != "" {
			values = append(values, c.Value)
		}
	}
	return values
}

func same(values []string) bool { return len(slices.Compact(slices.Clone(values))) <= 1 }
