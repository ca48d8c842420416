// Package stage is the consume → work → produce loop that the export stages share.
//
//	slot:  poll one record ──▶ work ──▶ begin ──▶ produce what came of it ──▶ end: with the record's offset
//	          ▲                  │                                             │
//	          └── again ─────────┴── partition lost: work is cancelled ────────┴── not committed: work is void
//
// The records that a handler returns and the offset of the record it was given are one Kafka transaction:
// a read_committed consumer sees them once, however often the work was repeated. Work is therefore
// idempotent through what it leaves in the bucket. It is done before the transaction begins, so it may
// take longer than a transaction may; and one record at a time, so that slow work delays nothing but its
// own slot.
package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Handler does a stage's work for one record and returns the records that come of it, which may be none.
//
// It is called for the same record again after a crash, a rebalance or an aborted transaction. It may
// block: ctx is done when the partition is lost or the stage stops, and then what it returns does not
// matter. A *strictjson.Refusal makes the record a dead letter. Any other error stops the stage: a handler
// itself retries what waiting can mend, see [kafka.Retrier].
type Handler func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error)

// Config of a stage.
type Config struct {
	kafka.Config          // Name is the verb
	Topic        string   // consumed, without the prefix
	Outputs      []string // topics that the handler's records go to, without the prefix
	// TransactionalIDPrefix begins the transactional ids, for ACLs.
	TransactionalIDPrefix string
	Slots                 int // records worked on at a time; default 1
	// Failpoint is nil outside of tests. A stage calls it at the points where it must survive a crash, and an
	// error stops the stage there, as a crash would.
	Failpoint func(name string) error
}

// At is called by stages at the points where a crash has to be survived.
func (c *Config) At(failpoint string) error {
	if c.Failpoint == nil {
		return nil
	}
	return c.Failpoint(failpoint)
}

// BeforeCommit is the failpoint between producing and committing.
const BeforeCommit = "before the transaction is committed"

// transactionTimeout is how long Kafka waits for the end of a transaction.
const transactionTimeout = 10 * time.Second

// pauseAfterFailure is how long a slot waits before it begins another session.
const pauseAfterFailure = time.Second

// Stage consumes one topic until it is stopped.
type Stage struct {
	cfg     Config
	work    Handler
	log     *slog.Logger
	metrics *metrics
	process string // distinguishes the transactional ids of processes
	ready   chan struct{}
}

// New returns a stage that is not running.
func New(cfg Config, work Handler) *Stage {
	cfg.Slots = max(1, cfg.Slots)
	return &Stage{
		cfg: cfg, work: work, log: cfg.Log.With("stage", cfg.Name),
		metrics: newMetrics(cfg.Metrics, cfg.Name), process: uuid.NewString(), ready: make(chan struct{}),
	}
}

// Ready is closed when Kafka answers and has the topics.
func (s *Stage) Ready() <-chan struct{} { return s.ready }

// Run consumes until ctx is done, and then returns nil, soon: work at hand is cancelled, and done again
// by whoever gets its partition. It returns an error where waiting does not help.
func (s *Stage) Run(ctx context.Context) error {
	topics := append([]string{s.cfg.Topic, event.TopicDeadLetters}, s.cfg.Outputs...)
	if err := s.cfg.RequireTopics(ctx, topics...); err != nil || ctx.Err() != nil {
		return err
	}
	close(s.ready)
	group, running := errgroup.WithContext(ctx)
	for i := range s.cfg.Slots {
		group.Go(func() error { return s.slot(running, i) })
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("stage %s: %w", s.cfg.Name, err)
	}
	return nil
}

// errAgain ends a session that cannot go on but may be followed by another.
var errAgain = errors.New("the session has to be renewed")

// slot works through sessions with one transactional id, so that a new session fences what is left of the
// one before it.
func (s *Stage) slot(ctx context.Context, number int) error {
	id := fmt.Sprintf("%s%s-%d-%s", s.cfg.TransactionalIDPrefix, s.cfg.Name, number, s.process)
	for {
		err := s.session(ctx, id)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, errAgain) {
			return err
		}
		s.metrics.sessions.Inc()
		s.log.Warn("kafka session ended and is begun again", "error", err)
		select {
		case <-time.After(pauseAfterFailure):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Stage) session(ctx context.Context, transactionalID string) error {
	w := &worker{stage: s}
	options := append(s.cfg.GroupOptions(),
		kgo.ProducerLinger(0),
		kgo.ConsumeTopics(s.cfg.TopicName(s.cfg.Topic)),
		kgo.TransactionalID(transactionalID),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.OnPartitionsRevoked(w.revoked),
		kgo.OnPartitionsLost(w.lost),
	)
	session, err := kgo.NewGroupTransactSession(options...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer session.Close()
	w.session = session
	// This ends the transaction that a session before this one may have left open, which would otherwise
	// keep the group's offsets from being read until it times out.
	if _, _, err := session.Client().ProducerID(ctx); err != nil {
		return errors.Join(errAgain, err)
	}
	for ctx.Err() == nil {
		if err := w.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deadLetterTopic is where records go that no stage can take.
func (s *Stage) deadLetterTopic() string { return s.cfg.TopicName(event.TopicDeadLetters) }
