package seal

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/telemetry"
)

type metrics struct {
	completed *prometheus.CounterVec
	duration  *prometheus.HistogramVec
}

// sizeClasses are classes of exports by the rows that they select. Their aims differ: an export of
// under 10,000 rows should end within 10 seconds.
var sizeClasses = []struct {
	name string
	rows int64 // fewer than
}{{"under_10k", 10_000}, {"under_1m", 1_000_000}, {"over_1m", 1<<63 - 1}}

func sizeClass(rows int64) string {
	for _, class := range sizeClasses {
		if rows < class.rows {
			return class.name
		}
	}
	return sizeClasses[len(sizeClasses)-1].name
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		completed: kafka.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "millrace", Name: "exports_completed_total",
			Help: "Exports that ended, by status and, where they failed, error code.",
		}, []string{"purpose", "status", "error_code"})),
		duration: kafka.Register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "millrace", Subsystem: "export", Name: "duration_seconds",
			Help: "Seconds from the request of an export to its end, by status and by rows selected: under_10k, under_1m, " +
				"over_1m.",
			Buckets: []float64{.5, 1, 2, 5, 10, 20, 60, 180, 600, 1800, 3600, 4 * 3600, 24 * 3600},
		}, []string{"purpose", "size_class", "status"})),
	}
	for _, purpose := range export.PurposeLabels {
		m.completed.WithLabelValues(purpose, string(export.StatusSucceeded), "")
		m.completed.WithLabelValues(purpose, string(export.StatusCancelled), "")
		for _, code := range export.ErrorCodes {
			m.completed.WithLabelValues(purpose, string(export.StatusFailed), code)
		}
		for _, class := range sizeClasses {
			for _, status := range []export.Status{export.StatusSucceeded, export.StatusFailed, export.StatusCancelled} {
				m.duration.WithLabelValues(purpose, class.name, string(status))
			}
		}
	}
	return m
}

// ended counts an export that ended. It is counted again when seal sends its completion again after
// a crash.
func (m *metrics) ended(ctx context.Context, c *export.Completion) {
	purpose, code := export.PurposeLabel(c.Purpose), c.ErrorCode
	if c.Status == export.StatusFailed && !slices.Contains(export.ErrorCodes, code) {
		code = export.OtherLabel
	}
	m.completed.WithLabelValues(purpose, string(c.Status), code).Inc()
	if c.CompletedAt != nil {
		telemetry.Observe(ctx, m.duration.WithLabelValues(purpose, sizeClass(c.RowsPlanned), string(c.Status)),
			max(0, c.CompletedAt.Sub(c.RequestedAt).Seconds()))
	}
}
