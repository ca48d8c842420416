package soak

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/sample"
)

// largeApp has copies of generated runs, which start at other times.
const largeApp = "large"

// newLargeSite stores n runs of one app as ClickHouse can: ingest would take its time.
func newLargeSite(t *testing.T, n int) *e2etest.Site {
	t.Helper()
	const originals = 10_000
	s := e2etest.NewSite(t)
	cfg := sample.Config{Seed: e2etest.Random(t).Uint64(), Runs: originals, Plain: true}
	ingest := s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": originals})
	ingest.Stop(t)
	if err := s.Conn.Exec(t.Context(), fmt.Sprintf(
		`INSERT INTO runs SELECT * EXCEPT (copy) REPLACE ('recipe' AS source, '%s' AS app_id,
		concat(run_id, '-', toString(copy)) AS run_id, started_at + toIntervalHour(copy) AS started_at)
		FROM runs CROSS JOIN (SELECT number AS copy FROM numbers(%d)) AS copies LIMIT %d SETTINGS async_insert = 0`,
		largeApp, (n+originals-1)/originals, n)); err != nil {
		t.Fatal(err)
	}
	return s
}

// memory samples the resident size of a process until it is stopped, in bytes.
type memory struct {
	mu      sync.Mutex
	samples []int64
}

func watchMemory(t *testing.T, p *e2etest.Process) *memory {
	m := &memory{}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if size, _ := e2etest.Memory(p.Cmd.Process.Pid); size > 0 {
				m.mu.Lock()
				m.samples = append(m.samples, size)
				m.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return m
}

// halves returns the greatest size in the first and in the second half of the time since the last
// call.
func (m *memory) halves() (first, second int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.samples); n >= 2 {
		first, second = slices.Max(m.samples[:n/2]), slices.Max(m.samples[n/2:])
	}
	m.samples = nil
	return first, second
}

// ask files a request and returns what its completion is to be.
func ask(t *testing.T, s *e2etest.Site, client *kgo.Client, fields object) (exportID string) {
	t.Helper()
	id := export.ID{WorkspaceID: "default", ExportID: uuid.NewString()}
	request := object{
		"export_id": id.ExportID, "workspace_id": id.WorkspaceID, "purpose": "export_dataset", "source": "recipe",
		"app_id": largeApp,
	}
	for key, value := range fields {
		request[key] = value
	}
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{ID: uuid.NewString(), Source: "test", Type: export.TypeRequested, Time: time.Now(), Data: text}
	if err := client.ProduceSync(t.Context(), e.Record(s.Prefix+event.TopicExportRequests, id.Key())).
		FirstErr(); err != nil {
		t.Fatal(err)
	}
	return id.ExportID
}

// ends hands out completions by export, as a read_committed consumer meets them.
type ends struct {
	client *kgo.Client
	seen   map[string]*export.Completion
}

func endsOf(t *testing.T, s *e2etest.Site) *ends {
	return &ends{e2etest.KafkaClient(t, s.Kafka, kgo.ConsumeTopics(s.Prefix+event.TopicExportCompletions),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted())),
		map[string]*export.Completion{}}
}

// of waits for the completion of an export.
func (e *ends) of(t *testing.T, exportID string, within time.Duration) *export.Completion {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for e.seen[exportID] == nil {
		for _, r := range e.client.PollFetches(ctx).Records() {
			c := new(export.Completion)
			if err := json.Unmarshal(r.Value, c); err != nil {
				t.Fatal(err)
			}
			e.seen[c.ExportID] = c
		}
		if ctx.Err() != nil {
			t.Fatalf("no completion of %s within %s", exportID, within)
		}
	}
	c := e.seen[exportID]
	if c.Status != export.StatusSucceeded {
		t.Fatalf("export %s: %s: %+v", exportID, c.Status, c.Failure())
	}
	return c
}

func TestALargeExportNeedsLittleMemoryHoweverLongItTakes(t *testing.T) {
	t.Parallel()
	runs := e2etest.Scale(60_000, 2_000_000)
	s := newLargeSite(t, runs)
	role := s.Env.Start(t, "export")
	role.Field(t, "ops")
	memory, ends, client := watchMemory(t, role), endsOf(t, s), e2etest.KafkaClient(t, s.Kafka)
	for _, format := range []string{"parquet", "jsonl"} {
		memory.halves()
		began := time.Now()
		c := ends.of(t, ask(t, s, client, object{"format": format, "selection": object{"limit": 10_000_000}}), 20*time.Minute)
		first, second := memory.halves()
		t.Logf("%s: %d runs in %s, %d MB; memory at most %d MB, in the second half %d MB", format, runs,
			time.Since(began).Round(time.Millisecond),
			c.Bytes/1e6, first/1e6, second/1e6)
		if c.Records != int64(runs) || c.RowsPlanned != int64(runs) {
			t.Errorf("%s: %d records of %d rows, want %d", format, c.Records, c.RowsPlanned, runs)
		}
		if peak := max(first, second); peak == 0 || peak > 400e6 {
			t.Errorf("%s: the process took %d MB, and may take 400", format, peak/1e6)
		}
		if e2etest.Scale(0, 1) == 1 && second > first*5/4 { // one of a second has no halves
			t.Errorf("%s: memory grew from %d MB in the first half to %d MB in the second", format, first/1e6, second/1e6)
		}
		if format == "jsonl" {
			checkEachRunOnce(t, c, runs)
		}
		out := s.Env.Run(t, "exports", "verify", "--workspace", "default", c.ExportID)
		t.Logf("verify: %s", strings.TrimSpace(out))
	}
}

// checkEachRunOnce reads the lines of a whole export.
func checkEachRunOnce(t *testing.T, c *export.Completion, runs int) {
	t.Helper()
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(uri.Path), "data", "*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]struct{}, runs)
	key := []byte(`"run_id":"`)
	for _, name := range files { // in the order of windows and fragments
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			_, rest, _ := bytes.Cut(lines.Bytes(), key)
			id, _, ok := bytes.Cut(rest, []byte(`"`))
			if _, twice := seen[string(id)]; twice || !ok {
				t.Fatalf("%s: run %s is there twice, or none is named", name, id)
			}
			seen[string(id)] = struct{}{}
		}
		if err := lines.Err(); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	if len(seen) != runs {
		t.Errorf("%d runs, want %d", len(seen), runs)
	}
}

// While an export keeps all workers busy, exports of one window do not queue behind it.
func TestSmallExportsDoNotWaitForALargeOne(t *testing.T) {
	t.Parallel()
	s := newLargeSite(t, e2etest.Scale(60_000, 2_000_000))
	s.Env = append(s.Env, fmt.Sprintf("EXPORT_WINDOW_RECORDS=%d", e2etest.Scale(1000, 30_000)))
	role := s.Env.Start(t, "export")
	role.Field(t, "ops")
	ends, client := endsOf(t, s), e2etest.KafkaClient(t, s.Kafka)
	ends.of(t, ask(t, s, client, object{"selection": object{"limit": 100}}), time.Minute) // the role is at work
	large := ask(t, s, client, object{"selection": object{"limit": 10_000_000}})
	var took []time.Duration
	for ends.seen[large] == nil {
		began := time.Now()
		c := ends.of(t, ask(t, s, client, object{"selection": object{"limit": 100}}), time.Minute)
		if c.Records != 100 {
			t.Errorf("%d records", c.Records)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d exports of 100 records beside one of %d: median %s, slowest %s", len(took), ends.seen[large].Records,
		took[len(took)/2], took[len(took)-1])
	if most := e2etest.Scale(2, 10); len(took) < most {
		t.Errorf("%d small exports ended before the large one, want %d: it held them up, or was none", len(took), most)
	}
}

// Planning stays small however much is selected: the rows never leave ClickHouse.
func TestPlanningAHugeSelectionTakesNoMemory(t *testing.T) {
	t.Parallel()
	rows := e2etest.Scale(200_000, 10_000_000)
	s := e2etest.NewSite(t)
	for _, statement := range []string{
		fmt.Sprintf(
			`INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, question, version)
			SELECT 'default', lower(hex(sipHash128(number))), 'recipe', '%s', 'succeeded', toDateTime64('2026-01-01 00:00:00',
				3, 'UTC') + toIntervalSecond(number), now64(6), 'q', 1
			FROM numbers(%d) SETTINGS async_insert = 0`, largeApp, rows),
		fmt.Sprintf(`INSERT INTO feedback (workspace_id, run_id, feedback_id, rating, updated_at, version)
			SELECT 'default', lower(hex(sipHash128(number * 3))), 'f', 'thumbsUp', now64(6), 1 FROM numbers(%d) SETTINGS async_insert = 0`, rows/3),
	} {
		if err := s.Conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	role := s.Env.Start(t, "export")
	role.Field(t, "ops")
	client := e2etest.KafkaClient(t, s.Kafka)
	ends := endsOf(t, s)
	small := ends.of(t, ask(t, s, client, object{"selection": object{"limit": 1}}), time.Minute)
	memory := watchMemory(t, role)
	began := time.Now()
	id := ask(t, s, client, object{"selection": object{"limit": 100_000_000}})
	progress := e2etest.KafkaClient(t, s.Kafka, kgo.ConsumeTopics(s.Prefix+event.TopicExportProgress),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	var p export.Progress
	for p.ExportID != id {
		for _, r := range progress.PollFetches(t.Context()).Records() {
			if err := json.Unmarshal(r.Value, &p); err != nil {
				t.Fatal(err)
			}
			if p.ExportID == id {
				break
			}
		}
		if time.Since(began) > 5*time.Minute {
			t.Fatal("the export is not planned")
		}
	}
	took := time.Since(began)
	first, second := memory.halves()
	t.Logf("%d rows in %d windows were planned in %s with %d MB", p.RowsPlanned, p.WindowsPlanned,
		took.Round(time.Millisecond), max(first, second)/1e6)
	if p.RowsPlanned != int64(rows) || p.WindowsPlanned != int64(rows+29_999)/30_000 {
		t.Errorf("%d rows in %d windows", p.RowsPlanned, p.WindowsPlanned)
	}
	if peak := max(first, second); peak > 200e6 {
		t.Errorf("planning took %d MB, and may take 200", peak/1e6)
	}
	s.Env.Try(t, "", "exports", "cancel", "--workspace", small.WorkspaceID, id)
}
