package pages

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
)

func TestNodeRunsStandBelowTheirParents(t *testing.T) {
	t.Parallel()
	for of, want := range map[string]string{
		"a b c":               "a b c",
		"a b:a c d:b e:a f:c": "a b:a d:b e:a c f:c",
		"b:a a c:b":           "a b:a c:b",
		"x:gone y z:x":        "x:gone z:x y",
		"a:b b:a c:a":         "a:b b:a c:a",
		"s:s t:s u":           "s:s t:s u",
	} {
		var nodes []history.NodeRun
		for _, n := range strings.Fields(of) {
			id, parent, _ := strings.Cut(n, ":")
			nodes = append(nodes, history.NodeRun{NodeRunID: id, ParentNodeRunID: parent})
		}
		var got []string
		for _, n := range asTree(nodes) {
			got = append(got, strings.TrimSuffix(n.NodeRunID+":"+n.ParentNodeRunID, ":"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s becomes %s, want %s", of, strings.Join(got, " "), want)
		}
	}
}

func TestOnlyFilesOfTheWebAndOfObjectStoresAreLinks(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]bool{"https://example.com/a b": true, "s3://bucket/key": true, "gs://b/k": true,
		"javascript:alert(1)": false, "file:///etc/passwd": false, "data:text/html,x": false, "//host/x": false, "/x": false,
		"https:///x": false, "http://user:secret@host/": false, "HTTPS://example.com/": true, "": false, "%": false} {
		if got := link(uri); (got != "") != want {
			t.Errorf("%q is the link %q", uri, got)
		}
	}
}

func TestARunHasItsNumbersItsFilesAndItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tokens, price := int64(1200), 0.25
	s.run.Files = []history.File{{Name: "pass.pdf", URI: "s3://bucket/pass.pdf"}, {Name: "x", URI: "javascript:alert(1)"}}
	s.run.Nodes[0].Usage, s.run.Nodes[0].CostUSD = &history.Usage{InputTokens: &tokens}, &price
	text := s.page("/history/run?id=r1")
	has(t, text, `href="s3://bucket/pass.pdf"`, "1,200 tokens · $0.25", "The run as JSON", `/v1/runs/r1`,
		"&#34;run_id&#34;")
	hasNot(t, text, `href="javascript`)
	s.run.Answer = strings.Repeat("x", jsonview.MaxShown)
	hasNot(t, s.page("/history/run?id=r1"), "&#34;run_id&#34;")
}

func TestARunTellsTheExportsThatItIsIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	has(t, s.page("/history/run?id=r1"), `href="/history/run/exports?id=r1#exports"`)
	page := live.Page{Next: "older"}
	for _, id := range []string{"has", "not", "ragas", "gone", "large", "broken"} {
		page.Exports = append(page.Exports, live.Export{State: export.State{ID: export.ID{WorkspaceID: "acme", ExportID: id},
			Name: "<b>" + id, Purpose: export.FineTuning, RequestedAt: noon}})
	}
	s.in = newRunExports(&s.run, true, &page, func(id export.ID) (int64, error) {
		switch id.ExportID {
		case "has":
			return 1234, nil
		case "not":
			return 0, nil
		}
		return 0, fmt.Errorf("it: %w", map[string]error{"ragas": files.ErrUnnamed, "gone": files.ErrDeleted,
			"large": files.ErrTooMuch, "broken": io.ErrUnexpectedEOF}[id.ExportID])
	})
	text := s.page("/history/run/exports?id=r1")
	has(t, text, `href="/exports/has?tab=records&amp;from=1234"`, "&lt;b&gt;has", "record 1,234", "do not name their runs",
		"files were deleted", "too large", "cannot be read now", "the 6 newest exports", "since", `/history/run/exports?after=older&amp;id=r1#exports`)
	hasNot(t, text, "&lt;b&gt;not")
	s.in = newRunExports(&s.run, true, &page, func(export.ID) (int64, error) { return 0, nil })
	has(t, s.page("/history/run/exports?id=r1"), "It is in none. Looked in the 6 newest exports")
	s.caller = &auth.Caller{Workspace: "acme", Scopes: []string{auth.RunsRead}}
	hasNot(t, s.page("/history/run?id=r1"), "/history/run/exports")
	hasNot(t, s.page("/history/panel?id=r1"), "/history/run/exports")
}

func TestAPanelShowsARunWithOthersOfItsInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := s.page("/history/panel?id=r1")
	has(t, text, `id="panel-run"`, "&lt;script&gt;", "Same input, other versions", "/history/run?id=r2", "Gate &amp; B12")
	hasNot(t, text, "<html")
}

func TestPagesAndAssetsAreCompressed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/copilots", loadAssets().path("pages.css")} {
		plain := s.do(httptest.NewRequest(http.MethodGet, path, nil))
		for _, c := range []struct {
			accept     string
			compressed bool
		}{{"gzip", true}, {"br, gzip;q=0.5", true}, {"gzip;q=0", false}, {"br", false}} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Accept-Encoding", c.accept)
			a := s.do(r)
			body := a.Text
			if c.compressed {
				z, err := gzip.NewReader(bytes.NewReader([]byte(a.Text)))
				if err != nil {
					t.Fatal(path, err)
				}
				all, err := io.ReadAll(z)
				if body = string(all); err != nil || len(a.Text) > len(body)/2 {
					t.Errorf("%s: %d of %d bytes, %v", path, len(a.Text), len(body), err)
				}
			}
			if (a.Header.Get("Content-Encoding") == "gzip") != c.compressed || body != plain.Text ||
				a.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s for %q: %v", path, c.accept, a.Header)
			}
		}
	}
}
