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
	var self atomic.Pointer[kgo.Client] // for AdjustFetchOffsetsFn, which does not get the client
	var err error
	if s.inflow, err = kafka.NewInflow(inflowBytes); err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	options := append(s.cfg.GroupOptions(),
		kgo.ConsumeTopics(s.topic()),
		kgo.DisableAutoCommit(),
		kgo.KeepControlRecords(), // so that the stage commits the offsets of markers of transactions
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxBytes/4),
		kgo.WithDecompressor(s.inflow),
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, p map[string][]int32) {
			self.Store(client)
			s.owned.add(p)
			s.lag.Assign(client, p)
		}),
		kgo.OnPartitionsRevoked(s.release),
		kgo.OnPartitionsLost(s.release),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, starts map[string]map[int32]kgo.Offset) (
			map[string]map[int32]kgo.Offset, error) {
			err := resolveStarts(ctx, self.Load(), starts)
			s.owned.setStarts(starts)
			return starts, err
		}),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.AllowIdempotentProduceCancellation(), // a stop must not wait while Kafka is down
	)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return client, nil
}

// leaveTimeout bounds the request to leave the group, since Kafka may be down. The group notices a
// member that did not leave when the session times out.
const leaveTimeout = time.Second

func leave(client *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	client.LeaveGroupContext(ctx) //nolint:errcheck // see leaveTimeout
	client.Close()
}

func (s *Stage) release(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	s.owned.remove(partitions)
	s.lag.Release(client, partitions)
}

// resolveStarts replaces "the start" of partitions without a committed offset by an offset: the
// client's SetOffsets ignores partitions without an offset.
func resolveStarts(ctx context.Context, client *kgo.Client, at map[string]map[int32]kgo.Offset) (err error) {
	for topic, partitions := range at {
		var starts kadm.ListedOffsets // listed when the first is needed
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

// commit commits the ends of the partitions that this process still owns, however long Kafka needs:
// there may be no later batch that commits the last records of a partition.
func (s *Stage) commit(ctx context.Context, client *kgo.Client, ends map[kafka.Partition]end) error {
	return s.retry.Do(ctx, tryCommit, s.topic(), func() error {
		err := s.owned.commit(ends, func(offsets map[string]map[int32]kgo.EpochOffset) error {
			return kafka.CommitOffsets(ctx, client, offsets)
		})
		if err != nil {
			s.metrics.commitFailures.Inc()
		}
		return s.cfg.Explain(err, s.topic())
	})
}
