package serve

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

// sse is a server-sent event.
type sse struct {
	name, id string
	data     object
}

// watching is a stream of them.
type watching struct {
	lines *bufio.Scanner
	last  string // id
}

// watchExport opens the events of an export.
func watchExport(t *testing.T, s e2etest.Endpoint, id string) *watching {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	resp := s.Open(ctx, t, "GET", "/v1/exports/"+id+"/events", nil, "Accept: text/event-stream")
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("events of %s: %s %s", id, resp.Status, body)
	}
	s.Check(t, resp.Request, resp)
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &watching{lines: lines}
}

// read returns the next event, as a browser does; false at the end of the stream.
func (w *watching) read(t *testing.T) (e sse, ok bool) {
	t.Helper()
	data := ""
	for w.lines.Scan() {
		line := w.lines.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && data != "":
			e.data, e.id = e2etest.ParseObject(t, data), w.last
			return e, true
		case line == "":
			e = sse{}
		case name == "event":
			e.name = value
		case name == "id":
			w.last = value
		case name == "data":
			data += value
		case name != "retry" && name != "":
			t.Errorf("a line of the stream is %q", line)
		}
	}
	return e, false
}

func (w *watching) next(t *testing.T) sse {
	t.Helper()
	e, ok := w.read(t)
	if !ok {
		t.Fatalf("the stream has ended: %v", w.lines.Err())
	}
	return e
}

// rest are the events up to the end of the stream.
func (w *watching) rest(t *testing.T) (list []sse) {
	t.Helper()
	for e, ok := w.read(t); ok; e, ok = w.read(t) {
		list = append(list, e)
	}
	if w.lines.Err() != nil {
		t.Fatal(w.lines.Err())
	}
	if len(list) == 0 {
		t.Fatal("the stream has no events")
	}
	return list
}

// checkEvents holds the events of a stream, which began before the export was planned, against the
// topics: first how it was filed, then progress as it was published, and its completion.
func checkEvents(t *testing.T, s *e2etest.Site, id string, got []sse) {
	t.Helper()
	var told []object
	for _, r := range s.ReadTopic(t, event.TopicExportProgress) {
		if r.Attrs.IsControl() {
			continue
		}
		if p := e2etest.ParseObject(t, string(r.Value)); p["export_id"] == id {
			told = append(told, p)
		}
	}
	percent := -1.0
	for i, e := range got[:len(got)-1] {
		if e.name != "progress" || e.id != "" {
			t.Errorf("event %d is %+v", i, e)
		}
		now := alike(e.data["percent_done"]).(float64)
		if now < percent {
			t.Errorf("percent_done falls from %v to %v", percent, now)
		}
		percent = now
		known := false
		for _, p := range told {
			known = known || reflect.DeepEqual(p, e.data)
		}
		if filed := i == 0 && e.data["status"] == "accepted" && now == 0; !known && !filed {
			t.Errorf("event %d is none of the topic: %v\n%v", i, e.data, told)
		}
		for key := range told[0] {
			if _, there := e.data[key]; !there {
				t.Errorf("event %d lacks %s: %v", i, key, e.data)
			}
		}
		for key := range e.data {
			if _, there := told[0][key]; !there {
				t.Errorf("event %d has %s: %v", i, key, e.data)
			}
		}
	}
	last := got[len(got)-1]
	if want := completionsNamed(t, s, last.data["workspace_id"].(string))[id]; len(want) != 1 ||
		last.name != "completion" || last.id == "" || !reflect.DeepEqual(last.data, want[0]) {
		t.Errorf("the completion is %+v, published was %v", last, want)
	}
}

func eventsAreThoseOfTheTopics(t *testing.T, p *places) {
	s := p.a
	for _, at := range []e2etest.Endpoint{p.a, p.b} {
		id := s.File(t, ofA(object{"name": "watched", "fragment": object{"max_records": 20}}))
		got := watchExport(t, at, id).rest(t)
		checkEvents(t, p.Site, id, got)
		for _, again := range []e2etest.Endpoint{p.a, p.b} { // it has ended
			events := watchExport(t, again, id).rest(t)
			if len(events) != 1 || !reflect.DeepEqual(events[0], got[len(got)-1]) {
				t.Errorf("the events of an ended export are %v, want %v", events, got[len(got)-1])
			}
			again.Get(t, "/v1/exports/"+id+"/events", "Last-Event-ID: "+events[0].id).Want(t, http.StatusNoContent)
			if got := again.Get(t, "/v1/exports/"+id+"/events", "Last-Event-ID: another").
				Want(t, http.StatusOK); !strings.Contains(string(got.Body), "event: completion\n") {
				t.Errorf("after another event: %s", got.Body)
			}
		}
	}
	s.Get(t, "/v1/exports/nope/events").Problem(t, http.StatusNotFound)
	s.Get(t, "/v1/exports/a%20b/events").Problem(t, http.StatusUnprocessableEntity, "id")
	s.Get(t, "/v1/exports/nope/events?colour=red").Problem(t, http.StatusUnprocessableEntity, "colour")
}
