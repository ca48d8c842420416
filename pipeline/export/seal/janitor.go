package seal

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

// JanitorConfig is the configuration of a janitor.
type JanitorConfig struct {
	Every   time.Duration // between two rounds; default 10 minutes
	Within  time.Duration // how long after its end an export is visited; default 24 hours
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Janitor deletes objects that were written into the folders of exports after their end: by
// attempts that were running when their export failed, and by processes that were paused. It also
// deletes cancels whose request has not come within a day, and the places of ended exports among the
// unfinished ones. Any number of janitors may run.
type Janitor struct {
	cfg      JanitorConfig
	dsn      *clickhouse.DSN
	bucket   *bucket.Bucket
	log      *slog.Logger
	page     int // exports that one query lists
	removed  prometheus.Counter
	orphans  prometheus.Counter
	failures prometheus.Counter
}

// queryEnded is the name of the janitor's query in metrics.
const queryEnded = "ended"

// NewJanitor returns a janitor that is not running.
func NewJanitor(cfg JanitorConfig, dsn *clickhouse.DSN, b *bucket.Bucket) *Janitor {
	cfg.Every = cmp.Or(cfg.Every, 10*time.Minute)
	cfg.Within = cmp.Or(cfg.Within, 24*time.Hour)
	counter := func(name, help string) prometheus.Counter {
		return kafka.Register(cfg.Metrics, prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "millrace", Subsystem: "janitor", Name: name, Help: help,
		}))
	}
	dsn.Timer().Init(queryEnded)
	return &Janitor{
		cfg: cfg, dsn: dsn, bucket: b, log: cfg.Log.With("part", "janitor"), page: 1000,
		removed: counter("objects_removed_total",
			"Objects removed because they were written after the end of their export."),
		orphans: counter("cancels_removed_total",
			"Cancels removed because the request of their export had not come within a day."),
		failures: counter("failures_total",
			"Exports that could not be cleaned, and rounds that ClickHouse or the bucket failed. The next round retries."),
	}
}

// Run visits exports until ctx is done, and then returns nil. It logs failures, and the next round
// retries.
func (j *Janitor) Run(ctx context.Context) error {
	wait := rand.N(j.cfg.Every) // spreads janitors that start together
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		if err := j.round(ctx); err != nil && ctx.Err() == nil {
			j.failures.Inc()
			j.log.Warn("listing ended exports failed; the next round retries", "error", err)
		}
		if err := j.removeOrphans(ctx, time.Now()); err != nil && ctx.Err() == nil {
			j.failures.Inc()
			j.log.Warn("removing cancels without a request failed; the next round retries", "error", err)
		}
		if _, err := folder.RemoveEnded(ctx, j.bucket, time.Now()); err != nil && ctx.Err() == nil {
			j.failures.Inc()
			j.log.Warn("removing ended exports from the unfinished ones failed; the next round retries", "error", err)
		}
		wait = j.cfg.Every
	}
}

// Limits of a round.
const (
	maxFailures = 10 // in a row, after which the round ends: the bucket is unavailable
	visitLimit  = 5 * time.Minute
	queryLimit  = time.Minute
)

// round visits the recently ended exports, the newest first.
func (j *Janitor) round(ctx context.Context) error {
	conn, err := j.dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	var last visit
	for failed := 0; ; {
		visits, err := j.ended(ctx, conn, last)
		if err != nil {
			return err
		}
		for _, last = range visits {
			err := j.visit(ctx, last.id())
			switch {
			case ctx.Err() != nil:
				return nil
			case err == nil:
				failed = 0
				continue
			}
			j.failures.Inc()
			j.log.Warn("cleaning an export failed; the next round retries", "export_id", last.id().String(), "error", err)
			if failed++; failed == maxFailures {
				return nil
			}
		}
		if len(visits) < j.page {
			return nil
		}
	}
}

// visit is an ended export to clean.
type visit struct {
	WorkspaceID string `ch:"workspace_id"`
	ExportID    string `ch:"export_id"`
	EndedMs     int64  `ch:"ended_ms"`
}

func (v visit) id() export.ID { return export.ID{WorkspaceID: v.WorkspaceID, ExportID: v.ExportID} }

// endedQuery lists recently ended exports: the first page, or the page after the last export of the
// page before. It is the only query that is not bound to a workspace. It reads ids and times, and
// no data. It reads the events and not the view, because the view would first fold the events of
// all times.
func endedQuery(within time.Duration, last visit, page int) clickhouse.Query {
	var b clickhouse.Binder
	workspace, exportID := b.ID("workspace", last.WorkspaceID), b.ID("export", last.ExportID)
	return b.Query(`SELECT workspace_id, export_id, max(toUnixTimestamp64Milli(assumeNotNull(completed_at))) AS ended_ms
FROM export_events
WHERE completed_at >= now64(3) - toIntervalSecond(` + b.Int("within", int64(within/time.Second)) + `)
GROUP BY workspace_id, export_id
HAVING ` + workspace + ` = ''
    OR (ended_ms, workspace_id, export_id) < (` + b.Int("ended", last.EndedMs) + `, ` + workspace + `, ` + exportID + `)
ORDER BY ended_ms DESC, workspace_id DESC, export_id DESC
LIMIT ` + b.Count("page", int64(page)))
}

// ended returns the page of ended exports after the last export of the page before.
func (j *Janitor) ended(ctx context.Context, conn driver.Conn, last visit) (visits []visit, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	query := endedQuery(j.cfg.Within, last, j.page)
	query.Settings = []ch.Setting{
		{Key: "readonly", Value: "1"}, {Key: "log_comment", Value: "millrace janitor: exports that ended lately"},
	}
	err = j.dsn.Timer().Time(ctx, queryEnded, func() error { return conn.Select(query.Context(ctx), &visits, query.SQL) })
	return visits, err
}

// visit cleans the folder of an export.
func (j *Janitor) visit(ctx context.Context, id export.ID) error {
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	removed, err := folder.Folder{Bucket: j.bucket, ID: id}.Clean(ctx)
	j.removed.Add(float64(removed))
	if removed > 0 {
		j.log.Info("removed objects that were written after the end of the export", "export_id", id.String(),
			"objects", removed)
	}
	return err
}

// removeOrphans removes the cancels whose request has not come.
func (j *Janitor) removeOrphans(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	removed, err := folder.RemoveOrphans(ctx, j.bucket, now)
	j.orphans.Add(float64(removed))
	if removed > 0 {
		j.log.Info("removed cancels whose request has not come", "cancels", removed)
	}
	return err
}
