package serve

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

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

// Where no export role runs, exports stay as they were filed; what was asked for meanwhile is done
// when one starts.
func runningExports(t *testing.T, p *places) {
	site := p.Elsewhere(t, "later.", "file://"+filepath.Join(t.TempDir(), "bucket"))
	s := e2etest.Endpoint{URL: e2etest.WaitReady(t, site.Env.Start(t, "serve")), Check: p.doc.check}
	cancelled, other, more := s.File(t, ofA(object{"name": "to be cancelled", "fragment": object{"max_records": 1}})),
		s.File(t, ofA(nil)), s.File(t, ofA(object{"fragment": object{"max_records": 20}}))
	for _, id := range []string{cancelled, other} {
		if x := s.Get(t, "/v1/exports/"+id).Want(t, http.StatusOK).Object(t); x["status"] != "accepted" ||
			fmt.Sprint(x["percent_done"]) != "0" || x["completed_at"] != nil {
			t.Errorf("a filed export is %v", x)
		}
		s.Call(t, "DELETE", "/v1/exports/"+id, nil).Problem(t, http.StatusConflict)
		for _, path := range []string{"/preview", "/download", "/files/manifest.json",
			"/files/data/train-00000-00000-x.jsonl"} {
			s.Get(t, "/v1/exports/"+id+path).Problem(t, http.StatusConflict)
		}
	}
	for range 2 {
		if x := s.Call(t, "POST", "/v1/exports/"+cancelled+"/cancel", nil).Want(t, http.StatusAccepted).
			Object(t); x["export_id"] != cancelled {
			t.Errorf("cancelled is %v", x)
		}
	}
	job := insightsWhileItRuns(t, s)
	watched := watchExport(t, s, cancelled)
	full := watchExport(t, s, more)
	if first := watched.next(t); first.name != "progress" || first.data["status"] != "accepted" ||
		first.data["name"] != "to be cancelled" {
		t.Errorf("the first event is %+v", first)
	}
	// In windows of one record, one at a time, the first export is far from its end when its cancel
	// is read.
	append(site.Env, "EXPORT_WINDOW_RECORDS=1", "EXPORT_CONCURRENCY=1").Start(t, "export")
	events := watched.rest(t)
	if last := events[len(events)-1]; last.name != "completion" || last.data["status"] != "cancelled" {
		t.Errorf("the last event is %+v", last)
	}
	checkEvents(t, site, more, append([]sse{full.next(t)}, full.rest(t)...))
	s.WaitFor(t, cancelled, "cancelled")
	s.WaitFor(t, other, "succeeded")
	if got := s.Call(t, "POST", "/v1/exports/"+cancelled+"/cancel", nil).Want(t, http.StatusAccepted).
		Object(t); got["status"] != "cancelled" {
		t.Errorf("cancelled again it is %v", got)
	}
	s.Call(t, "POST", "/v1/exports/"+other+"/cancel", nil).Problem(t, http.StatusConflict)
	s.Call(t, "POST", "/v1/exports/nope/cancel", nil).Problem(t, http.StatusNotFound)
	for _, path := range []string{"/preview", "/download", "/files/data/x"} {
		s.Get(t, "/v1/exports/"+cancelled+path).Problem(t, http.StatusConflict)
	}
	insightsCancelled(t, s, job)
}

func deletedExports(t *testing.T, p *places) {
	s := p.a.In("acme")
	id := s.File(t, ofA(object{"name": "to be deleted"}))
	s.WaitFor(t, id, "succeeded")
	manifest := s.Get(t, "/v1/exports/"+id+"/files/manifest.json").Want(t, http.StatusOK)
	key := keys(t, manifest.Object(t))[0]
	s.Get(t, "/v1/exports/"+id+"/files/"+key).Want(t, http.StatusOK)
	for _, at := range []e2etest.Endpoint{s, s, p.b} {
		if got := at.Call(t, "DELETE", "/v1/exports/"+id, nil).Want(t, http.StatusNoContent); len(got.Body) > 0 {
			t.Errorf("the answer is %s", got.Body)
		}
	}
	for _, at := range []e2etest.Endpoint{s, p.b} {
		for _, path := range []string{"/preview", "/download", "/files/" + key} {
			at.Get(t, "/v1/exports/"+id+path).Problem(t, http.StatusGone)
		}
		if again := at.Get(t, "/v1/exports/"+id+"/files/manifest.json").Want(t,
			http.StatusOK); string(again.Body) != string(manifest.Body) {
			t.Errorf("the manifest is another: %s", again.Body)
		}
		x := at.Get(t, "/v1/exports/"+id).Want(t, http.StatusOK).Object(t)
		if at, err := time.Parse(time.RFC3339, fmt.Sprint(x["deleted_at"])); err != nil || time.Since(at) > time.Minute ||
			x["status"] != "succeeded" {
			t.Errorf("the export is %v", x)
		}
		list := at.Get(t, "/v1/exports?limit=200").Want(t, http.StatusOK).Object(t)["exports"].([]any)
		if i := slices.IndexFunc(list, func(y any) bool { return y.(object)["export_id"] == id }); i < 0 ||
			list[i].(object)["deleted_at"] != x["deleted_at"] {
			t.Errorf("in the list of %s it is not deleted", at.URL)
		}
		if got := watchExport(t, at, id).rest(t); len(got) != 1 || got[0].data["status"] != "succeeded" {
			t.Errorf("its events are %v", got)
		}
	}
	s.Call(t, "DELETE", "/v1/exports/nope", nil).Problem(t, http.StatusNotFound)
	if left := e2etest.ListFiles(t, p.ExportFolder(t, "acme", id)); slices.ContainsFunc(left,
		func(name string) bool { return strings.HasPrefix(name, "data/") }) {
		t.Errorf("left are %v", left)
	}
}

// A request that another producer files with mistakes fails.
func failedExports(t *testing.T, p *places) {
	e2etest.Produce(t, p.Site, event.TopicExportRequests,
		`{"export_id":"bad","workspace_id":"failing","purpose":"nonsense","source":"copilot","app_id":"a","selection":{"limit":1}}`)
	s := p.a.In("failing")
	e2etest.Eventually(t, time.Minute, func() string {
		if got := s.Get(t, "/v1/exports/bad"); got.Status != http.StatusOK {
			return string(got.Body)
		}
		return ""
	})
	x := s.WaitFor(t, "bad", "failed")
	if x["error_pointer"] != "/purpose" || x["error_code"] == "" || x["error_message"] == "" {
		t.Errorf("the export is %v", x)
	}
	for _, path := range []string{"/preview", "/download", "/files/data/x"} {
		if d := s.Get(t, "/v1/exports/bad"+path).Problem(t, http.StatusConflict)["detail"]; !strings.Contains(fmt.Sprint(d),
			"/purpose") {
			t.Errorf("%s: %v", path, d)
		}
	}
	s.Call(t, "POST", "/v1/exports/bad/cancel", nil).Problem(t, http.StatusConflict)
	got := watchExport(t, s, "bad").rest(t)
	if len(got) != 1 || got[0].name != "completion" || got[0].data["status"] != "failed" ||
		fmt.Sprint(got[0].data["error"].(object)["pointer"]) != "/purpose" {
		t.Errorf("its events are %v", got)
	}
	s.Call(t, "DELETE", "/v1/exports/bad", nil).Want(t, http.StatusNoContent)
}

// Whoever watches an export that waits does not keep a server from ending.
func TestServeEndsWhileExportsAreWatched(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	server := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	at := e2etest.Endpoint{URL: e2etest.WaitReady(t, server)}
	filed := at.Call(t, http.MethodPost, "/v1/exports",
		`{"purpose":"export_dataset","source":"recipe","app_id":"a","selection":{"limit":1}}`,
		"Content-Type: application/json").Want(t, http.StatusAccepted).Object(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.URL+"/v1/exports/"+filed["export_id"].(string)+
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
	if code, took := server.Stop(t); code != 0 || took > 10*time.Second {
		t.Errorf("SIGTERM: exit code %d after %s", code, took)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream was cut and did not end: %v", err)
	}
}
