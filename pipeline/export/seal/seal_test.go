package seal

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/sinks/bucket"
)

var (
	id  = export.ID{WorkspaceID: "acme", ExportID: "e1"}
	day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
)

// fixture is an export of three windows, and a running seal with one window in flight.
type fixture struct {
	t      *testing.T
	cfg    stage.Config
	folder folder.Folder
	plan   *export.Plan
	client *kgo.Client
	events *kgo.Client
}

func newFixture(t *testing.T) *fixture {
	var topics []string
	for _, topic := range event.Topics {
		topics = append(topics, event.DefaultPrefix+topic.Name)
	}
	c := localtest.Kafka(t, kfake.SeedTopics(1, topics...))
	b, err := bucket.Open(t.Context(), "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	f := &fixture{t: t, folder: folder.Folder{Bucket: b, ID: id}, cfg: stage.Config{Config: kafka.Config{
		TopicPrefix: event.DefaultPrefix, Options: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}}}
	f.client = f.newClient()
	f.events = f.newClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumeTopics(
			f.cfg.TopicName(event.TopicExportProgress), f.cfg.TopicName(event.TopicExportWindows),
			f.cfg.TopicName(event.TopicExportCompletions),
			f.cfg.TopicName(event.TopicDeadLetters)))
	request, err := export.ParseRequest([]byte(
		`{"export_id":"e1","workspace_id":"acme","purpose":"export_dataset","source":"recipe","app_id":"app","selection":{"limit":100}}`))
	if err != nil {
		t.Fatal(err)
	}
	f.plan, err = f.folder.CreatePlan(t.Context(), &export.Plan{
		Version: export.PlanVersion, ID: id, Request: request, RequestedAt: day, AcceptedAt: day, Rows: 100,
		Windows: []export.PlannedWindow{{Rows: 40}, {Rows: 40}, {Rows: 20}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) newClient(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(opts, f.cfg.Options...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	return client
}

func (f *fixture) start() {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- New(Config{Config: f.cfg, WindowsInFlight: 1}, nil, f.folder.Bucket).Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	})
}

// window writes the objects of an attempt at a window: one fragment. One of the rows is dropped.
func (f *fixture) window(window int, rows int64) {
	f.t.Helper()
	name := export.DataName(export.SplitTrain, window, 0, "mine", "jsonl")
	if err := f.folder.Bucket.Create(f.t.Context(), f.folder.Key(name), []byte("{}\n")); err != nil {
		f.t.Fatal(err)
	}
	_, err := f.folder.CreateWindow(f.t.Context(), &export.WindowManifest{
		ID: id, Window: window, Attempt: "mine", Rows: rows, RowsUsed: rows - 1, Records: rows - 1,
		Dropped: map[string]int64{"no_output": 1},
		Files:   []export.File{{Key: name, Kind: export.Data, Window: window, Records: rows - 1, Bytes: 3}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) orphan(name string) {
	f.t.Helper()
	if err := f.folder.Bucket.Create(f.t.Context(), f.folder.Key(name), []byte("x")); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) result(r export.Result) {
	f.t.Helper()
	if err := f.client.ProduceSync(f.t.Context(), message.Result(f.cfg.TopicPrefix, f.plan, r)).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) windowDone(window int) {
	f.t.Helper()
	f.result(export.Result{Kind: export.WindowDone, Window: window})
}

// wants waits for the events and compares them as short texts in alphabetical order, because topics
// have no common order.
func (f *fixture) wants(want ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	for len(got) < len(want) {
		for r := range f.events.PollFetches(ctx).RecordsAll() {
			got = append(got, describe(f.t, r))
		}
		if ctx.Err() != nil {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.t.Fatalf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func describe(t *testing.T, r *kgo.Record) string {
	t.Helper()
	decode := func(doc any) {
		if err := json.Unmarshal(r.Value, doc); err != nil {
			t.Fatal(err)
		}
	}
	switch strings.TrimPrefix(r.Topic, event.DefaultPrefix) {
	case event.TopicExportWindows:
		var w export.Window
		decode(&w)
		return fmt.Sprintf("window %d", w.Window)
	case event.TopicExportProgress:
		var p export.Progress
		decode(&p)
		return fmt.Sprintf("%s %v%% %d/%d rows %d records %v dropped %d/%d windows", p.Status, p.PercentDone, p.RowsDone,
			p.RowsPlanned,
			p.Records, p.Dropped, p.WindowsDone, p.WindowsPlanned)
	case event.TopicExportCompletions:
		var c export.Completion
		decode(&c)
		text := fmt.Sprintf("%s %d planned %d used %v dropped %d records %d fragments", c.Status, c.RowsPlanned, c.RowsUsed,
			c.Dropped, c.Records, c.Fragments)
		if c.ErrorCode != "" {
			text += " " + c.ErrorCode
		}
		return text
	}
	return "dead letter"
}

func (f *fixture) data() []string {
	f.t.Helper()
	objects, err := f.folder.Bucket.List(f.t.Context(), f.folder.Key("data/"))
	if err != nil {
		f.t.Fatal(err)
	}
	var keys []string
	for _, o := range objects {
		keys = append(keys, strings.TrimPrefix(o.Key, id.Prefix()))
	}
	return keys
}

func TestWindowsAreReleasedOneForEachResultAndTheLastOneEndsTheExport(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.start()
	f.window(0, 40)
	f.orphan("data/train-00000-00000-other.jsonl")
	f.orphan("__meta__/lineage-00000-other.jsonl")
	f.windowDone(0)
	f.wants("running 40% 40/100 rows 39 records map[no_output:1] dropped 1/3 windows", "window 1")
	f.windowDone(0) // a second attempt sends it again
	f.wants("running 40% 40/100 rows 39 records map[no_output:1] dropped 1/3 windows", "window 1")
	f.window(2, 20) // windows finish in any order
	f.windowDone(2)
	f.wants("running 60% 60/100 rows 58 records map[no_output:2] dropped 2/3 windows")
	f.window(1, 39)
	f.windowDone(1)
	f.wants("running 100% 99/99 rows 96 records map[no_output:3] dropped 3/3 windows",
		"succeeded 99 planned 96 used map[no_output:3] dropped 96 records 3 fragments")
	want := []string{"data/train-00000-00000-mine.jsonl", "data/train-00001-00000-mine.jsonl",
		"data/train-00002-00000-mine.jsonl"}
	if got := f.data(); !slices.Equal(got, want) {
		t.Errorf("objects %v, want %v", got, want)
	}
	m, _, err := f.folder.Manifest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, file := range m.Files {
		listed = append(listed, file.Key)
	}
	if want := append(want, "README.md"); !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
}

func TestTheFirstFailureEndsAnExportAndLaterResultsAreIgnored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.start()
	f.window(0, 40)
	f.window(1, 40)
	f.result(export.Result{Kind: export.WindowFailed, Window: 2,
		Error: &export.Error{Code: "read_failed", Message: "m", Retryable: true}})
	f.wants("failed 100 planned 0 used map[] dropped 0 records 0 fragments read_failed")
	if got := f.data(); got != nil {
		t.Errorf("objects %v are left", got)
	}
	f.windowDone(0)
	f.windowDone(1)
	f.window(2, 20)
	f.windowDone(2)
	f.result(export.Result{Kind: export.Cancelled})
	f.result(export.Result{Kind: "new"})
	unknown := message.Result(f.cfg.TopicPrefix, &export.Plan{ID: export.ID{WorkspaceID: "acme", ExportID: "never"}},
		export.Result{Kind: export.Cancelled})
	if err := f.client.ProduceSync(t.Context(), unknown).FirstErr(); err != nil {
		t.Fatal(err)
	}
	f.wants("dead letter") // for the export without a plan; the other results have no effect
}
