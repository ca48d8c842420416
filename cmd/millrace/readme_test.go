package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace"
	"github.com/millrace/millrace/pipeline/sample"
)

// documents returns the text of all documents of the repository.
func documents() string {
	var all strings.Builder
	for _, d := range millrace.Documents {
		all.WriteString(d.Text())
	}
	return all.String()
}

// Every query of the documents is run as it is printed there, and finds something in a sample of runs.
func TestQueriesOfTheDocumentsWorkWhenPasted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := sample.Config{Seed: 3, Runs: 400, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
	s.env.start(t, "ingest")
	s.env.run(t, "replay", sampleFile(t, cfg))
	counted(t, s.conn, time.Minute, sampleRows(cfg))
	queries := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(documents(), -1)
	if len(queries) < 4 {
		t.Fatalf("only %d queries", len(queries))
	}
	for _, q := range queries {
		if n := count(t, s.conn, "SELECT count() FROM ("+q[1]+")"); n == 0 {
			t.Errorf("no rows of:\n%s", q[1])
		}
	}
}

// The events of the documents' examples are accepted as they are printed there.
func TestExamplesOfTheDocumentsAreAccepted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.env.start(t, "ingest")
	events := regexp.MustCompile(`(?m)^echo '(\{"type":.*\})' \\$`).FindAllStringSubmatch(documents(), -1)
	if len(events) == 0 {
		t.Fatal("no example")
	}
	structured := regexp.MustCompile("(?s)```json\n(\\{\n  \"specversion\".*?)```").FindStringSubmatch(documents())
	if structured == nil {
		t.Fatal("no structured example")
	}
	lines := strings.ReplaceAll(structured[1], "\n", " ")
	for _, e := range events {
		lines += "\n" + e[1]
	}
	if got := s.env.try(t, lines, "replay", "-"); got.code != 0 {
		t.Fatalf("exit code %d\n%s", got.code, got.stderr)
	}
	counted(t, s.conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": uint64(len(events) + 1)})
}
