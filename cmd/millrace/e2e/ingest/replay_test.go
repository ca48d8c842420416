package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

func TestReplayReadsEveryKindOfFileAndPassesOverBadLines(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const mark = "\ufeff" // a byte order mark, as other programs write it
	var gz bytes.Buffer   // two members, as `cat` joins them
	for _, text := range []string{mark + e2etest.RunLine("gz-1") + "\r\n\r\n", mark + e2etest.RunLine("gz-2")} {
		z := gzip.NewWriter(&gz)
		z.Write([]byte(text))
		z.Close()
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{
		write("a.jsonl", []byte(mark+e2etest.RunLine("plain")+"\r\nnot json\n"+e2etest.RunLine("bad id!")+"\n"+
			e2etest.RunLine("plain-2"))),
		write("b.jsonl.gz", gz.Bytes()),
		write("c.jsonl.zst", slices.Concat([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip"), // a skippable frame
			encoder.EncodeAll([]byte(mark+e2etest.RunLine("zst")+"\n"), nil),
			encoder.EncodeAll([]byte(e2etest.RunLine("zst-2")+"\n"), nil))),
		"-",
	}
	got := s.Env.Try(t, e2etest.RunLine("stdin"), append([]string{"replay"}, files...)...)
	if got.Code != e2etest.ExitFailed {
		t.Errorf("exit code %d, want 1, since lines were skipped", got.Code)
	}
	for _, want := range []string{"a.jsonl:2: skipped: invalid_json", "a.jsonl:3: skipped: bad_id: /run_id"} {
		if !strings.Contains(got.Stderr, want) {
			t.Errorf("no %q in %q", want, got.Stderr)
		}
	}
	if !strings.Contains(got.Stdout, "published 7 events, 2 lines skipped") {
		t.Errorf("%q", got.Stdout)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest": 7,
		"SELECT count() FROM runs_latest WHERE run_id IN ('plain', 'plain-2', 'gz-1', 'gz-2', 'zst', 'zst-2', 'stdin')": 7,
	})
}

func TestReplayWaitsUntilItsRowsCanBeQueried(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	env := append(s.Env, "HTTP_ADDR=:8181")
	replay := func(run, says, not string, flags ...string) {
		t.Helper()
		got := env.Try(t, e2etest.RunLine(run), append([]string{"replay", "-"}, flags...)...)
		const where = "workspace acme, copilot a: http://127.0.0.1:8181/history?app=a&source=copilot\n"
		if got.Code != 0 || !strings.Contains(got.Stdout, says) || strings.Contains(got.Stdout, not) ||
			!strings.Contains(got.Stdout, where) {
			t.Errorf("replay %v: exit code %d, %q %q", flags, got.Code, got.Stdout, got.Stderr)
		}
	}
	replay("before", "not stored yet: no `millrace ingest` runs", "can be queried")
	append(s.Env, "INGEST_BATCH_INTERVAL=2s").Start(t, "ingest")
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": 1})
	replay("now", "they can be queried", "not stored")
	if n := e2etest.Count(t, s.Conn, "SELECT count() FROM runs_latest"); n != 2 {
		t.Errorf("%d runs can be queried, want 2", n)
	}
	replay("after", "published 1 events", "stored", "--no-wait")
	if n := e2etest.Count(t, s.Conn, "SELECT count() FROM runs_latest"); n != 2 {
		t.Errorf("%d runs can be queried at once after --no-wait, want 2", n)
	}
}

func TestReplayKeepsToItsRate(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	began := time.Now()
	if got := s.Env.Try(t, strings.Repeat(e2etest.RunLine("x")+"\n", 50), "replay", "--rate", "50", "-"); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("50 events at 50/s took %s", took)
	}
}

func TestDeadLettersAreListedShownAndReplayed(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	client := e2etest.KafkaClient(t, s.Kafka)
	if err := s.Conn.Exec(t.Context(), "ALTER TABLE runs ADD CONSTRAINT c CHECK run_id != 'refused'"); err != nil {
		t.Fatal(err)
	}
	e := event.Event{ID: "1", Source: "test", Type: "dev.millrace.run.v1", Data: []byte(e2etest.RunLine("refused"))}
	if err := client.ProduceSync(t.Context(), e.Record(s.Prefix+event.TopicRuns, []byte("acme/refused"))).
		FirstErr(); err != nil {
		t.Fatal(err)
	}
	type deadLetter struct {
		ID, Stage, Topic, Key, Detail string
		Code                          string `json:"error"`
	}
	var letters []deadLetter
	e2etest.Eventually(t, time.Minute, func() string {
		out := s.Env.Run(t, "dead-letters", "ls", "--json")
		letters = nil
		for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
			var l deadLetter
			if err := d.Decode(&l); err != nil {
				t.Fatal(err)
			}
			letters = append(letters, l)
		}
		if len(letters) != 1 {
			return "no dead letter yet"
		}
		return ""
	})
	l := letters[0]
	if l.Code != "row_refused" || l.Stage != "ingest" || l.Topic != s.Prefix+event.TopicRuns || l.Key != "acme/refused" ||
		strings.Contains(l.Detail, "refused'") {
		t.Errorf("%+v", l)
	}
	if out := s.Env.Run(t, "dead-letters", "show", l.ID); !strings.Contains(out, e2etest.RunLine("refused")) ||
		!strings.Contains(out, "millrace_error: row_refused") {
		t.Errorf("show:\n%s", out)
	}
	if err := s.Conn.Exec(t.Context(), "ALTER TABLE runs DROP CONSTRAINT c"); err != nil {
		t.Fatal(err)
	}
	s.Env.Run(t, "dead-letters", "replay", "--code", "row_refused")
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest WHERE run_id = 'refused'": 1})
	if got := s.Env.Try(t, "", "dead-letters", "show", "2/99"); got.Code != e2etest.ExitFailed {
		t.Errorf("a letter that does not exist: exit code %d", got.Code)
	}
}
