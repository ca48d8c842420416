package flow_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/extract"
	"github.com/millrace/millrace/pipeline/export/plan"
	"github.com/millrace/millrace/pipeline/export/seal"
	"github.com/millrace/millrace/pipeline/export/track"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/schemas/events/eventstest"
	"github.com/millrace/millrace/sinks/bucket"
	"github.com/millrace/millrace/sinks/runstore"
)

// flow runs the whole path of an export in this process: Kafka, ClickHouse, a bucket and the four
// stages.
type flow struct {
	t       *testing.T
	kafka   *kfake.Cluster
	dsn     *clickhouse.DSN
	dir     string // of the bucket
	bucket  *bucket.Bucket
	client  *kgo.Client
	events  *kgo.Client // read_committed, as users read
	seen    map[string][]*kgo.Record
	metrics *prometheus.Registry // of all stages

	windowRecords   int64
	windowsInFlight int
	planning        time.Duration // the budget of a request; 0 is the default
	failpoint       func(stage, name string) error

	planSlots int // default 1
	running   sync.WaitGroup
}

// Tests here wait most of their time, for sessions, transactions and requests that time out, so more
// of them run at a time than there are processors. A flag -parallel overrides it.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	m.Run()
}

var errCrash = errors.New("crash")

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newFlow(t *testing.T) *flow {
	dsn := clickhousetest.Database(t)
	f := &flow{t: t, dsn: dsn, dir: t.TempDir(), seen: map[string][]*kgo.Record{},
		metrics: prometheus.NewRegistry()}
	var topics []string
	for _, topic := range event.Topics {
		topics = append(topics, event.DefaultPrefix+topic.Name)
	}
	f.kafka = localtest.Kafka(t, kfake.SeedTopics(1, topics...))
	var err error
	if f.bucket, err = bucket.Open(t.Context(), "file://"+f.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.bucket.Close() })
	f.client = f.newClient()
	f.events = f.newClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumeTopics(topic(event.TopicExportProgress), topic(event.TopicExportCompletions),
			topic(event.TopicDeadLetters)))
	return f
}

func topic(name string) string { return event.DefaultPrefix + name }

func (f *flow) newClient(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(f.kafka.ListenAddrs()...)}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	return client
}

// start runs the four stages. It restarts a crashed stage, as a new process would.
func (f *flow) start() {
	t := f.t // f.t may change to a subtest
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		f.running.Wait()
	})
	for name, start := range map[string]func(stage.Config) func(context.Context) error{
		export.StagePlan: func(c stage.Config) func(context.Context) error {
			c.Slots = f.planSlots
			return plan.New(plan.Config{Config: c, WindowRecords: f.windowRecords, WindowsInFlight: f.windowsInFlight,
				Budget: f.planning}, f.dsn, f.bucket).Run
		},
		export.StageExtract: func(c stage.Config) func(context.Context) error {
			return extract.New(extract.Config{Config: c, Pause: time.Millisecond}, f.dsn, f.bucket).Run
		},
		export.StageSeal: func(c stage.Config) func(context.Context) error {
			return seal.New(seal.Config{Config: c, WindowsInFlight: f.windowsInFlight}, f.dsn, f.bucket).Run
		},
		export.StageTrack: func(c stage.Config) func(context.Context) error { return track.New(c.Config, f.dsn).Run },
	} {
		f.running.Go(func() {
			for ctx.Err() == nil {
				c := stage.Config{TransactionalIDPrefix: "millrace.", Config: kafka.Config{
					TopicPrefix: event.DefaultPrefix, Options: []kgo.Opt{kgo.SeedBrokers(f.kafka.ListenAddrs()...)},
					Metrics: f.metrics,
					Log:     slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
				}}
				if f.failpoint != nil {
					c.Failpoint = func(point string) error { return f.failpoint(name, point) }
				}
				if err := start(c)(ctx); err != nil && !errors.Is(err, errCrash) {
					t.Errorf("stage %s: %v", name, err)
					return
				}
			}
		})
	}
}

// crashOnce crashes a stage at its first arrival at a failpoint.
func (f *flow) crashOnce(at, point string) (crashed func() bool) { return f.crashAt(at, point, 1) }

// crashAt crashes a stage at one of its arrivals at a failpoint.
func (f *flow) crashAt(at, point string, arrival int) (crashed func() bool) {
	var mu sync.Mutex
	arrivals := 0
	f.failpoint = func(stage, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if stage != at || name != point {
			return nil
		}
		if arrivals++; arrivals == arrival {
			return errCrash
		}
		return nil
	}
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return arrivals >= arrival
	}
}

// insertRuns stores n runs of acme's recipe app, one each second. Every third run has feedback.
func (f *flow) insertRuns(n int, changes ...func(i int, r *runs.Run)) {
	f.t.Helper()
	store := runstore.New(f.dsn)
	defer store.Close()
	var list []*runs.Run
	var judged []*runs.Feedback
	for i := range n {
		r := &runs.Run{
			WorkspaceID: "acme", RunID: fmt.Sprintf("run-%05d", i), Source: "recipe", AppID: "app", Status: "succeeded",
			StartedAt: day.Add(time.Duration(i) * time.Second), UpdatedAt: day, Question: fmt.Sprint("question ", i),
			Inputs: fmt.Sprintf(`{"n":%d}`, i),
		}
		for _, change := range changes {
			change(i, r)
		}
		list = append(list, r)
		if i%3 == 0 {
			judged = append(judged, &runs.Feedback{WorkspaceID: "acme", RunID: r.RunID, FeedbackID: "f", Rating: "thumbsUp",
				UpdatedAt: day})
		}
	}
	if refused, err := store.InsertRuns(f.t.Context(), list); err != nil || refused != nil {
		f.t.Fatal(refused, err)
	}
	if refused, err := store.InsertFeedback(f.t.Context(), judged); err != nil || refused != nil {
		f.t.Fatal(refused, err)
	}
}

// request returns the bare JSON of a request with further fields.
func request(id, fields string) string {
	return fmt.Sprintf(
		`{"export_id":%q,"workspace_id":"acme","purpose":"export_dataset","source":"recipe","app_id":"app"%s}`, id, fields)
}

const limit1000 = `,"selection":{"limit":1000}`

func (f *flow) send(value string, headers ...kgo.RecordHeader) {
	f.t.Helper()
	r := &kgo.Record{Topic: topic(event.TopicExportRequests), Value: []byte(value), Headers: headers}
	if err := f.client.ProduceSync(f.t.Context(), r).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

// poll reads records until found returns true.
func (f *flow) poll(what string, found func() bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Minute)
	defer cancel()
	for !found() {
		fetches := f.events.PollFetches(ctx)
		if ctx.Err() != nil {
			f.t.Fatalf("no %s", what)
		}
		for r := range fetches.RecordsAll() {
			name := strings.TrimPrefix(r.Topic, event.DefaultPrefix)
			f.seen[name] = append(f.seen[name], r)
		}
	}
}

// completions returns the completions of an export that have been read.
func (f *flow) completions(id string) (list []*export.Completion) {
	f.t.Helper()
	for _, r := range f.seen[event.TopicExportCompletions] {
		eventstest.Validate(f.t, export.TypeCompleted, r.Value)
		c := new(export.Completion)
		if err := json.Unmarshal(r.Value, c); err != nil {
			f.t.Fatal(err)
		}
		if c.ExportID == id {
			list = append(list, c)
		}
	}
	return list
}

// completion waits for the completion of an export, and then for the completion of another export
// that follows it on the same partitions, so that a second completion would have been read.
func (f *flow) completion(id string) *export.Completion {
	f.t.Helper()
	f.poll("completion of "+id, func() bool { return len(f.completions(id)) > 0 })
	after := "after-" + id
	if len(f.completions(after)) == 0 {
		f.send(request(after, `,"selection":{"limit":1}`))
		f.poll("completion of "+after, func() bool { return len(f.completions(after)) > 0 })
	}
	list := f.completions(id)
	if len(list) != 1 {
		f.t.Fatalf("%d completions of %s, want one", len(list), id)
	}
	return list[0]
}

func (f *flow) progress(id string) (list []*export.Progress) {
	f.t.Helper()
	for _, r := range f.seen[event.TopicExportProgress] {
		eventstest.Validate(f.t, export.TypeProgressed, r.Value)
		p := new(export.Progress)
		if err := json.Unmarshal(r.Value, p); err != nil {
			f.t.Fatal(err)
		}
		if p.ExportID == id {
			list = append(list, p)
		}
	}
	return list
}

// deadLetter waits for the nth dead letter and returns its code.
func (f *flow) deadLetter(n int) string {
	f.t.Helper()
	f.poll(fmt.Sprint("dead letter ", n), func() bool { return len(f.seen[event.TopicDeadLetters]) > n })
	for _, h := range f.seen[event.TopicDeadLetters][n].Headers {
		if h.Key == event.HeaderError {
			return string(h.Value)
		}
	}
	return ""
}

// verify checks the bucket against a completion: the manifest lists every object of data/ with its
// size, count and hash, and the counts add up. It returns the manifest and the run ids of the
// records.
func (f *flow) verify(c *export.Completion) (m *export.Manifest, runIDs []string) {
	f.t.Helper()
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := os.ReadFile(uri.Path)
	if err != nil {
		f.t.Fatal(err)
	}
	if got := export.HashText(text); got != c.ManifestSHA256 {
		f.t.Errorf("manifest has SHA-256 %s, the completion says %s", got, c.ManifestSHA256)
	}
	m = new(export.Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		f.t.Fatal(err)
	}
	var listed []string
	var records, size int64
	for _, file := range m.Files {
		body, err := os.ReadFile(filepath.Join(path.Dir(uri.Path), file.Key))
		if err != nil {
			f.t.Fatal(err)
		}
		if int64(len(body)) != file.Bytes || export.HashText(body) != file.SHA256 {
			f.t.Errorf("%s is not what the manifest lists", file.Key)
		}
		if file.Kind != export.Data {
			continue
		}
		lines := runsOf(f.t, body)
		if int64(len(lines)) != file.Records {
			f.t.Errorf("%s has %d records, the manifest lists %d", file.Key, len(lines), file.Records)
		}
		listed = append(listed, file.Key)
		runIDs = append(runIDs, lines...)
		records += file.Records
		size += file.Bytes
	}
	if there := f.objects(c.ID, "data"); !slices.Equal(there, slices.Sorted(slices.Values(listed))) {
		f.t.Errorf("objects %v, listed %v", there, listed)
	}
	f.verifyColumns(c, m)
	var dropped int64
	for _, n := range c.Dropped {
		dropped += n
	}
	if c.Records != records || c.Bytes != size || c.Fragments != int64(len(listed)) || m.Status != c.Status {
		f.t.Errorf("completion %+v does not fit the files: %d records, %d bytes, %d fragments", c, records, size, len(listed))
	}
	if c.Status == export.StatusSucceeded && c.RowsUsed+dropped+c.Vanished != c.RowsPlanned {
		f.t.Errorf("%d rows used, %d dropped, %d vanished, but %d planned", c.RowsUsed, dropped, c.Vanished, c.RowsPlanned)
	}
	return m, runIDs
}

func runsOf(t *testing.T, body []byte) (ids []string) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var record struct {
			RunID string `json:"run_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, record.RunID)
	}
	return ids
}

// objects lists the keys of a part of an export's folder, relative to the folder.
func (f *flow) objects(id export.ID, dir string) (keys []string) {
	f.t.Helper()
	list, err := f.bucket.List(f.t.Context(), id.Prefix()+dir)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, o := range list {
		keys = append(keys, strings.TrimPrefix(o.Key, id.Prefix()))
	}
	return keys
}
