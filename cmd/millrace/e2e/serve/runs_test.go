package serve

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// runEvent is a run event of a workspace; more are further fields.
func runEvent(workspace, id, more string) string {
	return fmt.Sprintf(
		`{"type":"dev.millrace.run.v1","workspace_id":%q,"run_id":%q,"source":"copilot","app_id":"p","started_at":"2026-11-01T00:00:00Z","status":"succeeded"%s}`, workspace, id, more)
}

const ndjson = "Content-Type: application/x-ndjson"

// outcomes are what became of events: line, status and code of each.
func outcomes(t *testing.T, got *e2etest.Answer) (list []string) {
	t.Helper()
	body := got.Object(t)
	count := map[string]int{}
	for _, r := range body["results"].([]any) {
		r := r.(object)
		status := r["status"].(string)
		count[status]++
		list = append(list, strings.TrimSpace(fmt.Sprint(r["line"], " ", status, " ", orEmpty(r["code"]))))
	}
	if have := fmt.Sprint(body["accepted"], " ", body["refused"], " ",
		body["failed"]); have != fmt.Sprint(count["accepted"], " ", count["refused"], " ", count["failed"]) {
		t.Errorf("%s: the totals %s are not those of %v", got.About, have, list)
	}
	return list
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func runEventsInEveryForm(t *testing.T, p *places) {
	s := p.a.In("forms")
	cloud := `{"specversion":"1.0","id":"e-1","source":"/tests","type":"dev.millrace.run.v1","datacontenttype":"application/json","data":{"workspace_id":"forms","run_id":"cloud","source":"copilot","app_id":"p","started_at":"2026-11-01T00:00:00Z","status":"running"}}`
	pretty := strings.NewReplacer(`,`, ",\n  ", `{`, "{\r\n\t").Replace(runEvent("forms", "pretty",
		`,"inputs":{"a":[1,2.50,1e400]}`))
	node := `{"type":"dev.millrace.node.v1","workspace_id":"forms","run_id":"one","node_run_id":"n","source":"copilot","app_id":"p","node_id":"n","started_at":"2026-11-01T00:00:00Z","status":"succeeded"}`
	feedback := `{"type":"dev.millrace.feedback.v1","workspace_id":"forms","run_id":"one","feedback_id":"f","rating":"thumbsUp"}`
	for _, c := range []struct{ body, contentType, want string }{
		{runEvent("forms", "one", ""), "application/json", "[1 accepted]"},
		{pretty, "application/json; charset=utf-8", "[1 accepted]"},
		{cloud, "application/cloudevents+json", "[1 accepted]"},
		{" \n[" + runEvent("forms", "array-1", "") + ",\n" + runEvent("forms", "array-2", "") + "]\n", "application/json",
			"[1 accepted 2 accepted]"},
		{runEvent("forms", "line-1", "") + "\n\n  \r\n" + node + "\r\n" + feedback, "application/x-ndjson",
			"[1 accepted 4 accepted 5 accepted]"},
		{runEvent("forms", "line-1", ""), "application/x-ndjson", "[1 accepted]"},            // again: it changes nothing
		{"\ufeff" + runEvent("forms", "line-1", ""), "application/x-ndjson", "[1 accepted]"}, // a byte order mark
		{"\ufeff[" + runEvent("forms", "one", "") + "]", "application/json", "[1 accepted]"},
	} {
		got := s.Call(t, "POST", "/v1/runs", c.body, "Content-Type: "+c.contentType).Want(t, http.StatusOK)
		if have := fmt.Sprint(outcomes(t, got)); have != c.want {
			t.Errorf("%s: %s, want %s", c.body, have, c.want)
		}
	}
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest WHERE workspace_id = 'forms'":     6,
		"SELECT count() FROM nodes_latest WHERE workspace_id = 'forms'":    1,
		"SELECT count() FROM feedback_latest WHERE workspace_id = 'forms'": 1,
	})
	if got := e2etest.QueryTexts(t, p.Conn,
		"SELECT inputs FROM runs_latest WHERE workspace_id = 'forms' AND run_id = 'pretty'"); !strings.Contains(got[0],
		"2.50") || !strings.Contains(got[0], "1e400") {
		t.Errorf("the inputs are %s", got)
	}
}

func runEventsThatAreRefused(t *testing.T, p *places) {
	s := p.b.In("refused")
	good := func(i int) string { return runEvent("refused", fmt.Sprint("good-", i), "") }
	body := strings.Join([]string{
		good(1), `{"half":`, good(2), `[1]`, runEvent("other", "x", ""), runEvent("refused", "a/b", ""),
		`{"type":"dev.millrace.robot.v1"}`, good(3),
		`{"type":"dev.millrace.run.v1","workspace_id":"refused"}`, "{\"a\":\"\xff\"}", `{"a":1,"a":2}`,
		runEvent("refused", "long", `,"question":"`+strings.Repeat("x", 17<<20)+`"`), good(4),
		runEvent("refused", "nul", `,"question":"\u0000"`), runEvent("refused", "deep", `,"inputs":{"a":`+strings.Repeat("[",
			70)+strings.Repeat("]", 70)+`}`), good(5),
	}, "\n")
	got := s.Call(t, "POST", "/v1/runs", body, ndjson).Want(t, http.StatusMultiStatus)
	want := []string{
		"1 accepted", "2 refused invalid_json", "3 accepted", "4 refused wrong_type", "5 refused wrong_workspace",
		"6 refused bad_id", "7 refused unknown_type", "8 accepted",
		"9 refused missing_field", "10 refused invalid_utf8", "11 refused duplicate_key", "12 refused too_large",
		"13 accepted", "14 refused nul_character", "15 refused too_deep", "16 accepted",
	}
	if have := outcomes(t, got); !slices.Equal(have, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(string(got.Body), "xxxx") {
		t.Error("the answer repeats what it refuses")
	}
	for _, c := range []struct {
		body, contentType string
		status            int
	}{
		{"", "application/json", 422}, {"", "application/x-ndjson", 422}, {"\n \n", "application/x-ndjson", 422},
		{"[]", "application/json", 422}, {"  ", "application/json", 422},
		{`{"half":`, "application/json", 422}, {`[1`, "application/json", 422}, {`"text"`, "application/json", 422},
		{runEvent("other", "x", ""), "application/json", 403},
		{"[" + runEvent("other", "x", "") + "," + runEvent("acme", "y", "") + "]", "application/json", 403},
		{good(9), "text/plain", 415}, {good(9), "application/x-www-form-urlencoded", 415}, {good(9), "", 415},
	} {
		s.Call(t, "POST", "/v1/runs", c.body, "Content-Type: "+c.contentType).Problem(t, c.status)
	}
	half := s.Call(t, "POST", "/v1/runs", "["+good(6)+", "+good(7)+", {]").Want(t, http.StatusMultiStatus)
	if have := outcomes(t, half); !slices.Equal(have, []string{"1 accepted", "2 accepted", "3 refused invalid_json"}) {
		t.Errorf("half an array: %v", have)
	}
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs WHERE workspace_id = 'refused'": 7})
	for _, r := range p.ReadTopic(t, event.TopicDeadLetters) {
		if strings.Contains(string(r.Key), "refused") {
			t.Errorf("a dead letter: %.300s", r.Value)
		}
	}
}

// endless is a body of events, n bytes of it.
func endless(workspace string, n int) io.Reader {
	line := runEvent(workspace, "big", `,"question":"`+strings.Repeat("x", 1<<19)+`"`) + "\n"
	var parts []io.Reader
	for left := n; left > 0; left -= len(line) {
		parts = append(parts, strings.NewReader(line[:min(left, len(line))]))
	}
	return io.MultiReader(parts...)
}

// The limit is that of the body: what was read of it before is accepted, and said to be.
func runEventsHaveLimits(t *testing.T, p *places) {
	s := p.a.In("limits")
	const limit = 64 << 20
	announced, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/runs",
		endless("limits", limit+1))
	if err != nil {
		t.Fatal(err)
	}
	announced.ContentLength = limit + 1
	announced.Header.Set("Content-Type", "application/x-ndjson")
	announced.Header.Set("X-Millrace-Workspace", "limits")
	announced.Header.Set("Expect", "100-continue") // so that nothing of it is sent
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(announced)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	(&e2etest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, About: "announced"}).Problem(t,
		http.StatusRequestEntityTooLarge)

	got := s.Call(t, "POST", "/v1/runs", endless("limits", limit+1), ndjson)
	got.Problem(t, http.StatusRequestEntityTooLarge)
	accepted := 0
	for _, o := range outcomes(t, got) {
		if strings.HasSuffix(o, "accepted") {
			accepted++
		}
	}
	if accepted != 127 {
		t.Errorf("%d events were accepted", accepted)
	}
	many := strings.Repeat("{}\n", 100_001)
	if o := outcomes(t, s.Call(t, "POST", "/v1/runs", many, ndjson)); len(o) != 100_000 {
		t.Errorf("%d results of events that are too many", len(o))
	}
}

// The answers of a server whose broker is gone: nothing is said to be accepted, and nothing hangs.
func TestServeSaysWhatADeadBrokerHasNotAcknowledged(t *testing.T) {
	t.Parallel()
	clickhouse := localtest.ClickHouse(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	env := e2etest.Environment{
		"KAFKA_BROKERS=" + cluster.ListenAddrs()[0], "CLICKHOUSE_DSN=" + clickhouse.DSN(clickhouse.Database(t)),
		"BUCKET_URL=file://" + t.TempDir(),
		"HTTP_ADDR=127.0.0.1:0", "LOG_LEVEL=error",
	}
	env.Run(t, "topics")
	env.Run(t, "migrate")
	s := e2etest.Endpoint{URL: e2etest.WaitReady(t, env.Start(t, "serve"))}
	s.Check = newDocument(t, s.URL).check
	id := s.File(t, ofA(nil))
	s.Call(t, "POST", "/v1/runs", runEvent("default", "before", "")).Want(t, http.StatusOK)
	cluster.Close()
	// The server waits 20 s for Kafka. Each call here fails after a minute, a time that a loaded machine keeps too.
	var events, filed, cancelled, unknown *e2etest.Answer
	// they have more than the server buffers; with events they are as many as it takes at a time
	var stuck [15]*e2etest.Answer
	var wait sync.WaitGroup
	wait.Go(func() {
		events = s.Call(t, "POST", "/v1/runs", runEvent("default", "r-1", "")+"\n{}\n"+runEvent("default", "r-2", ""), ndjson)
	})
	wait.Go(func() { filed = s.Call(t, "POST", "/v1/exports", ofA(nil)) })
	wait.Go(func() { cancelled = s.Call(t, "POST", "/v1/exports/"+id+"/cancel", nil) })
	wait.Go(func() { unknown = s.Get(t, "/v1/exports/other") })
	for i := range stuck {
		wait.Go(func() { // a workspace has a share of 4
			workspace := fmt.Sprint("stuck-", i/3)
			stuck[i] = s.In(workspace).Call(t, "POST", "/v1/runs", endless(workspace, 6<<20), ndjson)
		})
	}
	for _, path := range []string{"/v1/exports/" + id, "/v1/exports", "/healthz"} { // what is known is told
		s.Get(t, path).Want(t, http.StatusOK)
	}
	wait.Wait()
	for _, got := range append(stuck[:], events, filed, cancelled, unknown) {
		if got.Problem(t, http.StatusServiceUnavailable); got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", got.About, got.Header)
		}
	}
	if have := outcomes(t, events); !slices.Equal(have, []string{"1 failed unavailable", "2 refused unknown_type",
		"3 failed unavailable"}) {
		t.Errorf("%v", have)
	}
}

func runsAndApps(t *testing.T, p *places) {
	s := p.a.In("acme")
	var seen []string
	for cursor, more := "", true; more; {
		page := s.Get(t, "/v1/runs?app_id=a&limit=100&cursor="+url.QueryEscape(cursor)).Want(t, http.StatusOK).Object(t)
		for _, r := range page["runs"].([]any) {
			seen = append(seen, r.(object)["run_id"].(string))
		}
		cursor, more = page["next"].(string)
	}
	if len(seen) != 320 || seen[0] != "r-319" || seen[319] != "r-000" ||
		!slices.IsSortedFunc(seen, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("%d runs, the first is %v", len(seen), seen[:min(3, len(seen))])
	}
	for query, n := range map[string]int{
		"app_id=r": 12, "app=r": 12, "source=recipe": 12, "app_id=zz": 0, "app_id=a&status=failed": 0,
		"app_id=a&version=v1&limit=200": 160, "app_id=a&version=v1,v0&limit=200": 200,
		"app_id=bot&rating=thumbsUp&limit=200":                         200,
		"app_id=bot&rating=none&from=2026-10-05T00:00:00Z":             17,
		"app_id=bot&from=2026-10-05T00:00:00Z&to=2026-10-05T01:00:00Z": 2, "app_id=a&q=SAY%20%22319%22": 1,
		"app_id=a&session_id=s-1&limit=200": 64, "app_id=a&q=%25": 0,
	} {
		got := s.Get(t, "/v1/runs?"+query).Want(t, http.StatusOK).Object(t)
		if have := len(got["runs"].([]any)); have != n {
			t.Errorf("?%s: %d runs, want %d", query, have, n)
		}
	}
	for query, parameter := range map[string]string{
		"source=robot": "source", "status=done": "status", "rating=good": "rating", "limit=201": "limit",
		"cursor=x": "cursor", "from=yesterday": "from",
		"from=2026-10-05T00:00:00Z&to=2026-10-04T00:00:00Z": "to", "colour=red": "colour",
	} {
		s.Get(t, "/v1/runs?"+query).Problem(t, http.StatusUnprocessableEntity, parameter)
	}
	run := s.Get(t, "/v1/runs/w-03").Want(t, http.StatusOK).Object(t)
	if run["workspace_id"] != "acme" || run["source"] != "recipe" || run["status"] != "succeeded" ||
		run["ended_at"] == nil || fmt.Sprint(run["inputs"].(object)["n"]) != "3.50" {
		t.Errorf("the run is %v", run)
	}
	nodes := run["nodes"].([]any)
	if len(nodes) != 2 || nodes[0].(object)["node_id"] != "fetch" || nodes[1].(object)["prompt_template"] != "solve {n}" {
		t.Errorf("its node runs are %v", nodes)
	}
	if f := s.Get(t, "/v1/runs/b-000").Want(t, http.StatusOK).Object(t)["feedback"].(object); f["rating"] != "thumbsUp" ||
		f["comment"] != "so so" {
		t.Errorf("the feedback is %v", f)
	}
	s.Get(t, "/v1/runs/nope").Problem(t, http.StatusNotFound)
	s.Get(t, "/v1/runs/a%20b").Problem(t, http.StatusUnprocessableEntity, "id")
	var apps []string
	for _, a := range s.Get(t, "/v1/apps").Want(t, http.StatusOK).Object(t)["apps"].([]any) {
		a := a.(object)
		apps = append(apps, fmt.Sprint(a["source"], " ", a["app_id"]))
	}
	if want := []string{"copilot a", "copilot bot", "recipe r"}; !slices.Equal(slices.Sorted(slices.Values(apps)), want) {
		t.Errorf("apps %v", apps)
	}
	if list := s.Get(t, "/v1/apps?source=recipe&days=90").Want(t, http.StatusOK).
		Object(t)["apps"].([]any); len(list) != 1 ||
		len(list[0].(object)["days"].([]any)) != 90 || fmt.Sprint(list[0].(object)["runs"]) != "12" {
		t.Errorf("recipes %v", list)
	}
	s.Get(t, "/v1/apps?source=robot").Problem(t, http.StatusUnprocessableEntity, "source")
	s.Get(t, "/v1/apps?days=91").Problem(t, http.StatusUnprocessableEntity, "days")
	for _, query := range []string{"", "?source=recipe"} {
		list := s.Get(t, "/v1/apps/r/nodes"+query).Want(t, http.StatusOK).Object(t)["nodes"].([]any)
		if len(list) != 2 || fmt.Sprint(list[0].(object)["node_runs"]) != "12" {
			t.Errorf("nodes %v", list)
		}
	}
	s.Get(t, "/v1/apps/nope/nodes").Problem(t, http.StatusNotFound)
	s.Get(t, "/v1/apps/r/nodes?source=copilot").Problem(t, http.StatusNotFound)
}

// raw sends a text to a server as it is, and returns the answer.
func raw(t *testing.T, s e2etest.Endpoint, text string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.URL, "http://"), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(conn)
	return string(got)
}
