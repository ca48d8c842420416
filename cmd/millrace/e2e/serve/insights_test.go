package serve

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// What a client of Answer Insights sees, which knows the host, the id of its app and a token, and
// nothing else of Millrace.

func analytics(app string) string { return "/api/public/bot/" + app + "/search/analytics-export" }

// waitForJob waits until a job is done, and returns it.
func waitForJob(t *testing.T, s e2etest.Endpoint, app, id string) (job object) {
	t.Helper()
	last := 0.0
	e2etest.Eventually(t, time.Minute, func() string {
		job = s.Get(t, "/api/public/bot/"+app+"/search/jobs/"+id).Want(t, http.StatusOK).Object(t)
		done := alike(job["percentageDone"]).(float64)
		if done < last || job["_id"] != id {
			t.Errorf("job %v is done by %v%%, and was by %v%%", job["_id"], done, last)
		}
		last = done
		if job["status"] == "INPROGRESS" {
			return fmt.Sprint(job)
		}
		return ""
	})
	return job
}

// export starts an analytics export and returns its job when it has succeeded.
func exportAnalytics(t *testing.T, s e2etest.Endpoint, app, body string) object {
	t.Helper()
	job := s.Call(t, "POST", analytics(app), body).Want(t, http.StatusOK).Object(t)
	done := waitForJob(t, s, app, job["_id"].(string))
	if done["status"] != "SUCCESS" || fmt.Sprint(done["percentageDone"]) != "100" || done["error"] != nil {
		t.Fatalf("the job is %v", done)
	}
	return done
}

// fragments are the files of a job: each file's name, and its records, fetched without a header.
func fragments(t *testing.T, job object) (names []string, records [][]any) {
	t.Helper()
	for _, f := range job["analyticsFragments"].([]any) {
		f := f.(object)
		if len(f) != 4 || f["fileId"] == "" {
			t.Errorf("a fragment is %v", f)
		}
		names = append(names, f["fileName"].(string))
		var list []any
		e2etest.Decode(t, content(t, f["fileUrl"].(string)), &list)
		if fmt.Sprint(f["recordCount"]) != fmt.Sprint(len(list)) {
			t.Errorf("%s has %d records, the job says %v", f["fileName"], len(list), f["recordCount"])
		}
		records = append(records, list)
	}
	return names, records
}

var timestamp = regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

func insightsOneFile(t *testing.T, p *places) {
	job := exportAnalytics(t, p.client("acme"), "bot", `{"filters":{"from":"2026-10-01","to":"2026-10-01"}}`)
	names, records := fragments(t, job)
	if len(records) != 1 || len(records[0]) != 150 {
		t.Fatalf("%d files", len(records))
	}
	if !regexp.MustCompile(`^analytics_data_\d{13}$`).MatchString(names[0]) {
		t.Errorf("the file is named %s", names[0])
	}
	file := job["analyticsFragments"].([]any)[0].(object)
	if info := job["fileInfo"].(object); len(info) != 3 || info["fileId"] != file["fileId"] ||
		info["fileName"] != file["fileName"] || content(t, info["fileUrl"].(string)) == nil {
		t.Errorf("fileInfo is %v", info)
	}
	if job["hasAnalyticsFragments"] != false ||
		job["message"] != "ANALYTICS DATA JSON Export Completed - 1 file(s) with 150 total records" {
		t.Errorf("%v %v", job["hasAnalyticsFragments"], job["message"])
	}
	if store := job["store"].(object); len(store) != 3 || fmt.Sprint(store["totalFiles"], " ",
		store["totalRecords"]) != "1 150" || store["urlParams"] == nil {
		t.Errorf("store is %v", store)
	}
	for _, r := range records[0] {
		r := r.(object)
		i, err := strconv.Atoi(strings.TrimPrefix(r["searchRequestId"].(string), "b-"))
		if err != nil {
			t.Fatal(err)
		}
		event := []string{"thumbsUp", "thumbsDown", "search"}[i%3]
		if r["query"] != fmt.Sprint("question ", i) || r["answer"] != fmt.Sprintf("<b>answer</b> & \"%d\"\n\u2028 मिल", i) ||
			r["event"] != event {
			t.Fatalf("record %d is %v", i, r)
		}
	}
	for body, n := range map[string]string{
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"},"event":"thumbsUp"}`:                               "50 thumbsUp",
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"},"event":"thumbsDown"}`:                             "50 thumbsDown",
		`{"filters":{"from":"2026-10-05T00:00:00.000Z","to":"2026-10-06T00:00:00Z"}}`:                          "50 ",
		`{"filters":{"from":"2026-10-04T23:00:00-01:00","to":"2026-10-05T11:59:59"},"event":"thumbsUp"}`:       "8 thumbsUp",
		`{"filters":{"from":"2026-10-01","to":"2026-10-08"},"event":"thumbsUp"}`:                               "200 thumbsUp",
		`{"filters":{"from":"2026-10-04","to":"2026-10-11"}}`:                                                  "50 ",
		`{"filters":{"from":"2026-10-05","to":"2026-10-05","bot":"x"},"isDev":false,"page":{"n":[1]}}`:         "50 ",
		`{"filters":{"from":"2026-10-01","to":"2026-10-07"},"event":"thumbsUp"}`:                               "200 thumbsUp",
		`{"filters":{"from":"2026-09-24","to":"2026-09-30"}}`:                                                  "0 ",
		`{"filters":{"from":"2026-10-01T00:00:00.000Z","to":"2026-10-08T00:00:00.000Z"},"event":"thumbsDown"}`: "200 thumbsDown",
	} {
		total := 0
		_, records := fragments(t, exportAnalytics(t, p.client("acme"), "bot", body))
		want, event, _ := strings.Cut(n, " ")
		for _, list := range records {
			for _, r := range list {
				total++
				if event != "" && r.(object)["event"] != event {
					t.Errorf("%s: a record is %v", body, r)
				}
			}
		}
		if fmt.Sprint(total) != want {
			t.Errorf("%s: %d records, want %s", body, total, want)
		}
	}
}

func insightsThreeFiles(t *testing.T, p *places) {
	job := exportAnalytics(t, p.client("acme"), "bot", `{"filters":{"from":"2026-10-03","to":"2026-10-03"}}`)
	if info, ok := job["fileInfo"].(object); !ok || len(info) != 0 {
		t.Errorf("fileInfo is %v", job["fileInfo"])
	}
	if job["hasAnalyticsFragments"] != true ||
		job["message"] != "ANALYTICS DATA JSON Export Completed - 3 file(s) with 400 total records" {
		t.Errorf("%v %v", job["hasAnalyticsFragments"], job["message"])
	}
	if store := job["store"].(object); fmt.Sprint(store["totalFiles"], " ", store["totalRecords"]) != "3 400" {
		t.Errorf("store is %v", store)
	}
	names, records := fragments(t, job)
	seen := map[string]bool{}
	for i, list := range records {
		if want := []int{150, 150, 100}[i]; len(list) != want {
			t.Errorf("file %d has %d records, want %d", i+1, len(list), want)
		}
		if !regexp.MustCompile(fmt.Sprintf(`^analytics_data_\d{13}_part_%d_of_3$`, i+1)).MatchString(names[i]) ||
			names[i][:28] != names[0][:28] {
			t.Errorf("file %d is named %s", i+1, names[i])
		}
		for _, r := range list {
			seen[r.(object)["query"].(string)] = true
		}
	}
	if len(names) != 3 || len(seen) != 400 {
		t.Errorf("%d files with %d questions", len(names), len(seen))
	}
}

// insightsWhileItRuns holds a job that runs against the contract's envelope, and returns its id.
func insightsWhileItRuns(t *testing.T, s e2etest.Endpoint) string {
	t.Helper()
	envelope := e2etest.ParseObject(t, `{"_id":"fj-…","hidden":false,"read":false,"status":"INPROGRESS","percentageDone":0,
		"title":"Exporting Analytics Data - JSON","message":"…","lMod":"…","startedAt":"…","timedOut":false,
		"jobType":"DATA_EXPORT","streamId":"st-…","searchIndexId":"sidx-…","fileInfo":{"ext":"json"},
		"createdBy":"u-…","directoryInfo":null,"opType":"Manual","extractionSourceId":null,"contentId":null,
		"error":null,"parentJobId":null,"createdOn":"…","__v":0}`)
	created := s.Call(t, "POST", analytics("bot"),
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"},"event":"thumbsUp"}`).Want(t, http.StatusOK)
	if created.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the job is %s", created.Header.Get("Content-Type"))
	}
	job := created.Object(t)
	id := job["_id"].(string)
	polled := s.Get(t, "/api/public/bot/bot/search/jobs/"+id).Want(t, http.StatusOK).Object(t)
	for _, have := range []object{job, polled} {
		for key, want := range envelope {
			value, there := have[key]
			text, _ := want.(string)
			start, some := strings.CutSuffix(text, "…")
			switch {
			case !there:
				t.Errorf("the job lacks %s", key)
			case some:
				if have, ok := value.(string); !ok || !strings.HasPrefix(have, start) || len(have) <= len(start) {
					t.Errorf("%s is %v, want %s", key, value, want)
				}
			case !reflect.DeepEqual(value, want):
				t.Errorf("%s is %v, want %v", key, value, want)
			}
			if slices.Contains([]string{"lMod", "startedAt", "createdOn"}, key) && !timestamp.MatchString(fmt.Sprint(value)) {
				t.Errorf("%s is %v", key, value)
			}
			delete(have, key)
		}
		if len(have) > 0 {
			t.Errorf("the job has %v", have)
		}
	}
	return id
}

// insightsCancelled checks what became of a job that ran, and of one that was cancelled.
func insightsCancelled(t *testing.T, s e2etest.Endpoint, ran string) {
	t.Helper()
	if done := waitForJob(t, s, "bot", ran); done["status"] != "SUCCESS" {
		t.Errorf("the job is %v", done)
	}
}

func insightsRunningAndFailed(t *testing.T, p *places) {
	s := p.a.In("insights")
	for id, c := range map[string]struct{ request, code string }{
		"failing": {
			`{"export_id":"failing","workspace_id":"insights","purpose":"export_dataset","source":"copilot","app_id":"bot","target":"answer_insights","format":"csv","selection":{"limit":1}}`, ""},
	} {
		e2etest.Produce(t, p.Site, "export-requests", c.request)
		e2etest.Eventually(t, time.Minute, func() string {
			if got := s.Get(t, "/api/public/bot/bot/search/jobs/fj-"+id); got.Status != http.StatusOK {
				return string(got.Body)
			}
			return ""
		})
		job := waitForJob(t, s, "bot", "fj-"+id)
		failure, _ := job["error"].(object)
		if job["status"] != "FAILED" || failure["message"] == nil || failure["code"] == nil ||
			job["analyticsFragments"] != nil {
			t.Errorf("the job is %v", job)
		}
	}
	gone := exportAnalytics(t, p.a, "bot", `{"filters":{"from":"2026-10-05","to":"2026-10-05"}}`)
	id := strings.TrimPrefix(gone["_id"].(string), "fj-")
	p.a.Call(t, "DELETE", "/v1/exports/"+id, nil).Want(t, http.StatusNoContent)
	if job := waitForJob(t, p.b, "bot", "fj-"+id); job["status"] != "FAILED" || job["error"] == nil ||
		job["analyticsFragments"] != nil {
		t.Errorf("the job whose files were deleted is %v", job)
	}
}

func insightsMistakes(t *testing.T, p *places) {
	s := p.a.In("mistaken")
	for body, says := range map[string]string{
		``:                                  "",
		`[]`:                                "filters",
		`{}`:                                "filters",
		`{"event":"thumbsUp"}`:              "filters",
		`{"filters":{}}`:                    "from",
		`{"filters":null}`:                  "filters",
		`{"filters":{"from":"2026-10-01"}}`: "to",
		`{"filters":{"to":"2026-10-01"}}`:   "from",
		`{"filters":{"from":"01.10.2026","to":"2026-10-01"}}`:                         "2025-01-25",
		`{"filters":{"from":"2026-10-02","to":"2026-10-01"}}`:                         "later",
		`{"filters":{"from":"2026-10-01","to":"2026-10-09"}}`:                         "7 days",
		`{"filters":{"from":"2026-10-01","to":"2026-10-08T00:00:00.001Z"}}`:           "7 days",
		`{"filters":{"from":"2026-10-01T00:00:00Z","to":"2026-10-08T00:00:00.001Z"}}`: "7 days",
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"},"event":"search"}`:        "thumbsUp",
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"},"event":7}`:               "event",
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"},"filters":{"from":"x"}}`:  "twice",
	} {
		got := s.Call(t, "POST", analytics("bot"), body)
		if p := got.Problem(t, http.StatusBadRequest); !strings.Contains(fmt.Sprint(p["detail"]), says) && says != "twice" {
			t.Errorf("%s: %v", body, p["detail"])
		}
	}
	s.Call(t, "POST", analytics("a%2Fb"), `{"filters":{"from":"2026-10-01","to":"2026-10-01"}}`).Problem(t,
		http.StatusUnprocessableEntity, "appID")
	checkNoExports(t, s)
}

func insightsJobsAreApart(t *testing.T, p *places) {
	job := exportAnalytics(t, p.a, "bot", `{"filters":{"from":"2026-10-05","to":"2026-10-05"}}`)["_id"].(string)
	plainExport := p.a.File(t, ofA(object{"app_id": "bot"}))
	for _, at := range []e2etest.Endpoint{p.a.In("other"), p.b.In("other"), p.client("other")} {
		at.Get(t, "/api/public/bot/bot/search/jobs/"+job).Problem(t, http.StatusNotFound)
	}
	for _, path := range []string{"a/search/jobs/" + job, "bot/search/jobs/fj-nope", "bot/search/jobs/fj-",
		"bot/search/jobs/nope", "bot/search/jobs/" + strings.TrimPrefix(job, "fj-"), "bot/search/jobs/fj-" + plainExport,
		"bot/search/jobs/fj-..%2f" + job} {
		p.a.Get(t, "/api/public/bot/"+path).Problem(t, http.StatusNotFound)
	}
}

func insightsURLs(t *testing.T, p *places) {
	job := exportAnalytics(t, p.a, "bot", `{"filters":{"from":"2026-10-05","to":"2026-10-05"}}`)
	good, err := url.Parse(job["fileInfo"].(object)["fileUrl"].(string))
	if err != nil {
		t.Fatal(err)
	}
	query := good.Query()
	// the URL says whose it is
	if got := p.b.In("other").Get(t, good.RequestURI()).Want(t, http.StatusOK); len(got.Body) == 0 {
		t.Error("no body")
	}
	alter := func(name, value string) string {
		q := url.Values{}
		for key, values := range query {
			q[key] = values
		}
		q.Set(name, value)
		return good.Path + "?" + q.Encode()
	}
	expires := query.Get("expires")
	for name, path := range map[string]string{
		"longer": alter("expires", expires+"0"), "expired": alter("expires", "1700000000"),
		"no number": alter("expires", "never"), "no end": alter("expires", ""),
		"another workspace": alter("workspace", "other"), "another name": alter("filename", "x.json"), "no workspace": alter("workspace", ""),
		"a strange workspace": alter("workspace", "../acme"),
		"no signature":        alter("signature", ""), "another signature": alter("signature", strings.Repeat("A", 43)),
		"a letter less": alter("signature", query.Get("signature")[:42]),
		"another file":  strings.Replace(alter("expires", expires), "/data/", "/data/x", 1),
		"the manifest": strings.Replace(alter("expires", expires), good.Path[strings.Index(good.Path, "/data/"):],
			"/manifest.json", 1),
		"another export": strings.Replace(alter("expires", expires), job["_id"].(string)[3:],
			"0192f0c1-7a5e-7c3b-9d4e-1f2a3b4c5d6e", 1),
	} {
		if got := p.a.Get(t, path); got.Status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		} else {
			got.Problem(t, http.StatusForbidden)
		}
	}
	// Who may read the bucket has the key, and can sign what has expired.
	secret, err := os.ReadFile(filepath.Join(p.ExportFolder(t, "", ""), "..", "server", "url-signing-key"))
	if err != nil {
		t.Fatal(err)
	}
	id, key, _ := strings.Cut(strings.TrimPrefix(good.Path, "/v1/exports/"), "/files/")
	sign := func(expires string) string {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "millrace file v2\nacme\n%s\n%s\n%s\n%s", id, key, query.Get("filename"), expires)
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	if sign(expires) != query.Get("signature") {
		t.Error("the test does not know how to sign")
	}
	query.Set("expires", "1700000000")
	p.a.Get(t, alter("signature", sign("1700000000"))).Problem(t, http.StatusForbidden)
	until := time.Unix(int64(alike(e2etest.ParseObject(t, `{"n":`+expires+`}`)["n"]).(float64)), 0)
	if d := time.Until(until); d < time.Minute || d > 7*24*time.Hour {
		t.Errorf("the URL works for %s", d)
	}
}
