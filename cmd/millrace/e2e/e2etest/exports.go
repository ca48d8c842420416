package e2etest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// Batch is exports that are requested at once, by a producer of its own.
type Batch struct {
	site   *Site
	client *kgo.Client
	filed  map[export.ID]bool
}

// NewBatch returns a batch without exports.
func NewBatch(t *testing.T, s *Site) *Batch {
	t.Helper()
	return &Batch{s, KafkaClient(t, s.Kafka), map[export.ID]bool{}}
}

// File files the request of an export.
func (b *Batch) File(t *testing.T, request Object) {
	t.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	id := export.ID{WorkspaceID: request["workspace_id"].(string), ExportID: request["export_id"].(string)}
	b.filed[id] = true
	e := event.Event{ID: uuid.NewString(), Source: "test", Type: export.TypeRequested, Time: time.Now(), Data: text}
	b.client.Produce(t.Context(), e.Record(b.site.Prefix+event.TopicExportRequests, id.Key()),
		func(_ *kgo.Record, err error) {
			if err != nil && t.Context().Err() == nil {
				t.Errorf("file export %s: %v", id, err)
			}
		})
}

// batchSilence is how long no export of a batch may end. The limit is not one of the whole batch: a
// loaded machine is slow, but exports that end show that nothing is stuck.
const batchSilence = 3 * time.Minute

// Wait waits until all exports of the batch have ended, and returns their completions. Each must have one.
func (b *Batch) Wait(t *testing.T) map[export.ID]export.Completion {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stuck := time.AfterFunc(batchSilence, cancel)
	defer stuck.Stop()
	if err := b.client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	reader := KafkaClient(t, b.site.Kafka, kgo.ConsumeTopics(b.site.Prefix+event.TopicExportCompletions),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	found := map[export.ID]export.Completion{}
	for len(found) < len(b.filed) {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d exports have ended, and none of the others for %s", len(found), len(b.filed), batchSilence)
		}
		for _, r := range fetches.Records() {
			if c := ParseCompletion(t, r); b.filed[c.ID] {
				found[c.ID] = c
				stuck.Reset(batchSilence)
			}
		}
	}
	for _, s := range ExportStages {
		WaitConsumed(t, b.site, s.Topic, s.Stage)
	}
	times := map[export.ID]int{}
	for _, r := range b.site.ReadTopic(t, event.TopicExportCompletions) {
		if r.Attrs.IsControl() {
			continue
		}
		if c := ParseCompletion(t, r); b.filed[c.ID] {
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

// ParseCompletion reads a record of topic export-completions.
func ParseCompletion(t *testing.T, r *kgo.Record) (c export.Completion) {
	t.Helper()
	if err := json.Unmarshal(r.Value, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// ReadObject reads an object of an export in a bucket that is a folder. The key is relative to the export.
func ReadObject(t *testing.T, c *export.Completion, key string) []byte {
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

// PlanOf reads the plan of an export.
func PlanOf(t *testing.T, c *export.Completion) *export.Plan {
	t.Helper()
	p := new(export.Plan)
	if err := json.Unmarshal(ReadObject(t, c, export.PlanName), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// RecordsOf returns the records of an export in JSONL, in the order of the manifest.
func RecordsOf(t *testing.T, c *export.Completion) (records []Object) {
	t.Helper()
	var m export.Manifest
	if err := json.Unmarshal(ReadObject(t, c, export.ManifestName), &m); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if f.Kind == export.Data {
			records = append(records, JSONLines(t, string(ReadObject(t, c, f.Key)))...)
		}
	}
	return records
}

// CheckedRunIDs checks the files of an export in JSONL against its manifest, and returns the run ids of its records.
func CheckedRunIDs(t *testing.T, c export.Completion) (ids []string) {
	t.Helper()
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(uri.Path)
	if err != nil {
		t.Fatal(err)
	}
	var m export.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if sum(text) != c.ManifestSHA256 || m.Status != export.StatusSucceeded || m.ExportID != c.ExportID {
		t.Errorf("export %s: the manifest is not that of the completion", c.ExportID)
	}
	for _, f := range m.Files {
		body, err := os.ReadFile(filepath.Join(filepath.Dir(uri.Path), filepath.FromSlash(f.Key)))
		if err != nil {
			t.Error(err)
			continue
		}
		if sum(body) != f.SHA256 || int64(len(body)) != f.Bytes {
			t.Errorf("export %s: %s is not as the manifest says", c.ExportID, f.Key)
		}
		if f.Kind != export.Data {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
		if int64(len(lines)) != f.Records {
			t.Errorf("export %s: %s has %d records, the manifest says %d", c.ExportID, f.Key, len(lines), f.Records)
		}
		for _, l := range lines {
			ids = append(ids, ParseObject(t, l)["run_id"].(string))
		}
	}
	return ids
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// LineageOf returns the lineage of a fine-tuning export, in the order of its records.
func LineageOf(t *testing.T, c *export.Completion) (lines []Object) {
	t.Helper()
	var m struct{ Files []export.File }
	Decode(t, ReadObject(t, c, export.ManifestName), &m)
	for _, f := range m.Files {
		if f.Kind == export.Lineage {
			lines = append(lines, JSONLines(t, string(ReadObject(t, c, f.Key)))...)
		}
	}
	at := map[string]int{}
	for _, l := range lines {
		file := l["file"].(string)
		at[file]++
		if fmt.Sprint(l["line"]) != fmt.Sprint(at[file]) {
			t.Fatalf("lineage %v is not of line %d", l, at[file])
		}
	}
	return lines
}
