package kafka

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/millrace/millrace/pipeline/event"
)

// Register registers a collector and returns it, or the collector of its name that the registry
// has: a consumer that is started again in one process goes on counting. A nil registry takes
// everything.
func Register[C prometheus.Collector](registry prometheus.Registerer, c C) C {
	if registry == nil {
		return c
	}
	var registered prometheus.AlreadyRegisteredError
	err := registry.Register(c)
	if errors.As(err, &registered) {
		return registered.ExistingCollector.(C)
	}
	if err != nil {
		panic(err) // the names are constants
	}
	return c
}

// Classes of the errors of a stage, by what the stage does about them.
const (
	classRetry = "retry" // it tries again
	classRow   = "row"   // it refuses the record
	classStop  = "stop"  // it stops
)

// StageMetrics are the metrics that every stage has, so that one panel or alert serves all. The
// methods are safe for concurrent use.
type StageMetrics struct {
	InFlight prometheus.Gauge    // units of work at hand: records of a slot, or batches
	Slots    prometheus.Gauge    // how many units a process works on at a time, at most
	Wait     prometheus.Observer // seconds from the timestamp of a record until work on it begins

	errors, deadLetters *prometheus.CounterVec
}

// StageMetrics returns the metrics of the consumer, all of them initialised.
func (c *Config) StageMetrics() *StageMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return Register(c.Metrics, prometheus.NewGauge(prometheus.GaugeOpts(c.opts("stage", name, help))))
	}
	m := &StageMetrics{
		InFlight: gauge("in_flight", "Units of work at hand: records of the export stages, batches of ingest and track."),
		Slots:    gauge("slots", "Units of work that the process works on at a time, at most."),
		Wait: Register(c.Metrics, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "millrace", Subsystem: "stage", Name: "wait_seconds", ConstLabels: c.labels(),
			Help: "Seconds from the timestamp of a record in Kafka until work on it begins; of the oldest record of a " +
				"batch.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 20), // 10 ms … 1.5 h
		})),
		errors: Register(c.Metrics, c.errorCounter()),
		deadLetters: Register(c.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts(c.opts("", "dead_letters_total",
			"Records that the stage refused and wrote to topic dead-letters, by code.")), []string{"code"})),
	}
	for _, class := range []string{classRetry, classRow, classStop} {
		m.errors.WithLabelValues(class)
	}
	for _, code := range event.DeadLetterCodes {
		m.deadLetters.WithLabelValues(code)
	}
	return m
}

func (c *Config) errorCounter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts(c.opts("stage", "errors_total",
		"Errors of the stage's work, by what it does about them: retry; row, it refuses the record; stop, it "+
			"stops.")), []string{"class"})
}

// Refused returns the counter of what a consumer that is no stage steps over: batches that are too large.
func (c *Config) Refused() prometheus.Counter {
	return Register(c.Metrics, c.errorCounter()).WithLabelValues(classRow)
}

// DeadLetter counts a record that is refused with a code.
func (m *StageMetrics) DeadLetter(code string) {
	if !slices.Contains(event.DeadLetterCodes, code) {
		code = event.OtherCode
	}
	m.errors.WithLabelValues(classRow).Inc()
	m.deadLetters.WithLabelValues(code).Inc()
}

// Stopped counts the end of a stage with an error. It ignores nil.
func (m *StageMetrics) Stopped(err error) {
	if err != nil {
		m.errors.WithLabelValues(classStop).Inc()
	}
}

func (c *Config) labels() prometheus.Labels { return prometheus.Labels{"stage": c.Name} }

func (c *Config) opts(subsystem, name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: "millrace", Subsystem: subsystem, Name: name, Help: help, ConstLabels: c.labels()}
}

// Hooks returns the option of a client that counts its connections and bytes under the name of the
// consumer. All clients of one name share their counters.
func (c *Config) Hooks() kgo.Opt { return ClientHooks(c.Metrics, c.Name) }

// ClientHooks returns the option of a client that counts its connections and bytes under a name.
func ClientHooks(registry prometheus.Registerer, name string) kgo.Opt {
	if registry == nil {
		return kgo.WithHooks()
	}
	return kgo.WithHooks(Register(registry, newClientMetrics(name)))
}

// clientMetrics are the counters of kprom, shared by the clients of one name: kprom itself registers
// the metrics of a client when it begins, and removes them when it is closed. The gauges of kprom
// belong to one client each and are left out.
type clientMetrics struct {
	*kprom.Metrics
	counters []prometheus.Collector
}

func newClientMetrics(name string) *clientMetrics {
	m := &clientMetrics{}
	m.Metrics = kprom.NewMetrics("millrace", kprom.Subsystem("kafka"), kprom.Registerer(m),
		kprom.WithStaticLabel(prometheus.Labels{"client": name}))
	m.Metrics.OnNewClient(nil)
	return m
}

// OnNewClient and OnClientClosed take the place of those of kprom.
func (m *clientMetrics) OnNewClient(*kgo.Client) {}

// OnClientClosed keeps the counters for the next client.
func (m *clientMetrics) OnClientClosed(*kgo.Client) {}

// Register, MustRegister and Unregister make m the registry in which kprom registers.
func (m *clientMetrics) Register(c prometheus.Collector) error {
	m.MustRegister(c)
	return nil
}

// MustRegister keeps counters. The histograms of kprom are off, and have no series.
func (m *clientMetrics) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		if _, ok := c.(*prometheus.CounterVec); ok {
			m.counters = append(m.counters, c)
		}
	}
}

// Unregister does nothing.
func (m *clientMetrics) Unregister(prometheus.Collector) bool { return false }

// Describe implements [prometheus.Collector].
func (m *clientMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.counters {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (m *clientMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.counters {
		c.Collect(ch)
	}
}
