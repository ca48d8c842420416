package seal

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

// JanitorConfig of a janitor.
type JanitorConfig struct {
	Every   time.Duration // between two rounds; default 10 minutes
	Within  time.Duration // exports that ended so long ago are visited; default 24 hours
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Janitor deletes what came into the folders of exports after they had ended: attempts at windows that were
// under way when their export failed, and processes that were paused and woke up. Any number of janitors may
// be at work.
type Janitor struct {
	cfg      JanitorConfig
	dsn      *clickhouse.DSN
	bucket   *bucket.Bucket
	log      *slog.Logger
	page     int // exports listed at once
	removed  prometheus.Counter
	failures prometheus.Counter
}

// NewJanitor returns a janitor that is not running.
func NewJanitor(cfg JanitorConfig, dsn *clickhouse.DSN, b *bucket.Bucket) *Janitor {
	cfg.Every = cmp.Or(cfg.Every, 10*time.Minute)
	cfg.Within = cmp.Or(cfg.Within, 24*time.Hour)
	counter := func(name, help string) prometheus.Counter {
		return kafka.Register(cfg.Metrics, prometheus.NewCounter(prometheus.CounterOpts{Namespace: "millrace", Subsystem: "janitor", Name: name, Help: help}))
	}
	return &Janitor{
		cfg: cfg, dsn: dsn, bucket: b, log: cfg.Log.With("part", "janitor"), page: 1000,
		removed:  counter("objects_removed_total", "Objects removed that came into the folders of exports after their end."),
		failures: counter("failures_total", "Exports that could not be cleaned, and rounds without ClickHouse; the next round tries again."),
	}
}

// Run visits exports until ctx is done, and then returns nil. What fails is logged, and tried again in the
// next round.
func (j *Janitor) Run(ctx context.Context) error {
	wait := rand.N(j.cfg.Every) // janitors that started together go different ways
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		if err := j.round(ctx); err != nil && ctx.Err() == nil {
			j.failures.Inc()
			j.log.Warn("exports cannot be listed; the next round tries again", "error", err)
		}
		wait = j.cfg.Every
	}
}

// Limits of a round. After so many exports in a row that cannot be cleaned it gives up, since the bucket is not
// well then.
const (
	maxFailures = 10
	visitLimit  = 5 * time.Minute
	queryLimit  = time.Minute
)

// round visits the exports that ended lately, the newest first.
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
			j.log.Warn("an export cannot be cleaned; the next round tries again", "export", last.id().String(), "error", err)
			if failed++; failed == maxFailures {
				return nil
			}
		}
		if len(visits) < j.page {
			return nil
		}
	}
}

// visit is an export that ended.
type visit struct {
	WorkspaceID string `ch:"workspace_id"`
	ExportID    string `ch:"export_id"`
	EndedMs     int64  `ch:"ended_ms"`
}

func (v visit) id() export.ID { return export.ID{WorkspaceID: v.WorkspaceID, ExportID: v.ExportID} }

// endedQuery lists exports that ended lately and before the last one listed, or as the first page. It is the one
// query that is not bound to a workspace: it reads who and when, and nothing of the data. It reads the
// events, since the view would fold those of all times first.
const endedQuery = `SELECT workspace_id, export_id, max(toUnixTimestamp64Milli(assumeNotNull(completed_at))) AS ended_ms
FROM export_events
WHERE completed_at >= now64(3) - toIntervalSecond({within:UInt32})
GROUP BY workspace_id, export_id
HAVING {workspace:String} = '' OR (ended_ms, workspace_id, export_id) < ({ended:Int64}, {workspace:String}, {export:String})
ORDER BY ended_ms DESC, workspace_id DESC, export_id DESC
LIMIT {page:UInt32}`

// ended returns the next page of exports that ended, after the last one of the page before.
func (j *Janitor) ended(ctx context.Context, conn driver.Conn, last visit) (visits []visit, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	ctx = chgo.Context(ctx, chgo.WithParameters(chgo.Parameters{
		"within": strconv.FormatInt(int64(j.cfg.Within/time.Second), 10), "page": strconv.Itoa(j.page),
		"ended": strconv.FormatInt(last.EndedMs, 10), "workspace": last.WorkspaceID, "export": last.ExportID,
	}), chgo.WithSettings(chgo.Settings{"readonly": 1, "log_comment": "millrace janitor: exports that ended lately"}))
	err = conn.Select(ctx, &visits, endedQuery)
	return visits, err
}

// visit cleans the folder of an export.
func (j *Janitor) visit(ctx context.Context, id export.ID) error {
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	removed, err := folder.Folder{Bucket: j.bucket, ID: id}.Clean(ctx)
	j.removed.Add(float64(removed))
	if removed > 0 {
		j.log.Info("removed objects that were written after the export had ended", "export", id.String(), "objects", removed)
	}
	return err
}
