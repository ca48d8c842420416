// Package track is the stage that stores the state of exports in ClickHouse: it appends every
// progress and completion event to export_events. The view exports folds the events into one row an
// export. It also stores the trail.
//
//	export-progress ────┬──▶ track ──▶ export_events ──▶ view exports
//	export-completions ─┤      ├─────▶ audit
//	audit ──────────────┘      └─────▶ dead-letters
//
// The stage commits offsets after the insert. A crash between the two appends events again; the
// view exports and table audit ignore the repetition.
//
//	track.go   the stage
//	rows.go    inserting into export_events
//	metrics.go the metrics, with those of unfinished exports
package track

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// topics are the topics that the stage consumes.
var topics = []string{event.TopicExportProgress, event.TopicExportCompletions, event.TopicAudit}

// maxEvents is how many events the stage inserts at once, at most.
const maxEvents = 1000

// linger is how long the stage waits for more events before it inserts some. An export has its events in a
// row: without the wait, each export of 150 records waits for processors that insert the events before.
const linger = 200 * time.Millisecond

// Limits of an insert. While ClickHouse is unavailable, the stage tries for ever.
const (
	insertTimeout = 30 * time.Second
	attempts      = 5 // after errors of class Unknown
)

// tryInsert is what is tried again.
const tryInsert = "insert"

// Stage consumes export-progress, export-completions and audit.
type Stage struct {
	cfg     kafka.Config
	dsn     *clickhouse.DSN
	log     *slog.Logger
	retry   kafka.Retrier // without a limit
	metrics *metrics
	shared  *kafka.StageMetrics
	lag     *kafka.Lag
	ready   chan struct{}
	client  *kgo.Client
	history driver.Conn
}

// New returns a stage that is not running. It sets the configuration's Name.
func New(cfg kafka.Config, dsn *clickhouse.DSN) *Stage {
	cfg.Name = export.StageTrack
	s := &Stage{
		cfg: cfg, dsn: dsn, log: cfg.Log.With("stage", export.StageTrack), retry: cfg.Retrier(tryInsert),
		metrics: newMetrics(cfg.Metrics), shared: cfg.StageMetrics(), ready: make(chan struct{}),
	}
	s.lag = s.cfg.NewLag(s.metrics.lag.Set, topics...)
	s.shared.Slots.Set(1)
	dsn.Timer().Init(queryInsert, queryUnfinished)
	return s
}

func (s *Stage) assigned(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	s.lag.Assign(client, partitions)
}

func (s *Stage) released(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	s.lag.Release(client, partitions)
}

// Ready is closed when Kafka answers and has the topics.
func (s *Stage) Ready() <-chan struct{} { return s.ready }

// Run consumes until ctx is done, and then returns nil. It returns an error that a retry cannot
// mend.
func (s *Stage) Run(ctx context.Context) (err error) {
	defer func() { s.shared.Stopped(err) }()
	err = s.cfg.RequireRights(ctx, rights.Of(rights.Track, rights.Names{Topics: s.cfg.TopicPrefix}))
	if err != nil || ctx.Err() != nil {
		return err
	}
	err = s.cfg.RequireTopics(ctx, append(slices.Clone(topics), event.TopicDeadLetters)...)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if s.history, err = s.dsn.Open(); err != nil {
		return fmt.Errorf("stage %s: connect to ClickHouse: %w", export.StageTrack, err)
	}
	defer s.history.Close()
	close(s.ready)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.lag.Run(running) })
	group.Go(func() error { return s.watchUnfinished(running) })
	group.Go(func() error {
		for running.Err() == nil {
			if err := s.consume(running); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("stage %s: %w", export.StageTrack, err)
	}
	return nil
}

// consume consumes with one client, until ctx is done or a batch was skipped: the client does not
// consume the partition of such a batch.
func (s *Stage) consume(ctx context.Context) (err error) {
	names := make([]string, len(topics))
	for i, topic := range topics {
		names[i] = s.cfg.TopicName(topic)
	}
	s.client, err = kgo.NewClient(append(s.cfg.GroupOptions(), kgo.ConsumeTopics(names...),
		kgo.DisableAutoCommit(), kgo.ProducerLinger(0),
		kgo.KeepControlRecords(), // so that the stage commits the offsets of markers of transactions
		kgo.OnPartitionsAssigned(s.assigned), kgo.OnPartitionsRevoked(s.released), kgo.OnPartitionsLost(s.released))...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer s.lag.ReleaseAll(s.client)
	defer s.client.Close()
	for ctx.Err() == nil {
		if skipped, err := s.poll(ctx); skipped || err != nil {
			return err
		}
	}
	return nil
}

// poll stores the events of one poll, and reports whether it skipped a batch.
func (s *Stage) poll(ctx context.Context) (skipped bool, err error) {
	fetches := s.client.PollRecords(ctx, maxEvents)
	if n := fetches.NumRecords(); n > 0 && n < maxEvents {
		select {
		case <-time.After(linger):
			//nolint:staticcheck // without a context it returns what there is
			fetches = append(fetches, s.client.PollRecords(nil, maxEvents-n)...)
		case <-ctx.Done():
			return false, nil
		}
	}
	faults := s.cfg.Faults(ctx, s.client, fetches)
	if faults.Permanent != nil {
		return false, faults.Permanent
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) { s.lag.Polled(f.Records) })
	var rows []row
	for r := range fetches.RecordsAll() {
		if r.Attrs.IsControl() {
			continue
		}
		row, err := s.decode(r)
		if err == nil {
			rows = append(rows, row)
		} else if err := s.deadLetter(ctx, r, err); err != nil {
			return false, err
		}
	}
	if err := s.store(ctx, rows); err != nil || ctx.Err() != nil {
		return false, err
	}
	if err := s.client.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("offsets not committed; the events will be appended again, which changes nothing", "error", err)
	}
	for _, oversize := range faults.Oversize {
		if err := s.skip(ctx, oversize); err != nil {
			return false, err
		}
	}
	return len(faults.Oversize) > 0, nil
}

// skip steps over a batch that decompresses to more than the client holds. If the commit fails, the
// next client meets the batch again.
func (s *Stage) skip(ctx context.Context, oversize *kgo.ErrDecompressTooLarge) error {
	r, refusal := kafka.RefuseOversize(oversize)
	if err := s.deadLetter(ctx, r, refusal); err != nil {
		return err
	}
	if err := kafka.SkipOversize(ctx, s.client, oversize); err != nil && ctx.Err() == nil {
		s.log.Warn("offsets not committed; the batch will be refused again", "record", kafka.Position(r), "error", err)
	}
	return nil
}

// row is what a record's event says: the state of an export, or an entry of the trail.
type row struct {
	record *kgo.Record
	state  *export.State
	entry  *audit.Entry
}

// decode returns what a record's event says. The error is a *strictjson.Refusal.
func (s *Stage) decode(r *kgo.Record) (row, error) {
	e, err := event.Decode(r)
	if err != nil {
		return row{}, err
	}
	if err := strictjson.Check(e.Data); err != nil {
		return row{}, err
	}
	if r.Topic == s.cfg.TopicName(event.TopicAudit) {
		entry, err := audit.Decode(&e)
		return row{record: r, entry: entry}, err
	}
	state, err := decodeState(&e)
	return row{record: r, state: state}, err
}

func decodeState(e *event.Event) (state *export.State, err error) {
	var progress export.Progress
	var completion export.Completion
	state = &progress.State
	switch e.Type {
	case export.TypeProgressed:
		err = json.Unmarshal(e.Data, &progress)
	case export.TypeCompleted:
		state, err = &completion.State, json.Unmarshal(e.Data, &completion)
	default:
		return nil, &strictjson.Refusal{
			Code: strictjson.UnknownType, Pointer: "/type",
			Rule: "must be " + export.TypeProgressed + " or " + export.TypeCompleted,
		}
	}
	if err != nil {
		return nil, &strictjson.Refusal{Code: strictjson.WrongType, Rule: "is not the data of " + e.Type}
	}
	return state, nil
}

// store appends the rows. If ClickHouse refuses them because of a row, it appends them one by one,
// and dead-letters the rows that ClickHouse refuses.
func (s *Stage) store(ctx context.Context, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	s.shared.Wait.Observe(time.Since(rows[0].record.Timestamp).Seconds())
	s.shared.InFlight.Set(1)
	defer s.shared.InFlight.Set(0)
	err := s.retry.Limited(attempts, 0).Do(ctx, tryInsert, fmt.Sprintf("%d events", len(rows)),
		func() error { return s.insert(ctx, rows) })
	switch {
	case err == nil:
		s.metrics.events.WithLabelValues("stored").Add(float64(len(rows)))
		return nil
	case ctx.Err() != nil:
		return nil
	case clickhouse.Classify(err) != clickhouse.Row:
		return clickhouse.Explain(err)
	case len(rows) == 1:
		return s.deadLetter(ctx, rows[0].record, &strictjson.Refusal{
			Code: strictjson.RowRefused, Rule: fmt.Sprintf("ClickHouse refuses the row with error %d", clickhouse.Code(err)),
		})
	}
	for i := range rows {
		if err := s.store(ctx, rows[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) insert(ctx context.Context, rows []row) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	err := s.dsn.Timer().Time(ctx, queryInsert, func() error {
		if entries := entriesOf(rows); len(entries) > 0 {
			if err := audit.Insert(ctx, s.history, entries); err != nil {
				return err
			}
		}
		if hasNotices(rows) {
			if err := appendNotices(ctx, s.history, rows); err != nil {
				return err
			}
		}
		return appendEvents(ctx, s.history, rows)
	})
	if err == nil {
		return nil
	}
	switch clickhouse.Classify(err) {
	case clickhouse.Retry:
		return kafka.Unavailable(err)
	case clickhouse.Unknown:
		return err
	}
	return kafka.Permanent(err)
}

func (s *Stage) deadLetter(ctx context.Context, r *kgo.Record, err error) error {
	refusal := event.AsRefusal(err)
	s.log.Warn("record refused", "record", kafka.Position(r), "code", string(refusal.Code))
	topic := s.cfg.TopicName(event.TopicDeadLetters)
	s.metrics.events.WithLabelValues("dead_letter").Inc()
	s.shared.DeadLetter(string(refusal.Code))
	err = s.client.ProduceSync(ctx, event.DeadLetter(topic, s.cfg.Name, r, refusal)).FirstErr()
	if err != nil {
		return fmt.Errorf("write to topic %s: %w", topic, s.cfg.Explain(err, topic))
	}
	return nil
}
