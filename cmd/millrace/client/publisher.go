package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
	"github.com/millrace/millrace/pipeline/sample"
)

// Publisher sends run events to a topic, at most at a given rate.
type Publisher struct {
	client    *kgo.Client
	topic     string
	interval  time.Duration // between two records; 0 without a limit
	next      time.Time     // the next record is not sent earlier
	published atomic.Int64  // records that Kafka acknowledged

	// Bytes is the size of the acknowledged records.
	Bytes  atomic.Int64
	failed atomic.Pointer[error] // the first failure, after which nothing is sent
	// Progress is called after each acknowledged record, with the numbers so far, by a goroutine of the client.
	Progress func(events, bytes int64)
	checker  kafka.Checker

	mu   sync.Mutex
	ends map[int32]int64 // for each partition, the offset after its last acknowledged record
}

// NewPublisher returns a publisher that sends at most rate events a second to a topic. A rate of 0
// means no limit.
func NewPublisher(client *kgo.Client, topic string, rate float64) *Publisher {
	p := &Publisher{client: client, topic: topic, Progress: func(int64, int64) {}, ends: map[int32]int64{},
		checker: kafka.Checker{Source: "millrace/replay"}}
	if rate > 0 {
		p.interval = time.Duration(float64(time.Second) / rate)
		p.next = time.Now()
	}
	return p
}

// send hands a record to the producer. It blocks while the producer's buffer is full.
func (p *Publisher) send(ctx context.Context, r *kgo.Record) error {
	if err := p.failed.Load(); err != nil {
		return *err
	}
	if p.interval > 0 {
		if err := sleep(ctx, time.Until(p.next)); err != nil {
			return err
		}
		p.next = p.next.Add(p.interval)
	}
	r.Topic = p.topic
	p.client.Produce(ctx, r, func(r *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("write to topic %s: %w", p.topic, kafka.Lacking(err, kafka.On(p.topic, rights.Write)))
			p.failed.CompareAndSwap(nil, &err)
			return
		}
		p.mu.Lock()
		p.ends[r.Partition] = max(p.ends[r.Partition], r.Offset+1)
		p.mu.Unlock()
		p.Progress(p.published.Add(1), p.Bytes.Add(int64(len(r.Value))))
	})
	return nil
}

// Flush waits until Kafka has acknowledged every record that was sent, even when ctx is done.
func (p *Publisher) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	if err := p.failed.Load(); err != nil && !errors.Is(*err, context.Canceled) {
		return *err
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// SendSample publishes all events of a generator.
func (p *Publisher) SendSample(ctx context.Context, g *sample.Generator) error {
	for {
		e, ok := g.Next()
		if !ok {
			return nil
		}
		r := event.Event{ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time,
			Data: slices.Clone(e.Data)}.
			Record("", []byte(e.WorkspaceID+"/"+e.RunID))
		if err := p.send(ctx, r); err != nil {
			return err
		}
	}
}
