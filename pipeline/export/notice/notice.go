// Package notice tells what a stage of exports tries again, while it does: as partial progress
// events, which a plain producer sends beside the transactions of the stage, and as a metric.
package notice

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/kafka"
)

// every is the shortest time between two notices about an export.
const every = 10 * time.Second

// Reporter sends the notices of one stage. It is safe for concurrent use, and never blocks the work.
type Reporter struct {
	stage  string
	prefix string // of topics
	send   func(*kgo.Record)
	now    func() time.Time

	mu   sync.Mutex
	last map[export.ID]time.Time // when the newest notice was sent

	client *kgo.Client // nil before the first notice
}

// New returns the reporter of a stage.
func New(cfg kafka.Config, stage string) *Reporter {
	r := newReporter(cfg.TopicPrefix, stage, time.Now)
	r.send = func(record *kgo.Record) { r.produce(cfg, record) }
	if cfg.Metrics != nil {
		r.register(cfg.Metrics)
	}
	return r
}

func newReporter(prefix, stage string, now func() time.Time) *Reporter {
	return &Reporter{stage: stage, prefix: prefix, now: now, last: map[export.ID]time.Time{}}
}

func (r *Reporter) register(registry prometheus.Registerer) {
	kafka.Register(registry, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "millrace", Name: "exports_retrying", ConstLabels: prometheus.Labels{"stage": r.stage},
		Help: "Exports for which this process tried something again in the last minute, by stage.",
	}, func() float64 { return float64(r.count()) }))
}

// count returns the number of exports that a notice of the last minute is about.
func (r *Reporter) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	return len(r.last)
}

// forget drops exports whose newest notice readers do not show any more. r.mu is held.
func (r *Reporter) forget() {
	for id, at := range r.last {
		if r.now().Sub(at) > export.RetryingShown {
			delete(r.last, id)
		}
	}
}

// Subject is the export that a notice is about.
type Subject struct {
	ID          export.ID
	Request     *export.Request // nil where it is not known
	RequestedAt time.Time
	TraceParent string
}

// Of returns the subject that a plan is about. p may be nil.
func Of(id export.ID, p *export.Plan) Subject {
	if p == nil {
		return Subject{ID: id}
	}
	return Subject{id, p.Request, p.RequestedAt, p.TraceParent}
}

// Tell sends a notice about a failure with a code of package export, unless another one about the
// export was sent a moment ago.
func (r *Reporter) Tell(about Subject, code string, f kafka.Failure) {
	now := r.now().UTC().Truncate(time.Millisecond)
	r.mu.Lock()
	last, told := r.last[about.ID]
	if told && now.Sub(last) < every {
		r.mu.Unlock()
		return
	}
	r.forget()
	r.last[about.ID] = now
	r.mu.Unlock()
	n := export.NewNotice(about.ID, about.Request, about.RequestedAt, now)
	n.Retrying = &export.Retrying{Stage: r.stage, Code: code, Message: explain(code, f.Err),
		Since: f.Since.UTC().Truncate(time.Millisecond), Attempts: int64(f.Attempts)}
	r.send(message.Notice(r.prefix, n, about.TraceParent))
}

// maxCause bounds the text of a cause in bytes.
const maxCause = 500

// explain returns the message of a notice. Texts of ClickHouse may quote rows, so that they are only
// in the log.
func explain(code string, err error) string {
	switch code {
	case export.ReplicaBehind:
		return "a replica of ClickHouse lacks rows that were stored, and the export waits until it has caught up"
	case export.StoreFailed:
		cause := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "\uFFFD")
		if len(cause) > maxCause {
			cause = strings.ToValidUTF8(cause[:maxCause], "") + "…"
		}
		return "the object store refuses or does not answer, and is tried again: " + cause
	}
	if number := clickhouse.Code(err); number != 0 {
		return fmt.Sprintf("ClickHouse fails with error %d, and is tried again", number)
	}
	return "ClickHouse does not answer, and is tried again"
}

// deliver is how long Kafka may take for a notice: the next one tells the same.
const deliver = 30 * time.Second

func (r *Reporter) produce(cfg kafka.Config, record *kgo.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := cfg.Log.With("stage", r.stage)
	if r.client == nil {
		client, err := kgo.NewClient(append([]kgo.Opt{kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(deliver),
			kgo.MaxBufferedRecords(1000), cfg.Hooks()}, cfg.Options...)...)
		if err != nil {
			log.Warn("cannot tell that an export waits", "error", err)
			return
		}
		r.client = client
	}
	r.client.TryProduce(context.Background(), record, func(_ *kgo.Record, err error) {
		if err != nil {
			log.Debug("a notice was not sent; the next one tells the same", "error", err)
		}
	})
}

// flushLimit is how long Close waits for Kafka.
const flushLimit = 2 * time.Second

// Close sends the notices that are left, if Kafka answers at once, and closes the producer.
func (r *Reporter) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
		defer cancel()
		r.client.Flush(ctx) //nolint:errcheck // what is not sent is lost
		r.client.Close()
		r.client = nil
	}
}

// Store returns the function for [kafka.Retrier.OnFailure] of work with the object store.
func (r *Reporter) Store(about Subject) func(kafka.Failure) {
	return func(f kafka.Failure) { r.Tell(about, export.StoreFailed, f) }
}
