package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/export/track"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/sinks/bucket"
)

// world is the services that servers share: Kafka, ClickHouse and a bucket. The test plays the role
// of the stages.
type world struct {
	*testing.T
	kafka  *kfake.Cluster
	dsn    *clickhouse.DSN
	proxy  *clickhousetest.Proxy // between servers and ClickHouse
	via    *clickhouse.DSN
	bucket *bucket.Bucket
	client *kgo.Client

	registry *prometheus.Registry // of the server that was started last

	timeout time.Duration
	now     func() time.Time // of servers; nil: the clock
	growth  time.Duration    // of servers
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dsn: clickhousetest.Database(t)}
	w.proxy = clickhousetest.NewProxy(t, w.dsn.Addr())
	w.via = parse(t, localtest.ClickHouse(t).DSNAt(w.proxy.Addr, w.dsn.Database))
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

func (w *world) config(log slog.Handler) kafka.Config {
	w.registry = prometheus.NewRegistry()
	return kafka.Config{
		TopicPrefix: event.DefaultPrefix, Options: []kgo.Opt{kgo.SeedBrokers(w.kafka.ListenAddrs()...)},
		Metrics: w.registry, Growth: w.growth,
		Log: slog.New(log),
	}
}

// server starts a server, and waits until it knows all exports.
func (w *world) server() *live.Exports {
	conn, err := w.via.Open()
	if err != nil {
		w.Fatal(err)
	}
	e := live.New(live.Config{Config: w.config(slog.NewTextHandler(w.Output(), nil)), Producer: w.newClient(),
		Timeout: w.timeout, Now: w.now}, conn, w.bucket)
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
	s := track.New(w.config(slog.DiscardHandler), w.dsn)
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
	document := fmt.Appendf(nil,
		`{"export_id":%q,"workspace_id":"acme","name":%q,"purpose":"export_dataset","source":"recipe","app_id":"a","selection":{"limit":10}}`, id, name)
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
		Version: export.PlanVersion, ID: r.ID, Hash: r.Hash(), Request: r, RequestedAt: at, AcceptedAt: at, Rows: 100,
		Windows: []export.PlannedWindow{{Rows: 60}, {Rows: 40}},
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
	w.publish(event.TopicExportProgress, export.TypeProgressed, p.ID, export.NewProgress(p, status,
		&export.Tally{Windows: windows, Rows: int64(windows) * 60}, p.AcceptedAt))
}

// end does what the stage seal does, as far as others see it.
func (w *world) end(p *export.Plan, status export.Status) *export.Completion {
	w.Helper()
	f := folder.Folder{Bucket: w.bucket, ID: p.ID}
	_, text, err := f.CreateManifest(w.Context(), export.NewManifest(p, status, nil, nil, "t/0/0",
		p.AcceptedAt.Add(time.Second)))
	if err != nil {
		w.Fatal(err)
	}
	c, err := export.NewCompletion(p, text, "mem:///manifest.json", card.LoadWith)
	if err != nil {
		w.Fatal(err)
	}
	w.publish(event.TopicExportCompletions, export.TypeCompleted, p.ID, c)
	return c
}

// conn returns a connection to ClickHouse.
func (w *world) conn() driver.Conn {
	w.Helper()
	conn, err := w.dsn.Open()
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return conn
}

func describe(x *live.Export, err error) string {
	text, _ := json.Marshal(x)
	return fmt.Sprintf("%s, %v", text, err)
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
