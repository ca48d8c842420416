package api

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestTheReferenceHasEveryRouteAndField(t *testing.T) {
	t.Parallel()
	server := historyServer(t, nil)
	read := func(path string) []byte {
		t.Helper()
		r, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, r.StatusCode, err)
		}
		return body
	}
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name string }
		}
	}
	if err := json.Unmarshal(read("/openapi.json"), &document); err != nil {
		t.Fatal(err)
	}
	page, routes := string(read("/docs/reference")), 0
	for path, operations := range document.Paths {
		for method, operation := range operations {
			routes++
			if !strings.Contains(page, ">"+strings.ToUpper(method)+" <code>"+path+"</code></h3>") {
				t.Errorf("%s %s is not there", method, path)
			}
			for _, p := range operation.Parameters {
				if !strings.Contains(page, "<td><code>"+p.Name+"</code>") {
					t.Errorf("parameter %s of %s %s is not there", p.Name, method, path)
				}
			}
		}
	}
	if headings := strings.Count(page, "<h3"); routes < 15 || headings != routes {
		t.Errorf("%d routes, and %d headings", routes, headings)
	}
	for _, field := range []string{"purpose</code> (required)", "selection.window.from</code>", "filters.scores</code>",
		"usage.input_tokens</code>", "specversion</code> (required)"} {
		if !strings.Contains(page, "<td><code>"+field) {
			t.Errorf("field %s is not there", field)
		}
	}
	if !strings.Contains(page, `href="/openapi.json"`) {
		t.Error("it does not lead to the document that it is made from")
	}
	// A vertical bar in a text must not end its cell: the rest of the row would be lost.
	for _, table := range strings.Split(page, "<table>")[1:] {
		table, _, _ = strings.Cut(table, "</table>")
		columns := strings.Count(table, "<th")
		for _, row := range regexp.MustCompile(`(?s)<tr>.*?</tr>`).FindAllString(table, -1)[1:] {
			if strings.Count(row, "<td") != columns-1 { // thead counts as a th, too
				t.Errorf("%d cells, and %d columns: %s", strings.Count(row, "<td"), columns-1, row)
			}
		}
	}
	if strings.Contains(page, "| ") {
		t.Error("a table is shown as text")
	}
}
