package ingest

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	records, bytes           prometheus.Counter
	rows                     *prometheus.CounterVec
	commitFailures, moved    prometheus.Counter
	unknownFields            *prometheus.CounterVec
	batchRecords, batchBytes prometheus.Histogram
	batchSeconds, freshness  prometheus.Histogram
	insertSeconds            *prometheus.HistogramVec
	up                       prometheus.Gauge

	mu     sync.Mutex
	fields map[string]prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "millrace", Subsystem: Name, Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{Namespace: "millrace", Subsystem: Name, Name: name, Help: help,
			Buckets: buckets})
	}
	seconds := prometheus.ExponentialBuckets(0.005, 2, 14) // 5 ms … 41 s
	m := &metrics{
		records:        counter("records_total", "Records that were stored or dead-lettered."),
		bytes:          counter("bytes_total", "Bytes of the keys, values and headers of these records."),
		rows:           counters("rows_total", "Rows stored, by table.", "table"),
		commitFailures: counter("commit_failures_total", "Commits of offsets that failed and were tried again."),
		moved: counter("started_at_conflicts_total",
			"Runs and node runs in a batch that were stored with another started_at, app_id, source or node_id too. The "+
				"newest snapshot counts, but each costs a row more. Producers must not change started_at."),
		unknownFields: counters("unknown_fields_total", "Fields that the contract does not have, by name; they are ignored.",
			"field"),
		batchRecords: histogram("batch_records", "Records of a batch.", prometheus.ExponentialBuckets(1, 4, 10)),
		batchBytes:   histogram("batch_bytes", "Bytes of a batch.", prometheus.ExponentialBuckets(1024, 4, 10)),
		batchSeconds: histogram("batch_seconds", "Seconds to store and commit a batch.", seconds),
		freshness: histogram("event_to_queryable_seconds",
			"Seconds from the timestamp of a batch's oldest record in Kafka until its row can be queried.",
			prometheus.ExponentialBuckets(0.01, 2, 18)),
		insertSeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "millrace", Subsystem: Name, Name: "insert_seconds",
			Help: "Seconds to insert a batch into a table, retries included.", Buckets: seconds,
		}, []string{"table"}),
		up: f.NewGauge(prometheus.GaugeOpts(opts("clickhouse_up", "1 if the last attempt at ClickHouse succeeded, else 0."))),

		fields: map[string]prometheus.Counter{},
	}
	for _, table := range tables {
		m.rows.WithLabelValues(table)
		m.insertSeconds.WithLabelValues(table)
	}
	m.unknownFields.WithLabelValues(otherFields)
	return m
}

// tables are the tables that the stage inserts into.
var tables = []string{"runs", "nodes", "feedback"}

func (m *metrics) stored(b *batch, took time.Duration) {
	if b.records == 0 { // only markers of transactions
		return
	}
	m.records.Add(float64(b.records))
	m.bytes.Add(float64(b.bytes))
	m.batchRecords.Observe(float64(b.records))
	m.batchBytes.Observe(float64(b.bytes))
	m.batchSeconds.Observe(took.Seconds())
	m.freshness.Observe(max(0, time.Since(b.oldest).Seconds()))
}

func (m *metrics) inserted(table string, rows int, took time.Duration) {
	m.rows.WithLabelValues(table).Add(float64(rows))
	m.insertSeconds.WithLabelValues(table).Observe(took.Seconds())
}

func (m *metrics) setUp(up bool) {
	if up {
		m.up.Set(1)
	} else {
		m.up.Set(0)
	}
}

// Producers choose the names of unknown fields, so the metric bounds their number and length.
const (
	maxUnknownFields = 100
	maxFieldName     = 64
	otherFields      = "(other)"
)

// unknownField counts a field that the contract does not have. It is safe for concurrent use.
func (m *metrics) unknownField(name string) {
	if len(name) > maxFieldName {
		name = "(long)"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fields[name] == nil && len(m.fields) >= maxUnknownFields {
		name = otherFields
	}
	c := m.fields[name]
	if c == nil {
		name = strings.Clone(name) // it is a part of its record, which may be large
		c = m.unknownFields.WithLabelValues(name)
		m.fields[name] = c
	}
	c.Inc()
}
