package commands

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

func TestRolesServeHealthReadinessAndMetrics(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	for role, metrics := range map[string][]string{
		"ingest": {
			`millrace_ingest_rows_total{table="runs"} 1`, "millrace_ingest_records_total 2", "millrace_ingest_bytes_total",
			"millrace_ingest_batch_records_bucket", "millrace_ingest_batch_bytes_bucket", "millrace_ingest_batch_seconds_bucket",
			`millrace_ingest_insert_seconds_count{table="runs"} 1`,
			`millrace_dead_letters_total{code="invalid_json",stage="ingest"} 1`,
			fmt.Sprintf(`millrace_consumer_lag_records{group="%singest",partition="0",topic="%[1]sruns"} 0`, s.Prefix),
			"millrace_ingest_event_to_queryable_seconds_count ", "go_goroutines",
		},
		"export": {"go_goroutines", "millrace_stage_"},
	} {
		p := s.Env.Start(t, role)
		ops := p.Field(t, "ops")
		e2etest.Eventually(t, time.Minute, func() string {
			if code, body := e2etest.Get(t, ops+"/readyz"); code != http.StatusOK {
				return fmt.Sprintf("%s: /readyz: %d %s", role, code, body)
			}
			return ""
		})
		if code, _ := e2etest.Get(t, ops+"/healthz"); code != http.StatusOK {
			t.Errorf("%s: /healthz: %d", role, code)
		}
		if role == "ingest" {
			if got := s.Env.Try(t, e2etest.RunLine("x"), "replay", "-"); got.Code != 0 {
				t.Fatal(got.Stderr)
			}
			e2etest.Produce(t, s, event.TopicRuns, "{not json")
		}
		e2etest.Eventually(t, time.Minute, func() string {
			code, body := e2etest.Get(t, ops+"/metrics")
			for _, m := range metrics {
				if code != http.StatusOK || !strings.Contains(body, "\n"+m) {
					return fmt.Sprintf("%s: no %s in /metrics:\n%s", role, m, grep(body, "millrace_"))
				}
			}
			return ""
		})
		if code, took := p.Stop(t); code != 0 || took > 10*time.Second {
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
	s := e2etest.NewSite(t)
	for _, role := range []string{"ingest", "export", "serve"} {
		p := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, role)
		p.Field(t, "ops")
		tick := time.NewTicker(time.Millisecond)
		for range 20 {
			p.Cmd.Process.Signal(syscall.SIGTERM)
			<-tick.C
		}
		tick.Stop()
		if code, _ := p.Stop(t); code != 0 {
			t.Errorf("%s: exit code %d", role, code)
		}
	}
}

func TestRequestsEndWithTheExitCodesOfTheContract(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "export")
	base := []string{"request", "--workspace", "acme", "--source", "recipe", "--app", "a"}
	request := func(args ...string) []string { return append(append([]string{}, base...), args...) }

	wrong := s.Env.Try(t, "", request("--purpose", "nonsense", "--limit=-1", "--format", "xml")...)
	for _, flag := range []string{"--purpose: ", "--limit: ", "--format: "} {
		if wrong.Code != e2etest.ExitUsage || !strings.Contains(wrong.Stderr, flag) {
			t.Errorf("wrong request: exit code %d, %s is not in %q", wrong.Code, flag, wrong.Stderr)
		}
	}
	empty := s.Env.Try(t, "", request("--purpose", "export_dataset", "--limit", "10", "--watch")...)
	if empty.Code != e2etest.ExitNoRecords || !strings.Contains(empty.Stdout, "succeeded: 0 records in 0 files") ||
		!strings.Contains(empty.Stdout, `app_not_found: The workspace acme has no run of the recipe "a"`) {
		t.Errorf("empty export: exit code %d, %q %q", empty.Code, empty.Stdout, empty.Stderr)
	}
	// One that another producer has asked for, which checks nothing: whoever waits for it learns
	// how it ended.
	batch, wronglyFiled := e2etest.NewBatch(t, s), object{"export_id": "filed-wrongly", "workspace_id": "acme",
		"purpose": "nonsense", "source": "recipe", "app_id": "a", "selection": object{"limit": 10}}
	batch.File(t, wronglyFiled)
	batch.Wait(t)
	wronglyFiled["purpose"] = "export_dataset"
	right, err := json.Marshal(wronglyFiled)
	if err != nil {
		t.Fatal(err)
	}
	failed := s.Env.Try(t, string(right), "request", "-f", "-", "--watch")
	if failed.Code != e2etest.ExitExportFailed || !strings.Contains(failed.Stderr, "/purpose") {
		t.Errorf("an export that failed: exit code %d, %q", failed.Code, failed.Stderr)
	}
	id := strings.TrimSpace(s.Env.Run(t, request("--purpose", "export_dataset", "--limit", "10")...))
	fromFile := filepath.Join(t.TempDir(), "request.json")
	text := fmt.Sprintf(
		`{"export_id":%q,"workspace_id":"acme","source":"recipe","app_id":"a","purpose":"export_dataset","selection":{"limit":10}}`, id+"-file")
	if err := os.WriteFile(fromFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	again := []string{"request", "-f", fromFile, "--name", "from a file", "--watch", "--json"}
	for range 2 { // the second time it has ended already
		var last object
		ended := s.Env.Try(t, "", again...)
		if ended.Code != e2etest.ExitNoRecords {
			t.Errorf("an export without records: exit code %d, %s", ended.Code, ended.Stderr)
		}
		for d := json.NewDecoder(strings.NewReader(ended.Stdout)); d.More(); {
			last = nil
			if err := d.Decode(&last); err != nil {
				t.Fatal(err)
			}
		}
		if last["status"] != "succeeded" || last["name"] != "from a file" || last["export_id"] != id+"-file" {
			t.Errorf("request -f --json ended with %v", last)
		}
	}
	e2etest.Eventually(t, 10*time.Second, func() string {
		out := s.Env.Run(t, "exports", "ls", "--workspace", "acme", "--json")
		if n := strings.Count(out, `"status":"succeeded"`); n != 3 || strings.Count(out, `"status":"failed"`) != 1 {
			return "exports ls --json:\n" + out
		}
		return ""
	})
	if out := s.Env.Run(t, "exports", "ls", "--workspace", "other", "--json"); out != "" {
		t.Errorf("another workspace sees %s", out)
	}
}
