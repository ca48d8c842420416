package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/event"
)

func (s *Stage) connect() (*kgo.Client, error) {
	var self atomic.Pointer[kgo.Client] // for the callback that is not told
	options := append([]kgo.Opt{
		kgo.ConsumeTopics(s.cfg.TopicPrefix + event.TopicRuns),
		kgo.ConsumerGroup(s.cfg.TopicPrefix + Name),
		kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // its default would skip what retention has not deleted
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.FetchMaxPartitionBytes(fetchMaxBytes / 4),
		kgo.MaxDecompressBatchBytes(maxDecompress),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
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
		kgo.ProducerBatchMaxBytes(9 << 20), // of topic dead-letters
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.AllowIdempotentProduceCancellation(), // a stop must not wait for a Kafka that is away
	}, s.kafka...)
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

// requireTopics waits until Kafka answers, and fails if a topic is missing. It returns nil when ctx is done.
func (s *Stage) requireTopics(ctx context.Context, client *kgo.Client) error {
	topics := []string{s.cfg.TopicPrefix + event.TopicRuns, s.cfg.TopicPrefix + event.TopicDeadLetters}
	for try := 1; ctx.Err() == nil; try++ {
		err := listTopics(ctx, client, topics)
		if err == nil {
			return nil
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("%w; run `millrace topics` to create the topics", err)
		}
		if stop := s.hopeless(topics[0], err); stop != nil {
			return stop
		}
		if loud(try) && ctx.Err() == nil {
			s.log.Warn("Kafka does not answer; waiting", "tries", try, "error", err)
		}
		pause(ctx, try)
	}
	return nil
}

func listTopics(ctx context.Context, client *kgo.Client, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	details, err := kadm.NewClient(client).ListTopics(ctx, topics...)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if err := details[topic].Err; err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	return nil
}

// hopeless returns an error that says what to do where trying again does not help, and nil elsewhere.
func (s *Stage) hopeless(topic string, err error) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		return fmt.Errorf("topic %s was deleted or recreated while it was consumed: start again to consume the new one from its beginning: %w", topic, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("kafka refused access: grant READ on topic %s and group %s, and WRITE on topic %s, or change MILLRACE_KAFKA_SASL_*: %w",
			s.cfg.TopicPrefix+event.TopicRuns, s.cfg.TopicPrefix+Name, s.cfg.TopicPrefix+event.TopicDeadLetters, err)
	}
	return nil
}

// commit commits those ends that are still this process's, however long Kafka needs: there may be no
// later batch that would commit the last records of a partition.
func (s *Stage) commit(ctx context.Context, client *kgo.Client, ends map[partition]end) error {
	for try := 1; ; try++ {
		err := s.owned.commit(ends, func(offsets map[string]map[int32]kgo.EpochOffset) error {
			return commitOffsets(ctx, client, offsets)
		})
		if err == nil {
			return nil
		}
		s.metrics.commitFailures.Inc()
		if stop := s.hopeless(s.cfg.TopicPrefix+event.TopicRuns, err); stop != nil {
			return stop
		}
		if loud(try) {
			s.log.Warn("offsets not committed; trying again", "tries", try, "error", err)
		}
		if pause(ctx, try); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func commitOffsets(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) (failed error) {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = err
				}
			}
		}
	})
	return failed
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
	group, topic := s.cfg.TopicPrefix+Name, s.cfg.TopicPrefix+event.TopicRuns
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return
	}
	committed, err := admin.FetchOffsetsForTopics(ctx, group, topic)
	if err != nil {
		return
	}
	ends.Each(func(e kadm.ListedOffset) {
		if s.owned.assignment(partition{topic, e.Partition}) == 0 {
			return
		}
		start, _ := starts.Lookup(topic, e.Partition) // what retention deleted is not waiting
		at, _ := committed.Lookup(topic, e.Partition)
		s.metrics.setLag(e.Partition, e.Offset-max(start.Offset, at.At))
	})
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
