package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/runstore"
)

// waitForStore waits until ClickHouse answers, and checks the schema.
func (s *Stage) waitForStore(ctx context.Context) error {
	return s.retry(ctx, "check", func() error { return s.store.Check(ctx) })
}

// storeBatch stores a batch, sends its dead letters and commits its offsets, in this order (invariant 1).
func (s *Stage) storeBatch(ctx context.Context, client *kgo.Client, b *batch) error {
	began := time.Now()
	var refused [3][]letter
	var group errgroup.Group
	group.Go(func() (err error) { refused[0], err = insert(ctx, s, "runs", b.runs, s.store.InsertRuns); return err })
	group.Go(func() (err error) {
		refused[1], err = insert(ctx, s, "nodes", b.nodes, s.store.InsertNodes)
		return err
	})
	group.Go(func() (err error) {
		refused[2], err = insert(ctx, s, "feedback", b.feedback, s.store.InsertFeedback)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, letters := range refused {
		b.letters = append(b.letters, letters...)
	}
	if err := s.sendLetters(ctx, client, b.letters); err != nil {
		return err
	}
	err := s.owned.commit(b.ends, func(offsets map[string]map[int32]kgo.EpochOffset) error {
		return s.commit(ctx, client, offsets)
	})
	if err != nil {
		return err
	}
	s.metrics.stored(b, time.Since(began))
	return nil
}

// insert stores the rows of one table, however long ClickHouse needs, and returns those it refuses.
func insert[E any](ctx context.Context, s *Stage, table string, rows rows[E], f func(context.Context, []E) ([]runstore.Refused, error)) ([]letter, error) {
	if len(rows.events) == 0 {
		return nil, nil
	}
	var refused []runstore.Refused
	began := time.Now()
	err := s.retry(ctx, table, func() (err error) {
		refused, err = f(ctx, rows.events)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.metrics.inserted(table, len(rows.events)-len(refused), time.Since(began))
	var letters []letter
	for _, r := range refused {
		code := clickhouse.Code(r.Err)
		s.log.Warn("ClickHouse refused a row", "table", table, "code", code)
		letters = append(letters, letter{rows.records[r.Index], &strictjson.Refusal{
			Code: strictjson.RowRefused,
			Rule: fmt.Sprintf("ClickHouse refused the row for table %s with error code %d", table, code),
		}})
	}
	return letters, nil
}

// unknownTries is how often an error of class Unknown is tried.
const unknownTries = 5

// retry calls f until it succeeds, waiting longer and longer, up to 10 s, while ClickHouse is not able.
// It gives up where waiting does not help, and when ctx is done.
func (s *Stage) retry(ctx context.Context, what string, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil {
			s.metrics.able(true)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		class := clickhouse.Classify(err)
		s.metrics.retries.WithLabelValues(what, class.String()).Inc()
		if class == clickhouse.Stop || class == clickhouse.Unknown && try >= unknownTries {
			return clickhouse.Explain(err)
		}
		s.metrics.able(false)
		wait := min(100*time.Millisecond<<min(try-1, 10), 10*time.Second)
		wait = wait/2 + rand.N(wait/2+1)
		if try == 1 || try%10 == 0 {
			s.log.Warn("ClickHouse is not able; waiting", "what", what, "tries", try, "error", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// sendLetters puts records into topic dead-letters and waits until Kafka has them.
func (s *Stage) sendLetters(ctx context.Context, client *kgo.Client, letters []letter) error {
	topic := s.cfg.TopicPrefix + event.TopicDeadLetters
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		records[i] = event.DeadLetter(topic, Name, l.record, l.why)
	}
	for i, result := range client.ProduceSync(ctx, records...) {
		err := result.Err
		if errors.Is(err, kerr.MessageTooLarge) {
			err = client.ProduceSync(ctx, event.DeadLetterWithoutValue(records[i])).FirstErr()
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("write to topic %s: %w", topic, err)
		}
	}
	for _, l := range letters {
		s.metrics.deadLetters.WithLabelValues(string(l.why.Code)).Inc()
		s.log.Warn("record refused", "topic", l.record.Topic, "partition", l.record.Partition, "offset", l.record.Offset,
			"code", l.why.Code, "detail", l.why.Detail())
	}
	return nil
}

func (s *Stage) commit(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) error {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	var failed error
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if err != nil {
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
	if failed != nil {
		// The rows are stored. Whoever owns the partitions next reads them again, which changes nothing.
		s.metrics.commitFailures.Inc()
		s.log.Warn("offsets not committed; the records may be read again", "error", failed)
	}
	return nil
}

// watchLag measures every few seconds how many records of each partition are not yet committed, also
// while ClickHouse keeps the stage from polling.
func (s *Stage) watchLag(ctx context.Context, client *kgo.Client) error {
	admin := kadm.NewClient(client)
	group, topic := s.cfg.TopicPrefix+Name, s.cfg.TopicPrefix+event.TopicRuns
	for tick := time.NewTicker(2 * time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			continue
		}
		committed, err := admin.FetchOffsetsForTopics(ctx, group, topic)
		if err != nil {
			continue
		}
		ends.Each(func(e kadm.ListedOffset) {
			if s.owned.assignment(partition{topic, e.Partition}) == 0 {
				return
			}
			at := int64(0)
			if c, ok := committed.Lookup(topic, e.Partition); ok && c.At > 0 {
				at = c.At
			}
			s.metrics.setLag(e.Partition, e.Offset-at)
		})
	}
}

// requireTopics waits until Kafka answers, and fails if a topic is missing.
func requireTopics(ctx context.Context, client *kgo.Client, topics ...string) error {
	admin := kadm.NewClient(client)
	for {
		details, err := admin.ListTopics(ctx, topics...)
		if err == nil {
			for _, topic := range topics {
				if details[topic].Err != nil {
					return fmt.Errorf("topic %s: %w; run `millrace topics` to create the topics", topic, details[topic].Err)
				}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
