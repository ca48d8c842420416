package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/runs"
)

// maxForm is the size of a form; a token has up to 16 KiB.
const maxForm = 64 << 10

// loginForm is the page of sign-in.
type loginForm struct{ Next, Error string }

// toLogin redirects to the sign-in page, which leads back to the present address.
func toLogin(w http.ResponseWriter, r *http.Request) {
	q := url.Values{"next": {r.URL.RequestURI()}}
	http.Redirect(w, r, address("/login", q), http.StatusSeeOther)
}

func (p *Pages) showLogin(w http.ResponseWriter, r *http.Request) {
	if p.auth.Keyless() {
		http.Redirect(w, r, "/copilots", http.StatusSeeOther)
		return
	}
	p.renderLogin(w, r, 0, loginForm{Next: local(r.URL.Query().Get("next"))})
}

func (p *Pages) renderLogin(w http.ResponseWriter, r *http.Request, status int, f loginForm) {
	if err := p.render(w, r, view{template: "login.html", title: "Sign in", status: status, data: f}); err != nil {
		p.Fail(w, r, err)
	}
}

// login checks a token and stores it in a cookie, which the API reads too.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	if p.auth.Keyless() {
		http.Redirect(w, r, "/copilots", http.StatusSeeOther)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.renderLogin(w, r, http.StatusBadRequest, loginForm{Next: "/copilots",
			Error: "This is too long for a token: paste the token alone."})
		return
	}
	next := local(r.PostForm.Get("next"))
	token := strings.TrimSpace(r.PostForm.Get("token"))
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "bearer") {
		token = strings.TrimSpace(rest)
	}
	if token == "" {
		p.renderLogin(w, r, http.StatusUnprocessableEntity, loginForm{Next: next, Error: "Paste your token."})
		return
	}
	caller, expiry, err := p.auth.Check(token)
	if err != nil {
		stranger := auth.Caller{Address: auth.Address(r)}
		e := stranger.Entry(audit.Refused, "page /login")
		e.Outcome = "unauthorized"
		p.cfg.Trail.Refuse(e)
		p.renderLogin(w, r, http.StatusUnauthorized, loginForm{Next: next, Error: sentence(err.Error())})
		return
	}
	caller.Address = auth.Address(r)
	p.cfg.Trail.Note(caller.Entry(audit.SignedIn, "page /login"))
	c := p.cookie(r, auth.TokenCookie, token)
	if !expiry.IsZero() {
		c.MaxAge = max(1, int(expiry.Sub(p.now()).Seconds()))
	}
	http.SetCookie(w, c)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	if caller := auth.From(r.Context()); caller != nil && !p.auth.Keyless() {
		p.cfg.Trail.Note(caller.Entry(audit.SignedOut, "page /logout"))
	}
	err := p.auth.Revoke(r.Context(), r)
	p.clear(w, r, auth.TokenCookie)
	if err != nil {
		p.cfg.Log.Error("a token was not revoked on all servers", "error", err)
		p.Fail(w, r, &problem{Status: http.StatusServiceUnavailable, Title: "You are signed out of this browser only",
			Text: "Your token could not be revoked, because the object store does not answer: other servers accept it " +
				"until it expires. Sign in and out again to revoke it.", Link: "/login", Label: "Go to sign-in"})
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// switchWorkspace changes the workspace on a server without keys. With keys the token names the
// workspace.
func (p *Pages) switchWorkspace(w http.ResponseWriter, r *http.Request) {
	if !p.auth.Keyless() {
		p.Fail(w, r, &problem{Status: http.StatusForbidden, Title: "The workspace is your token's",
			Text: "Sign in with a token of the other workspace.", Link: "/login", Label: "Sign in with another token"})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	workspace := ""
	if r.ParseForm() == nil {
		workspace = strings.TrimSpace(r.PostForm.Get("workspace"))
	}
	if !runs.ValidWorkspaceID(workspace) {
		p.Fail(w, r, &problem{Status: http.StatusBadRequest, Title: "This is not a workspace id",
			Text: "A workspace id has 1 to 63 small letters, digits, - and _, and begins with a letter or a digit.",
			Link: "/copilots", Label: "Go back"})
		return
	}
	c := p.cookie(r, auth.WorkspaceCookie, workspace)
	c.MaxAge = int((365 * 24 * time.Hour).Seconds())
	http.SetCookie(w, c)
	back := "/copilots" // other pages may not exist in the new workspace; sections do
	switch section := r.PostForm.Get("section"); section {
	case "recipes", "exports", "docs":
		back = "/" + section
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// resetWorkspace removes the cookie of a bad workspace id. Without keys the middleware refuses
// nothing else.
func (p *Pages) resetWorkspace(w http.ResponseWriter, r *http.Request) {
	p.clear(w, r, auth.WorkspaceCookie)
	p.Fail(w, r, &problem{Status: http.StatusBadRequest, Title: "This is not a workspace id",
		Text: "The workspace that your browser or the header " + auth.WorkspaceHeader +
			" asks for is not a valid id. The browser's was reset to the default.",
		Link: "/copilots", Label: "Go to the copilots"})
}

func (p *Pages) cookie(r *http.Request, name, value string) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: p.secure(r)}
}

func (p *Pages) clear(w http.ResponseWriter, r *http.Request, name string) {
	c := p.cookie(r, name, "")
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// secure reports whether the browser uses HTTPS, to us or to a proxy before us.
func (p *Pages) secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(p.cfg.PublicURL, "https://") || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// local returns the path to go to after sign-in. It is always on this server: browsers read \ as /,
// and drop tabs and line breaks, so an address with one of them is not used.
func local(next string) string {
	const home = "/copilots"
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return home
	}
	for i := range len(next) {
		if c := next[i]; c <= ' ' || c == 0x7f || c == '\\' {
			return home
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") ||
		u.Path == "/login" || u.Path == "/logout" {
		return home
	}
	return u.RequestURI()
}
