package serve

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

func healthAndMetrics(t *testing.T, p *places) {
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := p.a.Get(t, path).Want(t, http.StatusOK); string(got.Body) != "ok\n" {
			t.Errorf("%s: %q", path, got.Body)
		}
	}
	p.a.Get(t, "/v1/exports/metrics-test")
	got := string(p.a.Get(t, "/metrics").Want(t, http.StatusOK).Body)
	for _, want := range []string{
		`millrace_http_request_seconds_count{method="GET",route="GET /v1/exports/{id}",status="404"}`,
		"millrace_http_requests_in_flight", "go_goroutines"} {
		if !strings.Contains(got, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(got, "metrics-test") {
		t.Error("an id is a label")
	}
}

func noRoutes(t *testing.T, p *places) {
	for _, path := range []string{"/v1/", "/v1/nope", "/v1/exports/a/b/c", "/api/public/bot/b/search/nope", "/v1/exports/",
		"/v2/exports"} {
		if got := p.a.Get(t, path); path != "/v2/exports" {
			got.Problem(t, http.StatusNotFound)
		} else if got.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
	for request, allowed := range map[string]string{
		"PUT /v1/exports": "GET, HEAD, POST", "DELETE /v1/exports": "GET, HEAD, POST",
		"POST /v1/exports/x": "DELETE, GET, HEAD", "PATCH /v1/runs/x": "GET, HEAD",
		"GET /v1/exports/x/cancel": "POST", "GET /api/public/bot/b/search/analytics-export": "POST",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := p.a.Call(t, method, path, nil)
		got.Problem(t, http.StatusMethodNotAllowed)
		if have := got.Header.Get("Allow"); have != allowed {
			t.Errorf("%s: Allow: %s, want %s", request, have, allowed)
		}
	}
}

func securityHeaders(t *testing.T, p *places) {
	id := p.a.File(t, ofA(nil))
	p.a.WaitFor(t, id, "succeeded")
	for _, path := range []string{
		"/v1/exports", "/v1/exports/nope", "/v1/nope", "/docs", "/openapi.json", "/healthz",
		"/v1/exports/" + id + "/files/manifest.json",
		"/v1/exports/" + id + "/download", "/v1/exports/" + id + "/events",
	} {
		h := p.a.Get(t, path).Header
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: %s", path, name, h.Get(name))
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") ||
			!strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %s", path, csp)
		}
		if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Server") != "" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
	if c := p.a.Get(t, "/v1/exports").Header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("a listing may be kept: %q", c)
	}
}

// Browsers send these headers, whatever a page's script says.
func otherOrigins(t *testing.T, p *places) {
	s := p.a.In("origins")
	writes := []string{"POST /v1/exports", "POST /v1/exports/dry-run", "POST /v1/exports/x/cancel", "DELETE /v1/exports/x",
		"POST /v1/runs", "POST " + analytics("bot")}
	for _, header := range [][]string{{"Origin: https://evil.example"}, {"Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: same-site"}, {"Origin: null"}, {"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}} {
		for _, write := range writes {
			method, path, _ := strings.Cut(write, " ")
			s.With(header...).Call(t, method, path, ofA(nil)).Problem(t, http.StatusForbidden)
		}
	}
	checkNoExports(t, s)
	s.With("Origin: "+s.URL, "Sec-Fetch-Site: same-origin").File(t, ofA(nil))
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
		"169.254.169.254", "[::ffff:10.0.0.1]", "0.0.0.0"} {
		for _, path := range []string{"/v1/exports", "/healthz", "/openapi.json", "/", "/exports"} {
			s.Get(t, path, "Host: "+host).Problem(t, http.StatusForbidden)
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:8080", "[::1]:8080"} {
		s.Get(t, "/v1/exports", "Host: "+host).Want(t, http.StatusOK)
	}
	if got := raw(t, s, "GET /v1/exports HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 100<<10)+
		"\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("a header that is too large: %.200s", got)
	}
}

// An id of another workspace is one that is not there.
func workspacesAreApart(t *testing.T, p *places) {
	id := p.a.File(t, ofA(nil))
	p.a.WaitFor(t, id, "succeeded")
	key := keys(t, readManifest(t, p.a, id))[0]
	job := exportAnalytics(t, p.a, "bot", `{"filters":{"from":"2026-10-05","to":"2026-10-05"}}`)["_id"].(string)
	for _, s := range []e2etest.Endpoint{p.a.In("other"), p.b.In("other")} {
		for _, route := range []string{
			"GET /v1/exports/" + id, "GET /v1/exports/" + id + "/events", "GET /v1/exports/" + id + "/preview",
			"GET /v1/exports/" + id + "/download", "GET /v1/exports/" + id + "/files/" + key,
			"GET /v1/exports/" + id + "/files/manifest.json", "POST /v1/exports/" + id + "/cancel", "DELETE /v1/exports/" + id,
			"GET /api/public/bot/bot/search/jobs/" + job,
			"GET /v1/runs/r-100", "GET /v1/apps/r/nodes",
		} {
			method, path, _ := strings.Cut(route, " ")
			got := s.Call(t, method, path, nil)
			none := s.Call(t, method, strings.NewReplacer(id, "0192f0c1-7a5e-7c3b-9d4e-1f2a3b4c5d6e", job, "fj-nope", "r-100",
				"r-nope", "apps/r/", "apps/nope/").Replace(path), nil)
			got.Problem(t, http.StatusNotFound)
			if string(got.Body) != string(none.Body) {
				t.Errorf("%s: %s, and of what is not there %s", route, got.Body, none.Body)
			}
		}
		if ids, _ := listExports(t, s, "limit=200"); slices.Contains(ids, id) {
			t.Error("the list has the export of another workspace")
		}
		if got := s.Get(t, "/v1/runs?limit=200").Want(t, http.StatusOK); strings.Contains(string(got.Body), "acme") {
			t.Errorf("the runs are %s", got.Body)
		}
	}
	p.a.Get(t, "/v1/exports/"+id+"/files/"+key).Want(t, http.StatusOK)
	for _, bad := range []string{"../acme", "Acme", "a b", "acme/x", strings.Repeat("a", 64), "-a"} {
		if got := p.a.In(bad).Get(t, "/v1/exports"); got.Status != http.StatusBadRequest {
			t.Errorf("workspace %q: %d %s", bad, got.Status, got.Body)
		}
	}
}
