package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// worker works through one session.
type worker struct {
	stage   *Stage
	session *kgo.GroupTransactSession

	mu     sync.Mutex
	cancel context.CancelCauseFunc // of the work at hand, or nil
	topic  string                  // of its record
	part   int32
	stale  bool // partitions were revoked while there was no work
}

var errRevoked = errors.New("the partition went to another member of the group")

// revoked is called by the client when partitions go to another member, and with none when others
// change hands.
func (w *worker) revoked(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	if len(partitions) > 0 {
		w.lost(ctx, client, partitions)
	}
}

// lost is called by the client when partitions are another member's. It must not wait: ending a
// transaction in here would deadlock.
func (w *worker) lost(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale = w.stale || w.cancel == nil
	if w.cancel != nil && slices.Contains(partitions[w.topic], w.part) {
		w.cancel(errRevoked)
	}
}

// next polls a record and works on it. It returns nil where the next poll decides what comes next.
func (w *worker) next(ctx context.Context) error {
	fetches := w.session.PollRecords(ctx, 1)
	if ctx.Err() != nil {
		return nil
	}
	if err := w.checkFetches(ctx, fetches); err != nil {
		return err
	}
	records := fetches.Records()
	if len(records) == 0 {
		return nil
	}
	if w.takeStale() {
		// The session would abort the next transaction, after its work; so let it abort now, before.
		if _, err := w.session.End(ctx, kgo.TryAbort); err != nil {
			return errors.Join(errAgain, err)
		}
		return nil
	}
	return w.one(ctx, records[0])
}

func (w *worker) takeStale() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	stale := w.stale
	w.stale = false
	return stale
}

func (w *worker) one(ctx context.Context, r *kgo.Record) error {
	s := w.stage
	began := time.Now()
	out, outcome, err := w.work(ctx, r)
	s.metrics.seconds.Observe(time.Since(began).Seconds())
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, errRevoked):
		s.metrics.records.WithLabelValues("lost").Inc()
		_, err := w.session.End(context.WithoutCancel(ctx), kgo.TryAbort)
		if err != nil {
			return errors.Join(errAgain, err)
		}
		return nil
	case err != nil:
		s.metrics.records.WithLabelValues("failed").Inc()
		return fmt.Errorf("%s: %w", kafka.Position(r), err)
	}
	end := w.produce
	if len(out) == 0 {
		end = w.commit
	}
	committed, err := end(ctx, out)
	switch {
	case err != nil:
		return err
	case !committed:
		s.metrics.records.WithLabelValues("aborted").Inc()
		return nil
	}
	s.metrics.records.WithLabelValues(outcome).Inc()
	return nil
}

// work runs the handler under a context that ends when the record's partition is lost.
func (w *worker) work(ctx context.Context, r *kgo.Record) (out []*kgo.Record, outcome string, err error) {
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.mu.Lock()
	w.cancel, w.topic, w.part = cancel, r.Topic, r.Partition
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.cancel = nil
		w.mu.Unlock()
	}()

	out, err = w.stage.work(working, r)
	if cause := context.Cause(working); cause != nil {
		return nil, "", cause
	}
	var refusal *strictjson.Refusal
	if errors.As(err, &refusal) {
		w.stage.log.Warn("record refused", "record", kafka.Position(r), "code", string(refusal.Code))
		return []*kgo.Record{event.DeadLetter(w.stage.deadLetterTopic(), w.stage.cfg.Name, r, refusal)}, "dead_letter", nil
	}
	if err != nil {
		return nil, "", err
	}
	carryTrace(r, out)
	return out, "done", nil
}

// carryTrace gives the trace context of a record to those that came of it, where they have none.
func carryTrace(r *kgo.Record, out []*kgo.Record) {
	const key = "traceparent"
	has := func(r *kgo.Record) int {
		return slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == key })
	}
	i := has(r)
	if i < 0 {
		return
	}
	for _, o := range out {
		if has(o) < 0 {
			o.Headers = append(o.Headers, r.Headers[i])
		}
	}
}

// produce sends the records and commits the offsets of what was polled, in one transaction. An error
// means that its outcome is unknown and the session is over. It does not end early when ctx is done: a
// client whose transaction was left halfway blocks the partition's readers until it times out.
func (w *worker) produce(ctx context.Context, out []*kgo.Record) (committed bool, err error) {
	s := w.stage
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*transactionTimeout)
	defer cancel()
	if err := w.session.Begin(); err != nil {
		return false, errors.Join(errAgain, err)
	}
	if err := w.session.ProduceSync(ctx, out...).FirstErr(); err != nil {
		s.metrics.transactions.WithLabelValues("aborted").Inc()
		_, aborted := w.session.End(ctx, kgo.TryAbort)
		// Kafka may have stored the records all the same. In its next transaction this client would give others the
		// same numbers, and before Kafka 4 the same epoch (franz-go 1.22.2), and Kafka would acknowledge them as
		// duplicates of what was aborted, and not store them. The next session has an epoch of its own.
		return false, fmt.Errorf("%w: produce: %w", errAgain, errors.Join(err, aborted))
	}
	if err := s.cfg.At(BeforeCommit); err != nil {
		return false, err
	}
	committed, err = w.session.End(ctx, kgo.TryCommit)
	if err != nil {
		s.metrics.transactions.WithLabelValues("unknown").Inc()
		return false, errors.Join(errAgain, err)
	}
	if !committed {
		s.metrics.transactions.WithLabelValues("aborted").Inc()
		return false, nil
	}
	s.metrics.transactions.WithLabelValues("committed").Inc()
	return true, nil
}

// commit commits the offsets of what was polled and nothing came of, without a transaction: Kafka refuses
// offsets in one that begins within some milliseconds of the end of the last, and records that are passed
// over follow each other faster.
func (w *worker) commit(ctx context.Context, _ []*kgo.Record) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	defer cancel()
	client := w.session.Client()
	if err = client.CommitUncommittedOffsets(ctx); err == nil {
		return true, nil
	}
	w.stage.log.Warn("offsets not committed, the records come again", "error", err)
	if _, err := w.session.End(ctx, kgo.TryAbort); err != nil {
		return false, errors.Join(errAgain, err)
	}
	return false, nil
}

// checkFetches returns nil where the client goes on by itself.
func (w *worker) checkFetches(ctx context.Context, fetches kgo.Fetches) error {
	if fetches.IsClientClosed() {
		return fmt.Errorf("%w: the client is closed", errAgain)
	}
	faults := w.stage.cfg.Faults(fetches)
	switch {
	case len(faults.Oversize) > 0:
		return w.skip(ctx, faults.Oversize[0]) // the next session meets the others
	case faults.Permanent != nil:
		return faults.Permanent
	case len(faults.Transient) > 0:
		return errors.Join(append(faults.Transient, errAgain)...)
	}
	return nil
}

// skip steps over a batch that decompresses to more than the client holds. A crash between the dead letter
// and the commit writes the dead letter again. The error says why the session is over.
func (w *worker) skip(ctx context.Context, batch *kgo.ErrDecompressTooLarge) error {
	r, refusal := kafka.RefuseOversize(batch)
	w.stage.log.Error("batch refused", "record", kafka.Position(r), "code", string(refusal.Code))
	committed, err := w.produce(ctx, []*kgo.Record{event.DeadLetter(w.stage.deadLetterTopic(), w.stage.cfg.Name, r, refusal)})
	if err != nil {
		return err
	}
	if committed {
		w.stage.metrics.records.WithLabelValues("dead_letter").Inc()
		err = kafka.SkipOversize(ctx, w.session.Client(), batch)
	}
	// The next session goes on behind the batch, or meets it again.
	return fmt.Errorf("%w: %w", errAgain, errors.Join(batch, err))
}
