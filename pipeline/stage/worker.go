package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// worker works on the records of one session.
type worker struct {
	stage   *Stage
	session *kgo.GroupTransactSession
	refused string // the code of the last record that was refused
	skipped bool   // whether records were skipped whose offsets may not be committed

	mu        sync.Mutex
	cancel    context.CancelCauseFunc // of the work at hand, or nil
	topic     string                  // of its record
	partition int32
	stale     bool // partitions were revoked while there was no work
}

var errRevoked = errors.New("the partition went to another member of the group")

// The client calls assigned when it is given partitions.
func (w *worker) assigned(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	w.stage.lag.Assign(client, partitions)
}

// The client calls revoked when partitions go to another member, and without partitions when only
// other members exchange some.
func (w *worker) revoked(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	if len(partitions) > 0 {
		w.lost(ctx, client, partitions)
	}
}

// The client calls lost when partitions belong to another member. It must not wait: to end a
// transaction here would deadlock.
func (w *worker) lost(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	w.stage.lag.Release(client, partitions)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale = w.stale || w.cancel == nil
	if w.cancel != nil && slices.Contains(partitions[w.topic], w.partition) {
		w.cancel(errRevoked)
	}
}

// next polls a record and works on it. It returns an error if the session is over.
func (w *worker) next(ctx context.Context) error {
	fetches := w.session.PollRecords(ctx, 1)
	if ctx.Err() != nil {
		return nil
	}
	if err := w.checkFetches(ctx, fetches); err != nil {
		return err
	}
	records := fetches.Records()
	w.stage.lag.Polled(records)
	switch {
	case len(records) == 0, records[0].Attrs.IsControl() && !w.skipped && !w.stage.cfg.Mixed:
		return nil
	case records[0].Attrs.IsControl():
		return w.stepOver(ctx)
	}
	if w.takeStale() {
		// The session aborts the next transaction in any case. Aborting now spares the work before
		// it.
		if _, err := w.session.End(ctx, kgo.TryAbort); err != nil {
			return errors.Join(errRenew, err)
		}
		return nil
	}
	return w.workOn(ctx, records[0])
}

func (w *worker) takeStale() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	stale := w.stale
	w.stale = false
	return stale
}

// workOn works on a record and commits the results with its offset.
func (w *worker) workOn(ctx context.Context, r *kgo.Record) error {
	s := w.stage
	out, outcome, err := w.work(ctx, r)
	if errors.Is(err, ErrSkip) {
		return w.stepOver(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, errRevoked):
		s.metrics.records.WithLabelValues("lost").Inc()
		_, err := w.session.End(context.WithoutCancel(ctx), kgo.TryAbort)
		if err != nil {
			return errors.Join(errRenew, err)
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
	if outcome == deadLetter {
		s.shared.DeadLetter(w.refused)
	}
	return nil
}

// work runs the handler under a context that ends when the record's partition is lost.
func (w *worker) work(ctx context.Context, r *kgo.Record) (out []*kgo.Record, outcome string, err error) {
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.mu.Lock()
	w.cancel, w.topic, w.partition = cancel, r.Topic, r.Partition
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.cancel = nil
		w.mu.Unlock()
	}()

	out, err = w.stage.handle(working, r)
	if cause := context.Cause(working); cause != nil {
		return nil, "", cause
	}
	var refusal *strictjson.Refusal
	if errors.As(err, &refusal) {
		w.stage.log.WarnContext(working, "record refused", "record", kafka.Position(r), "code", string(refusal.Code))
		w.refused = string(refusal.Code)
		return []*kgo.Record{event.DeadLetter(w.stage.deadLetterTopic(), w.stage.cfg.Name, r, refusal)}, deadLetter, nil
	}
	if err != nil {
		return nil, "", err
	}
	carryTrace(r, out)
	return out, "done", nil
}

// stepOver leaves a record to another lane. A row of such records costs one commit: offsets are
// committed when the client has no more records at hand, or with a record that is worked on.
func (w *worker) stepOver(ctx context.Context) error {
	if w.skipped = w.session.Client().BufferedFetchRecords() > 0; w.skipped {
		return nil
	}
	_, err := w.commit(ctx, nil)
	return err
}

// produce sends the records and commits the polled offsets, in one transaction. An error means that
// the outcome is unknown and the session is over. It does not end early when ctx is done: a
// transaction that is left open blocks the readers of the partition until it times out.
func (w *worker) produce(ctx context.Context, out []*kgo.Record) (committed bool, err error) {
	s := w.stage
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*transactionTimeout)
	defer cancel()
	if err := w.session.Begin(); err != nil {
		return false, errors.Join(errRenew, err)
	}
	if topic, err := firstError(w.session.ProduceSync(ctx, out...)); err != nil {
		s.metrics.transactions.WithLabelValues("aborted").Inc()
		_, aborted := w.session.End(ctx, kgo.TryAbort)
		if kafka.IsPermanent(err) {
			return false, fmt.Errorf("produce: %w", s.cfg.Explain(err, topic))
		}
		// Kafka may have stored the records nevertheless. In its next transaction this client would
		// give the same numbers to other records, before Kafka 4 with the same epoch (franz-go
		// 1.22.2). Kafka would take those records for duplicates of the aborted ones: it would
		// acknowledge them and not store them. The next session has another epoch.
		return false, fmt.Errorf("%w: produce: %w", errRenew, errors.Join(err, aborted))
	}
	if err := s.cfg.ReachFailpoint(BeforeCommit); err != nil {
		return false, err
	}
	committed, err = w.session.End(ctx, kgo.TryCommit)
	if err != nil {
		s.metrics.transactions.WithLabelValues("unknown").Inc()
		return false, errors.Join(errRenew, err)
	}
	if !committed {
		s.metrics.transactions.WithLabelValues("aborted").Inc()
		return false, nil
	}
	s.metrics.transactions.WithLabelValues("committed").Inc()
	return true, nil
}

// firstError returns the first error, one that lasts before others, and the topic of its record:
// after a record is refused, the client may fail those behind it for another reason.
func firstError(results kgo.ProduceResults) (topic string, err error) {
	for _, r := range results {
		if r.Err != nil && (err == nil || kafka.IsPermanent(r.Err) && !kafka.IsPermanent(err)) {
			topic, err = r.Record.Topic, r.Err
		}
	}
	return topic, err
}

// commit commits the polled offsets without a transaction, where there are no resulting records.
// Such records follow each other fast, and Kafka refuses offsets in a transaction that begins some
// milliseconds after the end of the last.
func (w *worker) commit(ctx context.Context, _ []*kgo.Record) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	defer cancel()
	client := w.session.Client()
	if err = client.CommitUncommittedOffsets(ctx); err == nil {
		return true, nil
	}
	w.stage.log.Warn("offsets not committed; the records come again", "error", err)
	if _, err := w.session.End(ctx, kgo.TryAbort); err != nil {
		return false, errors.Join(errRenew, err)
	}
	return false, nil
}

// checkFetches steps over batches that cannot be decompressed. It returns an error if the session
// is over.
func (w *worker) checkFetches(ctx context.Context, fetches kgo.Fetches) error {
	if fetches.IsClientClosed() {
		return fmt.Errorf("%w: the client is closed", errRenew)
	}
	faults := w.stage.cfg.Faults(ctx, w.session.Client(), fetches)
	switch {
	case len(faults.Oversize) > 0:
		return w.skip(ctx, faults.Oversize[0]) // the next session meets the others
	case faults.Permanent != nil:
		return faults.Permanent
	case len(faults.Transient) > 0:
		return errors.Join(append(faults.Transient, errRenew)...)
	}
	return nil
}

// skip steps over a batch that decompresses to more than the client holds. A crash between the dead
// letter and the commit writes the dead letter again. The error says why the session is over.
func (w *worker) skip(ctx context.Context, batch *kgo.ErrDecompressTooLarge) error {
	r, refusal := kafka.RefuseOversize(batch)
	w.stage.log.Error("batch refused", "record", kafka.Position(r), "code", string(refusal.Code))
	committed, err := w.produce(ctx, []*kgo.Record{event.DeadLetter(w.stage.deadLetterTopic(), w.stage.cfg.Name, r,
		refusal)})
	if err != nil {
		return err
	}
	if committed {
		w.stage.metrics.records.WithLabelValues(deadLetter).Inc()
		w.stage.shared.DeadLetter(string(refusal.Code))
		err = kafka.SkipOversize(ctx, w.session.Client(), batch)
	}
	if committed && err == nil {
		return fmt.Errorf("%w: %w", errSteppedOver, batch) // the next session goes on behind the batch
	}
	return fmt.Errorf("%w: %w", errRenew, errors.Join(batch, err)) // the next session meets it again
}
