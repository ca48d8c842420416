package bucket

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/pipeline/telemetry"
)

// Metrics are the metrics of the object store of a process.
type Metrics struct {
	seconds *prometheus.HistogramVec
	bytes   *prometheus.CounterVec
}

// The operations on a store. An upload is one, from its begin to its commit.
const (
	opCreate = "create"
	opUpload = "upload"
	opSync   = "sync"
	opRead   = "read"
	opList   = "list"
	opDelete = "delete"
)

// The outcomes of an operation. That a key exists, or has no object, is an answer and no error.
const (
	outcomeOK        = "ok"
	outcomeExists    = "exists"
	outcomeNotFound  = "not_found"
	outcomeError     = "error"
	outcomeCancelled = "cancelled"
)

// NewMetrics returns metrics that are registered and initialised.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "millrace", Subsystem: "bucket", Name: "operation_seconds",
			Help: "Seconds of an operation on the object store, by operation and outcome: ok, exists, not_found, error, " +
				"cancelled. An upload takes as long as its fragment is written; a read is measured until its first byte.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 12), // 1 ms … 3 min
		}, []string{"operation", "outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "millrace", Subsystem: "bucket", Name: "bytes_total",
			Help: "Bytes written to the object store and read from it, by operation: create, upload, read.",
		}, []string{"operation"}),
	}
	registry.MustRegister(m.seconds, m.bytes)
	for _, operation := range []string{opCreate, opUpload, opSync, opRead, opList, opDelete} {
		for _, outcome := range []string{outcomeOK, outcomeExists, outcomeNotFound, outcomeError, outcomeCancelled} {
			m.seconds.WithLabelValues(operation, outcome)
		}
	}
	for _, operation := range []string{opCreate, opUpload, opRead} {
		m.bytes.WithLabelValues(operation)
	}
	return m
}

// Measured returns the bucket with metrics. Both have the same store: close one of them.
func (b *Bucket) Measured(m *Metrics) *Bucket { return &Bucket{measured{b.store, m}} }

// start begins to measure an operation, and its span. Call end with the error of the operation.
func (m *Metrics) start(ctx context.Context, operation string) (end func(error)) {
	ctx, endSpan := telemetry.StartPart(ctx, "bucket "+operation, trace.WithSpanKind(trace.SpanKindClient))
	began := time.Now()
	return func(err error) {
		if errors.Is(err, ErrExists) || errors.Is(err, ErrNotFound) {
			endSpan(nil)
		} else {
			endSpan(err)
		}
		telemetry.Observe(ctx, m.seconds.WithLabelValues(operation, outcomeOf(err)), time.Since(began).Seconds())
	}
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return outcomeOK
	case errors.Is(err, ErrExists):
		return outcomeExists
	case errors.Is(err, ErrNotFound):
		return outcomeNotFound
	case errors.Is(err, context.Canceled):
		return outcomeCancelled
	}
	return outcomeError
}

// measured is a store whose operations are measured.
type measured struct {
	store
	metrics *Metrics
}

func (s measured) create(ctx context.Context, key string, body []byte) error {
	end := s.metrics.start(ctx, opCreate)
	err := s.store.create(ctx, key, body)
	end(err)
	if err == nil {
		s.metrics.bytes.WithLabelValues(opCreate).Add(float64(len(body)))
	}
	return err
}

func (s measured) newUpload(ctx context.Context, key string) (upload, error) {
	end := s.metrics.start(ctx, opUpload)
	u, err := s.store.newUpload(ctx, key)
	if err != nil {
		end(err)
		return nil, err
	}
	return &measuredUpload{upload: u, metrics: s.metrics, done: end}, nil
}

func (s measured) sync(ctx context.Context, keys []string) error {
	end := s.metrics.start(ctx, opSync)
	err := s.store.sync(ctx, keys)
	end(err)
	return err
}

func (s measured) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, int64, error) {
	end := s.metrics.start(ctx, opRead)
	r, size, err := s.store.open(ctx, key, offset, length)
	end(err)
	if err != nil {
		return nil, 0, err
	}
	return &measuredReader{r, s.metrics.bytes.WithLabelValues(opRead)}, size, nil
}

func (s measured) list(ctx context.Context, prefix string) ([]Object, error) {
	end := s.metrics.start(ctx, opList)
	objects, err := s.store.list(ctx, prefix)
	end(err)
	return objects, err
}

func (s measured) delete(ctx context.Context, key string) error {
	end := s.metrics.start(ctx, opDelete)
	err := s.store.delete(ctx, key)
	end(err)
	return err
}

type measuredUpload struct {
	upload
	metrics *Metrics
	done    func(error)
	failed  error // of Write
	ended   bool
	bytes   int
}

func (u *measuredUpload) Write(p []byte) (int, error) {
	n, err := u.upload.Write(p)
	u.bytes += n
	if err != nil {
		u.failed = err
	}
	return n, err
}

func (u *measuredUpload) sendPart() error {
	if sender, ok := u.upload.(partSender); ok {
		return sender.sendPart()
	}
	return nil
}

func (u *measuredUpload) commit() error {
	err := u.upload.commit()
	u.end(err)
	if err == nil {
		u.metrics.bytes.WithLabelValues(opUpload).Add(float64(u.bytes))
	}
	return err
}

// abort counts a failed upload as an error, and one that was given up as cancelled.
func (u *measuredUpload) abort() {
	u.upload.abort()
	if u.failed == nil {
		u.failed = context.Canceled
	}
	u.end(u.failed)
}

func (u *measuredUpload) end(err error) {
	if !u.ended {
		u.ended = true
		u.done(err)
	}
}

type measuredReader struct {
	io.ReadCloser
	bytes prometheus.Counter
}

func (r *measuredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.bytes.Add(float64(n))
	return n, err
}
