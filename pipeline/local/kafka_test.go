package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/local"
)

// closeKafka closes a broker by running it with a context that is done.
func closeKafka(t testing.TB, k *local.Kafka) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := k.Run(ctx); err != nil {
		t.Error(err)
	}
}

func startKafka(t testing.TB) *local.Kafka {
	t.Helper()
	k, err := local.NewKafka(local.KafkaConfig{Ephemeral: true, Log: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeKafka(t, k) })
	return k
}

func newClient(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func createTopic(t testing.TB, addr, topic string, partitions int32, configs map[string]*string) {
	t.Helper()
	if _, err := kadm.NewClient(newClient(t, addr)).CreateTopic(t.Context(), partitions, -1, configs, topic); err != nil {
		t.Fatal(err)
	}
}

func record(topic, value string) *kgo.Record { return &kgo.Record{Topic: topic, Value: []byte(value)} }

func produce(t testing.TB, client *kgo.Client, topic string, values ...string) {
	t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, record(topic, v))
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume returns the values of the next n records.
func consume(t testing.TB, client *kgo.Client, n int) (values []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for len(values) < n {
		fetches := client.PollRecords(ctx, n-len(values))
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(values), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestKafkaSurvivesAKill(t *testing.T) {
	t.Parallel()
	cfg := local.KafkaConfig{Dir: t.TempDir()}
	broker := startParent(t, "kafka", cfg)
	addr := broker.line(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}

	createTopic(t, addr, "plain", 3, nil)
	createTopic(t, addr, "transactional", 1, nil)
	producer := newClient(t, addr)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprint(i))
	}
	produce(t, producer, "plain", want...)

	group := newClient(t, addr, kgo.ConsumerGroup("group"), kgo.ConsumeTopics("plain"), kgo.DisableAutoCommit())
	consume(t, group, 120)
	if err := group.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	group.Close()

	// One transaction is committed, one is aborted, and one is open when the broker is killed.
	var open *kgo.Client
	for _, fate := range []string{"committed", "aborted", "open"} {
		client := newClient(t, addr, kgo.TransactionalID(fate), kgo.TransactionTimeout(time.Minute))
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, client, "transactional", fate)
		switch fate {
		case "committed":
			err = client.EndTransaction(t.Context(), kgo.TryCommit)
		case "aborted":
			err = client.EndTransaction(t.Context(), kgo.TryAbort)
		case "open":
			open = client
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	broker.kill()
	if cfg.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if again := startParent(t, "kafka", cfg).line(t); again != addr {
		t.Fatalf("the broker is at %s, was at %s", again, addr)
	}
	t.Logf("up again after %s", time.Since(start).Round(time.Millisecond))

	// The records are there, and the producer continues as before.
	produce(t, producer, "plain", "after")
	seen := make(map[string]int)
	for _, v := range consume(t, newClient(t, addr, kgo.ConsumeTopics("plain")), len(want)+1) {
		seen[v]++
	}
	for _, v := range append(want, "after") {
		if seen[v] != 1 {
			t.Errorf("record %s is there %d times", v, seen[v])
		}
	}

	// The group's offsets.
	offsets, err := kadm.NewClient(newClient(t, addr)).FetchOffsets(t.Context(), "group")
	if err != nil {
		t.Fatal(err)
	}
	var committed int64
	offsets.Each(func(o kadm.OffsetResponse) { committed += o.At })
	if committed != 120 {
		t.Errorf("the group is at %d records, want 120: %v", committed, offsets)
	}

	// The open transaction was aborted, so readers do not wait for its end.
	if err := open.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("the transaction that was open at the kill could be committed")
	}
	after := newClient(t, addr, kgo.TransactionalID("after"))
	if err := after.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, after, "transactional", "after")
	if err := after.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	reader := newClient(t, addr, kgo.ConsumeTopics("transactional"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if got := strings.Join(consume(t, reader, 2), " "); got != "committed after" {
		t.Errorf("read committed: %s, want committed after", got)
	}
}

func TestKafkaSurvivesACleanRestart(t *testing.T) {
	t.Parallel()
	cfg := local.KafkaConfig{Dir: t.TempDir(), Log: quiet(t)}
	k, err := local.NewKafka(cfg)
	if err != nil {
		t.Fatal(err)
	}
	createTopic(t, k.Addr(), "topic", 1, nil)
	produce(t, newClient(t, k.Addr()), "topic", "kept")
	closeKafka(t, k)

	if k, err = local.NewKafka(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeKafka(t, k) })
	if got := consume(t, newClient(t, k.Addr(), kgo.ConsumeTopics("topic")), 1)[0]; got != "kept" {
		t.Errorf("consumed %s, want kept", got)
	}
}

func TestKafkaTakesRecordsUpToATopicsLimit(t *testing.T) {
	t.Parallel()
	const limit = 8 << 20
	addr := startKafka(t).Addr()
	bytesLimit := strconv.Itoa(limit)
	createTopic(t, addr, "large", 1, map[string]*string{"max.message.bytes": &bytesLimit})
	createTopic(t, addr, "small", 1, nil)

	// The limit is that of a batch, so a record must be a little smaller. The client has a limit
	// too, by default 1 MB.
	largest := strings.Repeat("x", limit-100)
	client := newClient(t, addr, kgo.ProducerBatchMaxBytes(limit), kgo.ProducerBatchCompression(kgo.NoCompression()))
	produce(t, client, "large", largest)
	if got := consume(t, newClient(t, addr, kgo.ConsumeTopics("large")), 1)[0]; got != largest {
		t.Errorf("consumed %d bytes, want %d", len(got), len(largest))
	}

	err := client.ProduceSync(t.Context(), record("small", largest)).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("a topic without a limit of its own took it: %v", err)
	}
	err = client.ProduceSync(t.Context(), record("unknown", "x")).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("produce to a topic that is not there: %v", err)
	}
}

func TestKcatProducesAndConsumes(t *testing.T) {
	t.Parallel()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip(err)
	}
	addr := startKafka(t).Addr()
	createTopic(t, addr, "topic", 1, nil)
	produce := exec.CommandContext(t.Context(), kcat, "-b", addr, "-t", "topic", "-P", "-k", "key", "-H", "ce_type=test",
		"-z", "zstd")
	produce.Stdin = strings.NewReader("one\ntwo\n")
	if out, err := produce.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var problems bytes.Buffer
	consume := exec.CommandContext(t.Context(), kcat, "-b", addr, "-t", "topic", "-C", "-e", "-f", "%o %k %h %s\n")
	consume.Stderr = &problems
	out, err := consume.Output()
	if want := "0 key ce_type=test one\n1 key ce_type=test two\n"; err != nil || string(out) != want {
		t.Errorf("kcat consumed %q, want %q (%v: %s)", out, want, err, problems.String())
	}
}

func TestClickHousesKafkaEngineReadsFromKafka(t *testing.T) {
	t.Parallel()
	c, _ := run(t, realConfig(t))
	addr := startKafka(t).Addr()
	createTopic(t, addr, "topic", 4, nil)
	const records = 10_000
	var values []string
	for i := range records {
		values = append(values, fmt.Sprintf(`{"n":%d,"s":"text"}`, i))
	}
	produce(t, newClient(t, addr, kgo.RecordPartitioner(kgo.RoundRobinPartitioner())), "topic", values...)

	waitReady(t, c)
	conn := connect(t, c)
	execute(t, conn,
		"CREATE TABLE target (n UInt64, s String) ENGINE = MergeTree ORDER BY n",
		`CREATE TABLE source (n UInt64, s String) ENGINE = Kafka SETTINGS
		 kafka_broker_list = '`+addr+`', kafka_topic_list = 'topic', kafka_group_name = 'clickhouse',
		 kafka_format = 'JSONEachRow', kafka_num_consumers = 1, kafka_flush_interval_ms = 500`,
		"CREATE MATERIALIZED VIEW view TO target AS SELECT * FROM source")
	eventually(t, "every record is in the table", func() bool { return count(t, conn, "target") == records })
	var distinct uint64
	if err := conn.QueryRow(t.Context(), "SELECT uniqExact(n) FROM target").Scan(&distinct); err != nil ||
		distinct != records {
		t.Errorf("%d different records, want %d (%v)", distinct, records, err)
	}
	execute(t, conn, "DROP TABLE view", "DROP TABLE source")
}

// kfake allocates the length that a client claims, and panics at a request that Kafka does not have:
// 50 connections took 22 GB, and one was the end of the process.
func TestOneHostileClientDoesNotHarmTheBroker(t *testing.T) {
	t.Parallel()
	k := startKafka(t)
	heap := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before := heap()
	for i := range 50 {
		conn, err := net.Dial("tcp", k.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		claim := []byte{0x06, 0, 0, 0, 0, 0} // 96 MiB
		if i%2 == 0 {
			claim = []byte{0x1b, 0, 0, 0, 0, 0} // 432 MiB
		}
		if _, err := conn.Write(claim); err != nil {
			t.Fatal(err)
		}
	}
	unknown, err := net.Dial("tcp", k.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer unknown.Close()
	if _, err := unknown.Write([]byte{0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if n, err := unknown.Read(make([]byte, 1)); n > 0 || err == nil { // the connection is closed
		t.Errorf("a request with an unknown key: %d bytes, %v", n, err)
	}
	createTopic(t, k.Addr(), "t", 1, nil)
	if err := newClient(t, k.Addr()).ProduceSync(t.Context(), record("t", "v")).FirstErr(); err != nil {
		t.Error(err)
	}
	if after := heap(); after > before+1<<30 { // other tests run at the same time
		t.Errorf("the heap has %d MB more", (after-before)>>20)
	}
}
