package e2etest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// Shared returns the path of a file of real run events. It skips the test where their folder is not beside the project.
func Shared(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the real run events are not beside the project: %v", err)
	}
	return path
}

// Scale returns n, or full in `make soak`.
func Scale[T any](n, full T) T {
	if os.Getenv("MILLRACE_TEST_SOAK") == "true" {
		return full
	}
	return n
}

// Kills returns n, half of it on Apache Kafka, whose transactions take longer, or full in `make soak`.
func Kills(n, full int) int {
	if localtest.OnKafkaCluster() {
		n = (n + 1) / 2
	}
	return Scale(n, full)
}

// Random returns seeded randomness; the seed is printed, and MILLRACE_TEST_SEED sets it.
func Random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("MILLRACE_TEST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("MILLRACE_TEST_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("MILLRACE_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// ReadLines returns the lines of a file, which may be compressed with gzip.
func ReadLines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil && strings.HasSuffix(name, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(text)); err == nil {
			text, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// SampleFile writes the events of a generator to a file for `millrace replay`.
func SampleFile(t *testing.T, cfg sample.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var buf []byte
	g := sample.New(cfg)
	for e, ok := g.Next(); ok; e, ok = g.Next() {
		if buf = e.AppendLine(buf); len(buf) > 1<<20 {
			if _, err := f.Write(buf); err != nil {
				t.Fatal(err)
			}
			buf = buf[:0]
		}
	}
	if _, err := f.Write(buf); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// SampleRows returns queries and the counts that the events of a generator come to.
func SampleRows(cfg sample.Config) map[string]uint64 {
	want := sample.Expect(cfg)
	rows := map[string]uint64{
		"SELECT count() FROM runs_latest":                            uint64(want.Runs),
		"SELECT uniqExact(run_id) FROM runs_latest":                  uint64(want.Runs),
		"SELECT count() FROM nodes_latest":                           uint64(want.Nodes),
		"SELECT uniqExact(run_id, node_run_id) FROM nodes_latest":    uint64(want.Nodes),
		"SELECT count() FROM feedback_latest":                        uint64(want.Feedback),
		"SELECT uniqExact(run_id, feedback_id) FROM feedback_latest": uint64(want.Feedback),
	}
	for status, n := range want.RunsByStatus {
		rows["SELECT count() FROM runs_latest WHERE status = '"+status+"'"] = uint64(n)
	}
	for status, n := range want.NodesByStatus {
		rows["SELECT count() FROM nodes_latest WHERE status = '"+status+"'"] = uint64(n)
	}
	return rows
}

const goodLine = `{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"ID","source":"copilot","app_id":"a","started_at":"2026-11-01T00:00:00Z","status":"succeeded"}`

// RunLine returns the line of a run event in bare JSON.
func RunLine(id string) string { return strings.Replace(goodLine, "ID", id, 1) }

// RealApp is an app of the real data, in workspace acme.
type RealApp struct{ Source, ID, File string }

// The apps of the real data.
var (
	MathTutor = RealApp{"recipe", "math-tutor", "math-recipe.events.jsonl.gz"}
	Airline   = RealApp{"copilot", "airline-assistant", "airline-copilot.events.jsonl.gz"}
)

// Request returns a request for runs of the app. Its fragments, and with small windows its windows, have windowRows.
func (a RealApp) Request(id string, windowRows int, selection, filters Object) Object {
	r := Object{
		"export_id": id, "workspace_id": "acme", "purpose": "export_dataset", "source": a.Source, "app_id": a.ID,
		"selection": selection, "fragment": Object{"max_records": windowRows},
	}
	if filters != nil {
		r["filters"] = filters
	}
	return r
}

// scoresOf are the scores of a record with this feedback, the only one of its run.
func scoresOf(f Object) []any {
	scores := []any{}
	if f["score"] != nil {
		scores = append(scores, Object{"name": "score", "value": f["score"], "label": nil})
	}
	if value, rated := map[any]string{"thumbsUp": "1", "thumbsDown": "0"}[f["rating"]]; rated {
		scores = append(scores, Object{"name": "rating", "value": json.Number(value), "label": f["rating"]})
	}
	return scores
}

// judgementsOf are the judgements of a record with this feedback, the only one of its run.
func judgementsOf(f Object) []any {
	if f == nil {
		return []any{}
	}
	judgement := Object{"kind": "human"}
	for _, key := range []string{"feedback_id", "name", "rating", "score", "comment", "tags", "corrected_answer",
		"created_by", "created_at"} {
		judgement[key] = f[key]
	}
	if judgement["tags"] == nil {
		judgement["tags"] = []any{}
	}
	return []any{judgement}
}

// SourceRecords are the canonical records of the recipe runs, made from the source events alone.
func SourceRecords(t *testing.T, name string) map[string]Object {
	t.Helper()
	records, feedback := map[string]Object{}, map[string]Object{}
	for _, l := range ReadLines(t, name) {
		e := ParseObject(t, l)
		data := e["data"].(Object)
		switch e["type"] {
		case "dev.millrace.run.v1":
			records[data["run_id"].(string)] = data
		case "dev.millrace.feedback.v1":
			feedback[data["run_id"].(string)] = data
		}
	}
	for id, r := range records {
		f := feedback[id]
		r["feedback"] = Object{"rating": f["rating"], "score": f["score"], "comment": f["comment"], "tags": f["tags"],
			"corrected_answer": f["corrected_answer"]}
		r["scores"], r["judgements"] = scoresOf(f), judgementsOf(f)
		began, err1 := time.Parse(time.RFC3339Nano, r["started_at"].(string))
		ended, err2 := time.Parse(time.RFC3339Nano, r["ended_at"].(string))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		r["latency_ms"] = json.Number(fmt.Sprint(ended.Sub(began).Milliseconds()))
		delete(r, "workspace_id")
	}
	return records
}
