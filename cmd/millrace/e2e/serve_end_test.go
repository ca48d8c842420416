package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/event"
)

// Where no export role runs, exports stay as they were filed; what was asked for meanwhile is done
// when one starts.
func runningExports(t *testing.T, p *places) {
	site := p.elsewhere(t, "later.", "file://"+filepath.Join(t.TempDir(), "bucket"))
	s := endpoint{url: ready(t, site.env.start(t, "serve")), doc: p.a.doc}
	cancelled, other, more := s.file(t, ofA(object{"name": "to be cancelled", "fragment": object{"max_records": 1}})),
		s.file(t, ofA(nil)), s.file(t, ofA(object{"fragment": object{"max_records": 20}}))
	for _, id := range []string{cancelled, other} {
		if x := s.get(t, "/v1/exports/"+id).is(t, http.StatusOK).object(t); x["status"] != "accepted" ||
			fmt.Sprint(x["percent_done"]) != "0" || x["completed_at"] != nil {
			t.Errorf("a filed export is %v", x)
		}
		s.call(t, "DELETE", "/v1/exports/"+id, nil).problem(t, http.StatusConflict)
		for _, path := range []string{"/preview", "/download", "/files/manifest.json",
			"/files/data/train-00000-00000-x.jsonl"} {
			s.get(t, "/v1/exports/"+id+path).problem(t, http.StatusConflict)
		}
	}
	for range 2 {
		if x := s.call(t, "POST", "/v1/exports/"+cancelled+"/cancel", nil).is(t, http.StatusAccepted).
			object(t); x["export_id"] != cancelled {
			t.Errorf("cancelled is %v", x)
		}
	}
	job := insightsWhileItRuns(t, s)
	watched := s.watch(t, cancelled)
	full := s.watch(t, more)
	if first := watched.next(t); first.name != "progress" || first.data["status"] != "accepted" ||
		first.data["name"] != "to be cancelled" {
		t.Errorf("the first event is %+v", first)
	}
	// In windows of one record, one at a time, the first export is far from its end when its cancel
	// is read.
	append(site.env, "EXPORT_WINDOW_RECORDS=1", "EXPORT_CONCURRENCY=1").start(t, "export")
	events := watched.rest(t)
	if last := events[len(events)-1]; last.name != "completion" || last.data["status"] != "cancelled" {
		t.Errorf("the last event is %+v", last)
	}
	checkEvents(t, site, more, append([]sse{full.next(t)}, full.rest(t)...))
	s.ended(t, cancelled, "cancelled")
	s.ended(t, other, "succeeded")
	if got := s.call(t, "POST", "/v1/exports/"+cancelled+"/cancel", nil).is(t, http.StatusAccepted).
		object(t); got["status"] != "cancelled" {
		t.Errorf("cancelled again it is %v", got)
	}
	s.call(t, "POST", "/v1/exports/"+other+"/cancel", nil).problem(t, http.StatusConflict)
	s.call(t, "POST", "/v1/exports/nope/cancel", nil).problem(t, http.StatusNotFound)
	for _, path := range []string{"/preview", "/download", "/files/data/x"} {
		s.get(t, "/v1/exports/"+cancelled+path).problem(t, http.StatusConflict)
	}
	insightsCancelled(t, s, job)
}

func deletedExports(t *testing.T, p *places) {
	s := p.a.in("acme")
	id := s.file(t, ofA(object{"name": "to be deleted"}))
	s.ended(t, id, "succeeded")
	manifest := s.get(t, "/v1/exports/"+id+"/files/manifest.json").is(t, http.StatusOK)
	key := keys(t, manifest.object(t))[0]
	s.get(t, "/v1/exports/"+id+"/files/"+key).is(t, http.StatusOK)
	for _, at := range []endpoint{s, s, p.b} {
		if got := at.call(t, "DELETE", "/v1/exports/"+id, nil).is(t, http.StatusNoContent); len(got.body) > 0 {
			t.Errorf("the answer is %s", got.body)
		}
	}
	for _, at := range []endpoint{s, p.b} {
		for _, path := range []string{"/preview", "/download", "/files/" + key} {
			at.get(t, "/v1/exports/"+id+path).problem(t, http.StatusGone)
		}
		if again := at.get(t, "/v1/exports/"+id+"/files/manifest.json").is(t,
			http.StatusOK); string(again.body) != string(manifest.body) {
			t.Errorf("the manifest is another: %s", again.body)
		}
		x := at.get(t, "/v1/exports/"+id).is(t, http.StatusOK).object(t)
		if at, err := time.Parse(time.RFC3339, fmt.Sprint(x["deleted_at"])); err != nil || time.Since(at) > time.Minute ||
			x["status"] != "succeeded" {
			t.Errorf("the export is %v", x)
		}
		list := at.get(t, "/v1/exports?limit=200").is(t, http.StatusOK).object(t)["exports"].([]any)
		if i := slices.IndexFunc(list, func(y any) bool { return y.(object)["export_id"] == id }); i < 0 ||
			list[i].(object)["deleted_at"] != x["deleted_at"] {
			t.Errorf("in the list of %s it is not deleted", at.url)
		}
		if got := at.watch(t, id).rest(t); len(got) != 1 || got[0].data["status"] != "succeeded" {
			t.Errorf("its events are %v", got)
		}
	}
	s.call(t, "DELETE", "/v1/exports/nope", nil).problem(t, http.StatusNotFound)
	if left := tree(t, p.folder(t, "acme", id)); slices.ContainsFunc(left,
		func(name string) bool { return strings.HasPrefix(name, "data/") }) {
		t.Errorf("left are %v", left)
	}
}

// A request that another producer files with mistakes fails.
func failedExports(t *testing.T, p *places) {
	produceTo(t, p.site, event.TopicExportRequests,
		`{"export_id":"bad","workspace_id":"failing","purpose":"nonsense","source":"copilot","app_id":"a","selection":{"limit":1}}`)
	s := p.a.in("failing")
	eventually(t, time.Minute, func() string {
		if got := s.get(t, "/v1/exports/bad"); got.status != http.StatusOK {
			return string(got.body)
		}
		return ""
	})
	x := s.ended(t, "bad", "failed")
	if x["error_pointer"] != "/purpose" || x["error_code"] == "" || x["error_message"] == "" {
		t.Errorf("the export is %v", x)
	}
	for _, path := range []string{"/preview", "/download", "/files/data/x"} {
		if d := s.get(t, "/v1/exports/bad"+path).problem(t, http.StatusConflict)["detail"]; !strings.Contains(fmt.Sprint(d),
			"/purpose") {
			t.Errorf("%s: %v", path, d)
		}
	}
	s.call(t, "POST", "/v1/exports/bad/cancel", nil).problem(t, http.StatusConflict)
	got := s.watch(t, "bad").rest(t)
	if len(got) != 1 || got[0].name != "completion" || got[0].data["status"] != "failed" ||
		fmt.Sprint(got[0].data["error"].(object)["pointer"]) != "/purpose" {
		t.Errorf("its events are %v", got)
	}
	s.call(t, "DELETE", "/v1/exports/bad", nil).is(t, http.StatusNoContent)
}

// Whoever watches an export that waits does not keep a server from ending.
func TestServeEndsWhileExportsAreWatched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := append(s.env, "HTTP_ADDR=127.0.0.1:0").start(t, "serve")
	at := endpoint{url: ready(t, server)}
	filed := at.call(t, http.MethodPost, "/v1/exports",
		`{"purpose":"export_dataset","source":"recipe","app_id":"a","selection":{"limit":1}}`,
		"Content-Type: application/json").is(t, http.StatusAccepted).object(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.url+"/v1/exports/"+filed["export_id"].(string)+
		"/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
	}
	if !strings.Contains(lines.Text(), `"accepted"`) {
		t.Fatalf("the stream tells %q", lines.Text())
	}
	if code, took := server.stop(t); code != 0 || took > 10*time.Second {
		t.Errorf("SIGTERM: exit code %d after %s", code, took)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream was cut and did not end: %v", err)
	}
}
