package pages

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

// everyPage are addresses of all pages that are there.
var everyPage = []string{
	"/copilots", "/recipes", "/history?source=copilot&app=helpdesk", "/history/run?id=r1", "/exports",
	"/exports/e1/row", "/exports/e1", "/exports/e1?tab=files", "/exports/e1?tab=card", "/exports/e1?tab=request",
	"/exports/e1?tab=lineage", "/exports/e1?tab=trail",
	"/compare?source=copilot&app=helpdesk", "/history/panel?id=r1",
}

func TestNoPageHasWhatThePolicyForbids(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+="|javascript:|<script>|https?://[^"]*"`)
	for _, address := range append(everyPage, "/nothing") {
		s := newSite(t)
		s.preview = []string{`{"messages":[{"role":"user","content":"<script>hi</script>"}]}`}
		_, text := s.get(address)
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %q", address, found)
		}
		for _, src := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]*)"`).FindAllStringSubmatch(text, -1) {
			if status, body := s.get(src[1]); status != http.StatusOK || body == "" {
				t.Errorf("%s names %s, which is not there: %d", address, src[1], status)
			}
		}
	}
}

func TestTheStartIsTheCopilots(t *testing.T) {
	t.Parallel()
	r := newSite(t).do(httptest.NewRequest(http.MethodGet, "/", nil))
	if r.Status != http.StatusSeeOther || r.Header.Get("Location") != "/copilots" {
		t.Errorf("%d to %s", r.Status, r.Header.Get("Location"))
	}
}

func TestAnAppIsShownWithItsNumbersAndItsMenu(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	has(t, s.page("/copilots"), "Help &lt;b&gt;desk&lt;/b&gt;", "1,234", ">99%<", "1 failed", "View history",
		`/history?app=helpdesk&amp;source=copilot`,
		"Runs a day over 2 days: at most 40, on the last day 40", `data-testid="menu-view-history"`)
	text := s.page("/recipes")
	has(t, text, "Webhook history", `data-testid="menu-webhook-history"`)
	hasNot(t, text, "View history", "helpdesk")
}

func TestAnEmptyWorkspaceSaysHowToSendARun(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.caller.Workspace, s.apps = "empty", nil
	text := s.page("/recipes")
	has(t, text, "No recipes in workspace empty yet", "curl http://example.com/v1/runs", "millrace replay runs.jsonl",
		"&#34;workspace_id&#34;:&#34;empty&#34;", "&#34;workspace_id&#34;: &#34;empty&#34;,\n",
		"&#34;source&#34;:&#34;recipe&#34;")
	hasNot(t, text, "Authorization")

	s.keys = true
	has(t, s.page("/recipes"), "Authorization: Bearer $TOKEN")
	r := httptest.NewRequest(http.MethodGet, "/copilots", nil)
	r.Host = "x;rm$(id)"
	has(t, s.do(r).Text, "curl http://127.0.0.1:8080/v1/runs")
}

func TestWhatPeopleWroteIsEscaped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.preview = []string{`{"<img src=x>":{"a":["</script><script>alert(2)</script>"]}}`}
	for _, address := range everyPage {
		hasNot(t, s.page(address), "<script>alert", "</script><script>", "<img", "<b>desk", "<i>gate", "First <script>")
	}
	has(t, s.page("/history?source=copilot&app=helpdesk&q=%3C/script%3E"), `value="&lt;/script&gt;"`)
}

func TestHistoryShowsARunsColumns(t *testing.T) {
	t.Parallel()
	text := newSite(t).page("/history?source=copilot&app=helpdesk")
	has(t, text, "Request ID", "Question", "Answer", "Error", "Files", "req-1", "Where is &lt;script&gt;",
		"Gate &amp; B12", "content_filter", "pass.pdf",
		"Thumbs down", "v1", "2026-11-25 12:00:00", `data-run="r1"`, `href="/history/run?id=r1"`, "Select all on this page",
		"Export dataset")
}

func TestFiltersGoFromTheAddressToTheStoreAndBackIntoTheForm(t *testing.T) {
	t.Parallel()
	const query = "source=copilot&app=helpdesk&status=failed&status=running&version=v1&version=old&" +
		"feedback=thumbsUp&from=2026-11-01T10:30&to=2026-11-02&q=+gate+&session=s1&" + moreQuery
	text := newSite(t).page("/history?" + query)
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	want := history.Query{
		Workspace: "acme", Source: "copilot", AppID: "helpdesk", Filters: moreWanted,
		From: time.Date(2026, 11, 1, 10, 30, 0, 0, time.UTC), To: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC),
		Limit: pageRows,
	}
	want.Statuses, want.AppVersions, want.Rating = []string{"failed", "running"}, []string{"v1", "old"}, "thumbsUp"
	want.Text, want.SessionID = "gate", new("s1")
	filters := parseFilters(values)
	got := filters.query("acme")
	if len(filters.Mistakes) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("asked %+v, want %+v; mistakes %v", got, want, filters.Mistakes)
	}
	has(t, text, `value="failed" checked`, `value="running" checked`, `value="v1" checked`, `value="old" checked`,
		`value="thumbsUp" selected`,
		`value="2026-11-01T10:30"`, `value="2026-11-02T00:00"`, `value="gate"`, `name="session" value="s1"`, "Status: failed",
		"Remove filter Version: old", `name="model" value="m1"`, `type="hidden" name="model" value="m2"`,
		`value="false" selected`, "Score by name: fair=0.5..1", "13 on")
	hasNot(t, text, `value="succeeded" checked`, `value="v2" checked`)
}

func TestWrongFiltersAreSaidAtTheirFieldsAndNothingIsAsked(t *testing.T) {
	t.Parallel()
	for query, says := range map[string]string{
		"from=yesterday":                "Give a time from 1970 to 2199",
		"to=1969-01-01":                 "Give a time from 1970 to 2199",
		"from=2200-01-01":               "Give a time from 1970 to 2199",
		"to=2200-01-01T00:01":           "Give a time from 1970 to 2199",
		"from=2026-11-02&to=2026-11-02": "Choose an end that is later",
		"status=done":                   "Choose from running",
		"feedback=meh":                  "Choose thumbsUp",
	} {
		s := newSite(t)
		status, text := s.get("/history?source=copilot&app=helpdesk&" + query)
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, status)
		}
		has(t, text, says)
		hasNot(t, text, "run-row")
	}
}

func TestPagesGoOnAndBackWithTheFilters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.runs.Next = "c2"
	link := func(text, id string) url.Values {
		m := regexp.MustCompile(`href="/history\?([^"]*)" data-testid="` + id + `"`).FindStringSubmatch(text)
		if m == nil {
			return nil
		}
		q, err := url.ParseQuery(strings.ReplaceAll(m[1], "&amp;", "&"))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	first := s.page("/history?source=copilot&app=helpdesk&status=failed")
	next := link(first, "page-next")
	if next.Get("cursor") != "c2" || next.Get("status") != "failed" || link(first, "page-previous") != nil ||
		link(first, "page-newest") != nil {
		t.Fatalf("the first page goes on to %v", next)
	}
	s.runs.Next = "c3"
	second := s.page("/history?" + next.Encode())
	if f := parseFilters(next); f.query("acme").Cursor != "c2" {
		t.Errorf("asked for cursor %q", f.Cursor)
	}
	if q := link(second, "page-previous"); q.Has("cursor") || q.Get("status") != "failed" {
		t.Errorf("the second page goes back to %v", q)
	}
	third := s.page("/history?" + link(second, "page-next").Encode())
	if q := link(third, "page-previous"); q.Get("cursor") != "c2" || len(q["previous"]) != 1 {
		t.Errorf("the third page goes back to %v", q)
	}
	if q := link(third, "page-newest"); q.Has("cursor") || q.Has("previous") || q.Get("status") != "failed" {
		t.Errorf("the newest page is %v", q)
	}
}

func TestAnAddressRemembersSoManyPagesAndNoMore(t *testing.T) {
	t.Parallel()
	previous := slices.Repeat([]string{"c"}, maxPrevious)
	q, err := url.Parse(newPager("/history", url.Values{}, "here", previous, "next").Next)
	if err != nil || len(q.Query()["previous"]) != maxPrevious || q.Query()["previous"][maxPrevious-1] != "here" {
		t.Errorf("%v, %v", q, err)
	}
}

func TestACursorOfSomethingElseIsABadRequestWithAWayOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.err = history.ErrCursor
	status, text := s.get("/history?source=copilot&app=helpdesk&status=failed&cursor=bad&previous=")
	if status != http.StatusBadRequest {
		t.Errorf("status %d", status)
	}
	has(t, text, "lost its place", `href="/history?app=helpdesk&amp;source=copilot&amp;status=failed"`)
}

func TestHistoryWithoutAnAppIsChosenFromTheList(t *testing.T) {
	t.Parallel()
	for address, to := range map[string]string{"/history": "/copilots", "/history?source=recipe": "/recipes",
		"/history?source=x": "/copilots"} {
		r := newSite(t).do(httptest.NewRequest(http.MethodGet, address, nil))
		if r.Status != http.StatusSeeOther || r.Header.Get("Location") != to {
			t.Errorf("%s: %d to %s", address, r.Status, r.Header.Get("Location"))
		}
	}
}

func TestWhatTheWorkspaceDoesNotHaveIsNotFound(t *testing.T) {
	t.Parallel()
	for address, err := range map[string]error{
		"/history/run?id=r1": noRun("other", "r1"), "/history?source=copilot&app=helpdesk": noApp("other", "copilot", "helpdesk"),
		"/history?source=recipe&app=helpdesk": noApp("other", "recipe", "helpdesk"),
		"/exports/e1":                         noExport("other", "e1"), "/exports/e1/row": noExport("other", "e1"), "/nothing": nil,
	} {
		s := newSite(t)
		s.err = err
		status, text := s.get(address)
		if status != http.StatusNotFound {
			t.Errorf("%s: %d", address, status)
		}
		has(t, text, `data-testid="message"`, "Sections")
		hasNot(t, text, "req-1")
		if address == "/history?source=recipe&app=helpdesk" {
			has(t, text, `href="/recipes">Go to the recipes`)
		}
	}
}

// The stores are asked in earnest: a store without ClickHouse and Kafka fails if it passes an id on.
func TestWhatIsNoIDIsNotFound(t *testing.T) {
	t.Parallel()
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	authenticator, err := auth.New(t.Context(), auth.Config{DefaultWorkspace: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	topics := kafka.Config{Log: slog.New(slog.DiscardHandler)}
	p := New(Config{}, authenticator, history.New(nil, nil), live.New(live.Config{Config: topics}, nil, b))
	mux := http.NewServeMux()
	p.Register(mux.HandleFunc)
	for _, address := range []string{"/history/run?id=", "/exports/",
		"/history?source=copilot&app=", "/history?source=recipe&app=", "/history?source=x&app=", "/exports?app=",
		"/exports?app=a&source="} {
		for _, id := range []string{"../../plan.json", "a b", "\x00", "\n", "\xff", "é", "/", "-a", "a%2Fb", "' OR 1=1 --",
			strings.Repeat("a", 129)} {
			r := httptest.NewRequest(http.MethodGet, address+url.QueryEscape(id), nil)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r.WithContext(auth.With(r.Context(), &auth.Caller{Workspace: "acme", Scopes: auth.Scopes})))
			if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `data-testid="message"`) {
				t.Errorf("%s%q: %d", address, id, w.Code)
			}
		}
	}
}

func TestARunIsShownWithEverythingThatIsKnown(t *testing.T) {
	t.Parallel()
	text := newSite(t).page("/history/run?id=r1")
	has(t, text, "Where is &lt;script&gt;", "Gate &amp; B12", "withheld", "pass.pdf", "Wrong &lt;i&gt;gate", "Say {{it}}",
		`data-node="answer"`,
		`<rect class="lane-run" x="0" y="0" width="1000"`, "3.0 s", "&lt;/pre&gt;&lt;script&gt;x")
}

func TestAStoreThatFailsIsA500WithoutItsInnards(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.err = http.ErrServerClosed
	status, text := s.get("/copilots")
	if status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
	has(t, text, "Something went wrong here", "Sections")
	hasNot(t, text, "http: Server closed")
}

func TestProgramsThatMissAnAddressGetNoPage(t *testing.T) {
	t.Parallel()
	r := newSite(t).do(httptest.NewRequest(http.MethodGet, "/v1/nothing", nil))
	if r.Status != http.StatusNotFound || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", r.Status, r.Header.Get("Content-Type"))
	}
}

func TestAssetsOfThisVersionAreKeptForeverAndOthersAskedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := loadAssets()
	r := s.do(httptest.NewRequest(http.MethodGet, a.path("app.js"), nil))
	if r.Status != http.StatusOK || r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" ||
		!strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	again := httptest.NewRequest(http.MethodGet, "/assets/old/app.js", nil)
	again.Header.Set("If-None-Match", r.Header.Get("ETag"))
	if r := s.do(again); r.Status != http.StatusNotModified || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	if status, _ := s.get("/assets/" + a.version + "/../web.go"); status == http.StatusOK {
		t.Error("a file beside the assets is served")
	}
	if status, _ := s.get("/assets/" + a.version + "/none.js"); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
}

func TestBrowsersFindTheIconOfWhatIsNoPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.do(httptest.NewRequest(http.MethodGet, "/favicon.ico", nil))
	if r.Status != http.StatusSeeOther {
		t.Fatalf("status %d", r.Status)
	}
	if r := s.do(httptest.NewRequest(http.MethodGet, r.Header.Get("Location"), nil)); r.Status != http.StatusOK ||
		r.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
}

func TestEveryTemplateIsAPageOrPartOfOne(t *testing.T) {
	t.Parallel()
	for name, templates := range parseTemplates(loadAssets()) {
		if name != fragment && templates.Lookup("main") == nil {
			t.Errorf("%s defines no main", name)
		}
	}
}

// A server that has too much to do warns; an error in its log is a fault.
func TestOnlyFaultsAreErrorsInTheLog(t *testing.T) {
	t.Parallel()
	authenticator, err := auth.New(t.Context(), auth.Config{DefaultWorkspace: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for err, want := range map[error]string{
		history.ErrTooSlow: "level=WARN", budget.ErrBusy: "level=WARN", errors.New("broken"): "level=ERROR",
		history.ErrCursor: "",
	} {
		var log strings.Builder
		p := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, authenticator, nil, nil)
		w := httptest.NewRecorder()
		p.Fail(w, httptest.NewRequest(http.MethodGet, "/history", nil), err)
		got, _, _ := strings.Cut(log.String(), " msg")
		if !strings.HasSuffix(got, want) || want == "" && got != "" {
			t.Errorf("%v: status %d, log %q, want %q", err, w.Code, log.String(), want)
		}
	}
}
