package plan

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Names of the queries in metrics.
const (
	queryResolve = "resolve" // what the data decides about the selection; may take several queries
	queryCount   = "count"
	queryFreeze  = "freeze"
	queryWindows = "windows"

	queryFreezeNodes = "freeze_nodes"
)

// Outcomes of requests.
const (
	accepted  = "accepted"
	refused   = "refused"   // the export fails
	repeated  = "repeated"  // planned before
	conflict  = "conflict"  // a dead letter: another request has the id
	cancelled = "cancelled" // the record is a cancel of a known export
)

type metrics struct{ requests *prometheus.CounterVec }

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{kafka.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "millrace", Subsystem: "export", Name: "requests_total",
		Help: "Requests and cancels of exports, by outcome: accepted, refused, repeated, conflict, cancelled. A request is " +
			"counted again when plan handles it again after a crash.",
	}, []string{"purpose", "outcome"}))}
	for _, purpose := range export.PurposeLabels {
		for _, outcome := range []string{accepted, refused, repeated, conflict, cancelled} {
			m.requests.WithLabelValues(purpose, outcome)
		}
	}
	return m
}

func (m *metrics) count(r *export.Request, outcome string) {
	m.requests.WithLabelValues(export.PurposeLabel(r.Purpose), outcome).Inc()
}
