package e2etest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
)

// ReadTopic reads what a topic holds, as a read_committed consumer, with the markers of transactions.
func (s *Site) ReadTopic(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	client := KafkaClient(t, s.Kafka, kgo.ConsumeTopics(s.Prefix+topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, s.Prefix+topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	behind := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			behind[end.Partition] = end.Offset
		}
	})
	var records []*kgo.Record
	for len(behind) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s: not read up to %v in time", topic, behind)
		}
		for _, r := range fetches.Records() {
			records = append(records, r)
			if r.Offset+1 >= behind[r.Partition] {
				delete(behind, r.Partition)
			}
		}
	}
	return records
}

// WaitConsumed waits until a stage has committed all that a topic holds.
func WaitConsumed(t *testing.T, s *Site, topic, stage string) {
	t.Helper()
	last := map[int32]int64{}
	for _, r := range s.ReadTopic(t, topic) {
		if !r.Attrs.IsControl() {
			last[r.Partition] = max(last[r.Partition], r.Offset+1)
		}
	}
	admin := kadm.NewClient(KafkaClient(t, s.Kafka))
	Eventually(t, time.Minute, func() string {
		offsets, err := admin.FetchOffsets(t.Context(), s.Prefix+stage)
		if err != nil {
			return err.Error()
		}
		for partition, end := range last {
			if at, _ := offsets.Lookup(s.Prefix+topic, partition); at.At < end {
				return fmt.Sprintf("%s: partition %d of %s: offset %d of %d", stage, partition, topic, at.At, end)
			}
		}
		return ""
	})
}

// ExportStages are the topics that the stages of exports consume, by their groups.
var ExportStages = []struct{ Topic, Stage string }{
	{event.TopicExportWindows, "extract"}, {event.TopicExportResults, "seal"},
	{event.TopicExportRequests, "plan"}, {event.TopicExportRequests, "plan-1"}, {event.TopicExportRequests, "plan-2"},
	{event.TopicExportRequests, "plan-3"}, {event.TopicExportRequests, "plan-4"}, {event.TopicExportRequests, "plan-5"},
	{event.TopicExportRequests, "plan-6"}, {event.TopicExportRequests, "plan-7"},
	{event.TopicExportRequests, "plan-large"},
}

// Produce puts a bare value into a topic of the site.
func Produce(t *testing.T, s *Site, topic, value string) {
	t.Helper()
	client := KafkaClient(t, s.Kafka, kgo.ProducerBatchMaxBytes(40<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: s.Prefix + topic, Value: []byte(value)}).
		FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// WaitIngested waits until ingest has committed the ends of topic runs.
func WaitIngested(t *testing.T, s *Site) {
	t.Helper()
	admin := kadm.NewClient(KafkaClient(t, s.Kafka))
	Eventually(t, 3*time.Minute, func() string {
		ends, err := admin.ListEndOffsets(t.Context(), s.Prefix+event.TopicRuns)
		if err != nil {
			return err.Error()
		}
		offsets, err := admin.FetchOffsets(t.Context(), s.Prefix+"ingest")
		if err != nil {
			return err.Error()
		}
		behind := ""
		if err := errors.Join(ends.Error(), offsets.Error()); err != nil {
			return err.Error()
		}
		ends.Each(func(end kadm.ListedOffset) {
			if at, _ := offsets.Lookup(end.Topic, end.Partition); at.At != end.Offset && end.Offset > 0 {
				behind = fmt.Sprintf("partition %d: offset %d of %d", end.Partition, at.At, end.Offset)
			}
		})
		return behind
	})
}
