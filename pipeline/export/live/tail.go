package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
)

// topics are the topics that a server consumes, each from the offsets that all groups of a stage have
// committed: what plan has committed is in plan.json, and what track has committed is in ClickHouse.
var topics = []struct {
	name   string
	groups []string
}{
	{event.TopicExportRequests, export.PlanGroups()},
	{event.TopicExportProgress, []string{export.StageTrack}},
	{event.TopicExportCompletions, []string{export.StageTrack}},
}

// tail knows how far a server has consumed the topics.
type tail struct {
	mu        sync.Mutex
	positions kafka.Positions
	moved     chan struct{} // closed at the next move

	questions chan chan<- ends // each waits for the ends of topic export-requests
}

// ends are the end offsets of a topic, or why they are not known.
type ends struct {
	offsets map[kafka.Partition]int64
	err     error
}

func newTail() tail {
	return tail{moved: make(chan struct{}), questions: make(chan chan<- ends)}
}

// tryOffsets is what is tried again.
const tryOffsets = "find the first offsets"

// Run consumes the topics until ctx is done, and then returns nil. It returns an error where
// waiting does not help.
func (e *Exports) Run(ctx context.Context) error {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.name
	}
	needed := rights.Of(rights.Serve, rights.Names{Topics: e.cfg.TopicPrefix})
	if err := e.cfg.RequireRights(ctx, needed); err != nil || ctx.Err() != nil {
		return err
	}
	if err := e.cfg.RequireTopics(ctx, names...); err != nil || ctx.Err() != nil {
		return err
	}
	client, err := kgo.NewClient(append(e.cfg.FetchOptions(),
		kgo.KeepControlRecords())...) // so that the tail reaches the end of a topic whose last record is one
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var goal map[kafka.Partition]int64
	err = e.retry.Do(ctx, tryOffsets, "the topics of exports", func() (err error) {
		goal, err = e.begin(ctx, client, admin)
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s of the topics of exports: %w", tryOffsets, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		e.tail.answer(ctx, client, e.cfg.TopicName(event.TopicExportRequests), e.cfg.Timeout/3)
		return nil
	})
	group.Go(func() error {
		e.grow(ctx, client)
		return nil
	})
	group.Go(func() error {
		if e.tail.reach(ctx, goal) == nil {
			close(e.ready)
		}
		return nil
	})
	group.Go(func() error {
		for ctx.Err() == nil {
			if err := e.poll(ctx, client); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// begin makes the client consume the topics from the offsets up to which ClickHouse and the bucket
// have their records, and returns the end offsets of the topics.
func (e *Exports) begin(ctx context.Context, client *kgo.Client, admin *kadm.Client) (map[kafka.Partition]int64,
	error) {
	from := map[string]map[int32]kgo.Offset{}
	goal := map[kafka.Partition]int64{}
	for _, t := range topics {
		topic := e.cfg.TopicName(t.name)
		start, err := admin.ListStartOffsets(ctx, topic)
		if err == nil {
			err = start.Error()
		}
		if err != nil {
			return nil, e.cfg.Explain(err, topic)
		}
		last, err := admin.ListCommittedOffsets(ctx, topic)
		if err == nil {
			err = last.Error()
		}
		if err != nil {
			return nil, e.cfg.Explain(err, topic)
		}
		committed, err := e.committed(ctx, admin, t.groups)
		if err != nil {
			return nil, err
		}
		from[topic] = map[int32]kgo.Offset{}
		last.Each(func(end kadm.ListedOffset) {
			next := end.Offset
			for i, offsets := range committed {
				at := int64(0)
				if o, ok := offsets.Lookup(topic, end.Partition); ok && o.Err == nil {
					at = o.At
				}
				if at > 0 || t.groups[i] != export.LargeGroup { // which is newer than the topic: nothing was handed over yet
					next = min(next, at)
				}
			}
			if s, ok := start.Lookup(topic, end.Partition); ok {
				next = max(next, s.Offset)
			}
			next = min(next, end.Offset)
			from[topic][end.Partition] = kgo.NewOffset().At(next)
			e.tail.positions.Set(kafka.Partition{Topic: topic, ID: end.Partition}, next)
			goal[kafka.Partition{Topic: topic, ID: end.Partition}] = end.Offset
		})
	}
	client.AddConsumePartitions(from)
	return goal, nil
}

const (
	growthFailed   = "new partitions are looked for later, since Kafka did not say which there are"
	growthPatience = 5 * time.Second // how long Kafka may take to say so while somebody waits
)

// grow consumes partitions that are added to the topics, until ctx is done.
func (e *Exports) grow(ctx context.Context, client *kgo.Client) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = e.cfg.TopicName(t.name)
	}
	tick := time.NewTicker(e.cfg.Growth)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := e.tail.adopt(ctx, client, names...); err != nil && ctx.Err() == nil {
				e.cfg.Log.Info(growthFailed, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// adopt makes the client consume the partitions of the topics that it does not consume yet.
func (t *tail) adopt(ctx context.Context, client *kgo.Client, topics ...string) error {
	first, err := kadm.NewClient(client).ListStartOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.positions.Adopt(client, first)
	return first.Error()
}

// lacks reports whether the tail does not consume one of the partitions.
func (t *tail) lacks(list kadm.ListedOffsets) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.positions.Lacks(list)
}

// committed returns what each group has committed, which is nothing where its stage has never run.
func (e *Exports) committed(ctx context.Context, admin *kadm.Client, groups []string) ([]kadm.OffsetResponses, error) {
	all := make([]kadm.OffsetResponses, len(groups))
	for i, name := range groups {
		group := e.cfg.TopicName(name)
		offsets, err := admin.FetchOffsets(ctx, group)
		if errors.Is(err, kerr.GroupAuthorizationFailed) {
			return nil, kafka.Permanent(fmt.Errorf("%w: grant DESCRIBE on group %s: %w", kafka.ErrAccess, group, err))
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, fmt.Errorf("group %s: %w", group, err)
		}
		all[i] = offsets
	}
	return all, nil
}

// poll applies the records of one poll to the board.
func (e *Exports) poll(ctx context.Context, client *kgo.Client) error {
	fetches := client.PollFetches(ctx)
	faults := e.cfg.Faults(ctx, client, fetches)
	if faults.Permanent != nil {
		return faults.Permanent
	}
	moves := map[kafka.Partition]int64{}
	for r := range fetches.RecordsAll() {
		if !r.Attrs.IsControl() {
			e.board.apply(strings.TrimPrefix(r.Topic, e.cfg.TopicPrefix), r)
		}
		moves[kafka.Partition{Topic: r.Topic, ID: r.Partition}] = r.Offset + 1
	}
	for _, batch := range faults.Oversize { // the stage that consumes the topic dead-letters the batch
		e.refused.Inc()
		r, refusal := kafka.RefuseOversize(batch)
		e.cfg.Log.Error("batch skipped", "record", kafka.Position(r), "code", string(refusal.Code), "detail", refusal.Rule)
		moves[kafka.Partition{Topic: batch.Topic, ID: batch.Partition}] = batch.NextOffset
	}
	e.tail.move(moves)
	if len(faults.Oversize) > 0 {
		client.SetOffsets(e.tail.offsets())
	}
	return nil
}

// offsets returns where all partitions are polled next, see kafka.Positions.
func (t *tail) offsets() map[string]map[int32]kgo.EpochOffset {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.positions.Offsets()
}

// move notes the offsets that are polled next, and wakes those who wait in reach.
func (t *tail) move(moves map[kafka.Partition]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, next := range moves {
		t.positions.Set(p, next)
	}
	if len(moves) > 0 {
		close(t.moved)
		t.moved = make(chan struct{})
	}
}

// reach waits until the tail has consumed all records before these offsets.
func (t *tail) reach(ctx context.Context, goal map[kafka.Partition]int64) error {
	for {
		t.mu.Lock()
		moved, reached := t.moved, true
		for p, offset := range goal {
			reached = reached && t.positions.Next(p) >= offset
		}
		t.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer answers questions. All questions that wait at the same time share one request to Kafka,
// which begins after the last of them. Partitions of the topic that were added are consumed from now on.
func (t *tail) answer(ctx context.Context, client *kgo.Client, topic string, timeout time.Duration) {
	for {
		var waiting []chan<- ends
		select {
		case w := <-t.questions:
			waiting = append(waiting, w)
		case <-ctx.Done():
			return
		}
		for more := true; more; {
			select {
			case w := <-t.questions:
				waiting = append(waiting, w)
			default:
				more = false
			}
		}
		answer := ends{offsets: map[kafka.Partition]int64{}}
		asking, cancel := context.WithTimeout(ctx, timeout)
		list, err := kadm.NewClient(client).ListCommittedOffsets(asking, topic)
		if err == nil {
			err = list.Error()
		}
		if err == nil && t.lacks(list) {
			err = t.adopt(asking, client, topic)
		}
		cancel()
		answer.err = err
		list.Each(func(end kadm.ListedOffset) {
			answer.offsets[kafka.Partition{Topic: end.Topic, ID: end.Partition}] = end.Offset
		})
		for _, w := range waiting {
			w <- answer
		}
	}
}

// ErrBehind says that the server could not find out which requests were filed just now.
var ErrBehind = errors.New("the requests of this moment are not known, since Kafka does not answer: try again")

// catchUp returns when the board has every request that was filed before the call, with this server
// or another.
func (e *Exports) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout/3)
	defer cancel()
	answer := make(chan ends, 1)
	select {
	case e.tail.questions <- answer:
	case <-ctx.Done():
		return ErrBehind
	}
	select {
	case a := <-answer:
		if a.err != nil || e.tail.reach(ctx, a.offsets) != nil {
			return ErrBehind
		}
		return nil
	case <-ctx.Done():
		return ErrBehind
	}
}
