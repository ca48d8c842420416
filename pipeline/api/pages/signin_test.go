package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
)

func TestWithKeysSomebodyUnknownIsSentToSignInAndBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keys, s.caller = true, nil
	for _, address := range append(everyPage, "/nothing") {
		r := s.do(httptest.NewRequest(http.MethodGet, address, nil))
		want := "/login?" + url.Values{"next": {address}}.Encode()
		if r.Status != http.StatusSeeOther || r.Header.Get("Location") != want {
			t.Errorf("%s: %d to %s", address, r.Status, r.Header.Get("Location"))
		}
	}
	text := s.page("/login?next=%2Fexports%3Fstatus%3Dfailed")
	has(t, text, `name="next" value="/exports?status=failed"`, "<textarea")
	hasNot(t, text, "Sections", "Sign out")
}

func TestSignInLeadsToPathsOfThisServerOnly(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/exports?status=failed": "/exports?status=failed", "/history/run?id=a%2Fb": "/history/run?id=a%2Fb", "/": "/",
		"": "/copilots", "exports": "/copilots", "//evil.example": "/copilots", "https://evil.example/": "/copilots",
		`/\evil.example`:   "/copilots",
		"/\t/evil.example": "/copilots", "\t//evil.example": "/copilots", "/%zz": "/copilots",
		"javascript:alert(1)": "/copilots", "/a\r\nSet-Cookie: x=y": "/copilots",
		"///evil.example": "/copilots", "/%2F/evil.example": "/copilots", "/.//evil.example": "/evil.example",
		"/login": "/copilots", "/logout": "/copilots",
	} {
		s := newSite(t)
		s.keys, s.caller = true, nil
		r := s.post("/login", url.Values{"token": {token(time.Now().Add(time.Hour))}, "next": {next}})
		if r.Status != http.StatusSeeOther || r.Header.Get("Location") != want {
			t.Errorf("%q leads to %q (%d), want %q", next, r.Header.Get("Location"), r.Status, want)
		}
	}
}

func TestATokenIsKeptInACookieThatOnlyThisServerSees(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := token(now.Add(time.Hour))
	for name, c := range map[string]struct {
		token  string
		proto  string
		public string
		secure bool
	}{
		"over HTTP":         {token: good},
		"with a URL":        {token: good, public: "http://millrace.example"},
		"with an HTTPS URL": {token: good, public: "https://millrace.example", secure: true},
		"behind HTTPS":      {token: " " + good + "\n", proto: "https", secure: true},
		"with a scheme":     {token: "Bearer " + good},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.keys, s.caller, s.public = true, nil, c.public
			s.now = func() time.Time { return now }
			r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(url.Values{"token": {c.token}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Forwarded-Proto", c.proto)
			cookies := s.do(r).Cookies
			if len(cookies) != 1 {
				t.Fatalf("cookies %v", cookies)
			}
			k := cookies[0]
			if k.Name != auth.TokenCookie || k.Value != good || !k.HttpOnly || k.SameSite != http.SameSiteStrictMode ||
				k.Path != "/" ||
				k.Secure != c.secure || k.MaxAge > 3600 || k.MaxAge < 3500 || k.Domain != "" {
				t.Errorf("cookie %+v", k)
			}
		})
	}
}

func TestATokenThatIsRefusedSaysWhyAndIsNotKept(t *testing.T) {
	t.Parallel()
	old := token(time.Now().Add(-time.Hour))
	for token, want := range map[string]struct {
		status int
		says   string
	}{
		old:                            {http.StatusUnauthorized, "The token has expired."},
		" ":                            {http.StatusUnprocessableEntity, "Paste your token."},
		strings.Repeat("x", maxForm+1): {http.StatusBadRequest, "too long for a token"},
	} {
		s := newSite(t)
		s.keys, s.caller = true, nil
		r := s.post("/login", url.Values{"token": {token}, "next": {"/exports"}})
		if r.Status != want.status || len(r.Cookies) != 0 {
			t.Errorf("%.10q: %d, cookies %v", token, r.Status, r.Cookies)
		}
		has(t, r.Text, want.says, `aria-invalid="true"`)
		hasNot(t, r.Text, old)
	}
}

func TestSignOutForgetsTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keys = true
	r := s.post("/logout", nil)
	if k := r.Cookies; r.Status != http.StatusSeeOther || len(k) != 1 || k[0].Name != auth.TokenCookie ||
		k[0].MaxAge >= 0 || k[0].Value != "" {
		t.Errorf("%d %v", r.Status, k)
	}
}

func TestAPageNeedsItsScopeAndSaysWhich(t *testing.T) {
	t.Parallel()
	for address, scope := range map[string]string{
		"/copilots": auth.RunsRead, "/recipes": auth.RunsRead, "/history?source=copilot&app=helpdesk": auth.RunsRead,
		"/history/run?id=r1": auth.RunsRead,
		"/exports":           auth.ExportsRead, "/exports/e1/row": auth.ExportsRead,
		"/exports/e1": auth.ExportsRead,
	} {
		s := newSite(t)
		s.caller.Scopes = nil
		for _, other := range auth.Scopes {
			if other != scope {
				s.caller.Scopes = append(s.caller.Scopes, other)
			}
		}
		status, text := s.get(address)
		if status != http.StatusForbidden {
			t.Errorf("%s without %s: %d", address, scope, status)
		}
		has(t, text, scope)
		hasNot(t, text, "req-1", "First")

		s.caller.Scopes = []string{scope}
		if status, _ := s.get(address); status != http.StatusOK {
			t.Errorf("%s with %s alone: %d", address, scope, status)
		}
	}
}

func TestWhatTheScopesDoNotAllowIsNotOffered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keys = true
	s.caller.Scopes = []string{auth.RunsRead, auth.ExportsRead}
	text := s.page("/history?source=copilot&app=helpdesk")
	has(t, text, "Dataset exports")
	hasNot(t, text, "Export dataset", "run-check", "selection-export", "select-page")
	text = s.page("/exports")
	has(t, text, "row-view", "row-download")
	hasNot(t, text, "row-delete")

	s.caller.Scopes = []string{auth.RunsRead}
	hasNot(t, s.page("/history?source=copilot&app=helpdesk"), "action-menu", "Dataset Exports", "menu-exports")
}

func TestWithoutKeysTheWorkspaceIsSwitched(t *testing.T) {
	t.Parallel()
	for section, to := range map[string]string{"exports": "/exports", "recipes": "/recipes", "": "/copilots",
		"//evil.example": "/copilots"} {
		s := newSite(t)
		r := s.post("/workspace", url.Values{"workspace": {" other-1 "}, "section": {section}})
		k := r.Cookies
		if r.Status != http.StatusSeeOther || r.Header.Get("Location") != to || len(k) != 1 ||
			k[0].Name != auth.WorkspaceCookie || k[0].Value != "other-1" ||
			!k[0].HttpOnly || k[0].SameSite != http.SameSiteStrictMode || k[0].Path != "/" {
			t.Errorf("%q: %d to %s, %v", section, r.Status, r.Header.Get("Location"), k)
		}
	}
	has(t, newSite(t).page("/exports"), `action="/workspace"`, `name="section" value="exports"`)
}

func TestAWorkspaceThatIsNoIdIsNotSwitchedTo(t *testing.T) {
	t.Parallel()
	for _, workspace := range []string{"", "../x", "Acme", "a b", strings.Repeat("a", 64)} {
		s := newSite(t)
		r := s.post("/workspace", url.Values{"workspace": {workspace}})
		if r.Status != http.StatusBadRequest || len(r.Cookies) != 0 {
			t.Errorf("%q: %d %v", workspace, r.Status, r.Cookies)
		}
		has(t, r.Text, "1 to 63 small letters")
	}
}

func TestWithKeysTheWorkspaceIsTheTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keys = true
	r := s.post("/workspace", url.Values{"workspace": {"other"}})
	if r.Status != http.StatusForbidden || len(r.Cookies) != 0 {
		t.Errorf("%d %v", r.Status, r.Cookies)
	}
	text := s.page("/copilots")
	has(t, text, `data-testid="workspace">acme`, "Sign out")
	hasNot(t, text, `action="/workspace"`)
}

func TestABadWorkspaceCookieIsTakenAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.caller = nil // as the middleware leaves it
	r := s.do(httptest.NewRequest(http.MethodGet, "/copilots", nil))
	if k := r.Cookies; r.Status != http.StatusBadRequest || len(k) != 1 || k[0].Name != auth.WorkspaceCookie ||
		k[0].MaxAge >= 0 {
		t.Errorf("%d %v", r.Status, k)
	}
}

func TestSignInAndSignOutAreInTheTrail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keys, s.caller = true, nil
	s.post("/login", url.Values{"token": {token(time.Now().Add(time.Hour))}})
	s.post("/login", url.Values{"token": {"a.b.c"}})
	s.post("/logout", nil) // nobody is signed in
	s.caller = &auth.Caller{Workspace: "acme", Subject: "mia", Address: "192.0.2.7"}
	s.post("/logout", nil)
	want := trailOf{"signed_in ok mia 192.0.2.1", "refused unauthorized  192.0.2.1", "signed_out ok mia 192.0.2.7"}
	if !slices.Equal(s.trail, want) {
		t.Errorf("the trail is %q", s.trail)
	}
}
