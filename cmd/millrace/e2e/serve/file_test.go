package serve

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

// ofA asks for runs of copilot a.
func ofA(fields object) object {
	r := object{"purpose": "export_dataset", "source": "copilot", "app_id": "a", "selection": object{"limit": 1000}}
	maps.Copy(r, fields)
	return r
}

func exportsAreThereAtOnce(t *testing.T, p *places) {
	for i := range 5 {
		got := p.a.Call(t, "POST", "/v1/exports", ofA(object{"name": fmt.Sprint("export ", i), "requested_by": "somebody"})).
			Want(t, http.StatusAccepted)
		x := got.Object(t)
		id := x["export_id"].(string)
		if u, err := uuid.Parse(id); err != nil || u.Version() != 7 || u.String() != id {
			t.Errorf("export_id %s is no UUIDv7", id)
		}
		if got.Header.Get("Location") != "/v1/exports/"+id || got.Header.Get("Retry-After") == "" ||
			got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", got.Header)
		}
		if x["workspace_id"] != "acme" || x["name"] != fmt.Sprint("export ", i) || x["target"] != "canonical" ||
			x["format"] != "jsonl" || x["requested_by"] != "somebody" || x["deleted_at"] != nil {
			t.Errorf("the export is %s", got.Body)
		}
		for name, s := range map[string]e2etest.Endpoint{"there": p.a, "at the second server": p.b} {
			if y := s.Get(t, "/v1/exports/"+id).Want(t, http.StatusOK).Object(t); y["export_id"] != id ||
				y["requested_at"] != x["requested_at"] {
				t.Errorf("%s it is %v, filed was %v", name, y, x)
			}
			if list := s.Get(t, "/v1/exports?limit=200").Want(t, http.StatusOK); !strings.Contains(string(list.Body),
				`"export_id":"`+id+`"`) {
				t.Errorf("%s it is not in the list", name)
			}
		}
	}
}

// tracesGoThrough follows a trace from the request to the completion.
func tracesGoThrough(t *testing.T, p *places) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	id := p.a.With("Traceparent: "+trace).File(t, ofA(nil))
	p.a.WaitFor(t, id, "succeeded")
	for _, topic := range []string{event.TopicExportRequests, event.TopicExportCompletions} {
		found := false
		for _, r := range p.ReadTopic(t, topic) {
			if string(r.Key) == "acme/"+id {
				found = slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool {
					return h.Key == "traceparent" &&
						string(h.Value) == trace
				})
			}
		}
		if !found {
			t.Errorf("topic %s does not have the trace", topic)
		}
	}
}

// completionsNamed are the completions of exports of a workspace, by id.
func completionsNamed(t *testing.T, s *e2etest.Site, workspace string) map[string][]object {
	t.Helper()
	found := map[string][]object{}
	for _, r := range s.ReadTopic(t, event.TopicExportCompletions) {
		if r.Attrs.IsControl() {
			continue
		}
		if c := e2etest.ParseObject(t, string(r.Value)); c["workspace_id"] == workspace {
			id := c["export_id"].(string)
			found[id] = append(found[id], c)
		}
	}
	return found
}

// completedOnce checks that each of these exports has one completion, when all that was filed is
// done.
func completedOnce(t *testing.T, p *places, workspace string, ids ...string) {
	t.Helper()
	for _, s := range e2etest.ExportStages {
		e2etest.WaitConsumed(t, p.Site, s.Topic, s.Stage)
	}
	found := completionsNamed(t, p.Site, workspace)
	for _, id := range ids {
		if len(found[id]) != 1 {
			t.Errorf("export %s has %d completions", id, len(found[id]))
		}
	}
}

func idempotencyKeysAreOneExport(t *testing.T, p *places) {
	const key = "Idempotency-Key: nightly/2026-11-25"
	a, b := p.a.In("keys"), p.b.In("keys")
	first := a.Call(t, "POST", "/v1/exports", ofA(nil), key).Want(t, http.StatusAccepted).Object(t)["export_id"].(string)
	for _, s := range []e2etest.Endpoint{a, b, a} {
		if again := s.Call(t, "POST", "/v1/exports", ofA(nil), key).Want(t, http.StatusAccepted).
			Object(t)["export_id"]; again != first {
			t.Errorf("the same key is export %v, and was %s", again, first)
		}
	}
	for _, s := range []e2etest.Endpoint{a, b} {
		s.Call(t, "POST", "/v1/exports", ofA(object{"name": "another"}), key).Problem(t, http.StatusConflict, "/export_id")
	}
	a.WaitFor(t, first, "succeeded")
	for _, s := range []e2etest.Endpoint{a, b} { // also after its end
		if again := s.Call(t, "POST", "/v1/exports", ofA(nil), key).Want(t, http.StatusAccepted).
			Object(t); again["export_id"] != first || again["status"] != "succeeded" {
			t.Errorf("the same key is export %v, and was %s", again, first)
		}
		s.Call(t, "POST", "/v1/exports", ofA(object{"app_id": "b"}), key).Problem(t, http.StatusConflict, "/export_id")
	}
	other := a.Call(t, "POST", "/v1/exports", ofA(nil), key+"!").Want(t, http.StatusAccepted).
		Object(t)["export_id"].(string)
	elsewhere := p.a.In("keys-too").Call(t, "POST", "/v1/exports", ofA(nil), key).Want(t, http.StatusAccepted).
		Object(t)["export_id"].(string)
	if other == first || elsewhere == first {
		t.Errorf("another key is export %s, the key of another workspace %s, and the first %s", other, elsewhere, first)
	}
	a.Call(t, "POST", "/v1/exports", ofA(nil), "Idempotency-Key: "+strings.Repeat("k", 256)).Problem(t,
		http.StatusUnprocessableEntity, "Idempotency-Key")
	a.WaitFor(t, other, "succeeded")
	completedOnce(t, p, "keys", first, other)
}

func idsAreOneRequest(t *testing.T, p *places) {
	a, b := p.a.In("ids"), p.b.In("ids")
	const id = "nightly:2026-11.25~1_x"
	request := ofA(object{"export_id": id, "workspace_id": "ids"})
	for _, s := range []e2etest.Endpoint{a, a, b} {
		if got := s.Call(t, "POST", "/v1/exports", request).Want(t, http.StatusAccepted); got.Object(t)["export_id"] != id ||
			got.Header.Get("Location") != "/v1/exports/"+id {
			t.Errorf("filed is %s at %s", got.Body, got.Header.Get("Location"))
		}
	}
	for range 2 {
		for _, s := range []e2etest.Endpoint{a, b} {
			s.Call(t, "POST", "/v1/exports", ofA(object{"export_id": id, "name": "another"})).Problem(t, http.StatusConflict,
				"/export_id")
		}
		a.WaitFor(t, id, "succeeded")
	}
	completedOnce(t, p, "ids", id)
}

// Which of two is filed is the first in the topic, for each server as for the stage that plans.
func oneOfTwoIsFiled(t *testing.T, p *places) {
	servers := []e2etest.Endpoint{p.a.In("race"), p.b.In("race")}
	var ids []string
	for i := range 10 {
		id := fmt.Sprint("race-", i)
		ids = append(ids, id)
		var answers [2]*e2etest.Answer
		begin := make(chan struct{})
		var wait sync.WaitGroup
		for j, s := range servers {
			wait.Go(func() {
				<-begin
				answers[j] = s.Call(t, "POST", "/v1/exports", ofA(object{"export_id": id, "name": fmt.Sprint("of server ", j)}))
			})
		}
		close(begin)
		wait.Wait()
		won := -1
		for j, got := range answers {
			if got.Status == http.StatusAccepted {
				if won >= 0 {
					t.Errorf("%s: both were filed", id)
				}
				won = j
			} else {
				got.Problem(t, http.StatusConflict, "/export_id")
			}
		}
		if won < 0 {
			t.Fatalf("%s: none was filed", id)
		}
		if x := servers[i%2].WaitFor(t, id, "succeeded"); x["name"] != fmt.Sprint("of server ", won) {
			t.Errorf("%s: filed was that of server %d, and done is %v", id, won, x["name"])
		}
	}
	completedOnce(t, p, "race", ids...)
}

func requestsNameTheirMistakes(t *testing.T, p *places) {
	s := p.a.In("mistakes")
	for text, places := range map[string][]string{
		`{}`: {"/purpose", "/source", "/app_id", "/selection"},
		`{"purpose":"nonsense","source":"robot","app_id":"../a","selection":{"limit":0},"colour":1,"format":"xls","nodes":["n"],"fragment":{"max_records":-1}}`: {
			"/purpose", "/source", "/app_id", "/selection/limit", "/colour"},
		`{"export_id":"a/b","purpose":"export_dataset","source":"copilot","app_id":"a","selection":{"limit":1,"run_ids":["x"]},"filters":{"rating":"good","statuses":["done"]}}`: {
			"/export_id", "/selection/run_ids", "/filters/rating", "/filters/statuses/0"},
		`{"workspace_id":7,"purpose":"node_evaluation","source":"recipe","app_id":"a","selection":{"limit":1}}`:                                                {"/workspace_id"},
		`{"purpose":"node_evaluation","source":"recipe","app_id":"a","selection":{"window":{"by":"ended_at","from":"yesterday","to":"2026-01-01T00:00:00Z"}}}`: {"/selection/window/by", "/selection/window/from", "/nodes"},
		`{"purpose":"export_dataset","source":"copilot","app_id":"a","selection":{"limit":1},"name":"nul \u0000"}`:                                             {"/name"},
		`[]`: nil, `"export"`: nil, `null`: nil,
	} {
		for _, path := range []string{"/v1/exports", "/v1/exports/dry-run"} {
			s.Call(t, "POST", path, text).Problem(t, http.StatusUnprocessableEntity, places...)
		}
	}
	s.Call(t, "POST", "/v1/exports", ofA(object{"workspace_id": "acme"})).Problem(t, http.StatusForbidden, "/workspace_id")
	s.Call(t, "POST", "/v1/exports/dry-run", ofA(object{"workspace_id": "acme"})).Problem(t, http.StatusForbidden,
		"/workspace_id")
	s.Call(t, "POST", "/v1/exports", ofA(object{"workspace_id": "Acme/.."})).Problem(t, http.StatusUnprocessableEntity,
		"/workspace_id")
	checkNoExports(t, s)
}

// checkNoExports checks that nothing was filed in the server's workspace.
func checkNoExports(t *testing.T, s e2etest.Endpoint) {
	t.Helper()
	if got := s.Get(t, "/v1/exports").Want(t, http.StatusOK); string(got.Body) != `{"exports":[]}`+"\n" {
		t.Errorf("filed was %s", got.Body)
	}
}

func bodiesAreRefused(t *testing.T, p *places) {
	s := p.b.In("bodies")
	const good = `{"purpose":"export_dataset","source":"copilot","app_id":"a","selection":{"limit":1}}`
	filler := func(n int) string { return good[:len(good)-1] + `,"name":"` + strings.Repeat("x", n) + `"}` }
	for _, path := range []string{"/v1/exports", "/v1/exports/dry-run"} {
		for name, c := range map[string]struct {
			body   any
			status int
			header string
		}{
			"nothing":                {"", 400, "X: y"},
			"half an object":         {`{"purpose":`, 400, "X: y"},
			"two objects":            {good + good, 400, "X: y"},
			"a key twice":            {`{"purpose":"export_dataset","purpose":"export_dataset"}`, 400, "X: y"},
			"not UTF-8":              {"{\"purpose\":\"\xff\"}", 400, "X: y"},
			"a form":                 {good, 415, "Content-Type: application/x-www-form-urlencoded"},
			"text":                   {good, 415, "Content-Type: text/plain"},
			"no type":                {good, 415, "Content-Type: "},
			"too large":              {filler(4 << 20), 413, "X: y"},
			"too large, unannounced": {io.MultiReader(strings.NewReader(filler(4 << 20))), 413, "X: y"},
			"too deep":               {`{"options":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, 422, "X: y"},
		} {
			began := time.Now()
			got := s.Call(t, "POST", path, c.body, c.header)
			if p := got.Problem(t, c.status); len(p) == 0 || time.Since(began) > 10*time.Second {
				t.Errorf("%s: %s after %s", name, got.Body, time.Since(began))
			}
		}
	}
	checkNoExports(t, s)
	s.Call(t, "POST", "/v1/exports", good, "Content-Type: application/json; charset=utf-8").Want(t, http.StatusAccepted)
}

func dryRuns(t *testing.T, p *places) {
	got := p.a.Call(t, "POST", "/v1/exports/dry-run", ofA(object{"selection": object{"limit": 100},
		"split": object{"test": 0.5}})).Want(t, http.StatusOK).Object(t)
	lines := got["lines"].([]any)
	if fmt.Sprint(got["rows_planned"], " ", got["records"]) != "100 100" || len(lines) != 3 ||
		e2etest.ParseObject(t, lines[0].(string))["question"] == nil {
		t.Errorf("the dry run is %v", got)
	}
	if none := p.a.In("dry").Call(t, "POST", "/v1/exports/dry-run", ofA(nil)).Want(t, http.StatusOK).
		Object(t); fmt.Sprint(none["rows_planned"], " ", none["lines"]) != "0 []" {
		t.Errorf("the dry run of nothing is %v", none)
	}
	checkNoExports(t, p.a.In("dry"))
	p.a.Call(t, "POST", "/v1/exports/dry-run", ofA(object{"purpose": "fine_tuning", "target": "karini_csv"})).Problem(t,
		http.StatusUnprocessableEntity, "/target")
}
