package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/api/live"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dataset"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/track"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/stage"
	chschema "github.com/millrace/millrace/schemas/clickhouse"
	"github.com/millrace/millrace/sinks/bucket"
)

// world is what servers share: Kafka, ClickHouse and a bucket. The stages that would work in between are the test.
type world struct {
	*testing.T
	kafka  *kfake.Cluster
	dsn    *clickhouse.DSN
	proxy  *clickhousetest.Proxy // between servers and ClickHouse
	via    *clickhouse.DSN
	bucket *bucket.Bucket
	client *kgo.Client

	timeout time.Duration
}

func newWorld(t *testing.T) *world {
	s := localtest.ClickHouse(t)
	w := &world{T: t}
	w.dsn = parse(t, s.DSN(s.Database(t)))
	if _, err := clickhouse.Migrate(t.Context(), w.dsn, chschema.Migrations, "", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	w.proxy = clickhousetest.NewProxy(t, w.dsn.Addr())
	w.via = parse(t, "clickhouse://"+w.proxy.Addr+"/"+w.dsn.Database)
	var topics []string
	for _, topic := range event.Topics {
		topics = append(topics, event.DefaultPrefix+topic.Name)
	}
	w.kafka = localtest.Kafka(t, kfake.SeedTopics(3, topics...))
	var err error
	if w.bucket, err = bucket.Open(t.Context(), "mem://"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.bucket.Close() })
	w.client = w.newClient()
	return w
}

func parse(t *testing.T, dsn string) *clickhouse.DSN {
	d, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) newClient() *kgo.Client {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.AllowIdempotentProduceCancellation())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	return client
}

// server starts a server, and waits until it knows what there is.
func (w *world) server() *live.Exports {
	conn, err := w.via.Open()
	if err != nil {
		w.Fatal(err)
	}
	e := live.New(live.Config{
		TopicPrefix: event.DefaultPrefix, Kafka: []kgo.Opt{kgo.SeedBrokers(w.kafka.ListenAddrs()...)}, Producer: w.newClient(),
		Timeout: w.timeout, Log: slog.New(slog.NewTextHandler(w.Output(), nil)),
	}, conn, w.bucket)
	ctx, cancel := context.WithCancel(w.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	w.Cleanup(func() {
		cancel()
		running.Wait()
		conn.Close()
	})
	select {
	case <-e.Ready():
	case <-time.After(30 * time.Second):
		w.Fatal("the server is not ready")
	}
	return e
}

// track runs the stage that stores events in ClickHouse, until the function it returns is called.
func (w *world) track() (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	s := track.New(stage.Config{
		TopicPrefix: event.DefaultPrefix, Kafka: []kgo.Opt{kgo.SeedBrokers(w.kafka.ListenAddrs()...)}, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler),
	}, w.dsn)
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			w.Errorf("track: %v", err)
		}
	})
	return func() { cancel(); running.Wait() }
}

func (w *world) publish(topic, eventType string, id export.ID, data any) {
	w.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		w.Fatal(err)
	}
	e := event.Event{ID: fmt.Sprint(rand.Uint64()), Source: "test", Type: eventType, Time: time.Now(), Data: text}
	if err := w.client.ProduceSync(w.Context(), e.Record(event.DefaultPrefix+topic, id.Key())).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// request returns a request and its document.
func request(t *testing.T, id, name string) (*export.Request, []byte) {
	t.Helper()
	document := fmt.Appendf(nil, `{"export_id":%q,"workspace_id":"acme","name":%q,"purpose":"export_dataset","source":"recipe","app_id":"a","selection":{"limit":10}}`, id, name)
	r, err := export.ParseRequest(document)
	if err != nil {
		t.Fatal(err)
	}
	return r, document
}

func (w *world) file(e *live.Exports, id, name string) (*live.Export, error) {
	r, document := request(w.T, id, name)
	return e.File(w.Context(), r, document, "")
}

func (w *world) mustFile(e *live.Exports, id string) *live.Export {
	w.Helper()
	x, err := w.file(e, id, "n")
	if err != nil {
		w.Fatal(err)
	}
	return x
}

// plan does what the stage plan does, as far as others see it.
func (w *world) plan(id string, at time.Time) *export.Plan {
	w.Helper()
	r, _ := request(w.T, id, "n")
	p := &export.Plan{
		Version: export.PlanVersion, ID: r.ID, Hash: r.Hash(), Request: r, RequestedAt: at, AcceptedAt: at, Rows: 100, Windows: []export.PlannedWindow{{Rows: 60}, {Rows: 40}},
	}
	if _, err := (folder.Folder{Bucket: w.bucket, ID: p.ID}).CreatePlan(w.Context(), p); err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) progress(p *export.Plan, windows int) {
	w.Helper()
	status := export.StatusAccepted
	if windows > 0 {
		status = export.StatusRunning
	}
	w.publish(event.TopicExportProgress, export.TypeProgressed, p.ID, export.NewProgress(p, status, &export.Tally{Windows: windows, Rows: int64(windows) * 60}, p.AcceptedAt))
}

// end does what the stage seal does, as far as others see it.
func (w *world) end(p *export.Plan, status export.Status) *export.Completion {
	w.Helper()
	f := folder.Folder{Bucket: w.bucket, ID: p.ID}
	_, text, err := f.CreateManifest(w.Context(), export.NewManifest(p, status, nil, nil, "t/0/0", p.AcceptedAt.Add(time.Second)))
	if err != nil {
		w.Fatal(err)
	}
	c, err := export.NewCompletion(p, text, "mem:///manifest.json")
	if err != nil {
		w.Fatal(err)
	}
	w.publish(event.TopicExportCompletions, export.TypeCompleted, p.ID, c)
	return c
}

func id(name string) export.ID { return export.ID{WorkspaceID: "acme", ExportID: name} }

// eventually polls until f returns "".
func (w *world) eventually(f func() string) {
	w.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		last := f()
		if last == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatal(last)
		}
	}
}

func (w *world) status(e *live.Exports, name string, want export.Status) {
	w.Helper()
	w.eventually(func() string {
		x, err := e.Get(w.Context(), id(name))
		if err != nil || x.Status != want {
			return fmt.Sprintf("export %s is %+v, %v; want %s", name, x, err, want)
		}
		return ""
	})
}

func names(p *live.Page) (list []string) {
	for _, x := range p.Exports {
		list = append(list, x.ExportID)
	}
	return list
}

func TestWhatIsFiledWithOneServerIsThereAtOnceWithEveryOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers := []*live.Exports{w.server(), w.server(), w.server()}
	for i := range 30 {
		name := fmt.Sprintf("e%02d", i)
		w.mustFile(servers[i%3], name)
		other := servers[(i+1)%3]
		if i%2 == 0 {
			x, err := other.Get(t.Context(), id(name))
			if err != nil || x.Status != export.StatusAccepted || x.AppID != "a" || x.RequestedAt.IsZero() {
				t.Fatalf("another server has %+v, %v", x, err)
			}
			continue
		}
		page, err := other.List(t.Context(), live.Query{Workspace: "acme", Limit: 200})
		if err != nil || len(page.Exports) != i+1 || page.Exports[0].ExportID != name {
			t.Fatalf("another server lists %v, %v", names(page), err)
		}
	}
	if _, err := servers[0].Get(t.Context(), export.ID{WorkspaceID: "other", ExportID: "e00"}); !errors.Is(err, live.ErrNotFound) {
		t.Errorf("another workspace: %v", err)
	}
	if page, err := servers[0].List(t.Context(), live.Query{Workspace: "other", Limit: 200}); err != nil || len(page.Exports) > 0 {
		t.Errorf("another workspace lists %v, %v", page, err)
	}
	late := w.server() // and a server that starts later
	if page, err := late.List(t.Context(), live.Query{Workspace: "acme", Limit: 200}); err != nil || len(page.Exports) != 30 {
		t.Errorf("a later server lists %v, %v", names(page), err)
	}
}

func TestOneOfDifferentRequestsUnderOneIDWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.server(), w.server()
	for i := range 10 {
		name := fmt.Sprintf("e%d", i)
		errs := make([]error, 6)
		var all sync.WaitGroup
		for j := range errs {
			all.Go(func() { _, errs[j] = w.file([]*live.Exports{a, b}[j%2], name, fmt.Sprint(j/2)) }) // three requests, twice each
		}
		all.Wait()
		won := map[int]int{}
		for j, err := range errs {
			switch {
			case err == nil:
				won[j/2]++
			case !errors.Is(err, live.ErrConflict):
				t.Fatal(err)
			}
		}
		if len(won) != 1 {
			t.Errorf("requests that won: %v of %v", won, errs)
		}
	}
	// One that is planned is known by its plan.
	w.plan("planned", time.Now())
	if _, err := w.file(a, "planned", "other"); !errors.Is(err, live.ErrConflict) {
		t.Errorf("another request under the id of a planned one: %v", err)
	}
	if x, err := w.file(a, "planned", "n"); err != nil || x.ExportID != "planned" {
		t.Errorf("the same request again: %+v, %v", x, err)
	}
}

func TestProgressAndCompletionAreSeenBeforeClickHouseHasThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	w.mustFile(e, "e")
	p := w.plan("e", time.Now().UTC().Truncate(time.Millisecond))
	w.progress(p, 0)
	w.progress(p, 1)
	w.status(e, "e", export.StatusRunning)
	w.progress(p, 0) // again, late
	done := w.end(p, export.StatusSucceeded)
	w.status(e, "e", export.StatusSucceeded)
	x, err := e.Get(t.Context(), id("e"))
	if err != nil || x.PercentDone != 100 || x.ManifestSHA256 != done.ManifestSHA256 || x.CompletedAt == nil {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := e.Cancel(t.Context(), id("e"), "x"); !errors.Is(err, live.ErrEnded) {
		t.Errorf("cancel of an ended export: %v", err)
	}
	if err := e.Delete(t.Context(), id("e"), "someone"); err != nil {
		t.Fatal(err)
	}
	if x, err := e.Get(t.Context(), id("e")); err != nil || x.DeletedAt == nil || x.DeletedBy != "someone" {
		t.Errorf("a deleted export is %+v, %v", x, err)
	}
	page, err := w.server().List(t.Context(), live.Query{Workspace: "acme", Limit: 10})
	if err != nil || len(page.Exports) != 1 || page.Exports[0].DeletedAt == nil {
		t.Errorf("another server lists %+v, %v", page, err)
	}
}

func TestARowOfClickHouseAndAnEventTellTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.server()
	at := time.Now().UTC().Truncate(time.Millisecond)
	for i, status := range []export.Status{export.StatusSucceeded, export.StatusFailed, export.StatusCancelled, export.StatusRunning} {
		p := w.plan(string(status), at.Add(time.Duration(i)*time.Second))
		w.progress(p, 0)
		w.progress(p, 1)
		if status.Final() {
			w.end(p, status)
		}
	}
	stop := w.track()
	conn, err := w.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.eventually(func() string {
		var n uint64
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM export_events").Scan(&n); err != nil || n != 11 {
			return fmt.Sprint(n, err)
		}
		return ""
	})
	stop()
	after := w.server() // it has nothing but ClickHouse
	want, err := before.List(t.Context(), live.Query{Workspace: "acme", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	got, err := after.List(t.Context(), live.Query{Workspace: "acme", Limit: 10})
	if err != nil || len(got.Exports) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	a, _ := json.MarshalIndent(got, "", " ")
	b, _ := json.MarshalIndent(want, "", " ")
	if string(a) != string(b) {
		t.Errorf("ClickHouse tells %s\nthe events tell %s", a, b)
	}
}

func TestPagesNeitherRepeatNorSkipWhateverIsFiledMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.track()
	defer stop()
	e := w.server()
	at := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour)
	want := map[string]bool{}
	for i := range 120 {
		name := fmt.Sprintf("e%03d", i)
		want[name] = true
		w.progress(w.plan(name, at.Add(time.Duration(i/3)*time.Millisecond)), 0) // three at a time
	}
	w.eventually(func() string {
		page, err := e.List(t.Context(), live.Query{Workspace: "acme", Limit: 200})
		if err != nil || len(page.Exports) != 120 {
			return fmt.Sprint(len(page.Exports), err)
		}
		return ""
	})
	var seen []string
	q := live.Query{Workspace: "acme", Limit: 7}
	for pages := 0; ; pages++ {
		page, err := e.List(t.Context(), q)
		if err != nil || len(page.Exports) > 7 {
			t.Fatal(len(page.Exports), err)
		}
		seen = append(seen, names(page)...)
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		w.mustFile(e, fmt.Sprintf("new%d", pages))
	}
	sorted := slices.Clone(seen)
	slices.Sort(sorted)
	if len(seen) != 120 || len(slices.Compact(sorted)) != 120 || !want[seen[119]] || seen[0] != "e119" {
		t.Errorf("%d exports: %v", len(seen), seen)
	}
	for _, cursor := range []string{"x", "e30", strings.Repeat("A", 400), "eyJ0IjotMSwiaWQiOiJhIn0"} {
		q.Cursor = cursor
		if _, err := e.List(t.Context(), q); !errors.Is(err, live.ErrCursor) {
			t.Errorf("cursor %s: %v", cursor, err)
		}
	}
	for filter, want := range map[string]int{"accepted": 137, "running": 0} {
		n := 0
		for q = (live.Query{Workspace: "acme", Limit: 50, Status: []string{filter}}); ; {
			page, err := e.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Exports)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if n != want {
			t.Errorf("%d exports are %s, want %d", n, filter, want)
		}
	}
}

func TestAWatcherSeesEachChangeAndTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	w.mustFile(e, "e")
	p := w.plan("e", time.Now().UTC().Truncate(time.Millisecond))
	var seen []string
	for u, err := range e.Watch(t.Context(), id("e"), time.Hour) {
		if err != nil {
			t.Fatal(err)
		}
		if u.Completion != nil {
			seen = append(seen, string(u.Completion.Status))
			continue
		}
		seen = append(seen, fmt.Sprint(u.Progress.WindowsDone, "/", u.Progress.WindowsPlanned))
		switch len(seen) { // what comes next is told only now, so that none is passed over
		case 1:
			w.progress(p, 0)
		case 2:
			w.progress(p, 1)
		case 3:
			w.end(p, export.StatusCancelled)
		}
	}
	if fmt.Sprint(seen) != "[0/0 0/2 1/2 cancelled]" {
		t.Errorf("seen %v", seen)
	}
	for u, err := range w.server().Watch(t.Context(), id("e"), time.Hour) { // one that comes late
		if err != nil || u.Completion == nil || u.Completion.Status != export.StatusCancelled {
			t.Errorf("%+v, %v", u, err)
		}
	}
	for _, err := range e.Watch(t.Context(), id("none"), time.Hour) {
		if !errors.Is(err, live.ErrNotFound) {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.mustFile(e, "idle")
	n := 0
	for u, err := range e.Watch(ctx, id("idle"), time.Millisecond) {
		if n++; n == 3 {
			cancel()
		}
		if n > 1 && err == nil && (u.Progress != nil || u.Completion != nil) {
			t.Errorf("nothing happened, and yet %+v", u)
		}
	}
	if n < 3 {
		t.Errorf("%d updates", n)
	}
}

func TestWithoutClickHouseTheTopicsAndTheBucketTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	p := w.plan("ended", time.Now())
	w.end(p, export.StatusSucceeded)
	w.plan("planned", time.Now())
	w.proxy.Refuse()
	late := w.server()
	for name, want := range map[string]export.Status{"ended": export.StatusSucceeded, "planned": export.StatusAccepted} {
		if x, err := late.Get(t.Context(), id(name)); err != nil || x.Status != want {
			t.Errorf("%s is %+v, %v", name, x, err)
		}
	}
	w.mustFile(e, "new")
	if _, err := e.Get(t.Context(), id("none")); err == nil || errors.Is(err, live.ErrNotFound) {
		t.Errorf("whether there is an export nobody knows, and yet: %v", err)
	}
	if _, err := e.List(t.Context(), live.Query{Workspace: "acme", Limit: 10}); err == nil {
		t.Error("a listing without ClickHouse succeeded")
	}
}

func TestWithoutKafkaNothingIsFiledOrSaidToBeMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.timeout = time.Second
	e := w.server()
	w.mustFile(e, "there")
	w.kafka.Close()
	if _, err := e.Get(t.Context(), id("none")); !errors.Is(err, live.ErrBehind) {
		t.Errorf("whether there is an export nobody knows, and yet: %v", err)
	}
	if x, err := e.Get(t.Context(), id("there")); err != nil || x.Status != export.StatusAccepted {
		t.Errorf("what was known is %+v, %v", x, err)
	}
	if _, err := w.file(e, "new", "n"); !errors.Is(err, live.ErrNotAcknowledged) {
		t.Errorf("filed without Kafka: %v", err)
	}
	if _, err := e.Dataset(t.Context(), id("there")); !errors.Is(err, dataset.ErrRunning) {
		t.Errorf("the folder of what is not planned: %v", err)
	}
}
