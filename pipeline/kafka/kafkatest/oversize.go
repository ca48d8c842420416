// Package kafkatest produces batches that consumers must survive, for tests.
package kafkatest

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/kafka"
)

// OversizeRecords is how many records a batch of ProduceOversize has.
const OversizeRecords = 10

// ProduceOversize produces one compressed batch of OversizeRecords records that decompresses to
// more than kafka.MaxDecompress. The options say where Kafka is.
func ProduceOversize(t testing.TB, topic string, partition int32, options ...kgo.Opt) {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ProducerBatchMaxBytes(2 * kafka.MaxDecompress), kgo.BrokerMaxWriteBytes(4 * kafka.MaxDecompress),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(300 * time.Millisecond), // so that the records are one batch
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	value := bytes.Repeat([]byte{'x'}, kafka.MaxDecompress/OversizeRecords+1)
	var sent sync.WaitGroup
	for range OversizeRecords {
		sent.Add(1)
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: value},
			func(_ *kgo.Record, err error) {
				defer sent.Done()
				if err != nil {
					t.Error(err)
				}
			})
	}
	sent.Wait()
}
