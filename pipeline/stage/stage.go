// Package stage is the consume → work → produce loop that the export stages share.
//
//	slot:  poll one record ──▶ work ──▶ begin ──▶ produce the results ──▶ end, with the record's offset
//	          ▲                  │                                         │
//	          └── again ─────────┴── partition lost: work is cancelled ────┴── not committed: work is void
//
// One Kafka transaction holds the records that a handler returns and the offset of the record that
// it worked on. A read_committed consumer therefore sees the results once, however often the work
// was repeated. The work itself has to be idempotent in the bucket. It happens before the
// transaction begins, so it may take longer than a transaction may. A slot works on one record at a
// time, so slow work delays only its own slot; and it takes its partitions in turn, so that a backlog
// of one delays each of the others by one batch.
//
//	stage.go        Stage and its slots; Config, Handler
//	worker.go       a session: polling, working, transactions, lost partitions
//	trace.go        the span of the work on a record
//	decode.go       Decode: the data of an event of one type
//	balancer.go     which slot has which partitions
//	clickhouse.go   WithClickHouse: a connection whose errors Retrier understands
//	metrics.go      the metrics
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
	"github.com/millrace/millrace/pipeline/rights"
	"github.com/millrace/millrace/pipeline/telemetry"
)

// Handler does a stage's work for one record and returns the resulting records, which may be none.
//
// The stage calls it again for the same record after a crash, a rebalance or an aborted
// transaction. It may block: ctx is done when the partition is lost or the stage stops, and the
// stage then ignores what the handler returns. A *strictjson.Refusal makes the record a dead
// letter, and ErrSkip leaves it to another lane. Any other error stops the stage: the handler itself
// repeats what can succeed later, see [kafka.Retrier].
type Handler func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error)

// ErrSkip is the error of a handler for a record that another lane works on.
var ErrSkip = errors.New("the record is for another lane")

// Config of a stage.
type Config struct {
	kafka.Config
	Topic   string   // the input, without the prefix
	Outputs []string // topics that the handler's records and its notices go to, without the prefix
	// TransactionalIDPrefix is the prefix of the transactional ids, for ACLs.
	TransactionalIDPrefix string
	Slots                 int // records worked on at a time; default 1
	// HandlerBegins means that the handler calls Begin when its work on a record begins: it may
	// wait, or skip records, before.
	HandlerBegins bool
	// Mixed means that only some records of the topic belong to transactions. The marker of one that comes last
	// is then committed too, so that tools which compare offsets do not take it for a record that waits.
	Mixed bool
	// OwnTraces means that the work on each record has a trace of its own, linked to that of the record.
	// Otherwise it is part of the record's trace.
	OwnTraces bool
	// Failpoint is nil outside of tests. A stage calls it at the points where it must survive a
	// crash, and an error stops the stage there, as a crash would.
	Failpoint func(name string) error
}

// ReachFailpoint calls Failpoint. A stage returns its error at once.
func (c *Config) ReachFailpoint(failpoint string) error {
	if c.Failpoint == nil {
		return nil
	}
	return c.Failpoint(failpoint)
}

// BeforeCommit is the failpoint between producing and committing.
const BeforeCommit = "before the transaction is committed"

// transactionTimeout is how long Kafka waits for the end of a transaction.
const transactionTimeout = 10 * time.Second

// oneBatch makes a fetch return one batch, whatever its size, of the first partition in its list that
// has one. So a slot serves its partitions in turn. A larger fetch would return the backlog of one
// partition, and the others would wait until it is worked off.
const oneBatch = 1

// pauseAfterFailure is how long a slot waits before it begins another session.
const pauseAfterFailure = time.Second

// Stage consumes one topic until it is stopped.
type Stage struct {
	cfg     Config
	work    Handler
	log     *slog.Logger
	metrics *metrics
	shared  *kafka.StageMetrics
	lag     *kafka.Lag
	process string // distinguishes the transactional ids of processes
	ready   chan struct{}
}

// New returns a stage that is not running.
func New(cfg Config, work Handler) *Stage {
	cfg.Slots = max(1, cfg.Slots)
	s := &Stage{
		cfg: cfg, work: work, log: cfg.Log.With("stage", cfg.Name),
		metrics: newMetrics(cfg.Metrics, cfg.Name), process: uuid.NewString(), ready: make(chan struct{}),
	}
	s.shared, s.lag = s.cfg.StageMetrics(), s.cfg.NewLag(nil, s.cfg.Topic)
	s.shared.Slots.Set(float64(cfg.Slots))
	return s
}

// Ready is closed when Kafka answers and has the topics.
func (s *Stage) Ready() <-chan struct{} { return s.ready }

// Run consumes until ctx is done, and then soon returns nil: it cancels the work at hand, which the
// next owner of the partition does again. It returns an error if only an operator can fix the
// fault.
func (s *Stage) Run(ctx context.Context) (err error) {
	defer func() { s.shared.Stopped(err) }()
	if err := s.cfg.RequireRights(ctx, s.Rights()); err != nil || ctx.Err() != nil {
		return err
	}
	topics := append([]string{s.cfg.Topic, event.TopicDeadLetters}, s.cfg.Outputs...)
	if err := s.cfg.RequireTopics(ctx, topics...); err != nil || ctx.Err() != nil {
		return err
	}
	close(s.ready)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.lag.Run(running) })
	for i := range s.cfg.Slots {
		group.Go(func() error { return s.slot(running, i) })
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("stage %s: %w", s.cfg.Name, err)
	}
	return nil
}

// Rights returns what the stage needs to be allowed in Kafka.
func (s *Stage) Rights() []rights.Right {
	list := []rights.Right{
		{Operation: rights.Read, Kind: rights.Topic, Name: s.cfg.TopicName(s.cfg.Topic)},
		{Operation: rights.Write, Kind: rights.Topic, Name: s.deadLetterTopic()},
		{Operation: rights.Read, Kind: rights.Group, Name: s.cfg.Group()},
		{Operation: rights.Write, Kind: rights.TransactionalID, Name: s.cfg.TransactionalIDPrefix, Prefixed: true},
	}
	for _, topic := range s.cfg.Outputs {
		list = append(list, rights.Right{Operation: rights.Write, Kind: rights.Topic, Name: s.cfg.TopicName(topic)})
	}
	return list
}

// errRenew ends a session after which another may succeed.
var errRenew = errors.New("the session has to be renewed")

// errSteppedOver ends a session that has stepped over a batch. The next one begins without a pause:
// a row of such batches must not cost a second each.
var errSteppedOver = fmt.Errorf("%w: a batch was stepped over", errRenew)

// slot runs one session after the other with the same transactional id, so that a new session
// fences what is left of the session before it.
func (s *Stage) slot(ctx context.Context, number int) error {
	id := fmt.Sprintf("%s%s-%d-%s", s.cfg.TransactionalIDPrefix, s.cfg.Name+s.cfg.Lane, number, s.process)
	for {
		err := s.session(ctx, id)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, errRenew) {
			return err
		}
		s.metrics.sessions.Inc()
		s.log.Warn("kafka session ended; beginning another", "error", err)
		if errors.Is(err, errSteppedOver) {
			continue
		}
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
		kgo.Balancers(newDealer()),
		kgo.ProducerLinger(0),
		kgo.FetchMaxBytes(oneBatch),
		kgo.DisableFetchSessions(), // so that each fetch lists the partitions, and begins with another one
		kgo.KeepControlRecords(),   // so that the lag does not count markers of transactions that were passed
		kgo.ConsumeTopics(s.cfg.TopicName(s.cfg.Topic)),
		kgo.TransactionalID(transactionalID),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.OnPartitionsAssigned(w.assigned),
		kgo.OnPartitionsRevoked(w.revoked),
		kgo.OnPartitionsLost(w.lost),
	)
	session, err := kgo.NewGroupTransactSession(options...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer s.lag.ReleaseAll(session.Client())
	defer session.Close()
	w.session = session
	// This ends the transaction that the session before may have left open. Until an open
	// transaction times out, nobody can read the group's offsets.
	_, _, err = session.Client().ProducerID(ctx)
	if kafka.IsPermanent(err) {
		return s.cfg.Explain(err, s.cfg.TopicName(s.cfg.Topic))
	}
	if err != nil {
		return errors.Join(errRenew, err)
	}
	for ctx.Err() == nil {
		if err := w.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// handle calls the handler, and begins the work unless the handler does.
func (s *Stage) handle(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
	if s.cfg.HandlerBegins {
		return s.work(ctx, r)
	}
	ctx, end := s.Begin(ctx, r)
	out, err := s.work(ctx, r)
	end(err)
	return out, err
}

// Begin counts the beginning of work on a record, and begins its span. Work under the returned context,
// and call end with the error of the work.
func (s *Stage) Begin(ctx context.Context, r *kgo.Record) (working context.Context, end func(error)) {
	working, endSpan := s.trace(ctx, r)
	telemetry.Observe(working, s.shared.Wait, time.Since(r.Timestamp).Seconds())
	s.shared.InFlight.Inc()
	began := time.Now()
	return working, func(err error) {
		s.shared.InFlight.Dec()
		telemetry.Observe(working, s.metrics.seconds, time.Since(began).Seconds())
		endSpan(err)
	}
}

// deadLetterTopic returns the name of the topic of refused records.
func (s *Stage) deadLetterTopic() string { return s.cfg.TopicName(event.TopicDeadLetters) }
