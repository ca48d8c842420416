package commands

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

// commandMemory is what a command may take, in bytes: about 40 MB to start, and what it reads at a time. All that it
// reads is more.
const commandMemory = 320e6

// within runs a command that takes no more than commandMemory.
func within(t *testing.T, e e2etest.Environment, code int, args ...string) {
	t.Helper()
	got, peak := e.Peak(t, args...)
	t.Logf("%.60s: %d MB", strings.Join(args, " "), peak/1e6)
	if got != code {
		t.Errorf("%s: exit code %d", args, got)
	}
	if peak == 0 || peak > commandMemory {
		t.Errorf("%s took %d MB", args, peak/1e6)
	}
}

// aRun is a run event in workspace acme with an answer of 4 MB. The fields are beside the answer.
func aRun(i int, fields string) string {
	return fmt.Sprintf(`{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"r-%03d","source":"copilot",`+
		`"app_id":"a",%s"question":"q","answer":"%s"}`, i, fields, strings.Repeat("0123456789abcdef", 4_000_000/16))
}

// The files of an export are larger than what the commands that read them may take, and what a server may that many
// clients ask for them.
func TestALargeExportTakesLittleMemoryThroughEveryDoor(t *testing.T) {
	t.Parallel()
	const runs, clients = 96, 8
	s := e2etest.NewSite(t)
	s.Env = append(s.Env, "DEFAULT_WORKSPACE=acme", "LOG_LEVEL=warn")
	s.Env.Start(t, "ingest")
	events := filepath.Join(t.TempDir(), "events.jsonl")
	f, err := os.Create(events)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range runs {
		if _, err := fmt.Fprintln(f, aRun(i, `"started_at":"2026-11-01T00:00:00Z","status":"succeeded",`)); err != nil {
			t.Fatal(err)
		}
	}
	within(t, s.Env, 0, "replay", events)
	e2etest.WaitForCounts(t, s.Conn, 2*time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": runs})
	s.Env.Start(t, "export")
	id := exportRuns(t, s)
	within(t, s.Env, 0, "exports", "show", id)
	within(t, s.Env, 0, "exports", "view", id, "-n", "2")
	within(t, s.Env, 0, "exports", "verify", id)
	within(t, s.Env, 0, "exports", "download", id, filepath.Join(t.TempDir(), "d"))

	server := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	url := e2etest.WaitReady(t, server)
	var group errgroup.Group
	for _, path := range []string{"download", "preview", "preview?n=200"} {
		for range clients {
			group.Go(func() error {
				resp, err := http.Get(url + "/v1/exports/" + id + "/" + path)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK, http.StatusTooManyRequests, http.StatusServiceUnavailable:
				default:
					return fmt.Errorf("%s: %s", path, resp.Status)
				}
				_, err = io.Copy(io.Discard, resp.Body)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	_, peak := e2etest.Memory(server.Cmd.Process.Pid)
	t.Logf("serve with %d clients: %d MB", 3*clients, peak/1e6)
	if peak == 0 || peak > commandMemory {
		t.Errorf("the server took %d MB", peak/1e6)
	}
	within(t, s.Env, 0, "exports", "delete", id)
}

// Dead letters are larger than what the commands that read them may take.
func TestLargeDeadLettersTakeLittleMemory(t *testing.T) {
	t.Parallel()
	const runs = 128
	s := e2etest.NewSite(t)
	s.Env = append(s.Env, "DEFAULT_WORKSPACE=acme", "LOG_LEVEL=error")
	s.Env.Start(t, "ingest")
	client := e2etest.KafkaClient(t, s.Kafka, kgo.ProducerBatchMaxBytes(8<<20))
	for i := range runs {
		e := event.Event{ID: strconv.Itoa(i), Source: "test", Type: "dev.millrace.run.v1", Data: []byte(aRun(i, ""))}
		if err := client.ProduceSync(t.Context(), e.Record(s.Prefix+event.TopicRuns, []byte("acme/r"))).
			FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	id := ""
	e2etest.Eventually(t, 2*time.Minute, func() string {
		letters := e2etest.JSONLines(t, s.Env.Run(t, "dead-letters", "ls", "--json"))
		if len(letters) != runs {
			return fmt.Sprint(len(letters), " dead letters")
		}
		id = letters[0]["id"].(string)
		return ""
	})
	within(t, s.Env, 0, "dead-letters", "ls")
	within(t, s.Env, 0, "dead-letters", "show", id)
	within(t, s.Env, 0, "dead-letters", "replay", "--code", "missing_field")
}

// A few bytes that are read as gigabytes.
func TestAFileThatIsSmallOnlyWhileItIsCompressedTakesLittleMemory(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	for name, part := range map[string]string{"a number": "0", "arrays": "[", "white space": " "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "events.jsonl.gz")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			z := gzip.NewWriter(f)
			block := []byte(strings.Repeat(part, 1<<20/len(part)))
			for range 1000 {
				if _, err := z.Write(block); err != nil {
					t.Fatal(err)
				}
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			within(t, s.Env, e2etest.ExitFailed, "replay", path)
		})
	}
}
