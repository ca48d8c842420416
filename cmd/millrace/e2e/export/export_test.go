package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// An export request piped into the topic with kcat, in bare JSON, gives back all 5,276 recipe runs
// of the real data, in 36 fragments, equal to the source events field by field — and so does
// `millrace request`.
func TestRealRunsAreExportedAsTheyWereSent(t *testing.T) {
	t.Parallel()
	events := e2etest.Shared(t, "math-recipe.events.jsonl.gz")
	if _, err := exec.LookPath("kcat"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("kcat (Debian package kcat) must be there where CI=true: %v", err)
		}
		t.Skipf("kcat is not installed (Debian package kcat): %v", err)
	}
	local, env := e2etest.StartLocal(t)
	env.Run(t, "replay", events)
	e2etest.WaitForCounts(t, e2etest.Connect(t, local.DSN), time.Minute, map[string]uint64{
		"SELECT count() FROM runs_with_feedback WHERE feedback_rating != ''": 5276})
	want := e2etest.SourceRecords(t, events)

	kcat := exec.Command("kcat", "-P", "-b", local.Kafka, "-t", "millrace.export-requests")
	kcat.Stdin = strings.NewReader(
		`{"export_id":"by-kcat","workspace_id":"acme","name":"October math tutor","requested_by":"analytics@acme.example",` +
			`"purpose":"export_dataset","source":"recipe","app_id":"math-tutor","selection":{"limit":10000}}` + "\n")
	if out, err := kcat.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v\n%s", err, out)
	}
	completions := completionsOf(t, local.Kafka)
	checkExport(t, local, completions.next(t, "by-kcat"), want)

	got := env.Try(t, "", "request", "--workspace", "acme", "--source", "recipe", "--app", "math-tutor", "--purpose",
		"export_dataset",
		"--from", "2026-01-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z", "--name", "by hand", "--watch")
	if got.Code != 0 {
		t.Fatalf("request: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	byHand := completions.next(t, "")
	checkExport(t, local, byHand, want)
	if !strings.Contains(got.Stdout, byHand["manifest_uri"].(string)) {
		t.Errorf("request --watch does not name the manifest:\n%s", got.Stdout)
	}
	var listed string
	e2etest.Eventually(t, 10*time.Second, func() string {
		if listed = env.Run(t, "exports", "ls", "--workspace", "acme"); strings.Count(listed, "succeeded") != 2 {
			return "exports ls:\n" + listed
		}
		return ""
	})
	if !strings.Contains(listed, "October math tutor") || !strings.Contains(listed, "5276") {
		t.Errorf("exports ls:\n%s", listed)
	}
	completions.none(t)
}

// checkExport checks a completion, its manifest, its files, and that the records are those wanted.
func checkExport(t *testing.T, local *e2etest.LocalStack, completion object, want map[string]object) {
	t.Helper()
	for field, value := range map[string]string{"status": "succeeded", "records": "5276", "rows_planned": "5276",
		"rows_used": "5276", "fragments": "36"} {
		if got := fmt.Sprint(completion[field]); got != value {
			t.Errorf("completion: %s is %s, want %s", field, got, value)
		}
	}
	uri, err := url.Parse(completion["manifest_uri"].(string))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(uri.Path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != completion["manifest_sha256"] {
		t.Error("manifest_sha256 is not that of the manifest")
	}
	manifest := e2etest.ParseObject(t, string(text))
	seen := map[string]bool{}
	last, full := "", 0
	for _, entry := range manifest["files"].([]any) {
		f := entry.(object)
		if f["kind"] != "data" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(filepath.Dir(uri.Path), filepath.FromSlash(f["key"].(string))))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != f["sha256"] ||
			fmt.Sprint(len(body)) != fmt.Sprint(f["bytes"]) {
			t.Errorf("%s is not as the manifest says", f["key"])
		}
		lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
		if fmt.Sprint(len(lines)) != fmt.Sprint(f["records"]) {
			t.Errorf("%s has %d records, the manifest says %v", f["key"], len(lines), f["records"])
		}
		if len(lines) == 150 {
			full++
		}
		for _, l := range lines {
			record := e2etest.ParseObject(t, l)
			id := record["run_id"].(string)
			if seen[id] {
				t.Fatalf("run %s is there twice", id)
			}
			seen[id] = true
			if at := record["started_at"].(string) + id; at < last {
				t.Errorf("run %s is out of order", id)
			} else {
				last = at
			}
			compareRecord(t, record, want[id])
		}
	}
	if len(seen) != 5276 || full != 35 {
		t.Errorf("%d runs, %d full fragments; want 5276 and 35", len(seen), full)
	}
}

func compareRecord(t *testing.T, got, want object) {
	t.Helper()
	if want == nil {
		t.Fatalf("run %v was never sent", got["run_id"])
	}
	for key, value := range want {
		if !reflect.DeepEqual(normal(value), normal(got[key])) {
			t.Errorf("run %v: %s is %v, sent was %v", got["run_id"], key, got[key], value)
		}
	}
	for key, value := range got {
		if _, sent := want[key]; sent || key == "id" {
			continue
		}
		if v := fmt.Sprint(value); value != nil && v != "[]" && v != "map[]" {
			t.Errorf("run %v: %s is %v, and was not sent", got["run_id"], key, value)
		}
	}
}

// normal makes values comparable: 0.0 and 0 are one number, and an empty list or text is an absent
// one.
func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case object:
		out := object{}
		for k, e := range v {
			if e = normal(e); e != nil {
				out[k] = e
			}
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = normal(e)
		}
		return out
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}

// completions reads topic export-completions as a read_committed consumer does.
type completions struct{ client *kgo.Client }

func completionsOf(t *testing.T, kafka string) *completions {
	t.Helper()
	return &completions{e2etest.KafkaClient(t, kafka, kgo.ConsumeTopics("millrace.export-completions"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))}
}

// next waits for the next completion, which must be that of the export, if one is named.
func (c *completions) next(t *testing.T, exportID string) object {
	t.Helper()
	var value object
	e2etest.Eventually(t, time.Minute, func() string {
		records := c.client.PollRecords(t.Context(), 1).Records()
		if len(records) == 0 {
			return "no completion"
		}
		value = e2etest.ParseObject(t, string(records[0].Value))
		return ""
	})
	if exportID != "" && value["export_id"] != exportID {
		t.Fatalf("completion of %v, want %s", value["export_id"], exportID)
	}
	return value
}

// none checks that no more completions come for a while.
func (c *completions) none(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if records := c.client.PollRecords(ctx, 1).Records(); len(records) > 0 {
		t.Errorf("one completion too many: %s", records[0].Value)
	}
}
