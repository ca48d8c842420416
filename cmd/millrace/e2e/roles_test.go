package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/sample"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestRolesServeHealthReadinessAndMetrics(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for role, metrics := range map[string][]string{
		"ingest": {
			`millrace_ingest_rows_total{table="runs"} 1`, "millrace_ingest_records_total 2", "millrace_ingest_bytes_total",
			"millrace_ingest_batch_records_bucket", "millrace_ingest_batch_bytes_bucket", "millrace_ingest_batch_seconds_bucket",
			`millrace_ingest_insert_seconds_count{table="runs"} 1`, `millrace_ingest_dead_letters_total{code="invalid_json"} 1`,
			`millrace_ingest_lag_records{partition="0"} 0`, "millrace_ingest_event_to_queryable_seconds_count 1",
			"go_goroutines",
		},
		"export": {"go_goroutines", "millrace_stage_"},
	} {
		p := s.env.start(t, role)
		ops := p.field(t, "ops")
		eventually(t, time.Minute, func() string {
			if code, body := get(t, ops+"/readyz"); code != http.StatusOK {
				return fmt.Sprintf("%s: /readyz: %d %s", role, code, body)
			}
			return ""
		})
		if code, _ := get(t, ops+"/healthz"); code != http.StatusOK {
			t.Errorf("%s: /healthz: %d", role, code)
		}
		if role == "ingest" {
			if got := s.env.try(t, line("x"), "replay", "-"); got.code != 0 {
				t.Fatal(got.stderr)
			}
			send(t, s, "{not json")
		}
		eventually(t, time.Minute, func() string {
			code, body := get(t, ops+"/metrics")
			for _, m := range metrics {
				if code != http.StatusOK || !strings.Contains(body, "\n"+m) {
					return fmt.Sprintf("%s: no %s in /metrics:\n%s", role, m, grep(body, "millrace_"))
				}
			}
			return ""
		})
		if code, took := p.stop(t); code != 0 || took > 10*time.Second {
			t.Errorf("%s: SIGTERM: exit code %d after %s", role, code, took)
		}
	}
}

func grep(text, prefix string) string {
	var lines []string
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, prefix) {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "")
}

// timeout(1) signals a process and then its group: the process sees SIGTERM twice, and exits with 0.
func TestSIGTERMThatIsRepeatedAtOnceIsOneRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, role := range []string{"ingest", "export", "serve"} {
		p := append(s.env, "HTTP_ADDR=127.0.0.1:0").start(t, role)
		p.field(t, "ops")
		tick := time.NewTicker(time.Millisecond)
		for range 20 {
			p.cmd.Process.Signal(syscall.SIGTERM)
			<-tick.C
		}
		tick.Stop()
		if code, _ := p.stop(t); code != 0 {
			t.Errorf("%s: exit code %d", role, code)
		}
	}
}

// On SIGTERM in the middle of a stream the batch is finished and committed.
func TestSIGTERMFinishesTheBatch(t *testing.T) {
	t.Parallel()
	cfg := sample.Config{Seed: 9, Runs: 3000}
	s := newSite(t)
	file := sampleFile(t, cfg)
	for range 3 {
		ingest := s.env.start(t, "ingest")
		ingest.field(t, "ops")
		replay := s.env.start(t, "replay", "--rate", "20000", file)
		before := count(t, s.conn, "SELECT sum(rows) FROM system.parts WHERE database = currentDatabase() AND active")
		eventually(t, time.Minute, func() string {
			if count(t, s.conn, "SELECT sum(rows) FROM system.parts WHERE database = currentDatabase() AND active") == before {
				return "nothing stored"
			}
			return ""
		})
		if code, took := ingest.stop(t); code != 0 || took > 10*time.Second {
			t.Errorf("SIGTERM: exit code %d after %s\n%s", code, took, ingest.log())
		}
		<-replay.done
	}
	s.env.start(t, "ingest")
	reachedTheEnd(t, s)
	counted(t, s.conn, time.Minute, sampleRows(cfg))
}

// Where waiting does not help a role stops, loudly.
func TestWrongCredentialsOrSchemaStopIngestWithWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct {
		name, want string
		env        environment
		spoil      string
	}{
		{"a wrong password", "MILLRACE_CLICKHOUSE_DSN", environment{"CLICKHOUSE_DSN=" + strings.Replace(s.DSN, "//",
			"//nobody:wrong@", 1)}, ""},
		{"a missing database", "millrace migrate", environment{"CLICKHOUSE_DSN=" + s.DSN + "_missing"}, ""},
		{"a missing topic", "millrace topics", environment{"KAFKA_TOPIC_PREFIX=other."}, ""},
		{"a missing table", "millrace migrate", nil, "DROP TABLE feedback"},
	} {
		if c.spoil != "" {
			if err := s.conn.Exec(t.Context(), c.spoil); err != nil {
				t.Fatal(err)
			}
		}
		env := append(append(environment{}, s.env...), c.env...)
		if got := env.try(t, "", "ingest"); got.code != exitFailed || !strings.Contains(got.stderr, c.want) ||
			strings.Contains(got.stderr, "wrong@") {
			t.Errorf("%s: exit code %d, no %q in\n%s", c.name, got.code, c.want, got.stderr)
		}
	}
}

func TestRequestsEndWithTheExitCodesOfTheContract(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.env.start(t, "export")
	base := []string{"request", "--workspace", "acme", "--source", "recipe", "--app", "a"}
	request := func(args ...string) []string { return append(append([]string{}, base...), args...) }

	wrong := s.env.try(t, "", request("--purpose", "nonsense", "--limit=-1", "--format", "xml")...)
	for _, pointer := range []string{"/purpose", "/selection/limit", "/format"} {
		if wrong.code != exitUsage || !strings.Contains(wrong.stderr, pointer) {
			t.Errorf("wrong request: exit code %d, %s is not in %q", wrong.code, pointer, wrong.stderr)
		}
	}
	empty := s.env.try(t, "", request("--purpose", "export_dataset", "--limit", "10", "--watch")...)
	if empty.code != 0 || !strings.Contains(empty.stdout, "succeeded: 0 records in 0 files") {
		t.Errorf("empty export: exit code %d, %q %q", empty.code, empty.stdout, empty.stderr)
	}
	// One that another producer has asked for, which checks nothing: whoever waits for it learns
	// how it ended.
	batch, wronglyFiled := newBatch(t, s), object{"export_id": "filed-wrongly", "workspace_id": "acme",
		"purpose": "nonsense", "source": "recipe", "app_id": "a", "selection": object{"limit": 10}}
	batch.file(t, wronglyFiled)
	batch.ended(t)
	wronglyFiled["purpose"] = "export_dataset"
	right, err := json.Marshal(wronglyFiled)
	if err != nil {
		t.Fatal(err)
	}
	failed := s.env.try(t, string(right), "request", "-f", "-", "--watch")
	if failed.code != exitExportFailed || !strings.Contains(failed.stderr, "/purpose") {
		t.Errorf("an export that failed: exit code %d, %q", failed.code, failed.stderr)
	}
	id := strings.TrimSpace(s.env.run(t, request("--purpose", "export_dataset", "--limit", "10")...))
	fromFile := filepath.Join(t.TempDir(), "request.json")
	text := fmt.Sprintf(
		`{"export_id":%q,"workspace_id":"acme","source":"recipe","app_id":"a","purpose":"export_dataset","selection":{"limit":10}}`, id+"-file")
	if err := os.WriteFile(fromFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	again := []string{"request", "-f", fromFile, "--name", "from a file", "--watch", "--json"}
	for range 2 { // the second time it has ended already
		var last object
		out := s.env.run(t, again...)
		for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
			last = nil
			if err := d.Decode(&last); err != nil {
				t.Fatal(err)
			}
		}
		if last["status"] != "succeeded" || last["name"] != "from a file" || last["export_id"] != id+"-file" {
			t.Errorf("request -f --json ended with %v", last)
		}
	}
	eventually(t, 10*time.Second, func() string {
		out := s.env.run(t, "exports", "ls", "--workspace", "acme", "--json")
		if n := strings.Count(out, `"status":"succeeded"`); n != 3 || strings.Count(out, `"status":"failed"`) != 1 {
			return "exports ls --json:\n" + out
		}
		return ""
	})
	if out := s.env.run(t, "exports", "ls", "--workspace", "other", "--json"); out != "" {
		t.Errorf("another workspace sees %s", out)
	}
}

// produce puts a bare value into topic runs.
func send(t *testing.T, s *site, value string) {
	t.Helper()
	client := kafkaClient(t, s.kafka)
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: s.prefix + event.TopicRuns, Value: []byte(value)}).
		FirstErr(); err != nil {
		t.Fatal(err)
	}
}
