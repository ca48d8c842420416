package kafkatest

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ProduceDamaged produces a batch of one record to partition 0 of a topic. The batch is marked as
// compressed with zstd, and cannot be decompressed. kfake stores it; Kafka would refuse it. The
// options say where kfake is.
func ProduceDamaged(t testing.TB, topic string, options ...kgo.Opt) {
	t.Helper()
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	known, err := metadata.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, TopicID: known.Topics[0].TopicID,
		Partitions: []kmsg.ProduceRequestTopicPartition{{Records: damagedBatch()}}}}
	resp, err := req.RequestWith(t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func damagedBatch() []byte {
	const zstd = 4
	batch := kmsg.NewRecordBatch()
	batch.Magic, batch.Attributes, batch.NumRecords = 2, zstd, 1
	batch.FirstTimestamp = time.Now().UnixMilli()
	batch.MaxTimestamp = batch.FirstTimestamp
	batch.PartitionLeaderEpoch, batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = -1, -1, -1, -1
	batch.Records = []byte("not compressed")
	text := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(text[8:], uint32(len(text)-12)) // the length, after the first offset
	binary.BigEndian.PutUint32(text[17:], crc32.Checksum(text[21:], crc32.MakeTable(crc32.Castagnoli)))
	return text
}
