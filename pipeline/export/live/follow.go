package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
)

// Follower follows a few exports by the topics of progress and completions. It is for a command
// that watches what it files or cancels: unlike Exports it starts with one question to Kafka, reads
// only what is published after that, and needs neither ClickHouse nor the object store. It is not
// safe for concurrent use.
type Follower struct {
	prefix  string
	client  *kgo.Client
	entries map[string]*entry // by the key of records
	// positions are where the partitions are polled next.
	positions kafka.Positions
	growth    time.Duration // see kafka.Config.Growth
	grown     time.Time     // when partitions were looked for
	log       *slog.Logger
}

// Follow starts to follow exports, before they are filed. Ended: the exports may have ended before;
// completions are then read from the start of their topic, which is compacted.
func Follow(ctx context.Context, cfg kafka.Config, ended bool, ids ...export.ID) (*Follower, error) {
	client, err := kgo.NewClient(cfg.FetchOptions()...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	f := &Follower{prefix: cfg.TopicPrefix, client: client, entries: map[string]*entry{},
		growth: cmp.Or(cfg.Growth, kafka.GrowthInterval), grown: time.Now(),
		log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))}
	for _, id := range ids {
		f.entries[string(id.Key())] = &entry{}
	}
	progress, completions := cfg.TopicName(event.TopicExportProgress), cfg.TopicName(event.TopicExportCompletions)
	admin := kadm.NewClient(client)
	first, err := admin.ListEndOffsets(ctx, progress, completions)
	if err == nil && ended {
		var starts kadm.ListedOffsets
		if starts, err = admin.ListStartOffsets(ctx, completions); err == nil {
			first[completions] = starts[completions]
		}
	}
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("find the offsets of topics %s and %s: %w", progress, completions, f.lacking(err))
	}
	from := map[string]map[int32]kgo.Offset{progress: {}, completions: {}}
	first.Each(func(o kadm.ListedOffset) {
		from[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset)
		f.positions.Set(kafka.Partition{Topic: o.Topic, ID: o.Partition}, o.Offset)
	})
	client.AddConsumePartitions(from)
	return f, nil
}

// lacking adds to an error of the topics what to grant.
func (f *Follower) lacking(err error) error {
	return kafka.Lacking(err, kafka.On(f.prefix+event.TopicExportProgress, rights.Read),
		kafka.On(f.prefix+event.TopicExportCompletions, rights.Read))
}

// Close ends the following.
func (f *Follower) Close() { f.client.Close() }

// Wait calls changed with each state of the exports, in order, until all of them have ended or
// changed returns an error. The last state of an export is final. It returns that error, the error
// of ctx, or one of Kafka's.
func (f *Follower) Wait(ctx context.Context, changed func(*export.State) error) error {
	for running := len(f.entries); running > 0; {
		f.grow(ctx)
		until, cancel := context.WithTimeout(ctx, f.growth)
		fetches := f.client.PollFetches(until)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			continue
		}
		oversize, err := kafka.Oversize(fetches)
		if err != nil {
			return fmt.Errorf("read the topics of exports: %w", f.lacking(err))
		}
		for r := range fetches.RecordsAll() {
			f.positions.Set(kafka.Partition{Topic: r.Topic, ID: r.Partition}, r.Offset+1)
		}
		f.stepOver(oversize)
		for r := range fetches.RecordsAll() {
			x := f.entries[string(r.Key)]
			if x == nil || x.state != nil && x.state.Status.Final() { // what comes late on the other topic is from before
				continue
			}
			s, err := decodeState(strings.TrimPrefix(r.Topic, f.prefix), r)
			if err != nil {
				return fmt.Errorf("read record %s: %w", kafka.Position(r), err)
			}
			if !x.advance(s) {
				continue
			}
			if err := changed(x.state); err != nil {
				return err
			}
			if s.Status.Final() {
				running--
			}
		}
	}
	return nil
}

// grow consumes partitions that were added to the topics, after each f.growth. Where Kafka does not answer, it
// looks for them the next time.
func (f *Follower) grow(ctx context.Context) {
	if time.Since(f.grown) < f.growth {
		return
	}
	f.grown = time.Now()
	ctx, cancel := context.WithTimeout(ctx, min(f.growth, growthPatience))
	defer cancel()
	first, err := kadm.NewClient(f.client).ListStartOffsets(ctx, f.prefix+event.TopicExportProgress,
		f.prefix+event.TopicExportCompletions)
	if err != nil {
		f.log.Info(growthFailed, "error", err)
		return
	}
	f.positions.Adopt(f.client, first)
}

// stepOver goes on behind batches that decompress to more than the client holds.
func (f *Follower) stepOver(oversize []*kgo.ErrDecompressTooLarge) {
	for _, batch := range oversize {
		r, refusal := kafka.RefuseOversize(batch)
		f.log.Warn("batch skipped", "record", kafka.Position(r), "detail", refusal.Rule)
		f.positions.Set(kafka.Partition{Topic: batch.Topic, ID: batch.Partition}, batch.NextOffset)
	}
	if len(oversize) > 0 {
		f.client.SetOffsets(f.positions.Offsets())
	}
}

var errNoState = errors.New("the topic has no states")
