package e2e

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// batch is exports that are asked for at once, by a producer of its own.
type batch struct {
	site   *site
	client *kgo.Client
	filed  map[export.ID]bool
}

func newBatch(t *testing.T, s *site) *batch {
	t.Helper()
	return &batch{s, kafkaClient(t, s.kafka), map[export.ID]bool{}}
}

// file asks for an export.
func (b *batch) file(t *testing.T, request object) {
	t.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	id := export.ID{WorkspaceID: request["workspace_id"].(string), ExportID: request["export_id"].(string)}
	b.filed[id] = true
	e := event.Event{ID: uuid.NewString(), Source: "test", Type: export.TypeRequested, Time: time.Now(), Data: text}
	b.client.Produce(t.Context(), e.Record(b.site.prefix+event.TopicExportRequests, id.Key()),
		func(_ *kgo.Record, err error) {
			if err != nil && t.Context().Err() == nil {
				t.Errorf("file export %s: %v", id, err)
			}
		})
}

// ended waits until all exports of the batch have ended, and returns their completions: one each.
func (b *batch) ended(t *testing.T) map[export.ID]export.Completion {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := b.client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	reader := kafkaClient(t, b.site.kafka, kgo.ConsumeTopics(b.site.prefix+event.TopicExportCompletions),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	found := map[export.ID]export.Completion{}
	for len(found) < len(b.filed) {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d exports have ended in time", len(found), len(b.filed))
		}
		for _, r := range fetches.Records() {
			if c := completionIn(t, r); b.filed[c.ID] {
				found[c.ID] = c
			}
		}
	}
	for _, s := range exportStages {
		consumed(t, b.site, s.topic, s.stage)
	}
	times := map[export.ID]int{}
	for _, r := range b.site.read(t, event.TopicExportCompletions) {
		if r.Attrs.IsControl() {
			continue
		}
		if c := completionIn(t, r); b.filed[c.ID] {
			times[c.ID]++
		}
	}
	for id := range b.filed {
		if times[id] != 1 {
			t.Errorf("export %s has %d completions", id, times[id])
		}
	}
	return found
}

func completionIn(t *testing.T, r *kgo.Record) (c export.Completion) {
	t.Helper()
	if err := json.Unmarshal(r.Value, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// beside reads an object of an export's folder in a bucket that is a folder.
func beside(t *testing.T, c *export.Completion, key string) []byte {
	t.Helper()
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(filepath.Dir(uri.Path), filepath.FromSlash(key)))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func planOf(t *testing.T, c *export.Completion) *export.Plan {
	t.Helper()
	p := new(export.Plan)
	if err := json.Unmarshal(beside(t, c, export.PlanName), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// recordsOf are the records of an export in JSONL, in the order of the manifest.
func recordsOf(t *testing.T, c *export.Completion) (records []object) {
	t.Helper()
	var m export.Manifest
	if err := json.Unmarshal(beside(t, c, export.ManifestName), &m); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if f.Kind == export.Data {
			records = append(records, jsonLines(t, string(beside(t, c, f.Key)))...)
		}
	}
	return records
}

// texts runs a query that returns one column of text.
func texts(t *testing.T, conn driver.Conn, query string) (list []string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		list = append(list, text)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return list
}
