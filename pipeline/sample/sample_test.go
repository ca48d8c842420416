package sample

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// sent is an event as a consumer sees it: parsed from its line by encoding/json.
type sent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Raw             json.RawMessage `json:"data"`
	data            data
	line            []byte
}

type data = map[string]any

func (e *sent) str(field string) string {
	s, _ := e.data[field].(string)
	return s
}

// key is the identity of the run, node run or feedback of an event.
func (e *sent) key() string {
	return e.Type + " " + e.str("workspace_id") + "/" + e.str("run_id") + "/" + e.str("node_run_id") + e.str("feedback_id")
}

func (e *sent) updated(t *testing.T) time.Time { return instant(t, e.str("updated_at")) }

// version orders the snapshots of one identity as the store does.
func (e *sent) version(t *testing.T) int64 {
	v := e.updated(t).UnixMicro() * 2
	if s := e.str("status"); s != "" && s != running {
		v++
	}
	return v
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000Z", s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func collect(t *testing.T, c Config) []sent {
	t.Helper()
	var all []sent
	for g := New(c); ; {
		e, ok := g.Next()
		if !ok {
			return all
		}
		s := sent{line: e.AppendLine(nil)}
		if err := json.Unmarshal(s.line, &s); err != nil {
			t.Fatalf("%s: %v", e.ID, err)
		}
		if err := json.Unmarshal(s.Raw, &s.data); err != nil {
			t.Fatalf("%s: %v", e.ID, err)
		}
		if s.str("workspace_id") != e.WorkspaceID || s.str("run_id") != e.RunID || s.Subject != e.RunID ||
			!s.Time.Equal(e.Time) || !bytes.Equal(s.Raw, e.Data) {
			t.Fatalf("%s: the event and its line differ", e.ID)
		}
		all = append(all, s)
	}
}

var twoThousand = Config{Seed: 1, Runs: 2000}

var cached struct {
	once sync.Once
	all  []sent
}

// sample is the events of 2,000 runs.
func sample(t *testing.T) []sent {
	t.Helper()
	cached.once.Do(func() { cached.all = collect(t, twoThousand) })
	return cached.all
}

func digest(c Config, events int) string {
	h := sha256.New()
	var line []byte
	g := New(c)
	for range events {
		e, _ := g.Next()
		line = e.AppendLine(line[:0])
		h.Write(line)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A failure here means that every data set made from the sample changes. If that is meant, take
// over the new hash.
func TestTheFirst2000EventsAreAsEver(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"full", Config{Seed: 1}, "bc175c484e89d8ea7a1fe15531e1934e5739fb9b251152c02c3dcb22efbbe78b"},
		{"plain", Config{Seed: 1, Plain: true}, "ef3af553c2e1118ef7430ed2d7b78386d8550982ca9adfb10c50508dbd68e5d1"},
		{"workspaces", Config{Seed: 7, Workspaces: []string{"acme", "beta_2"}, Interval: time.Minute,
			Start: time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC)},
			"559aab8ee26e52ae204ebce8c0a4b58682421971050157ff5776059bfc4afc91"},
	} {
		if got := digest(c.config, 2000); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTheSameConfigGivesTheSameBytes(t *testing.T) {
	a, b := collect(t, Config{Seed: 3, Runs: 150}), collect(t, Config{Seed: 3, Runs: 150})
	if !slices.EqualFunc(a, b, func(x, y sent) bool { return bytes.Equal(x.line, y.line) }) {
		t.Error("two generators of one Config differ")
	}
	if other := collect(t, Config{Seed: 4, Runs: 150}); bytes.Equal(a[0].line, other[0].line) {
		t.Error("another seed gives the same first event")
	}
}

// The events of a run do not depend on how many follow it: only on its index.
func TestALongerSampleHasTheSameEventsOfARun(t *testing.T) {
	lines := map[string]bool{}
	for _, e := range sample(t) {
		lines[string(e.line)] = true
	}
	for _, e := range collect(t, Config{Seed: twoThousand.Seed, Runs: 300}) {
		if !lines[string(e.line)] {
			t.Fatalf("%s is not in the longer sample", e.ID)
		}
	}
}

func TestExpectEqualsARecount(t *testing.T) {
	for _, c := range []Config{
		twoThousand, {Seed: 2, Runs: 1}, {Seed: 9, Runs: 700, Workspaces: []string{"a", "b", "c"},
			Interval: time.Millisecond},
		{Seed: 5, Runs: 400, Plain: true},
	} {
		if got, want := recount(t, collect(t, c)), Expect(c); !equalTotals(got, want) {
			t.Errorf("%+v: recounted %+v, expected %+v", c, got, want)
		}
	}
}

func equalTotals(a, b Totals) bool {
	return a.Events == b.Events && a.Runs == b.Runs && a.Nodes == b.Nodes && a.Feedback == b.Feedback &&
		maps.Equal(a.RunsByStatus, b.RunsByStatus) && maps.Equal(a.RunsByApp, b.RunsByApp) &&
		maps.Equal(a.RunsByRating, b.RunsByRating) && maps.Equal(a.NodesByStatus, b.NodesByStatus)
}

// recount finds the final state as the store would, and knows nothing of how the events were made.
func recount(t *testing.T, all []sent) Totals {
	latest := map[string]sent{}
	for _, e := range all {
		if old, ok := latest[e.key()]; !ok || e.version(t) > old.version(t) {
			latest[e.key()] = e
		}
	}
	n := Totals{
		Events: len(all), RunsByStatus: map[string]int{}, RunsByApp: map[string]int{}, RunsByRating: map[string]int{},
		NodesByStatus: map[string]int{},
	}
	verdicts := map[string]sent{}
	for _, e := range latest {
		switch e.Type {
		case TypeRun:
			n.Runs++
			n.RunsByStatus[e.str("status")]++
			n.RunsByApp[e.str("app_id")]++
		case TypeNode:
			n.Nodes++
			n.NodesByStatus[e.str("status")]++
		case TypeFeedback:
			n.Feedback++
			run := e.str("workspace_id") + "/" + e.str("run_id")
			old, ok := verdicts[run]
			newer := !ok || e.version(t) > old.version(t) || e.version(t) == old.version(t) &&
				e.str("feedback_id") > old.str("feedback_id")
			if e.str("node_id") == "" && newer {
				verdicts[run] = e
			}
		}
	}
	for _, e := range verdicts {
		if r := e.str("rating"); r != "" {
			n.RunsByRating[r]++
		}
	}
	return n
}

func TestDefaults(t *testing.T) {
	e, ok := New(Config{}).Next()
	if !ok || e.WorkspaceID != "default" {
		t.Fatalf("workspace %q, %v", e.WorkspaceID, ok)
	}
	var d data
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatal(err)
	}
	if d["started_at"] != "2026-01-05T08:00:00.000Z" {
		t.Errorf("the first run starts at %v", d["started_at"])
	}
}

func TestWorkspacesTakeTurns(t *testing.T) {
	n := map[string]map[string]bool{}
	for _, e := range collect(t, Config{Seed: 1, Runs: 90, Workspaces: []string{"a", "b", "c"}}) {
		w := e.str("workspace_id")
		if n[w] == nil {
			n[w] = map[string]bool{}
		}
		n[w][e.str("run_id")] = true
	}
	if len(n) != 3 || len(n["a"]) != 30 || len(n["b"]) != 30 || len(n["c"]) != 30 {
		t.Errorf("runs by workspace: %d %d %d", len(n["a"]), len(n["b"]), len(n["c"]))
	}
}

func TestPlainEventsAreAlike(t *testing.T) {
	all := collect(t, Config{Seed: 1, Runs: 1000, Plain: true})
	if len(all) != 1000 {
		t.Fatalf("%d events", len(all))
	}
	total := 0
	for _, e := range all {
		if total += len(e.Raw); e.Type != TypeRun || e.str("status") != succeeded || len(e.Raw) < 1000 || len(e.Raw) > 1400 {
			t.Fatalf("%d bytes: %s", len(e.Raw), e.Raw)
		}
	}
	if mean := total / len(all); mean < 1150 || mean > 1250 {
		t.Errorf("%d bytes on average", mean)
	}
}

// The memory of an endless generator is bounded: its buffers stop growing, and each event allocates
// only its id.
func TestRandomIDsAreInNoOrderAndOfOneRunEach(t *testing.T) {
	t.Parallel()
	var ids []string
	for g := New(Config{Runs: 100, Plain: true, RandomIDs: true}); ; {
		e, ok := g.Next()
		if !ok {
			break
		}
		ids = append(ids, e.RunID)
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(sorted) != 100 || slices.Equal(ids, sorted) {
		t.Errorf("%d ids, %q", len(sorted), ids[:10])
	}
}

func TestMemoryIsFlat(t *testing.T) {
	for _, plain := range []bool{false, true} {
		g := New(Config{Seed: 1, Plain: plain})
		next := func() { g.Next() }
		for range 30_000 {
			next()
		}
		if n := testing.AllocsPerRun(10_000, next); n > 1.5 {
			t.Errorf("plain %v: %.1f allocations an event", plain, n)
		}
		if size := cap(g.doc.b) + cap(g.run.arena) + cap(g.run.said.b) + cap(g.id); size > 4<<20 {
			t.Errorf("plain %v: buffers of %d bytes", plain, size)
		}
		if n := cap(g.run.nodes) + cap(g.run.parts) + cap(g.run.verdicts) + cap(g.run.chunks); n > 128 {
			t.Errorf("plain %v: plans of %d parts", plain, n)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("plain=%v", plain), func(b *testing.B) {
			b.ReportAllocs()
			g, n := New(Config{Seed: 1, Plain: plain}), 0
			for b.Loop() {
				e, _ := g.Next()
				n += len(e.Data)
			}
			b.SetBytes(int64(n / b.N))
		})
	}
}

func BenchmarkAppendLine(b *testing.B) {
	b.ReportAllocs()
	g, n := New(Config{Seed: 1}), 0
	var line []byte
	for b.Loop() {
		e, _ := g.Next()
		line = e.AppendLine(line[:0])
		n += len(line)
	}
	b.SetBytes(int64(n / b.N))
}

func BenchmarkExpect(b *testing.B) {
	for b.Loop() {
		Expect(Config{Seed: 1, Runs: 1000})
	}
}
