package pages

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace/millrace"
)

func TestEveryDocumentIsServedAndItsLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	list := s.page("/docs")
	has(t, list, `href="/docs/reference"`)
	served := map[string]string{"/docs": list, "/docs/reference": ""}
	for _, d := range millrace.Documents {
		address := "/docs/" + d.Name
		has(t, list, `<dt><a href="`+address+`">`+d.Title+"</a></dt><dd>"+d.About+"</dd>")
		served[address] = s.page(address)
		has(t, served[address], `<h1>`+d.Title+`</h1>`, `href="`+address+`" aria-current="page"`)
	}
	forbidden := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+="|javascript:|<script>|<!-- |href="[^:"]*\.md["#]`)
	for address, page := range served {
		if found := forbidden.FindString(page); found != "" {
			t.Errorf("%s has %q", address, found)
		}
		for _, link := range regexp.MustCompile(`href="(/docs[^"#]*)(?:#([^"]*))?"`).FindAllStringSubmatch(page, -1) {
			if target, ok := served[link[1]]; !ok || link[2] != "" && !strings.Contains(target, `id="`+link[2]+`"`) {
				t.Errorf("%s links to %s, which is not there", address, link[0])
			}
		}
		for _, picture := range regexp.MustCompile(`<img src="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			r := s.do(httptest.NewRequest(http.MethodGet, picture[1], nil))
			if kind := r.Header.Get("Content-Type"); r.Status != http.StatusOK || !strings.HasPrefix(kind, "image/") {
				t.Errorf("%s shows %s: %d, %s", address, picture[1], r.Status, kind)
			}
		}
	}
	has(t, served["/docs/measurements"], `<img src="/docs/pictures/cmd/millrace/bench/growth.svg"`)
	if status, _ := s.get("/docs/pictures/none.png"); status != http.StatusNotFound {
		t.Errorf("a picture that does not exist: %d", status)
	}
	if status, _ := s.get("/docs/nothing"); status != http.StatusNotFound {
		t.Errorf("a document that does not exist: %d", status)
	}
}

func TestDocumentsNeedNoSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.caller, s.keys = nil, true
	has(t, s.page("/docs/queries"), "runs_latest")
}

func TestABrowserKeepsADocumentUntilItsPageChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ask := func(tag string) answer {
		r := httptest.NewRequest(http.MethodGet, "/docs/overview", nil)
		r.Header.Set("If-None-Match", tag)
		r.Header.Set("Accept-Encoding", "gzip")
		return s.do(r)
	}
	first := ask("")
	tag := first.Header.Get("ETag")
	if first.Status != http.StatusOK || tag == "" || first.Header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("%d %v", first.Status, first.Header)
	}
	if again := ask(tag); again.Status != http.StatusNotModified || again.Text != "" {
		t.Errorf("the same page again: %d, %d bytes", again.Status, len(again.Text))
	}
	s.caller.Workspace = "other"
	if other := ask(tag); other.Status != http.StatusOK || other.Header.Get("ETag") == tag {
		t.Errorf("the page of another workspace: %d", other.Status)
	}
	if r := s.do(httptest.NewRequest(http.MethodGet, "/copilots", nil)); r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a page with data of a workspace: %v", r.Header)
	}
}
