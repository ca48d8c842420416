package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export/plan"
	"github.com/millrace/millrace/pipeline/export/track"
	"github.com/millrace/millrace/pipeline/stage"
)

// topics are those that a server consumes, and the stage by whose offsets it begins: what plan has committed is in plan.json, and
// what track has committed is in ClickHouse.
var topics = []struct{ name, stage string }{
	{event.TopicExportRequests, plan.Name},
	{event.TopicExportProgress, track.Name},
	{event.TopicExportCompletions, track.Name},
}

type partition struct {
	topic string
	id    int32
}

// tail is how far the topics are consumed.
type tail struct {
	mu    sync.Mutex
	next  map[partition]int64 // offset
	moved chan struct{}       // closed at the next move

	asked chan chan<- ends // who wants to know where topic export-requests ends
}

type ends struct {
	offsets map[partition]int64
	err     error
}

func newTail() tail {
	return tail{next: map[partition]int64{}, moved: make(chan struct{}), asked: make(chan chan<- ends)}
}

// Run consumes the topics until ctx is done, and then returns nil. It returns an error where waiting does not help.
func (e *Exports) Run(ctx context.Context) error {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.name
	}
	cfg := stage.Config{Name: "serve", TopicPrefix: e.cfg.TopicPrefix, Kafka: e.cfg.Kafka, Log: e.cfg.Log, Metrics: prometheus.NewRegistry()}
	if err := stage.RequireTopics(ctx, &cfg, names...); err != nil || ctx.Err() != nil {
		return err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // so that the tail gets to the end of a topic that ends with one
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(16 << 20), kgo.MaxDecompressBatchBytes(64 << 20), kgo.FetchMaxWait(500 * time.Millisecond),
	}, e.cfg.Kafka...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var goal map[partition]int64
	err = stage.NewRetrier(&cfg).Do(ctx, "find where to begin", "the topics of exports", func() (err error) {
		goal, err = e.begin(ctx, client, admin)
		return err
	})
	if err != nil {
		return nil // ctx is done
	}
	go e.tail.answer(ctx, admin, e.cfg.TopicPrefix+event.TopicExportRequests, e.cfg.Timeout/3)
	go func() {
		if e.tail.reach(ctx, goal) == nil {
			close(e.ready)
		}
	}()
	for ctx.Err() == nil {
		if err := e.poll(ctx, client); err != nil {
			return err
		}
	}
	return nil
}

// begin makes the client consume the topics from where ClickHouse and the bucket have them, and returns where they end.
func (e *Exports) begin(ctx context.Context, client *kgo.Client, admin *kadm.Client) (map[partition]int64, error) {
	from := map[string]map[int32]kgo.Offset{}
	goal := map[partition]int64{}
	for _, t := range topics {
		topic := e.cfg.TopicPrefix + t.name
		start, err := admin.ListStartOffsets(ctx, topic)
		if err == nil {
			err = start.Error()
		}
		if err != nil {
			return nil, err
		}
		last, err := admin.ListCommittedOffsets(ctx, topic)
		if err == nil {
			err = last.Error()
		}
		if err != nil {
			return nil, err
		}
		committed, err := admin.FetchOffsets(ctx, e.cfg.TopicPrefix+t.stage)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a stage that never ran has committed nothing
			return nil, fmt.Errorf("group %s: %w", e.cfg.TopicPrefix+t.stage, err)
		}
		from[topic] = map[int32]kgo.Offset{}
		last.Each(func(end kadm.ListedOffset) {
			at := int64(0)
			if o, ok := committed.Lookup(topic, end.Partition); ok && o.Err == nil {
				at = o.At
			}
			if s, ok := start.Lookup(topic, end.Partition); ok {
				at = max(at, s.Offset)
			}
			at = min(at, end.Offset)
			from[topic][end.Partition] = kgo.NewOffset().At(at)
			e.tail.next[partition{topic, end.Partition}] = at
			goal[partition{topic, end.Partition}] = end.Offset
		})
	}
	client.AddConsumePartitions(from)
	return goal, nil
}

func (e *Exports) poll(ctx context.Context, client *kgo.Client) error {
	fetches := client.PollFetches(ctx)
	for _, f := range fetches.Errors() {
		if ctx.Err() != nil {
			return nil
		}
		if stage.IsPermanent(f.Err) {
			return fmt.Errorf("consume topic %s: %w", f.Topic, f.Err)
		}
		e.cfg.Log.Warn("polling failed, and is tried again", "topic", f.Topic, "partition", f.Partition, "error", f.Err)
	}
	moves := map[partition]int64{}
	for r := range fetches.RecordsAll() {
		if !r.Attrs.IsControl() {
			e.board.apply(strings.TrimPrefix(r.Topic, e.cfg.TopicPrefix), r)
		}
		moves[partition{r.Topic, r.Partition}] = r.Offset + 1
	}
	e.tail.move(moves)
	return nil
}

func (t *tail) move(moves map[partition]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, next := range moves {
		t.next[p] = next
	}
	if len(moves) > 0 {
		close(t.moved)
		t.moved = make(chan struct{})
	}
}

// reach waits until the tail has consumed all before these offsets.
func (t *tail) reach(ctx context.Context, goal map[partition]int64) error {
	for {
		t.mu.Lock()
		moved, there := t.moved, true
		for p, offset := range goal {
			there = there && t.next[p] >= offset
		}
		t.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer tells all who ask at the same time with one question to Kafka, which is put after they asked.
func (t *tail) answer(ctx context.Context, admin *kadm.Client, topic string, timeout time.Duration) {
	for {
		var waiting []chan<- ends
		select {
		case w := <-t.asked:
			waiting = append(waiting, w)
		case <-ctx.Done():
			return
		}
		for more := true; more; {
			select {
			case w := <-t.asked:
				waiting = append(waiting, w)
			default:
				more = false
			}
		}
		answer := ends{offsets: map[partition]int64{}}
		asking, cancel := context.WithTimeout(ctx, timeout)
		list, err := admin.ListCommittedOffsets(asking, topic)
		cancel()
		if err == nil {
			err = list.Error()
		}
		answer.err = err
		list.Each(func(end kadm.ListedOffset) { answer.offsets[partition{end.Topic, end.Partition}] = end.Offset })
		for _, w := range waiting {
			w <- answer
		}
	}
}

// ErrBehind says that it could not be found out what was filed just now.
var ErrBehind = errors.New("what was filed just now is not known, since Kafka does not answer: try again")

// catchUp returns when the board has every request that was filed, with this server or another, before it was called.
func (e *Exports) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout/3)
	defer cancel()
	answer := make(chan ends, 1)
	select {
	case e.tail.asked <- answer:
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
