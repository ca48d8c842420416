package kafka_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// Texts that compress well are small in a fetch. The client holds no more of them than the inflow and
// one batch, and loses none.
func TestAClientDecompressesLittleBeforeItIsPolled(t *testing.T) {
	t.Parallel()
	const size, records, partitions, inflow = 1 << 20, 60, 3, 4 << 20
	cluster := localtest.Kafka(t)
	cfg := config(t, cluster)
	limit, err := kafka.NewInflow(inflow)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(cfg.Options, kgo.ConsumeTopics("t"), kgo.WithDecompressor(limit),
		kgo.ProducerBatchMaxBytes(size+1<<16), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), partitions, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("x", size))
	for i := range records {
		r := &kgo.Record{Topic: "t", Partition: int32(i % partitions), Value: text}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := map[int32]int64{}
	for found, most := 0, 0; found < records; {
		fetches := client.PollFetches(ctx)
		limit.Polled(client.BufferedFetchBytes())
		if _, err := kafka.Oversize(fetches); err != nil {
			t.Fatal(err)
		}
		n := 0
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next[r.Partition] || len(r.Value) != size {
				t.Errorf("partition %d: offset %d with %d bytes, want offset %d", r.Partition, r.Offset, len(r.Value),
					next[r.Partition])
			}
			next[r.Partition] = r.Offset + 1
			n += len(r.Value)
			found++
		})
		// The fetch before the first poll has the whole inflow, and so has the one after it.
		if most = max(most, n); most > 2*(inflow+size) {
			t.Fatalf("a poll returned %d bytes", most)
		}
	}
}
