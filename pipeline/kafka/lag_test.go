package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/local/localtest"
)

// clock counts seconds from the beginning of a test.
type clock struct{ began time.Time }

func (c clock) at(seconds int) time.Time { return c.began.Add(time.Duration(seconds) * time.Second) }

// record is a record of topic t.in.
func (c clock) record(offset int64, seconds int) *kgo.Record {
	return &kgo.Record{Topic: "t.in", Offset: offset, Timestamp: c.at(seconds)}
}

func TestTheSecondsOfALagAreTheAgeOfTheOldestRecordWithoutACommit(t *testing.T) {
	t.Parallel()
	c := clock{time.Unix(1_700_000_000, 0)}
	type step struct {
		polled                []*kgo.Record // before the measurement
		start, committed, end int64
		now                   int // seconds
		records, min, max     int // what is measured
	}
	for name, steps := range map[string][]step{
		"no records": {{end: 0, now: 0}, {end: 0, now: 60}},
		"records that were there before, and are not polled yet": {
			{end: 10, now: 0, records: 10}, // of an unknown age
			{end: 10, now: 60, records: 10, min: 60, max: 60},
		},
		"polled records tell their age": {
			{polled: []*kgo.Record{c.record(0, -90), c.record(1, -80)}, end: 2, now: 0, records: 2, min: 90, max: 90},
		},
		"a part is committed": {
			{polled: []*kgo.Record{c.record(0, 0)}, end: 10, now: 0, records: 10},
			{polled: []*kgo.Record{c.record(5, 30)}, committed: 5, end: 10, now: 40, records: 5, min: 10, max: 10},
			{committed: 10, end: 10, now: 41},
		},
		"records come after a time without any, and are not polled": {
			{committed: 7, end: 7, now: 0},
			{committed: 7, end: 9, now: 5, records: 2, min: 0, max: 5},
			{committed: 7, end: 9, now: 65, records: 2, min: 60, max: 65},
		},
		"retention deleted what was not consumed": {{start: 50, committed: 7, end: 60, now: 0, records: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := (&Config{Name: "test", TopicPrefix: "t."}).NewLag(nil, "in")
			l.Assign(nil, map[string][]int32{"t.in": {0}})
			for i, s := range steps {
				l.Polled(s.polled)
				records, age := l.owned[Partition{"t.in", 0}].behind(s.start, s.committed, s.end, c.at(s.now))
				if seconds := int(age.Seconds()); records != int64(s.records) || seconds < s.min || seconds > s.max {
					t.Errorf("step %d: %d records, %d s; want %d, %d to %d s", i, records, seconds, s.records, s.min, s.max)
				}
			}
		})
	}
}

func TestTheMarksOfAConsumerThatIsStuckAreBoundedAndItsLagGrows(t *testing.T) {
	t.Parallel()
	c := clock{time.Unix(1_700_000_000, 0)}
	p := &progress{}
	for i := range 10_000 {
		_, age := p.behind(0, 1, int64(i+1), c.at(5*i))
		if want := time.Duration(max(0, 5*i-5)) * time.Second; age < want || age > want+5*time.Second {
			t.Fatalf("measurement %d: %s, want %s", i, age, want)
		}
		if len(p.marks) > maxMarks {
			t.Fatalf("%d marks", len(p.marks))
		}
	}
}

// The markers that end transactions have offsets too. They are no records that anybody waits for.
func TestTheLagOfAGroupComesAndGoes(t *testing.T) {
	t.Parallel()
	c := localtest.Kafka(t, kfake.SeedTopics(2, "t.in"))
	registry := prometheus.NewRegistry()
	cfg := &Config{Name: "test", TopicPrefix: "t.", Options: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)},
		Metrics: registry, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	highest := -1.0
	l := cfg.NewLag(func(seconds float64) { highest = seconds }, "in")
	producer, err := kgo.NewClient(append(cfg.Options, kgo.TransactionalID("t"), kgo.DefaultProduceTopic("t.in"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	produce := func(n int, age time.Duration) {
		t.Helper()
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range n {
			r := &kgo.Record{Value: []byte("x"), Partition: 1, Timestamp: time.Now().Add(-age)}
			if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	produce(3, time.Minute)
	released := func(_ context.Context, client *kgo.Client, p map[string][]int32) { l.Release(client, p) }
	consumer, err := kgo.NewClient(append(cfg.GroupOptions(), kgo.ConsumeTopics("t.in"), kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, p map[string][]int32) { l.Assign(client, p) }),
		kgo.OnPartitionsRevoked(released), kgo.OnPartitionsLost(released))...)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	// consume polls n records and markers.
	consume := func(n int) {
		t.Helper()
		for n > 0 {
			fetches := consumer.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachPartition(func(f kgo.FetchTopicPartition) { l.Polled(f.Records) })
			n -= fetches.NumRecords()
		}
	}
	admin := kadm.NewClient(producer)
	measure := func() string {
		t.Helper()
		if err := l.measure(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, p := range []string{"0", "1"} {
			records, seconds := value(t, registry, "millrace_consumer_lag_records", p),
				value(t, registry, "millrace_consumer_lag_seconds", p)
			text += fmt.Sprintf("%v %v; ", records, int(seconds+0.5)/60) // minutes
		}
		return text + fmt.Sprint(int(highest+0.5)/60)
	}
	consume(4)
	if got := measure(); got != "0 0; 4 1; 1" {
		t.Errorf("polled: %s", got)
	}
	if err := consumer.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := measure(); got != "0 0; 0 0; 0" {
		t.Errorf("committed: %s", got)
	}
	// A stage commits the offset after a record, before it polls the marker.
	produce(1, 0)
	consume(2)
	offsets := map[string]map[int32]kgo.EpochOffset{"t.in": {1: {Epoch: -1, Offset: 5}}}
	if err := CommitOffsets(t.Context(), consumer, offsets); err != nil {
		t.Fatal(err)
	}
	if got := measure(); got != "0 0; 0 0; 0" {
		t.Errorf("all but a marker committed: %s", got)
	}
	consumer.Close()
	l.ReleaseAll(consumer)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n := f.GetName(); n == "millrace_consumer_lag_records" || n == "millrace_consumer_lag_seconds" {
			t.Errorf("%s of partitions that belong to nobody: %v", n, f.GetMetric())
		}
	}
}

// value returns the value of a gauge of a partition, -1 without one.
func value(t *testing.T, registry *prometheus.Registry, name, partition string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && label(m, "partition") == partition {
				if label(m, "group") != "t.test" || label(m, "topic") != "t.in" {
					t.Errorf("%s has the labels %v", name, m.GetLabel())
				}
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
