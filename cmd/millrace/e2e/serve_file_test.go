package e2e

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
		got := p.a.call(t, "POST", "/v1/exports", ofA(object{"name": fmt.Sprint("export ", i), "requested_by": "somebody"})).
			is(t, http.StatusAccepted)
		x := got.object(t)
		id := x["export_id"].(string)
		if u, err := uuid.Parse(id); err != nil || u.Version() != 7 || u.String() != id {
			t.Errorf("export_id %s is no UUIDv7", id)
		}
		if got.header.Get("Location") != "/v1/exports/"+id || got.header.Get("Retry-After") == "" ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", got.header)
		}
		if x["workspace_id"] != "acme" || x["name"] != fmt.Sprint("export ", i) || x["target"] != "canonical" ||
			x["format"] != "jsonl" || x["requested_by"] != "somebody" || x["deleted_at"] != nil {
			t.Errorf("the export is %s", got.body)
		}
		for name, s := range map[string]endpoint{"there": p.a, "at the second server": p.b} {
			if y := s.get(t, "/v1/exports/"+id).is(t, http.StatusOK).object(t); y["export_id"] != id ||
				y["requested_at"] != x["requested_at"] {
				t.Errorf("%s it is %v, filed was %v", name, y, x)
			}
			if list := s.get(t, "/v1/exports?limit=200").is(t, http.StatusOK); !strings.Contains(string(list.body),
				`"export_id":"`+id+`"`) {
				t.Errorf("%s it is not in the list", name)
			}
		}
	}
}

// tracesGoThrough follows a trace from the request to the completion.
func tracesGoThrough(t *testing.T, p *places) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	id := p.a.with("Traceparent: "+trace).file(t, ofA(nil))
	p.a.ended(t, id, "succeeded")
	for _, topic := range []string{event.TopicExportRequests, event.TopicExportCompletions} {
		found := false
		for _, r := range p.read(t, topic) {
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
func completionsNamed(t *testing.T, s *site, workspace string) map[string][]object {
	t.Helper()
	found := map[string][]object{}
	for _, r := range s.read(t, event.TopicExportCompletions) {
		if r.Attrs.IsControl() {
			continue
		}
		if c := parse(t, string(r.Value)); c["workspace_id"] == workspace {
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
	for _, s := range exportStages {
		consumed(t, p.site, s.topic, s.stage)
	}
	found := completionsNamed(t, p.site, workspace)
	for _, id := range ids {
		if len(found[id]) != 1 {
			t.Errorf("export %s has %d completions", id, len(found[id]))
		}
	}
}

func idempotencyKeysAreOneExport(t *testing.T, p *places) {
	const key = "Idempotency-Key: nightly/2026-11-25"
	a, b := p.a.in("keys"), p.b.in("keys")
	first := a.call(t, "POST", "/v1/exports", ofA(nil), key).is(t, http.StatusAccepted).object(t)["export_id"].(string)
	for _, s := range []endpoint{a, b, a} {
		if again := s.call(t, "POST", "/v1/exports", ofA(nil), key).is(t, http.StatusAccepted).
			object(t)["export_id"]; again != first {
			t.Errorf("the same key is export %v, and was %s", again, first)
		}
	}
	for _, s := range []endpoint{a, b} {
		s.call(t, "POST", "/v1/exports", ofA(object{"name": "another"}), key).problem(t, http.StatusConflict, "/export_id")
	}
	a.ended(t, first, "succeeded")
	for _, s := range []endpoint{a, b} { // also after its end
		if again := s.call(t, "POST", "/v1/exports", ofA(nil), key).is(t, http.StatusAccepted).
			object(t); again["export_id"] != first || again["status"] != "succeeded" {
			t.Errorf("the same key is export %v, and was %s", again, first)
		}
		s.call(t, "POST", "/v1/exports", ofA(object{"app_id": "b"}), key).problem(t, http.StatusConflict, "/export_id")
	}
	other := a.call(t, "POST", "/v1/exports", ofA(nil), key+"!").is(t, http.StatusAccepted).object(t)["export_id"].(string)
	elsewhere := p.a.in("keys-too").call(t, "POST", "/v1/exports", ofA(nil), key).is(t, http.StatusAccepted).
		object(t)["export_id"].(string)
	if other == first || elsewhere == first {
		t.Errorf("another key is export %s, the key of another workspace %s, and the first %s", other, elsewhere, first)
	}
	a.call(t, "POST", "/v1/exports", ofA(nil), "Idempotency-Key: "+strings.Repeat("k", 256)).problem(t,
		http.StatusUnprocessableEntity, "Idempotency-Key")
	a.ended(t, other, "succeeded")
	completedOnce(t, p, "keys", first, other)
}

func idsAreOneRequest(t *testing.T, p *places) {
	a, b := p.a.in("ids"), p.b.in("ids")
	const id = "nightly:2026-11.25~1_x"
	request := ofA(object{"export_id": id, "workspace_id": "ids"})
	for _, s := range []endpoint{a, a, b} {
		if got := s.call(t, "POST", "/v1/exports", request).is(t, http.StatusAccepted); got.object(t)["export_id"] != id ||
			got.header.Get("Location") != "/v1/exports/"+id {
			t.Errorf("filed is %s at %s", got.body, got.header.Get("Location"))
		}
	}
	for range 2 {
		for _, s := range []endpoint{a, b} {
			s.call(t, "POST", "/v1/exports", ofA(object{"export_id": id, "name": "another"})).problem(t, http.StatusConflict,
				"/export_id")
		}
		a.ended(t, id, "succeeded")
	}
	completedOnce(t, p, "ids", id)
}

// Which of two is filed is the first in the topic, for each server as for the stage that plans.
func oneOfTwoIsFiled(t *testing.T, p *places) {
	servers := []endpoint{p.a.in("race"), p.b.in("race")}
	var ids []string
	for i := range 10 {
		id := fmt.Sprint("race-", i)
		ids = append(ids, id)
		var answers [2]*answer
		begin := make(chan struct{})
		var wait sync.WaitGroup
		for j, s := range servers {
			wait.Go(func() {
				<-begin
				answers[j] = s.call(t, "POST", "/v1/exports", ofA(object{"export_id": id, "name": fmt.Sprint("of server ", j)}))
			})
		}
		close(begin)
		wait.Wait()
		won := -1
		for j, got := range answers {
			if got.status == http.StatusAccepted {
				if won >= 0 {
					t.Errorf("%s: both were filed", id)
				}
				won = j
			} else {
				got.problem(t, http.StatusConflict, "/export_id")
			}
		}
		if won < 0 {
			t.Fatalf("%s: none was filed", id)
		}
		if x := servers[i%2].ended(t, id, "succeeded"); x["name"] != fmt.Sprint("of server ", won) {
			t.Errorf("%s: filed was that of server %d, and done is %v", id, won, x["name"])
		}
	}
	completedOnce(t, p, "race", ids...)
}

func requestsNameTheirMistakes(t *testing.T, p *places) {
	s := p.a.in("mistakes")
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
			s.call(t, "POST", path, text).problem(t, http.StatusUnprocessableEntity, places...)
		}
	}
	s.call(t, "POST", "/v1/exports", ofA(object{"workspace_id": "acme"})).problem(t, http.StatusForbidden, "/workspace_id")
	s.call(t, "POST", "/v1/exports/dry-run", ofA(object{"workspace_id": "acme"})).problem(t, http.StatusForbidden,
		"/workspace_id")
	s.call(t, "POST", "/v1/exports", ofA(object{"workspace_id": "Acme/.."})).problem(t, http.StatusUnprocessableEntity,
		"/workspace_id")
	s.empty(t)
}

// empty checks that nothing was filed in the server's workspace.
func (s endpoint) empty(t *testing.T) {
	t.Helper()
	if got := s.get(t, "/v1/exports").is(t, http.StatusOK); string(got.body) != `{"exports":[]}`+"\n" {
		t.Errorf("filed was %s", got.body)
	}
}

func bodiesAreRefused(t *testing.T, p *places) {
	s := p.b.in("bodies")
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
			got := s.call(t, "POST", path, c.body, c.header)
			if p := got.problem(t, c.status); len(p) == 0 || time.Since(began) > 10*time.Second {
				t.Errorf("%s: %s after %s", name, got.body, time.Since(began))
			}
		}
	}
	s.empty(t)
	s.call(t, "POST", "/v1/exports", good, "Content-Type: application/json; charset=utf-8").is(t, http.StatusAccepted)
}

func dryRuns(t *testing.T, p *places) {
	got := p.a.call(t, "POST", "/v1/exports/dry-run", ofA(object{"selection": object{"limit": 100},
		"split": object{"test": 0.5}})).is(t, http.StatusOK).object(t)
	lines := got["lines"].([]any)
	if fmt.Sprint(got["rows_planned"], " ", got["records"]) != "100 100" || len(lines) != 3 ||
		parse(t, lines[0].(string))["question"] == nil {
		t.Errorf("the dry run is %v", got)
	}
	if none := p.a.in("dry").call(t, "POST", "/v1/exports/dry-run", ofA(nil)).is(t, http.StatusOK).
		object(t); fmt.Sprint(none["rows_planned"], " ", none["lines"]) != "0 []" {
		t.Errorf("the dry run of nothing is %v", none)
	}
	p.a.in("dry").empty(t)
	p.a.call(t, "POST", "/v1/exports/dry-run", ofA(object{"purpose": "fine_tuning", "target": "karini_csv"})).problem(t,
		http.StatusUnprocessableEntity, "/target")
}
