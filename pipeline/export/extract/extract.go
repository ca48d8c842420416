// Package extract is the stage that turns a window of an export into fragments. It streams the rows
// of one query: formats them for the purpose, encodes them, rolls them into fragments, hashes and
// uploads.
//
//	export-windows ──▶ extract ◀── rows ── ClickHouse
//	                    ├────────▶ data/train-00003-00000-<attempt>.jsonl …
//	                    ├────────▶ windows/00003.json     the window's commit point
//	                    └────────▶ export-results         done or failed
//
// It has two lanes, which are consumer groups: one takes the windows of large exports, the other
// the windows of exports with one window. Each lane skips the windows of the other, so that a small
// export never queues behind a large one. The lanes share a limited number of slots, and small
// exports get free slots first.
//
// A window that has a manifest is finished: extract only sends its result. Every attempt writes
// objects with names of its own. The attempt that creates the manifest deletes no objects; an
// attempt that finds a manifest deletes its own.
//
//	extract.go   Stage: from a window's record to its result
//	attempt.go   one attempt at a window
//	files.go     the fragments and the lineage that an attempt writes
//	metrics.go   the metrics
//	slots.go     how many windows are worked on concurrently
//	background.go  large exports compute where nobody else wants to
//	widths.go    in how large blocks the windows of an export are read
package extract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/export/notice"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/pipeline/telemetry"
	"github.com/millrace/millrace/sinks/bucket"
)

// Failpoints of the stage.
const (
	InsideWindow  = "inside a window" // after the fragments, before the window manifest
	AfterManifest = "after the window manifest, before its result"
)

// Limits of the attempts at one window, after which its export fails. Without them a window that
// always fails would block its partition.
const (
	maxAttempts = 5
	maxDuration = 10 * time.Minute
	queryLimit  = 10 * time.Minute
)

// What is tried again.
const (
	tryExtract = "extract"
	tryRead    = "read the plan and the manifests"
)

// Config is the configuration of the stage. New sets Name, Topic and Outputs of stage.Config. Slots
// is the number of windows that the stage works on concurrently.
type Config struct {
	stage.Config
	Pause time.Duration // after the first failed attempt, see kafka.Retrier; default 0.5 s
	// Budget has the bytes of the windows that the stage works on.
	Budget *budget.Budget
}

// Stage consumes export-windows.
type Stage struct {
	lanes    []*stage.Stage
	slots    *slots
	cfg      Config
	dsn      *clickhouse.DSN
	bucket   *bucket.Bucket
	plans    folder.Plans
	reads    kafka.Retrier // for documents
	attempts kafka.Retrier // for windows
	notices  *notice.Reporter
	metrics  *metrics
	widths   widths
}

// New returns a stage that is not running.
func New(cfg Config, dsn *clickhouse.DSN, b *bucket.Bucket) *Stage {
	if cfg.Pause <= 0 {
		cfg.Pause = 500 * time.Millisecond
	}
	cfg.Name, cfg.Topic = export.StageExtract, event.TopicExportWindows
	cfg.Outputs = []string{event.TopicExportResults, event.TopicExportProgress}
	s := &Stage{cfg: cfg, dsn: dsn, bucket: b, reads: cfg.Retrier(tryRead, tryExtract),
		notices: notice.New(cfg.Config.Config, export.StageExtract), metrics: newMetrics(cfg.Metrics)}
	dsn.Timer().Init(clickhouse.QueryBarrier, queryRows, querySnapshot)
	s.cfg.Log = cfg.Log.With("stage", cfg.Name)
	s.attempts = s.reads.Limited(maxAttempts, maxDuration)
	s.attempts.Pause = cfg.Pause
	s.slots = newSlots(max(1, cfg.Slots))
	for _, l := range []*lane{{name: export.StageExtract}, {name: export.StageExtract + "-direct", direct: true}} {
		c := cfg.Config
		c.Name, c.HandlerBegins, c.OwnTraces = l.name, true, true
		l.Stage = stage.New(c, func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) { return s.handle(ctx, r, l) })
		if !l.direct {
			c.StageMetrics().Slots.Set(float64(s.slots.free - s.slots.reserved))
		}
		s.lanes = append(s.lanes, l.Stage)
	}
	return s
}

type lane struct {
	*stage.Stage
	name   string
	direct bool // the lane takes direct windows, see export.Window
}

// Ready returns channels that are closed when Kafka answers and has the topics.
func (s *Stage) Ready() (ready []<-chan struct{}) {
	for _, l := range s.lanes {
		ready = append(ready, l.Ready())
	}
	return ready
}

// Run consumes until ctx is done, see [stage.Stage.Run].
func (s *Stage) Run(ctx context.Context) error {
	defer s.notices.Close()
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.lanes {
		group.Go(func() error { return l.Run(ctx) })
	}
	return group.Wait()
}

func (s *Stage) handle(ctx context.Context, r *kgo.Record, l *lane) ([]*kgo.Record, error) {
	w, err := stage.Decode[export.Window](r, export.TypeWindow)
	switch {
	case l.direct && (err != nil || !w.Direct), err == nil && w.Direct != l.direct:
		return nil, nil // the record is for the other lane
	case err != nil:
		return nil, err
	}
	release, err := s.slots.acquire(ctx, w.Direct)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, end := l.Begin(ctx, r)
	ctx = telemetry.Describe(ctx, telemetry.Export(w.String()), telemetry.Window(w.Window))
	out, err := s.window(ctx, w)
	end(err)
	return out, err
}

func (s *Stage) window(ctx context.Context, w *export.Window) ([]*kgo.Record, error) {
	f := folder.Folder{Bucket: s.bucket, ID: w.ID}
	p, state, err := s.inspect(ctx, f, w.Window)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, &strictjson.Refusal{Code: strictjson.UnknownExport, Pointer: "/export_id", Rule: "the export has no plan"}
	case w.Window < 0 || w.Window >= len(p.Windows):
		return nil, &strictjson.Refusal{Code: strictjson.OutOfRange, Pointer: "/window", Rule: "the plan has no such window"}
	case state == exportEnded:
		s.metrics.window(p, ended)
		return nil, nil
	case state == windowWritten:
		s.metrics.window(p, written)
		return s.result(p, w.Window, nil), nil
	}
	tries, began := 0, time.Now()
	tell := func(f kafka.Failure) {
		switch {
		case errors.As(f.Err, new(storeError)):
			s.notices.Tell(notice.Of(w.ID, p), export.StoreFailed, f)
		case clickhouse.IsBehind(f.Err):
			s.notices.Tell(notice.Of(w.ID, p), export.ReplicaBehind, f)
		case isClickHouse(f.Err):
			s.notices.Tell(notice.Of(w.ID, p), export.ReadFailed, f)
		}
	}
	err = s.attempts.OnFailure(tell).Do(ctx, tryExtract, fmt.Sprintf("%s/%d", w.ID, w.Window), func() error {
		if tries++; tries > 1 { // the export may have failed or been cancelled since
			if over, err := f.Ended(ctx); over && err == nil {
				return kafka.Permanent(errEnded)
			}
		}
		err := s.attempt(ctx, f, p, w.Window)
		if isClickHouse(err) && clickhouse.IsOfQuery(err) {
			return kafka.Permanent(err)
		}
		return err
	})
	switch {
	case errors.Is(err, errEnded):
		s.metrics.window(p, ended)
		return nil, nil
	case err == nil:
		if err := s.cfg.ReachFailpoint(AfterManifest); err != nil {
			return nil, err
		}
		s.metrics.window(p, done)
		return s.result(p, w.Window, nil), nil
	case ctx.Err() != nil || errors.As(err, new(crash)):
		return nil, err
	case isClickHouse(err) && clickhouse.Classify(err) == clickhouse.Stop:
		// the stage stops, and tries again when it is started
		tell(kafka.Failure{Err: err, Since: began, Attempts: tries})
		return nil, clickhouse.Explain(err)
	}
	if over, err := f.Ended(ctx); over && err == nil { // as by a cancel: then seal drops the snapshot
		s.metrics.window(p, ended)
		return nil, nil
	}
	s.metrics.window(p, failed)
	s.cfg.Log.ErrorContext(ctx, "extracting a window failed for good; its export fails", "error", err)
	return s.result(p, w.Window, failure(w.Window, err)), nil
}

var errEnded = errors.New("the export has ended")

// windowState is the state of a window before the work.
type windowState int

const (
	windowMissing windowState = iota
	windowWritten             // the window has a manifest
	exportEnded               // the export has a manifest
)

// inspect returns the plan of the export, nil where it has none, and the state of the window.
func (s *Stage) inspect(ctx context.Context, f folder.Folder, window int) (
	p *export.Plan, state windowState, err error,
) {
	err = s.reads.OnFailure(s.notices.Store(notice.Of(f.ID, nil))).Do(ctx, tryRead, f.ID.String(), func() error {
		p, err = s.plans.Of(ctx, f)
		if errors.Is(err, bucket.ErrNotFound) {
			p = nil
			return nil
		}
		if err != nil {
			return err
		}
		over, err := f.Ended(ctx)
		if over || err != nil {
			state = exportEnded
			return err
		}
		_, err = f.Window(ctx, window)
		if errors.Is(err, bucket.ErrNotFound) {
			state = windowMissing
			return nil
		}
		state = windowWritten
		return err
	})
	return p, state, err
}

func (s *Stage) result(p *export.Plan, window int, failure *export.Error) []*kgo.Record {
	result := export.Result{Kind: export.WindowDone, Window: window, Error: failure}
	if failure != nil {
		result.Kind = export.WindowFailed
	}
	return []*kgo.Record{message.Result(s.cfg.TopicPrefix, p, result)}
}
