package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/kafka/kafkatest"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/strictjson"
)

const in, out = "t.in", "t.out"

func cluster(t *testing.T, partitions int32) *kfake.Cluster {
	return localtest.Kafka(t, kfake.SeedTopics(partitions, in, out, "t."+event.TopicDeadLetters))
}

func config(t *testing.T, c *kfake.Cluster) Config {
	return Config{
		Config: kafka.Config{
			Name: "test", TopicPrefix: "t.", Options: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)},
			Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		},
		Topic: "in", Outputs: []string{"out"},
	}
}

func client(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func produce(t *testing.T, c *kfake.Cluster, records ...*kgo.Record) {
	t.Helper()
	if err := client(t, c).ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// start runs the stage until the test ends or the returned function is called, which returns its
// error.
func start(t *testing.T, s *Stage) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	return stop
}

func reader(t *testing.T, c *kfake.Cluster, topics ...string) *kgo.Client {
	return client(t, c, kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(200*time.Millisecond))
}

// read waits for n committed records.
func read(t *testing.T, cl *kgo.Client, n int) (records []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(records) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records, want %d", len(records), n)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// copyTo is the handler that produces what it consumes.
func copyTo(topic string) Handler {
	return func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		return []*kgo.Record{{Topic: topic, Value: r.Value}}, nil
	}
}

func numbered(n int) (records []*kgo.Record) {
	for i := range n {
		records = append(records, &kgo.Record{Topic: in, Value: fmt.Append(nil, i)})
	}
	return records
}

func values(records []*kgo.Record) (list []string) {
	for _, r := range records {
		list = append(list, string(r.Value))
	}
	slices.Sort(list)
	return list
}

func TestAReadCommittedConsumerSeesTheResultsOfEveryRecordOnce(t *testing.T) {
	t.Parallel()
	c := cluster(t, 4)
	cfg := config(t, c)
	cfg.Slots = 3
	produce(t, c, numbered(40)...)
	stop := start(t, New(cfg, copyTo(out)))
	got := values(read(t, reader(t, c, out), 40))
	if want := values(numbered(40)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	// A second process continues after the first.
	produce(t, c, &kgo.Record{Topic: in, Value: []byte("later")})
	start(t, New(cfg, copyTo(out)))
	if got := values(read(t, reader(t, c, out), 41)); len(got) != 41 || got[40] != "later" {
		t.Errorf("got %v", got)
	}
}

func TestARefusedRecordBecomesADeadLetterAndTheNextOneIsWorkedOn(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	produce(t, c, numbered(2)...)
	start(t, New(config(t, c), func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		if string(r.Value) == "0" {
			return nil, fmt.Errorf("wrapped: %w", &strictjson.Refusal{Code: strictjson.BadID, Pointer: "/x", Rule: "rule"})
		}
		return copyTo(out)(ctx, r)
	}))
	if got := values(read(t, reader(t, c, out), 1)); got[0] != "1" {
		t.Errorf("got %v", got)
	}
	letter := read(t, reader(t, c, "t."+event.TopicDeadLetters), 1)[0]
	headers := map[string]string{}
	for _, h := range letter.Headers {
		headers[h.Key] = string(h.Value)
	}
	if string(letter.Value) != "0" || headers[event.HeaderError] != "bad_id" || headers[event.HeaderStage] != "test" ||
		headers[event.HeaderOffset] != "0" {
		t.Errorf("dead letter %s %v", letter.Value, headers)
	}
}

func TestTheTraceOfARecordIsCopiedToItsResults(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	trace := kgo.RecordHeader{Key: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}
	produce(t, c, &kgo.Record{Topic: in, Headers: []kgo.RecordHeader{trace}})
	own := kgo.RecordHeader{Key: "traceparent", Value: []byte("own")}
	start(t, New(config(t, c), func(context.Context, *kgo.Record) ([]*kgo.Record, error) {
		return []*kgo.Record{{Topic: out}, {Topic: out, Headers: []kgo.RecordHeader{own}}}, nil
	}))
	var got []string
	for _, r := range read(t, reader(t, c, out), 2) {
		for _, h := range r.Headers {
			got = append(got, h.Key+"="+string(h.Value))
		}
	}
	if want := []string{"traceparent=" + string(trace.Value), "traceparent=own"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnErrorOfTheHandlerStopsTheStageAndTheRecordComesAgain(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	produce(t, c, numbered(1)...)
	fault := errors.New("fault")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := New(config(t, c), func(context.Context, *kgo.Record) ([]*kgo.Record, error) { return nil, fault }).Run(ctx)
	if !errors.Is(err, fault) || !strings.Contains(err.Error(), "t.in/0/0") {
		t.Fatalf("Run returned %v", err)
	}
	start(t, New(config(t, c), copyTo(out)))
	read(t, reader(t, c, out), 1)
}

func TestStoppingCancelsTheWorkAtHand(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	produce(t, c, numbered(1)...)
	working := make(chan struct{})
	stop := start(t, New(config(t, c), func(ctx context.Context, _ *kgo.Record) ([]*kgo.Record, error) {
		close(working)
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	<-working
	if err := stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	start(t, New(config(t, c), copyTo(out)))
	read(t, reader(t, c, out), 1)
}

// After a crash between producing and the commit, no read_committed consumer may see the produced
// records.
func TestACrashBeforeTheCommitVoidsWhatWasProduced(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	produce(t, c, numbered(1)...)
	cfg := config(t, c)
	crash := errors.New("crash")
	cfg.Failpoint = func(name string) error {
		if name == BeforeCommit {
			return crash
		}
		return nil
	}
	handler := func(text string) Handler {
		return func(context.Context, *kgo.Record) ([]*kgo.Record, error) {
			return []*kgo.Record{{Topic: out, Value: []byte(text)}}, nil
		}
	}
	if err := New(cfg, handler("void")).Run(t.Context()); !errors.Is(err, crash) {
		t.Fatalf("Run returned %v", err)
	}
	start(t, New(config(t, c), handler("counts")))
	if got := values(read(t, reader(t, c, out), 1)); got[0] != "counts" {
		t.Errorf("got %v", got)
	}
}

// The request to end a transaction fails, so the stage does not know whether Kafka committed it. A
// new session with the same transactional id ends a transaction that is still open, and continues
// at the committed offset.
func TestAnUnknownEndOfATransactionIsNeitherLostNorRepeated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*kerr.Error{
		"applied":     kerr.RequestTimedOut,
		"not applied": kerr.ProducerFenced,
		"aborted":     kerr.UnknownServerError,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, 1)
			faults := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: fault, Count: 2})
			produce(t, c, numbered(5)...)
			start(t, New(config(t, c), copyTo(out)))
			got := values(read(t, reader(t, c, out), 5))
			if !slices.Equal(got, values(numbered(5))) {
				t.Errorf("got %v", got)
			}
			if faults.Hits() != 2 {
				t.Errorf("%d faults, want 2", faults.Hits())
			}
		})
	}
}

func TestMembersThatComeAndGoNeitherLoseNorRepeatRecords(t *testing.T) {
	t.Parallel()
	c := cluster(t, 6)
	const n = 120
	produce(t, c, numbered(n)...)
	slow := func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		select {
		case <-time.After(10 * time.Millisecond): // so that rebalances happen during the work
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return copyTo(out)(ctx, r)
	}
	cl := reader(t, c, out)
	var stops []func() error
	var got []*kgo.Record
	for range 8 {
		stops = append(stops, start(t, New(config(t, c), slow)))
		got = append(got, read(t, cl, 1)...)
		if len(stops) == 3 {
			if err := stops[0](); err != nil {
				t.Error(err)
			}
			stops = stops[1:]
		}
	}
	got = append(got, read(t, cl, n-len(got))...)
	want := values(numbered(n))
	if list := values(got); !slices.Equal(list, want) {
		t.Errorf("%d records, want %d: %v", len(list), n, list)
	}
}

// A compressed batch of a few kilobytes may hold gigabytes.
func TestABatchThatDecompressesTooFarIsSkippedWithADeadLetter(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	kafkatest.ProduceOversize(t, in, 0, kgo.SeedBrokers(c.ListenAddrs()...))
	produce(t, c, &kgo.Record{Topic: in, Value: []byte("after")})
	start(t, New(config(t, c), copyTo(out)))
	if got := values(read(t, reader(t, c, out), 1)); got[0] != "after" {
		t.Errorf("got %v", got)
	}
	letter := read(t, reader(t, c, "t."+event.TopicDeadLetters), 1)[0]
	got := map[string]string{}
	for _, h := range letter.Headers {
		got[h.Key] = string(h.Value)
	}
	if got[event.HeaderError] != "too_large" || got[event.HeaderOffset] != "0" ||
		!strings.HasPrefix(got[event.HeaderDetail], "offsets 0 to 9 ") {
		t.Errorf("dead letter %v", got)
	}
}

func TestASlotServesItsPartitionsInTurn(t *testing.T) {
	t.Parallel()
	c := cluster(t, 4)
	const backlog, others = 40, 3
	producer := client(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range backlog + others {
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: in, Partition: int32(max(0, i-backlog+1)),
			Value: fmt.Append(nil, i)}).FirstErr(); err != nil { // one by one: each is a batch
			t.Fatal(err)
		}
	}
	var order []int32
	done := make(chan struct{})
	start(t, New(config(t, c), func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		if order = append(order, r.Partition); len(order) == backlog+others {
			close(done)
		}
		return nil, nil
	}))
	<-done
	for p := range int32(others) {
		if at := slices.Index(order, p+1); at > 2*(1+others) {
			t.Errorf("the record of partition %d is number %d: %v", p+1, at, order)
		}
	}
}

func TestAMissingTopicIsNamed(t *testing.T) {
	t.Parallel()
	c := localtest.Kafka(t, kfake.SeedTopics(1, in))
	err := New(config(t, c), copyTo(out)).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "millrace topics") {
		t.Errorf("Run returned %v", err)
	}
}

func TestRecordsAndTransactionsAreCounted(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	cfg := config(t, c)
	registry := cfg.Metrics.(*prometheus.Registry)
	produce(t, c, numbered(2)...)
	s := New(cfg, copyTo(out))
	New(cfg, copyTo(out)) // a second stage in one process, with the same registry
	stop := start(t, s)
	read(t, reader(t, c, out), 2)
	if err := stop(); err != nil { // it waits until the records are counted, which is after the commit
		t.Fatal(err)
	}
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"millrace_stage_records_total done test": 2, "millrace_stage_transactions_total committed test": 2,
		"millrace_stage_work_seconds test": 2, "millrace_stage_sessions_renewed_total test": 0,
	} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s = %v, want %v; there are %v", name, n, want, got)
		}
	}
}
