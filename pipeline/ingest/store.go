package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/runstore"
)

// storeBatch stores a batch, sends its dead letters and commits its offsets, in this order
// (invariant 1).
func (s *Stage) storeBatch(ctx context.Context, client *kgo.Client, b *batch) error {
	began := time.Now()
	s.shared.InFlight.Inc()
	defer s.shared.InFlight.Dec()
	if b.records > 0 {
		s.shared.Wait.Observe(began.Sub(b.oldest).Seconds())
	}
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
	if err := s.commit(ctx, client, b.ends); err != nil {
		return err
	}
	s.metrics.stored(b, time.Since(began))
	return nil
}

// insert stores the rows of one table, however long ClickHouse needs, and returns the rows that
// ClickHouse refuses.
func insert[E any](ctx context.Context, s *Stage, table string, rows rows[E],
	f func(context.Context, []E) ([]runstore.Refused, error)) ([]letter, error) {
	if len(rows.events) == 0 {
		return nil, nil
	}
	var refused []runstore.Refused
	began := time.Now()
	err := s.untilStored(ctx, table, func() (err error) {
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

// unknownAttempts is how often an error of class Unknown is tried.
const unknownAttempts = 5

// untilStored calls f until it succeeds, with growing pauses while ClickHouse is unavailable. It
// returns an error if only an operator can fix the fault, and the cause of ctx when ctx is done.
func (s *Stage) untilStored(ctx context.Context, what string, f func() error) error {
	err := s.retry.Limited(unknownAttempts, 0).Do(ctx, what, "ClickHouse", func() error {
		err := f()
		if ctx.Err() != nil {
			return err
		}
		s.metrics.setUp(err == nil)
		if err == nil {
			return nil
		}
		switch clickhouse.Classify(err) {
		case clickhouse.Stop:
			return kafka.Permanent(err)
		case clickhouse.Unknown:
			return err
		}
		return kafka.Unavailable(err)
	})
	if err != nil && ctx.Err() == nil {
		return clickhouse.Explain(err)
	}
	return err
}

// sendLetters produces the dead letters and waits until Kafka has acknowledged them.
func (s *Stage) sendLetters(ctx context.Context, client *kgo.Client, letters []letter) error {
	topic := s.cfg.TopicName(event.TopicDeadLetters)
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		records[i] = event.DeadLetter(topic, Name, l.record, l.refusal)
	}
	for _, result := range client.ProduceSync(ctx, records...) { // results are in the order of acknowledgement
		err := result.Err
		if tooLarge(err) {
			err = sendLarge(ctx, client, result.Record)
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("write to topic %s, which `millrace topics` creates where it is missing: %w", topic,
				s.cfg.Explain(err, topic))
		}
	}
	for i, l := range letters {
		s.shared.DeadLetter(string(l.refusal.Code))
		if i < maxLoggedLetters {
			s.log.Warn("record refused", "topic", l.record.Topic, "partition", l.record.Partition, "offset", l.record.Offset,
				"code", l.refusal.Code, "detail", l.refusal.Detail())
		}
	}
	if more := len(letters) - maxLoggedLetters; more > 0 {
		s.log.Warn("more records refused; `millrace dead-letters ls` lists all", "records", more)
	}
	return nil
}

// maxLoggedLetters is how many dead letters of a batch are logged one by one.
const maxLoggedLetters = 10

// sendLarge sends a dead letter that was too large for the topic: first alone, since only its batch
// may have been too large; then without its value; then without the record's value, key and
// headers.
func sendLarge(ctx context.Context, client *kgo.Client, letter *kgo.Record) (err error) {
	for _, record := range []*kgo.Record{letter, event.DeadLetterWithoutValue(letter),
		event.DeadLetterWithoutRecord(letter)} {
		if err = client.ProduceSync(ctx, record).FirstErr(); !tooLarge(err) {
			break
		}
	}
	return err
}

func tooLarge(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge)
}
