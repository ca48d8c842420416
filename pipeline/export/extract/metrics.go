package extract

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Names of the queries in metrics.
const (
	queryRows     = "rows"          // one query, or two that are merged
	querySnapshot = "snapshot_rows" // two queries, merged
)

// Outcomes of windows.
const (
	done    = "done"
	written = "written" // before
	failed  = "failed"
	ended   = "ended" // the export has ended
)

type metrics struct {
	windows, dropped          *prometheus.CounterVec
	records, bytes, fragments *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return kafka.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "millrace", Subsystem: "export", Name: name, Help: help,
		}, labels))
	}
	m := &metrics{
		windows: counter("windows_total", "Windows of exports, by outcome: done; written by another attempt before; "+
			"failed, so that the export fails; ended, since the export has ended.", "purpose", "outcome"),
		dropped: counter("dropped_total",
			"Source rows that are in no record, by reason, counted when their window is written.", "purpose", "reason"),
		records: counter("records_total", "Records of exports, counted when their window is written.", "purpose", "target",
			"format"),
		bytes: counter("bytes_total", "Bytes of the fragments of exports, counted when their window is written.", "purpose",
			"target", "format"),
		fragments: counter("fragments_total", "Fragments of exports, counted when their window is written.", "purpose",
			"target", "format"),
	}
	for _, purpose := range format.Purposes {
		for _, outcome := range []string{done, written, failed, ended} {
			m.windows.WithLabelValues(purpose, outcome)
		}
		for _, reason := range append(targets.DropReasons(purpose), export.OtherLabel) {
			m.dropped.WithLabelValues(purpose, reason)
		}
		for _, target := range targets.Targets(purpose) {
			for _, name := range target.Formats {
				for _, vec := range []*prometheus.CounterVec{m.records, m.bytes, m.fragments} {
					vec.WithLabelValues(purpose, target.Name, name)
				}
			}
		}
	}
	return m
}

// written counts what the manifest of a window lists. The request was planned, so its purpose,
// target and format are of the contract.
func (m *metrics) written(r *export.Request, w *export.WindowManifest) {
	fragments, bytes := 0, int64(0)
	for _, f := range w.Files {
		if f.Kind == export.Data {
			fragments++
			bytes += f.Bytes
		}
	}
	m.records.WithLabelValues(r.Purpose, r.Target, r.Format).Add(float64(w.Records))
	m.bytes.WithLabelValues(r.Purpose, r.Target, r.Format).Add(float64(bytes))
	m.fragments.WithLabelValues(r.Purpose, r.Target, r.Format).Add(float64(fragments))
	known := targets.DropReasons(r.Purpose)
	for reason, rows := range w.Dropped {
		if !slices.Contains(known, reason) {
			reason = export.OtherLabel
		}
		m.dropped.WithLabelValues(r.Purpose, reason).Add(float64(rows))
	}
}

func (m *metrics) window(p *export.Plan, outcome string) {
	m.windows.WithLabelValues(p.Request.Purpose, outcome).Inc()
}
