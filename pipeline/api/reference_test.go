package api

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages"
)

func TestTheReferenceHasEveryRouteAndField(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.New(t.Context(), auth.Config{HMACSecretFile: file})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)},
		Deps{Auth: authenticator, Pages: pages.New(pages.Config{}, authenticator, nil, nil)})
	text := referenceOf(a.api.OpenAPI())
	routes := 0
	for path, item := range a.api.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			routes++
			if !strings.Contains(text, "\n### "+method+" `"+path+"`\n") {
				t.Errorf("%s %s is not there", method, path)
			}
			for _, p := range op.Parameters {
				if !strings.Contains(text, "\n| `"+p.Name+"`") {
					t.Errorf("parameter %s of %s %s is not there", p.Name, method, path)
				}
			}
		}
	}
	if headings := strings.Count(text, "\n### "); routes < 15 || headings != routes {
		t.Errorf("%d routes, %d of them in the reference", routes, headings)
	}
	for _, field := range []string{"`purpose` (required)", "`selection.window.from`", "`filters.scores`",
		"`usage.input_tokens`", "`specversion` (required)"} {
		if !strings.Contains(text, "\n| "+field) {
			t.Errorf("field %s is not there", field)
		}
	}
	// Without the escape, a text with a vertical bar would end its cell.
	for _, row := range regexp.MustCompile(`(?m)^\| .*$`).FindAllString(text, -1) {
		if cells := len(regexp.MustCompile(`[^\\]\|`).FindAllString(row, -1)); cells < 2 || cells > 4 {
			t.Errorf("%d cells: %s", cells, row)
		}
	}
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	answer, err := http.Get(server.URL + "/docs/reference")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || bytes.Count(page, []byte("<h3")) != routes ||
		!bytes.Contains(page, []byte(`href="/openapi.json"`)) {
		t.Errorf("%d, %d headings, %v", answer.StatusCode, bytes.Count(page, []byte("<h3")), err)
	}
}
