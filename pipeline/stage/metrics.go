package stage

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/kafka"
)

// deadLetter is the outcome of a record that was refused.
const deadLetter = "dead_letter"

type metrics struct {
	records, transactions *prometheus.CounterVec
	seconds               prometheus.Histogram
	sessions              prometheus.Counter
}

// newMetrics returns the metrics of a stage. All stages have the same metrics, so that one
// dashboard serves all: the stage's name is a constant label.
func newMetrics(registry prometheus.Registerer, stage string) *metrics {
	labels := prometheus.Labels{"stage": stage}
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "millrace", Subsystem: "stage", Name: name, Help: help, ConstLabels: labels}
	}
	m := &metrics{
		records: kafka.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts(
			opts("records_total", "Records worked on, by outcome: done, dead_letter; aborted and lost records come again; a "+
				"failed record stops the stage.")), []string{"outcome"})),
		transactions: kafka.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts(
			opts("transactions_total", "Kafka transactions, by outcome: committed, aborted, unknown.")), []string{"outcome"})),
		seconds: kafka.Register(registry, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "millrace", Subsystem: "stage", Name: "work_seconds",
			Help:        "Seconds to work on a record, before its transaction.",
			ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.001, 2, 20), // 1 ms … 9 min
		})),
		sessions: kafka.Register(registry, prometheus.NewCounter(prometheus.CounterOpts(
			opts("sessions_renewed_total", "Kafka sessions that ended with an error and were followed by another.")))),
	}
	for _, outcome := range []string{"done", deadLetter, "aborted", "lost", "failed"} {
		m.records.WithLabelValues(outcome)
	}
	for _, outcome := range []string{"committed", "aborted", "unknown"} {
		m.transactions.WithLabelValues(outcome)
	}
	return m
}
