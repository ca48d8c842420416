package documents

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace"
	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/sample"
)

// The commands, queries and JSON examples of every document are run as they are printed, from the
// README on. They run one after another beside one `millrace local`, as a reader would paste them.
// Only its ports are others.
func TestCommandsOfTheDocumentsWorkWhenPasted(t *testing.T) {
	t.Parallel()
	r := newDocumentReader(t)
	kinds := map[string]int{}
	for _, d := range millrace.Documents {
		for _, block := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```").FindAllStringSubmatch(d.Text(), -1) {
			kinds[block[1]]++
			r.place = d.Path
			switch text := block[2]; block[1] {
			case "sh":
				r.shell(text)
			case "sql":
				e2etest.Eventually(t, time.Minute, func() string {
					if e2etest.Count(t, r.Conn, "SELECT count() FROM ("+text+")") == 0 {
						return d.Path + ": no rows of\n" + text
					}
					return ""
				})
			case "json":
				r.json(text)
			default:
				t.Errorf("%s: nothing runs a block of %s", d.Path, block[1])
			}
		}
	}
	if kinds["sh"] < 20 || kinds["sql"] < 5 || kinds["json"] < 3 {
		t.Errorf("blocks that were run: %v", kinds)
	}
}

// documentReader is somebody who reads the documents and pastes what is in them.
type documentReader struct {
	*e2etest.Site
	t       *testing.T
	dir     string // where the commands run; it has the files that they name
	address *strings.Replacer
	server  *strings.Replacer // of operators' documents, which leave ClickHouse's password to the reader
	place   string            // the document
}

func newDocumentReader(t *testing.T) *documentReader {
	local, env := e2etest.StartLocal(t)
	pages, ops := local.Field(t, "pages"), local.Field(t, "ops")
	bucket := strings.TrimPrefix(local.Field(t, "bucket"), "file://")
	clickHouse, err := url.Parse(local.Field(t, "sql"))
	if err != nil {
		t.Fatal(err)
	}
	r := &documentReader{t: t, dir: t.TempDir(), Site: &e2etest.Site{Env: env, Kafka: local.Kafka, DSN: local.DSN,
		Conn: e2etest.Connect(t, local.DSN)}}
	r.address = strings.NewReplacer("127.0.0.1:9092", local.Kafka, "127.0.0.1:8123", clickHouse.Host,
		"http://127.0.0.1:8080", pages, "http://127.0.0.1:9464", ops, "/var/lib/millrace/bucket", bucket, "~/.local/share/millrace", local.Field(t, "data"))
	login := url.UserPassword(clickHouse.Query().Get("user"), clickHouse.Query().Get("password")).String() + "@"
	r.server = strings.NewReplacer("http://"+clickHouse.Host, "http://"+login+clickHouse.Host)
	if err := os.Mkdir(filepath.Join(r.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(r.Env.Command(r.t.Context()).Path, filepath.Join(r.dir, "bin", "millrace")); err != nil {
		t.Fatal(err)
	}
	r.files()
	r.deadLetters()
	return r
}

// files makes the files that the commands read.
func (r *documentReader) files() {
	r.t.Helper()
	cfg := sample.Config{Seed: 3, Runs: 400, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
	events, err := os.ReadFile(e2etest.SampleFile(r.t, cfg))
	if err != nil {
		r.t.Fatal(err)
	}
	var packed strings.Builder
	gz := gzip.NewWriter(&packed)
	gz.Write(events)
	gz.Close()
	for name, text := range map[string]string{
		"events.jsonl": string(events), "events.jsonl.gz": packed.String(),
		"chats.jsonl": `{"messages":[{"role":"user","content":"May I bring a dog?"},` +
			`{"role":"assistant","content":"A small one."}]}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

// deadLetters has a record refused in every partition.
func (r *documentReader) deadLetters() {
	r.t.Helper()
	client := e2etest.KafkaClient(r.t, r.Kafka)
	for i := range 64 {
		record := &kgo.Record{Topic: event.DefaultPrefix + "runs", Key: []byte(fmt.Sprintf("default/%d", i)),
			Value: []byte("{")}
		if err := client.ProduceSync(r.t.Context(), record).FirstErr(); err != nil {
			r.t.Fatal(err)
		}
	}
}

// prelude makes a block fail at its first command that fails, and curl fail on an answer that is an
// error.
const prelude = `set -euo pipefail
curl() { command curl --fail-with-body "$@"; }
role() {
  "$@" >role.out & local pid=$! ops=
  until ops=$(sed -nE 's/^ *ops +//p' role.out) && [ "$ops" ] && command curl -fs -o role.ready "$ops/readyz"; do
    kill -0 $pid
    sleep 0.1
  done
  cat role.out
  kill -TERM $pid
  wait $pid
}
`

// roles are commands that run until somebody ends them. Function role does so when they are ready,
// and they must exit with 0.
var roles = regexp.MustCompile(`(?m)^bin/millrace (local|ingest|export|serve)\b`)

// withoutKcat does with millrace what the commands do with kcat.
const withoutKcat = `kcat() {
  case "$*" in *export-requests) bin/millrace request -f - ;; *) bin/millrace replay - ;; esac
}
`

// shell runs a block of commands. Those of make are only looked up: make runs this test.
func (r *documentReader) shell(block string) {
	r.t.Helper()
	script := prelude
	if _, err := exec.LookPath("kcat"); err != nil {
		if os.Getenv("CI") == "true" {
			r.t.Fatalf("kcat (Debian package kcat) must be there where CI=true: %v", err)
		}
		script += withoutKcat
	}
	makefile, err := os.ReadFile(filepath.Join(e2etest.Root(r.t), "Makefile"))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(block) {
		target, isMake := strings.CutPrefix(line, "make ")
		if !isMake {
			script += line
		} else if target, _, _ = strings.Cut(strings.TrimSpace(target), " "); !strings.Contains(string(makefile),
			"\n"+target+":") {
			r.t.Errorf("%s: the Makefile has no target %q", r.place, target)
		}
	}
	script = r.address.Replace(script)
	if r.place != "README.md" {
		script = r.server.Replace(script)
	}
	script = roles.ReplaceAllString(script, "role $0")
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it started ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir = r.dir
	cmd.Env = append(r.Env.Command(ctx).Env, "XDG_DATA_HOME="+filepath.Join(r.dir, "home"))
	for _, name := range []string{"HTTP_ADDR=127.0.0.1:0", "LOCAL_KAFKA_PORT=0", "LOCAL_CLICKHOUSE_PORT=0",
		"LOCAL_CLICKHOUSE_HTTP_PORT=0"} {
		cmd.Env = append(cmd.Env, e2etest.EnvPrefix+name)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s\n%s", r.place, err, block, out)
	}
	if id := regexp.MustCompile(`"run_id":"([^"]+)"`).FindStringSubmatch(block); id != nil {
		e2etest.Eventually(r.t, time.Minute, func() string {
			if e2etest.Count(r.t, r.Conn, "SELECT count() FROM runs_latest WHERE run_id = ?", id[1]) == 0 {
				return "run " + id[1] + " was not stored"
			}
			return ""
		})
	}
	if id := regexp.MustCompile(`"export_id":"([^"]+)"`).FindStringSubmatch(block); id != nil {
		r.ended(id[1])
	}
}

// json publishes an event, or files a request.
func (r *documentReader) json(text string) {
	r.t.Helper()
	var request struct {
		ExportID string `json:"export_id"`
	}
	if err := json.Unmarshal([]byte(text), &request); err != nil {
		r.t.Fatalf("%s: %v in\n%s", r.place, err, text)
	}
	command := []string{"replay", "-"}
	if request.ExportID != "" {
		command = []string{"request", "-f", "-"}
	}
	if got := r.Env.Try(r.t, strings.ReplaceAll(text, "\n", " "), command...); got.Code != 0 {
		r.t.Fatalf("%s: exit code %d of\n%s\n%s", r.place, got.Code, text, got.Stderr)
	}
	if request.ExportID != "" {
		r.ended(request.ExportID)
		return
	}
	var e struct {
		RunID string `json:"run_id"`
		Data  struct {
			RunID string `json:"run_id"`
		}
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		r.t.Fatal(err)
	}
	e2etest.Eventually(r.t, time.Minute, func() string {
		id := e.RunID + e.Data.RunID
		if e2etest.Count(r.t, r.Conn, "SELECT (SELECT count() FROM runs WHERE run_id = $1) + (SELECT count() FROM feedback "+
			"WHERE "+
			"run_id = $1)", id) == 0 {
			return r.place + ": not stored: " + text
		}
		return ""
	})
}

// ended waits until an export has succeeded.
func (r *documentReader) ended(id string) {
	r.t.Helper()
	e2etest.Eventually(r.t, time.Minute, func() string {
		if got := r.Env.Try(r.t, "", "exports", "verify", id); got.Code != 0 {
			return r.place + ": export " + id + ": " + got.Stderr
		}
		return ""
	})
}

// documents returns the text of all documents of the repository.
func documents() string {
	var all strings.Builder
	for _, d := range millrace.Documents {
		all.WriteString(d.Text())
	}
	return all.String()
}

// Every query of the documents is run as it is printed there, and finds something in a sample of
// runs.
func TestQueriesOfTheDocumentsWorkWhenPasted(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	cfg := sample.Config{Seed: 3, Runs: 400, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
	s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, s.Conn, time.Minute, e2etest.SampleRows(cfg))
	// There is no server here whose files somebody downloads.
	if err := s.Conn.Exec(t.Context(), "INSERT INTO audit (workspace_id, export_id, at, id, action) "+
		"VALUES ('default', 'e1', now64(6), '1', 'downloaded')"); err != nil {
		t.Fatal(err)
	}
	queries := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(documents(), -1)
	if len(queries) < 4 {
		t.Fatalf("only %d queries", len(queries))
	}
	for _, q := range queries {
		if n := e2etest.Count(t, s.Conn, "SELECT count() FROM ("+q[1]+")"); n == 0 {
			t.Errorf("no rows of:\n%s", q[1])
		}
	}
}

// The events of the documents' examples are accepted as they are printed there.
func TestExamplesOfTheDocumentsAreAccepted(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
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
	if got := s.Env.Try(t, lines, "replay", "-"); got.Code != 0 {
		t.Fatalf("exit code %d\n%s", got.Code, got.Stderr)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": uint64(len(events) +
		1)})
}
