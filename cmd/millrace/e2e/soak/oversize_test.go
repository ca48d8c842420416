package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// wideText is the size of the answer of a wide run.
const wideText = 15 << 20

// wideAnswer is the answer of a wide run. Most compress to a thousandth, so that a fetch has many of
// them; every eighth hardly compresses, and another eighth is one numeral, on which a scanner of
// numbers must not spend the square of its length.
func wideAnswer(i int) string {
	if i%8 == 1 {
		return strings.Repeat(fmt.Sprintf("%05d", i), wideText/5)
	}
	if i%8 != 0 {
		return strings.Repeat(fmt.Sprintf("The answer of run %05d goes on. ", i), wideText/32)
	}
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	text, x := make([]byte, wideText), uint64(i+1)
	for at := range text {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[at] = letters[x>>58]
	}
	return string(text)
}

// wideLine is a wide run as a line of a file.
func wideLine(i int) string {
	return fmt.Sprintf(`{"type":"dev.millrace.run.v1","workspace_id":"default","run_id":"wide-%05d","source":"recipe",`+
		`"app_id":"wide","status":"succeeded","started_at":"2026-01-01T%02d:%02d:00Z","question":"Question %d?","answer":"%s"}`,
		i, i/60, i%60, i/2, wideAnswer(i)) + "\n"
}

// wideFile writes n wide runs, with a hundred small runs before each.
func wideFile(t *testing.T, n int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "wide.jsonl.zst")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for j := range 100 {
			fmt.Fprintf(z, `{"type":"dev.millrace.run.v1","workspace_id":"default","run_id":"small-%05d-%02d","source":"recipe",`+
				`"app_id":"wide","status":"succeeded","started_at":"2026-01-01T%02d:%02d:%02dZ","answer":"small"}`+"\n",
				i, j, i/60, i%60, j/2)
		}
		if _, err := z.Write([]byte(wideLine(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// Limits of the memory of the roles, as docker-compose.yml has them.
var containers = map[string]struct {
	limit int64
	env   []string
}{
	"replay": {512 << 20, []string{"GOMEMLIMIT=400MiB"}},
	"ingest": {512 << 20, []string{"GOMEMLIMIT=400MiB"}},
	"export": {1 << 30, []string{"GOMEMLIMIT=800MiB"}},
	"serve":  {512 << 20, []string{"GOMEMLIMIT=400MiB", "HTTP_ADDR=127.0.0.1:0"}},
}

// startContained starts a role with the limits of its container, and returns a function that checks
// its greatest resident size since the last call.
func startContained(t *testing.T, s *e2etest.Site, role string, args ...string) (*e2etest.Process, func(doing string)) {
	t.Helper()
	c := containers[role]
	p := append(slices.Clone(s.Env), c.env...).Start(t, append([]string{role}, args...)...)
	m := watchMemory(t, p)
	return p, func(doing string) {
		t.Helper()
		first, second := m.halves()
		peak := max(first, second)
		t.Logf("%s, %s: at most %d MiB", role, doing, peak>>20)
		if peak == 0 || peak > c.limit {
			t.Errorf("%s, %s, took %d MiB, and may take %d", role, doing, peak>>20, c.limit>>20)
		}
	}
}

// Runs whose texts are as long as they may be pass through every role in the memory of its container.
func TestOversizedTextsTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	n := e2etest.Scale(24, 200)
	s := e2etest.NewSite(t)
	name := wideFile(t, n)

	replay, replayed := startContained(t, s, "replay", name) // before ingest, which finds a backlog
	<-replay.Done
	if code := replay.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("replay ended with %d: %s", code, replay.Log())
	}
	replayed("publishing")
	ingest, ingested := startContained(t, s, "ingest")
	began := time.Now()
	e2etest.WaitForCounts(t, s.Conn, 10*time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest": uint64(101 * n), "SELECT countIf(length(answer) > 5) FROM runs_latest": uint64(n)})
	t.Logf("ingested %d wide runs in %s", n, time.Since(began).Round(time.Millisecond))
	ingested("storing")
	ingest.Stop(t)

	exportWide(t, s, n)
	serveWide(t, s, n)
}

func exportWide(t *testing.T, s *e2etest.Site, n int) {
	t.Helper()
	s.Env = append(s.Env, "EXPORT_WINDOW_RECORDS=600") // so that several windows are worked on at a time
	_, exported := startContained(t, s, "export")
	ends, client := endsOf(t, s), e2etest.KafkaClient(t, s.Kafka)
	for _, request := range []object{
		{"format": "jsonl", "compression": "zstd"},
		{"format": "parquet"},
		{"format": "csv"},
		{"purpose": "recipe_evaluation", "format": "jsonl"},
	} {
		request["app_id"], request["selection"] = "wide", object{"limit": 1_000_000}
		began := time.Now()
		c := ends.of(t, ask(t, s, client, request), 20*time.Minute)
		doing := fmt.Sprint(request["purpose"], " ", request["format"])
		t.Logf("%s: %d records, %d MB, in %s", doing, c.Records, c.Bytes/1e6, time.Since(began).Round(time.Millisecond))
		exported(doing)
		if c.Records != int64(101*n) || len(c.Dropped) > 0 {
			t.Errorf("%s: %d records of %d, dropped %v", doing, c.Records, 101*n, c.Dropped)
		}
		if request["compression"] == "zstd" {
			checkWide(t, s, c.ExportID, n)
		}
	}
}

// checkWide compares the answers of an export with those that were sent.
func checkWide(t *testing.T, s *e2etest.Site, exportID string, n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.ExportFolder(t, "default", exportID), "data", "*.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			if len(lines.Bytes()) < wideText {
				continue
			}
			var r struct {
				RunID  string `json:"run_id"`
				Answer string `json:"answer"`
			}
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			var i int
			if _, err := fmt.Sscanf(r.RunID, "wide-%d", &i); err != nil {
				t.Errorf("run %q: %v", r.RunID, err)
			}
			if r.Answer != wideAnswer(i) || found[r.RunID] {
				t.Errorf("run %s has another answer, or is there twice", r.RunID)
			}
			found[r.RunID] = true
		}
		if err := lines.Err(); err != nil {
			t.Error(err)
		}
		z.Close()
		f.Close()
	}
	if len(found) != n {
		t.Errorf("%d of %d wide runs in the files", len(found), n)
	}
}

// serveWide lets several clients read and publish wide runs at a time.
func serveWide(t *testing.T, s *e2etest.Site, n int) {
	t.Helper()
	p, served := startContained(t, s, "serve")
	api := p.Field(t, "http")
	list := e2etest.Endpoint{URL: api}.Get(t, "/v1/exports").Want(t, http.StatusOK).Object(t)["exports"].([]any)
	var group sync.WaitGroup
	call := func(method, path, contentType, body string, want int, check func(*http.Response) string) {
		group.Go(func() {
			for range 100 {
				r, err := http.NewRequestWithContext(t.Context(), method, api+path, strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", contentType)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Errorf("%s %s: %v", method, path, err)
					return
				}
				fault := check(resp)
				resp.Body.Close()
				if resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(fault, "try again") {
					continue // others had all the memory for half a minute
				}
				if resp.StatusCode == http.StatusTooManyRequests {
					if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds > 60 {
						t.Errorf("%s %s: Retry-After %q", method, path, resp.Header.Get("Retry-After"))
					} else if !pause(t, time.Duration(seconds)*time.Second) {
						return
					}
					continue // the workspace has its share
				}
				if fault != "" || resp.StatusCode != want {
					t.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, fault)
				}
				return
			}
			t.Errorf("%s %s: no answer but to try again", method, path)
		})
	}
	for i := range 8 {
		answer := []byte(wideAnswer(i))
		has := func(resp *http.Response) string {
			text, err := readAll(resp)
			if err != nil || !bytes.Contains(text, answer) {
				return fmt.Sprintf("%d bytes without the answer, %v", len(text), err)
			}
			return ""
		}
		any := func(resp *http.Response) string {
			text, err := readAll(resp)
			if err != nil {
				return err.Error()
			}
			return strings.Repeat(string(text[:min(len(text), 500)]), min(1, resp.StatusCode/300))
		}
		call(http.MethodGet, fmt.Sprintf("/v1/runs/wide-%05d", i), "", "", http.StatusOK, has)
		call(http.MethodGet, fmt.Sprintf("/history/run?id=wide-%05d", i), "", "", http.StatusOK, any)
		for _, e := range list {
			id := e.(object)["export_id"].(string)
			call(http.MethodGet, "/v1/exports/"+id+"/preview?n=200", "", "", http.StatusOK, any)
		}
		line := strings.Replace(wideLine(i), "wide-", "posted-", 1)
		call(http.MethodPost, "/v1/runs", "application/x-ndjson", line+line, http.StatusOK, any)
		call(http.MethodPost, "/v1/runs", "application/json", line, http.StatusOK, any)
	}
	group.Wait()
	served("reading and publishing")
}

// pause reports false when the test ends before the time is over.
func pause(t *testing.T, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-t.Context().Done():
		return false
	}
}

func readAll(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	_, err := b.ReadFrom(resp.Body)
	return b.Bytes(), err
}
