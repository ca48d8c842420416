package track

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Names of the queries in metrics.
const (
	queryInsert     = "insert"
	queryUnfinished = "unfinished"
)

type metrics struct {
	events               *prometheus.CounterVec
	lag, running, oldest prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return kafka.Register(registry, prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "millrace", Name: name,
			Help: help}))
	}
	m := &metrics{
		events: kafka.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "millrace", Subsystem: export.StageTrack, Name: "events_total",
			Help: "Progress and completion events and entries of the trail, by outcome: stored, dead_letter.",
		}, []string{"outcome"})),
		lag: gauge("track_lag_seconds",
			"Seconds since the oldest event about exports or entry of the trail that is not in ClickHouse yet; 0 without one."),
		running: gauge("exports_running",
			"Exports that were accepted and have not ended. Every process of role export tells the number of all of them."),
		oldest: gauge("export_oldest_unfinished_seconds",
			"Seconds since the request of the oldest export that was accepted and has not ended; 0 without one."),
	}
	for _, outcome := range []string{"stored", "dead_letter"} {
		m.events.WithLabelValues(outcome)
	}
	return m
}

// How often unfinished exports are counted, and for how long a query may run.
const (
	unfinishedEvery = 15 * time.Second
	unfinishedLimit = 10 * time.Second
	unfinishedDays  = 30 // an export that was asked for earlier is not counted
)

// unfinishedQuery counts the exports of all workspaces that have not ended, and returns the time of
// the oldest request. Like that of the janitor it is not bound to a workspace (invariant 9).
func unfinishedQuery() clickhouse.Query {
	var b clickhouse.Binder
	return b.Query(`SELECT count(), toUnixTimestamp64Milli(min(requested))
FROM (
    SELECT min(requested_at) AS requested
    FROM export_events
    WHERE requested_at >= now64(3) - toIntervalDay(` + b.Int("days", unfinishedDays) + `)
    GROUP BY workspace_id, export_id
    HAVING countIf(completed_at IS NOT NULL) = 0
)`)
}

// watchUnfinished counts unfinished exports until ctx is done. While ClickHouse does not answer, the
// metrics keep their values, and the age goes on growing.
func (s *Stage) watchUnfinished(ctx context.Context) error {
	ticker := time.NewTicker(unfinishedEvery)
	defer ticker.Stop()
	var oldest time.Time
	for {
		count, at, err := s.unfinished(ctx)
		switch {
		case err == nil:
			s.metrics.running.Set(float64(count))
			oldest = at
		case ctx.Err() == nil:
			s.log.Debug("counting unfinished exports failed", "error", err)
		}
		age := 0.0
		if !oldest.IsZero() {
			age = max(0, time.Since(oldest).Seconds())
		}
		s.metrics.oldest.Set(age)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// unfinished returns the number of unfinished exports, and the time of the oldest request, zero
// without one.
func (s *Stage) unfinished(ctx context.Context) (count uint64, oldest time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, unfinishedLimit)
	defer cancel()
	query := unfinishedQuery()
	query.Settings = []ch.Setting{
		{Key: "readonly", Value: "1"}, {Key: "log_comment", Value: "millrace track: unfinished exports"},
	}
	var milli int64
	err = s.dsn.Timer().Time(ctx, queryUnfinished, func() error {
		return s.history.QueryRow(query.Context(ctx), query.SQL).Scan(&count, &milli)
	})
	if count > 0 {
		oldest = time.UnixMilli(milli)
	}
	return count, oldest, err
}
