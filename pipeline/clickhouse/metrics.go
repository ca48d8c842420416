package clickhouse

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/pipeline/telemetry"
)

// Metrics are the metrics of the queries of a process.
type Metrics struct{ seconds *prometheus.HistogramVec }

// NewMetrics returns metrics that are registered.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "millrace", Subsystem: "clickhouse", Name: "query_seconds",
		Help: "Seconds from a query until its whole answer is read and used, by stage, query and outcome: ok, error, " +
			"cancelled by the caller.",
		Buckets: prometheus.ExponentialBuckets(0.002, 3, 12), // 2 ms … 6 min
	}, []string{"stage", "query", "outcome"})}
	registry.MustRegister(m.seconds)
	return m
}

// queryConnect is the name of connecting in metrics. A server that refuses connections fails no query.
const queryConnect = "connect"

// QueryBarrier is the name of waiting for replicas in metrics, see [DSN.Through].
const QueryBarrier = "barrier"

// The outcomes of a query.
const (
	outcomeOK        = "ok"
	outcomeError     = "error"
	outcomeCancelled = "cancelled"
)

// Timer measures the queries of one stage. A nil timer measures nothing.
type Timer struct {
	metrics *Metrics
	stage   string
}

// Measured returns the DSN with a timer for the queries of a stage.
func (d *DSN) Measured(m *Metrics, stage string) *DSN {
	measured := *d
	measured.timer = &Timer{m, stage}
	measured.timer.Init(queryConnect)
	return &measured
}

// Timer returns the timer of the DSN, which may be nil.
func (d *DSN) Timer() *Timer {
	if d == nil { // the DSN of a test that has no ClickHouse
		return nil
	}
	return d.timer
}

// Init makes the metrics of queries begin at 0. The names are constants, so their number is bounded.
func (t *Timer) Init(queries ...string) {
	if t == nil {
		return
	}
	for _, query := range queries {
		for _, outcome := range []string{outcomeOK, outcomeError, outcomeCancelled} {
			t.metrics.seconds.WithLabelValues(t.stage, query, outcome)
		}
	}
}

// Start begins to measure a query, and its span. Call end with the error of the query.
func (t *Timer) Start(ctx context.Context, query string) (end func(error)) {
	if t == nil {
		return func(error) {}
	}
	ctx, endSpan := telemetry.StartPart(ctx, "clickhouse "+query, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "clickhouse"),
			attribute.String("db.query.summary", query), attribute.String("millrace.stage", t.stage)))
	began := time.Now()
	return func(err error) {
		defer endSpan(err)
		outcome := outcomeOK
		switch {
		case errors.Is(err, context.Canceled):
			outcome = outcomeCancelled
		case err != nil:
			outcome = outcomeError
		}
		telemetry.Observe(ctx, t.metrics.seconds.WithLabelValues(t.stage, query, outcome), time.Since(began).Seconds())
	}
}

// Time runs f as a query of the name.
func (t *Timer) Time(ctx context.Context, query string, f func() error) error {
	end := t.Start(ctx, query)
	err := f()
	end(err)
	return err
}
