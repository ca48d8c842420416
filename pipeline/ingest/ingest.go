// Package ingest is the stage that turns records of topic runs into rows of ClickHouse.
//
//	poll ──▶ decode, one goroutine a partition ──▶ batch ──▶ insert the three tables ──▶ dead letters ──▶ commit
//	                                                 │
//	                                                 └─ the next batch fills while this one is stored
//
// The stage commits offsets after the rows are in ClickHouse and the refused records in topic
// dead-letters (invariant 1). A crash before the commit repeats records, which changes nothing
// (invariant 2). There are at most two batches; polling waits for them, and for room in the memory
// budget of the process (invariant 8).
//
//	ingest.go    Stage: its configuration, and filling batches
//	kafka.go     the client, committing, the lag
//	decode.go    from records to events
//	batch.go     a batch, and the partitions of this process
//	store.go     inserting a batch, and sending its dead letters
//	metrics.go   the metrics
package ingest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
	"github.com/millrace/millrace/sinks/runstore"
)

// Name is the stage's name in dead letters and metrics. With the prefix of topics, it is also the
// name of the consumer group.
const Name = "ingest"

// Config of the stage. The zero value of a limit is its default.
type Config struct {
	kafka.Config
	BatchRows     int           // events of a full batch; the last poll may exceed it; default 50,000
	BatchBytes    int           // bytes of the records of a full batch; the last poll may exceed it; default 16 MiB
	BatchInterval time.Duration // age of a full batch; default 1 s
	// Budget has the bytes of batches, with their decoded rows and the blocks that are inserted.
	Budget *budget.Budget
	// StopTimeout is how long a stop waits until the last batch is stored; default 6 s. The stage
	// does not commit the records of a batch that is not stored by then; they come again.
	StopTimeout time.Duration
	// Now is the clock that updated_at may not be far ahead of, see [event.Limits]; default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.BatchRows <= 0 {
		c.BatchRows = 50_000
	}
	if c.BatchBytes <= 0 {
		c.BatchBytes = 16 << 20
	}
	if c.BatchInterval <= 0 {
		c.BatchInterval = time.Second
	}
	if c.StopTimeout <= 0 {
		c.StopTimeout = 6 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Limits of the consumer. One poll adds at most pollRecords to a batch. Beside that the client
// holds at most one fetch a broker as sent, of which it decompresses inflowBytes and one batch
// between two polls: run events decompress to ten times their size and more.
const (
	pollRecords   = 5_000
	fetchMaxBytes = 2 << 20
	inflowBytes   = 4 << 20
)

// copies is how often a record is in memory until it is stored: its value, those decoded texts that are no part
// of it, and less than once the block that is being sent.
const copies = 3

// Stage consumes runs until it is stopped.
type Stage struct {
	cfg     Config
	store   *runstore.Store
	log     *slog.Logger
	retry   kafka.Retrier // for ever
	metrics *metrics
	shared  *kafka.StageMetrics
	lag     *kafka.Lag
	ready   chan struct{}
	owned   owned
	inflow  *kafka.Inflow
	average int64 // bytes of a record of the last poll
}

// New returns a stage that is not running. It sets the configuration's Name.
func New(cfg Config, store *runstore.Store) *Stage {
	cfg.Name = Name
	s := &Stage{
		cfg: cfg.withDefaults(), store: store, log: cfg.Log.With("stage", Name),
		retry:   cfg.Retrier(append(tables, tryCheck, tryCommit)...),
		metrics: newMetrics(cfg.Metrics), ready: make(chan struct{}),
	}
	s.retry.Pause, s.retry.MaxPause = minPause, maxPause
	store.OnMoved(func(identities int) { s.metrics.moved.Add(float64(identities)) })
	s.shared, s.lag = s.cfg.StageMetrics(), s.cfg.NewLag(nil, event.TopicRuns)
	s.shared.Slots.Set(1)
	return s
}

// What is tried again, beside the inserts into the tables.
const (
	tryCheck  = "check"
	tryCommit = "commit"
)

// The pauses between attempts are shorter than those of other stages, because every pause delays
// rows in ClickHouse.
const (
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// Ready is closed when ClickHouse answered and has the right schema, Kafka has the topics, and the
// consumer is started.
func (s *Stage) Ready() <-chan struct{} { return s.ready }

// Run consumes until ctx is done, and then stores and commits what it has polled. It returns an
// error only if an operator must act: wrong credentials or schema, a topic that is missing or was
// recreated.
func (s *Stage) Run(ctx context.Context) (err error) {
	defer func() { s.shared.Stopped(err) }()
	defer s.store.Close()
	if err := s.untilStored(ctx, tryCheck, func() error { return s.store.Check(ctx) }); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	needed := rights.Of(rights.Ingest, rights.Names{Topics: s.cfg.TopicPrefix})
	if err := s.cfg.RequireRights(ctx, needed); err != nil || ctx.Err() != nil {
		return err
	}
	if err := s.cfg.RequireTopics(ctx, event.TopicRuns, event.TopicDeadLetters); err != nil || ctx.Err() != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	defer s.lag.ReleaseAll(client)
	defer leave(client)
	close(s.ready)

	// Storing outlives polling: after ctx is done the stage stores what it has polled.
	storing, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	batches := make(chan *batch)
	group, polling := errgroup.WithContext(ctx)
	context.AfterFunc(polling, func() {
		select {
		case <-storing.Done():
		case <-time.After(s.cfg.StopTimeout):
			stop(errStopTimeout)
		}
	})
	group.Go(func() error {
		defer close(batches)
		return s.poll(polling, storing, client, batches)
	})
	group.Go(func() error {
		for b := range batches {
			err := s.storeBatch(storing, client, b)
			b.free()
			if err != nil {
				stop(err) // poll may wait to hand on a batch
				return err
			}
		}
		return nil
	})
	group.Go(func() error { return s.lag.Run(polling) }) // also while the stage waits for ClickHouse
	if err := group.Wait(); err != nil && !errors.Is(err, errStopTimeout) {
		return err
	}
	if context.Cause(storing) != nil {
		s.log.Warn("stopped before the last batch was stored; its records are not committed and will come again")
	}
	return nil
}

var errStopTimeout = errors.New("the last batch could not be stored in time")

// poll fills batches and hands them on. It returns nil when ctx is done.
func (s *Stage) poll(ctx, storing context.Context, client *kgo.Client, batches chan<- *batch) error {
	b := newBatch()
	handOn := func(b *batch) error {
		select {
		case batches <- b:
			return nil
		case <-storing.Done():
			return context.Cause(storing)
		}
	}
	for {
		var err error
		fetches := s.pollOnce(ctx, client, b)
		if b, err = s.reserve(storing, fetches, b, handOn); err != nil {
			return nil //nolint:nilerr // storing is over: the records come again
		}
		s.decode(fetches, b)
		if err := s.checkFetches(ctx, client, fetches, b); err != nil { // after the records of the same partition
			return err
		}
		stopping := ctx.Err() != nil || fetches.IsClientClosed()
		if !b.empty() && (stopping || b.full(s.cfg)) {
			if handOn(b) != nil {
				return nil
			}
			b = newBatch()
		}
		if stopping {
			return nil
		}
	}
}

// pollOnce waits for records, at most until the batch is full by its age.
func (s *Stage) pollOnce(ctx context.Context, client *kgo.Client, b *batch) kgo.Fetches {
	began := b.began
	if b.empty() {
		began = time.Now()
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(s.cfg.BatchInterval))
	defer cancel()
	fetches := client.PollRecords(ctx, s.pollRecords(client))
	s.inflow.Polled(client.BufferedFetchBytes())
	return fetches
}

// pollRecords returns how many records the next poll takes: about those that fill a batch. Records
// that the client has not fetched yet are taken to be as large as those of the last poll.
func (s *Stage) pollRecords(client *kgo.Client) int {
	average := s.average
	if n := client.BufferedFetchRecords(); n > 0 {
		average = client.BufferedFetchBytes() / n
	}
	return int(min(pollRecords, max(1, int64(s.cfg.BatchBytes)/max(1, average))))
}

// reserve takes the bytes of polled records from the budget, and returns the batch that has them.
// Where the budget has no room, it hands the batch on first: a batch that waits for room holds none.
func (s *Stage) reserve(ctx context.Context, fetches kgo.Fetches, b *batch, handOn func(*batch) error) (
	*batch, error) {
	n, records := int64(0), int64(0)
	fetches.EachRecord(func(r *kgo.Record) {
		n += int64(size(r))
		records++
	})
	if records == 0 {
		return b, nil
	}
	s.average = n / records
	release, ok := s.cfg.Budget.TryAcquire(copies * n)
	if !ok {
		if !b.empty() {
			if err := handOn(b); err != nil {
				return nil, err
			}
			b = newBatch()
		}
		var err error
		if release, err = s.cfg.Budget.Acquire(ctx, copies*n); err != nil {
			return nil, err
		}
	}
	b.release = append(b.release, release)
	return b, nil
}
