package serve

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"
)

// namedFile fetches a file without a token and returns the name that it is stored under.
func namedFile(t *testing.T, url string) (name string, body []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v %.500s", url, resp.Status, err, body)
	}
	_, parameters, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	if err != nil {
		t.Fatal(err)
	}
	return parameters["filename"], body
}

// insightsNames holds the names of files against the job: clients append store.urlParams to a
// fileUrl.
func insightsNames(t *testing.T, p *places) {
	job := exportAnalytics(t, p.a, "bot", `{"filters":{"from":"2026-10-05","to":"2026-10-05"}}`)
	info, store := job["fileInfo"].(object), job["store"].(object)
	name, url, params := info["fileName"].(string), info["fileUrl"].(string), store["urlParams"].(string)
	if !strings.HasPrefix(params, "&clientfilename="+name+".json&") {
		t.Errorf("urlParams are %s of %s", params, name)
	}
	plain, body := namedFile(t, url)
	asked, same := namedFile(t, url+params)
	mine, _ := namedFile(t, url+"&clientfilename=mine.json&batchtesting=true")
	if plain != name+".json" || asked != name+".json" || mine != "mine.json" || string(same) != string(body) {
		t.Errorf("%s is named %q, with urlParams %q, and %q where mine.json was asked for", name, plain, asked, mine)
	}
	if got := p.a.Get(t, strings.TrimPrefix(url, p.a.URL)+"&other=1"); got.Status != http.StatusUnprocessableEntity {
		t.Errorf("another parameter: %d", got.Status)
	}

	job = exportAnalytics(t, p.client("acme"), "bot", `{"filters":{"from":"2026-10-03","to":"2026-10-03"}}`)
	params = job["store"].(object)["urlParams"].(string)
	for i, f := range job["analyticsFragments"].([]any) {
		f := f.(object)
		part, _ := namedFile(t, f["fileUrl"].(string)+params)
		if want := f["fileName"].(string) + ".json"; part != want {
			t.Errorf("part %d is stored as %s, want %s: parts must not replace each other", i+1, part, want)
		}
	}
}

func insightsEmpty(t *testing.T, p *places) {
	job := exportAnalytics(t, p.a, "bot", `{"filters":{"from":"2025-10-01","to":"2025-10-01"}}`)
	names, records := fragments(t, job)
	if len(names) != 1 || len(records[0]) != 0 || job["hasAnalyticsFragments"] != false ||
		job["message"] != "ANALYTICS DATA JSON Export Completed - 1 file(s) with 0 total records" {
		t.Errorf("the job of no records is %v", job)
	}
	info, store := job["fileInfo"].(object), job["store"].(object)
	if info["fileName"] != names[0] || fmt.Sprint(store["totalFiles"], " ", store["totalRecords"]) != "1 0" {
		t.Errorf("fileInfo %v, store %v", info, store)
	}
	name, body := namedFile(t, info["fileUrl"].(string))
	if name != names[0]+".json" || strings.TrimSpace(string(body)) != "[]" {
		t.Errorf("%s has %q", name, body)
	}
}
