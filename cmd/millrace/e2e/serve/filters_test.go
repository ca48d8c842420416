package serve

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// filteredRuns are n runs, each with what filters look at in another combination.
func filteredRuns(n int) string {
	var lines strings.Builder
	for i := range n {
		at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
		more := fmt.Sprintf(`,"ended_at":%q,"cost_usd":%g`, at.Add(time.Duration(i%7)*100*time.Millisecond).
			Format(time.RFC3339Nano), 0.1*float64(i%6))
		if i%11 == 0 {
			more = ""
		}
		status := `"succeeded"`
		if i%3 == 0 {
			status = fmt.Sprintf(`"failed","error":{"type":"%s","message":"it failed"}`, []string{"timeout", "quota"}[i%2])
		}
		if i%2 == 0 {
			more += `,"files":[{"name":"f"}]`
		}
		fmt.Fprintf(&lines, `{"type":"dev.millrace.run.v1","workspace_id":"filters","run_id":"f-%03d","source":"copilot",`+
			`"app_id":"f","started_at":%q,"status":%s,"app_version":"v%d","model":"m,%d","trigger":"t%d",`+
			`"session_id":"s %d","user_id":"u%d","question":"Job %d","answer":"100%% 'DONE' %d",`+
			`"metadata":{"region":"r%d","k=":"v"}%s}`+"\n", i, at.Format(time.RFC3339), status, i%4, i%3, i%2, i%3, i%2, i, i%5, i%2, more)
		if i%4 < 3 {
			rating := []string{`"rating":"thumbsUp",`, `"rating":"thumbsDown",`, ``}[i%4]
			fmt.Fprintf(&lines, `{"type":"dev.millrace.feedback.v1","workspace_id":"filters","run_id":"f-%03d",`+
				`"feedback_id":"whole",%s"score":%g,"tags":["tag %d","all"]}`+"\n", i, rating, float64(i%5)/4, i%2)
			fmt.Fprintf(&lines, `{"type":"dev.millrace.feedback.v1","workspace_id":"filters","run_id":"f-%03d",`+
				`"feedback_id":"fair","name":"fair","kind":"model","score":%g}`+"\n", i, float64(i%3)/2)
		}
	}
	return lines.String()
}

const latency = "dateDiff('millisecond', started_at, ended_at)"

// pageFilters are filters of the History page, in its address, and what an analyst would write for them.
var pageFilters = map[string]string{
	"":                                 "1",
	"q=dOnE%27+2":                      "answer LIKE '%2'",
	"q=100%25":                         "1",
	"status=failed":                    "status = 'failed'",
	"status=failed&status=succeeded":   "1",
	"version=v1&version=v3&version=v9": "app_version IN ('v1', 'v3')",
	"model=m%2C1&model=m%2C2":          "model != 'm,0'",
	"trigger=t1":                       "trigger = 't1'",
	"error_type=timeout":               "error_type = 'timeout'",
	"tag=tag+1":                        "has(feedback_tags, 'tag 1')",
	"feedback=thumbsUp":                "feedback_rating = 'thumbsUp'",
	"feedback=thumbsDown":              "feedback_rating = 'thumbsDown'",
	"feedback=none":                    "feedback_id = ''",
	"feedback=notThumbsDown":           "feedback_rating != 'thumbsDown'",
	"min_score=0.5":                    "feedback_score >= 0.5",
	"score=score=0..0.25":              "feedback_score <= 0.25",
	"score=fair=0.5..":                 "arrayExists(s -> s.name = 'fair' AND s.value >= 0.5, feedback_scores)",
	"min_latency_ms=300":               latency + " >= 300",
	"max_latency_ms=300":               latency + " <= 300",
	"min_cost_usd=0.25":                "cost_usd >= 0.25",
	"max_cost_usd=0.25":                "cost_usd <= 0.25",
	"has_files=true":                   "notEmpty(files)",
	"has_files=false":                  "empty(files)",
	"session=s+1":                      "session_id = 's 1'",
	"user_id=u1":                       "user_id = 'u1'",
	"metadata=region=r1":               "metadata['region'] = 'r1'",
	"from=2026-11-01T09:00&to=2026-11-01T11:00": "started_at >= '2026-11-01 09:00:00' AND " +
		"started_at < '2026-11-01 11:00:00'",
	"search=" + url.QueryEscape(`status:succeeded rating:thumbsUp latency<500 metadata.region:r0 "Job "`): "status = " +
		"'succeeded' AND feedback_rating = 'thumbsUp' AND " + latency + " <= 500 AND metadata['region'] = 'r0'",
}

var (
	pageTotal = regexp.MustCompile(`data-total="(\d+)"`)
	pageAway  = regexp.MustCompile(`data-away="([^"]+)"`)
	pageForm  = regexp.MustCompile(`href="(/history/export\?[^"]+)"`)
	formJSON  = regexp.MustCompile(`(?s)As JSON</h2>.*?<code>(.*?)</code>`)
	pageRun   = regexp.MustCompile(`data-run="([^"]+)"`)
)

// Each filter of the page, and some together, export exactly the runs that the page counts, in one window and from a
// snapshot in several, and those are the ones that an analyst selects.
func filtersOfThePageAreThoseOfTheExport(t *testing.T, p *places) {
	const n, few = 240, 60 // few is a window of the role export
	p.a.In("filters").Call(t, "POST", "/v1/runs", filteredRuns(n), ndjson).Want(t, http.StatusOK)
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest WHERE workspace_id = 'filters'":     n,
		"SELECT count() FROM feedback_latest WHERE workspace_id = 'filters'": n / 4 * 3 * 2,
	})
	pages := e2etest.Endpoint{URL: p.a.URL}.In("filters")
	want, batch, staged := map[string][]string{}, e2etest.NewBatch(t, p.Site), 0
	for query, where := range pageFilters {
		runs := e2etest.QueryTexts(t, p.Conn, "SELECT run_id FROM runs_with_feedback WHERE workspace_id = 'filters' AND "+
			where+" ORDER BY started_at, run_id")
		if len(runs) == 0 {
			t.Errorf("%q selects nothing", query)
		}
		got := pages.Get(t, "/history?source=copilot&app=f&range=all&"+query)
		if got.Status == http.StatusSeeOther { // what the search box becomes
			got = pages.Get(t, got.Header.Get("Location"))
		}
		text := string(got.Want(t, http.StatusOK).Body)
		if away := pageAway.FindStringSubmatch(text); away != nil {
			text += string(pages.Get(t, html.UnescapeString(away[1])).Want(t, http.StatusOK).Body)
		}
		total, form := pageTotal.FindStringSubmatch(text), pageForm.FindStringSubmatch(text)
		if total == nil || form == nil {
			t.Fatalf("%q: the page has no charts, or no form", query)
		}
		listed := map[string]bool{}
		for _, m := range pageRun.FindAllStringSubmatch(text, -1) {
			listed[html.UnescapeString(m[1])] = true
		}
		if total[1] != strconv.Itoa(len(runs)) || len(listed) != min(len(runs), 50) {
			t.Errorf("%q: the page counts %s and lists %d, want %d", query, total[1], len(listed), len(runs))
		}
		for _, id := range runs[max(0, len(runs)-50):] {
			if !listed[id] {
				t.Errorf("%q: run %s is not listed", query, id)
			}
		}
		var request object
		filled := html.UnescapeString(form[1]) + "&form=1&limit=1000"
		text = string(pages.Get(t, filled).Want(t, http.StatusOK).Body)
		document := formJSON.FindStringSubmatch(text)
		if document == nil || json.Unmarshal([]byte(html.UnescapeString(document[1])), &request) != nil {
			t.Fatalf("%q: the form has no request", query)
		}
		for path, size := range map[string]int{"direct": 1000, "staged": 20} {
			id := fmt.Sprintf("%s-%d", path, len(want))
			want[id] = runs
			request["workspace_id"], request["export_id"], request["name"] = "filters", id, query
			request["fragment"] = object{"max_records": size}
			batch.File(t, request)
		}
	}
	for id, c := range batch.Wait(t) {
		if c.Status != export.StatusSucceeded {
			t.Errorf("%s, %q: %s: %+v", id, c.Name, c.Status, c.Failure())
			continue
		}
		if got := e2etest.CheckedRunIDs(t, c); !slices.Equal(got, want[id.ExportID]) {
			t.Errorf("%s, %q: %d runs, want these %d, in order", id, c.Name, len(got), len(want[id.ExportID]))
		}
		switch windows := len(e2etest.PlanOf(t, &c).Windows); {
		case strings.HasPrefix(id.ExportID, "staged") && len(want[id.ExportID]) > few:
			staged++
			if windows < 2 {
				t.Errorf("%s, %q: %d windows of %d runs", id, c.Name, windows, len(want[id.ExportID]))
			}
		case windows != 1:
			t.Errorf("%s, %q: %d windows", id, c.Name, windows)
		}
	}
	if staged < len(pageFilters)/2 {
		t.Errorf("only %d exports are staged", staged)
	}
}
