package ingest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
)

func (s *Stage) connect() (*kgo.Client, error) {
	var self atomic.Pointer[kgo.Client] // for the callback that is not told
	options := append(s.cfg.GroupOptions(),
		kgo.ConsumeTopics(s.topic()),
		kgo.DisableAutoCommit(),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxBytes/4),
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, p map[string][]int32) {
			self.Store(client)
			s.owned.add(p)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { s.release(p) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { s.release(p) }),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			err := resolveStarts(ctx, self.Load(), at)
			s.owned.starts(at)
			return at, err
		}),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.AllowIdempotentProduceCancellation(), // a stop must not wait for a Kafka that is away
	)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return client, nil
}

// leaveTimeout bounds the goodbye to a Kafka that may be away; without it the group finds out by itself.
const leaveTimeout = time.Second

func leave(client *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	client.LeaveGroupContext(ctx) //nolint:errcheck // see leaveTimeout
	client.Close()
}

func (s *Stage) release(partitions map[string][]int32) {
	s.owned.remove(partitions)
	for _, list := range partitions {
		s.metrics.forgetLag(list)
	}
}

// resolveStarts puts an offset in place of "the start" for partitions that have none committed: the
// client's SetOffsets does nothing for a partition without one.
func resolveStarts(ctx context.Context, client *kgo.Client, at map[string]map[int32]kgo.Offset) (err error) {
	for topic, partitions := range at {
		var starts kadm.ListedOffsets // asked for when one is needed
		for id, offset := range partitions {
			if offset.EpochOffset().Offset >= 0 {
				continue
			}
			if starts == nil {
				if starts, err = kadm.NewClient(client).ListStartOffsets(ctx, topic); err != nil {
					return err
				}
			}
			if start, ok := starts.Lookup(topic, id); ok && start.Err == nil {
				partitions[id] = kgo.NewOffset().At(start.Offset)
			} else if ok {
				return start.Err
			}
		}
	}
	return nil
}

// topic returns the name of topic runs.
func (s *Stage) topic() string { return s.cfg.TopicName(event.TopicRuns) }

// commit commits those ends that are still this process's, however long Kafka needs: there may be no
// later batch that would commit the last records of a partition.
func (s *Stage) commit(ctx context.Context, client *kgo.Client, ends map[kafka.Partition]end) error {
	return s.retry.Do(ctx, "commit", s.topic(), func() error {
		err := s.owned.commit(ends, func(offsets map[string]map[int32]kgo.EpochOffset) error {
			return kafka.CommitOffsets(ctx, client, offsets)
		})
		if err != nil {
			s.metrics.commitFailures.Inc()
		}
		return s.cfg.Explain(err, s.topic())
	})
}

// watchLag measures every few seconds how many records of each partition are not yet committed, also
// while ClickHouse keeps the stage from polling.
func (s *Stage) watchLag(ctx context.Context, client *kgo.Client) error {
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.measureLag(ctx, kadm.NewClient(client))
		}
	}
}

func (s *Stage) measureLag(ctx context.Context, admin *kadm.Client) {
	topic := s.topic()
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return
	}
	committed, err := admin.FetchOffsetsForTopics(ctx, s.cfg.Group(), topic)
	if err != nil {
		return
	}
	ends.Each(func(e kadm.ListedOffset) {
		if s.owned.assignment(kafka.Partition{Topic: topic, ID: e.Partition}) == 0 {
			return
		}
		start, _ := starts.Lookup(topic, e.Partition) // what retention deleted is not waiting
		at, _ := committed.Lookup(topic, e.Partition)
		s.metrics.setLag(e.Partition, e.Offset-max(start.Offset, at.At))
	})
}
