package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/ingest"
	"github.com/millrace/millrace/pipeline/local/localtest"
	schema "github.com/millrace/millrace/schemas/clickhouse"
	"github.com/millrace/millrace/sinks/runstore"
)

// deadline bounds every wait. It is long, since only a broken test reaches it.
const deadline = 90 * time.Second

// limits are lower than those of the contract, so that tests of what is too large are quick.
var limits = event.Limits{Value: 8 << 20, String: 1 << 20}

// Topics and group of the tests.
const (
	runsTopic    = "millrace.runs"
	lettersTopic = "millrace.dead-letters"
	group        = "millrace.ingest"
)

// world is a Kafka with the topics and a database with the tables, of one test.
type world struct {
	*testing.T
	kafka    *kfake.Cluster
	brokers  []string
	client   *kgo.Client // produces also what no producer should
	admin    *kadm.Client
	server   *localtest.Server
	database string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, server: localtest.ClickHouse(t), kafka: localtest.Kafka(t)}
	w.brokers = w.kafka.ListenAddrs()
	w.database = w.server.Database(t)
	if _, err := clickhouse.Migrate(t.Context(), w.dsn(w.server.NativeAddr), schema.Migrations, "",
		slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	w.connect()
	w.createTopic(event.TopicRuns)
	w.createTopic(event.TopicDeadLetters)
	return w
}

func (w *world) connect() {
	w.Helper()
	var err error
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.ProducerBatchMaxBytes(90<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(w.client.Close)
	w.admin = kadm.NewClient(w.client)
}

func (w *world) createTopic(name string) {
	w.Helper()
	topics := event.Topics
	if name == event.TopicDeadLetters { // smaller than records that topic runs takes
		topics = limits.Topics()
	}
	for _, topic := range topics {
		if topic.Name != name {
			continue
		}
		configs := map[string]*string{}
		for k, v := range topic.Configs {
			configs[k] = &v
		}
		if _, err := w.admin.CreateTopic(w.Context(), topic.Partitions, 1, configs, event.DefaultPrefix+name); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) dsn(addr string) *clickhouse.DSN {
	w.Helper()
	dsn, err := clickhouse.ParseDSN(w.server.DSNAt(addr, w.database))
	if err != nil {
		w.Fatal(err)
	}
	return dsn
}

// stage is a stage that runs.
type stage struct {
	w        *world
	registry *prometheus.Registry
	polled   atomic.Int64 // records handed to the stage
	ready    <-chan struct{}
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // of Run, once done is closed
}

// OnFetchRecordUnbuffered implements kgo.HookFetchRecordUnbuffered.
func (s *stage) OnFetchRecordUnbuffered(_ *kgo.Record, polled bool) {
	if polled {
		s.polled.Add(1)
	}
}

// start runs a stage until it is stopped or the test ends. It reaches ClickHouse at the address, ""
// = directly.
func (w *world) start(cfg ingest.Config, addr string, options ...kgo.Opt) *stage {
	w.Helper()
	if addr == "" {
		addr = w.server.NativeAddr
	}
	cfg.Limits = limits
	if cfg.TopicPrefix == "" {
		cfg.TopicPrefix = event.DefaultPrefix
	}
	if cfg.BatchInterval == 0 {
		cfg.BatchInterval = 50 * time.Millisecond
	}
	s := &stage{w: w, registry: prometheus.NewRegistry(), done: make(chan struct{})}
	cfg.Options = append([]kgo.Opt{kgo.SeedBrokers(w.brokers...), kgo.WithHooks(s),
		kgo.MetadataMinAge(100 * time.Millisecond)}, options...)
	cfg.Metrics = s.registry
	cfg.Log = slog.New(slog.NewTextHandler(w.Output(), nil))
	run := ingest.New(cfg, runstore.New(w.dsn(addr)))
	s.ready = run.Ready()
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(s.done)
		s.err = run.Run(ctx)
	}()
	w.Cleanup(func() {
		s.cancel()
		s.wait()
	})
	return s
}

// wait returns Run's error when it has returned.
func (s *stage) wait() error {
	s.w.Helper()
	select {
	case <-s.done:
		return s.err
	case <-time.After(deadline):
		s.w.Fatal("the stage does not end")
		return nil
	}
}

// stop stops the stage, and fails the test if Run returns an error.
func (s *stage) stop() {
	s.w.Helper()
	s.cancel()
	if err := s.wait(); err != nil {
		s.w.Fatalf("stopped with %v", err)
	}
}

// eventually polls until ok returns true, and fails the test if that takes too long.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for timeout := time.After(deadline); !ok(); {
		select {
		case <-ticker.C:
		case <-timeout:
			w.Fatalf("waited too long: %s", what)
		}
	}
}

// produce sends records to topic runs, and sets their partitions and offsets.
func (w *world) produce(records ...*kgo.Record) {
	w.Helper()
	for _, r := range records {
		r.Topic = runsTopic
	}
	if err := w.client.ProduceSync(w.Context(), records...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// runEvent returns the record of a run with further fields, given as JSON.
func runEvent(id string, partition int, fields string) *kgo.Record {
	value := `{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"` + id +
		`","source":"recipe","app_id":"a1","started_at":"2026-01-31T10:00:00Z","status":"succeeded"` + fields + `}`
	return &kgo.Record{Partition: int32(partition), Key: []byte("acme/" + id), Value: []byte(value)}
}

// runEvents returns n runs, over all partitions.
func runEvents(prefix string, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = runEvent(fmt.Sprint(prefix, i), i%12, "")
	}
	return records
}

// committed returns the sum of the group's committed offsets, and of the partitions' ends.
func (w *world) committed() (offsets, ends int64) {
	w.Helper()
	committed, err := w.admin.FetchOffsetsForTopics(w.Context(), group, runsTopic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		w.Fatal(err)
	}
	listed, err := w.admin.ListEndOffsets(w.Context(), runsTopic)
	if err != nil {
		w.Fatal(err)
	}
	listed.Each(func(e kadm.ListedOffset) {
		ends += e.Offset
		if at, ok := committed.Lookup(runsTopic, e.Partition); ok && at.At > 0 {
			offsets += at.At
		}
	})
	return offsets, ends
}

// allCommitted waits until every partition is committed to its end.
func (w *world) allCommitted() {
	w.Helper()
	w.eventually("offsets committed to the ends", func() bool {
		offsets, ends := w.committed()
		return offsets == ends
	})
}

// one returns the single value that a query selects.
func (w *world) one(query string) string {
	w.Helper()
	resp, err := http.Post(w.server.HTTPURL+"/?"+url.Values{"database": {w.database}}.Encode(), "text/plain",
		strings.NewReader(query))
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.Fatalf("%s: %s, %v", query, body, err)
	}
	return strings.TrimSuffix(string(body), "\n")
}

// letters reads topic dead-letters from its start to its end.
func (w *world) letters() []*kgo.Record {
	w.Helper()
	ends, err := w.admin.ListEndOffsets(w.Context(), lettersTopic)
	if err != nil {
		w.Fatal(err)
	}
	left := 0
	at := map[int32]kgo.Offset{}
	ends.Each(func(e kadm.ListedOffset) {
		left += int(e.Offset)
		at[e.Partition] = kgo.NewOffset().At(0)
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{lettersTopic: at}))
	if err != nil {
		w.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.Context(), deadline)
	defer cancel()
	var records []*kgo.Record
	for len(records) < left {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			w.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// header returns a header's last value.
func header(r *kgo.Record, key string) string {
	value := ""
	for _, h := range r.Headers {
		if h.Key == key {
			value = string(h.Value)
		}
	}
	return value
}

func (s *stage) gather() []*dto.MetricFamily {
	s.w.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.w.Fatal(err)
	}
	return families
}

// series returns the number of a metric's series.
func (s *stage) series(name string) int {
	s.w.Helper()
	for _, family := range s.gather() {
		if family.GetName() == fullName(name) {
			return len(family.GetMetric())
		}
	}
	return 0
}

// fullName returns the name of a metric of ingest, or name if it is whole.
func fullName(name string) string {
	if strings.HasPrefix(name, "millrace_") {
		return name
	}
	return "millrace_ingest_" + name
}

// metric returns the value of a metric, summed over the series with these labels, given in pairs of
// name and value. It is 0 without such a series, and the count of a histogram.
func (s *stage) metric(name string, labels ...string) float64 {
	s.w.Helper()
	sum := 0.0
	for _, family := range s.gather() {
		if family.GetName() != fullName(name) {
			continue
		}
		for _, m := range family.GetMetric() {
			has := map[string]string{}
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			matches := true
			for i := 0; i < len(labels); i += 2 {
				matches = matches && has[labels[i]] == labels[i+1]
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// wantError checks that an error with these texts ended a stage.
func (w *world) wantError(err error, texts ...string) {
	w.Helper()
	if err == nil || errors.Is(err, context.Canceled) {
		w.Fatalf("ended with %v", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			w.Errorf("%q does not contain %q", err, text)
		}
	}
}

// configure changes a topic's configuration.
func (w *world) configure(topic, key, value string) {
	w.Helper()
	responses, err := w.admin.AlterTopicConfigs(w.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range responses {
		if r.Err != nil {
			w.Fatal(r.Err)
		}
	}
}
