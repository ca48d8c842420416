// Package extract is the stage that turns one window of an export into fragments: one query, whose rows
// are formatted for the purpose, encoded, rolled into fragments, hashed and uploaded as they come.
//
//	export-windows ──▶ extract ◀── rows ── ClickHouse
//	                    ├────────▶ data/train-00003-00000-<attempt>.jsonl …
//	                    ├────────▶ windows/00003.json     the window's commit point
//	                    └────────▶ export-results         done or failed
//
// It has two lanes, which are consumer groups: one takes the windows of large exports, the other those of
// exports that are one window, and each passes over what is the other's. So a small export never queues behind
// a large one. Together they work on a limited number of windows, and the small ones come first.
//
// A window that has a manifest is done: its result is sent and nothing is run. Every attempt writes objects
// of its own; the attempt that creates the manifest never deletes any, and one that finds another's deletes
// its own.
package extract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

// Failpoints of the stage.
const (
	InsideWindow  = "inside a window" // fragments are uploaded, the manifest is not
	AfterManifest = "after the window manifest, before its result"
)

// Limits of the work on one window, after which its export fails, so that a window that always fails
// blocks nobody for ever.
const (
	maxAttempts = 5
	maxDuration = 10 * time.Minute
	queryLimit  = 10 * time.Minute
)

// Config of the stage. Name, Topic and Outputs of stage.Config are set by New; Slots are the windows that it
// works on at a time.
type Config struct {
	stage.Config
	Pause time.Duration // after the first failure of a window, see kafka.Retrier; default 0.5 s
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
}

// New returns a stage that is not running.
func New(cfg Config, dsn *clickhouse.DSN, b *bucket.Bucket) *Stage {
	if cfg.Pause <= 0 {
		cfg.Pause = 500 * time.Millisecond
	}
	cfg.Name, cfg.Topic, cfg.Outputs = export.StageExtract, event.TopicExportWindows, []string{event.TopicExportResults}
	s := &Stage{cfg: cfg, dsn: dsn, bucket: b, reads: cfg.Retrier()}
	s.attempts = s.reads.Limited(maxAttempts, maxDuration)
	s.attempts.Pause = cfg.Pause
	s.slots = newSlots(max(1, cfg.Slots))
	for _, l := range []lane{{export.StageExtract, false}, {export.StageExtract + "-direct", true}} {
		c := cfg.Config
		c.Name = l.name
		s.lanes = append(s.lanes, stage.New(c, func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) { return s.handle(ctx, r, l) }))
	}
	return s
}

type lane struct {
	name   string
	direct bool // it takes the windows that are, see export.Window
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
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.lanes {
		group.Go(func() error { return l.Run(ctx) })
	}
	return group.Wait()
}

func (s *Stage) handle(ctx context.Context, r *kgo.Record, l lane) ([]*kgo.Record, error) {
	w, err := stage.Decode[export.Window](r, export.TypeWindow)
	switch {
	case l.direct && (err != nil || !w.Direct), err == nil && w.Direct != l.direct:
		return nil, nil // the other lane's
	case err != nil:
		return nil, err
	}
	done, err := s.slots.acquire(ctx, w.Direct)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.window(ctx, w)
}

func (s *Stage) window(ctx context.Context, w *export.Window) ([]*kgo.Record, error) {
	f := folder.Folder{Bucket: s.bucket, ID: w.ID}
	p, done, err := s.inspect(ctx, f, w.Window)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, &strictjson.Refusal{Code: strictjson.UnknownExport, Pointer: "/export_id", Rule: "the export has no plan"}
	case w.Window < 0 || w.Window >= len(p.Windows):
		return nil, &strictjson.Refusal{Code: strictjson.OutOfRange, Pointer: "/window", Rule: "the plan has no such window"}
	case done == exportEnded:
		return nil, nil
	case done == windowWritten:
		return s.result(p, w.Window, nil), nil
	}
	tries := 0
	err = s.attempts.Do(ctx, "extract", fmt.Sprintf("%s/%d", w.ID, w.Window), func() error {
		if tries++; tries > 1 { // its export may have failed or been cancelled meanwhile
			if over, err := f.Ended(ctx); over && err == nil {
				return kafka.Permanent(errEnded)
			}
		}
		return s.attempt(ctx, f, p, w.Window)
	})
	switch {
	case errors.Is(err, errEnded):
		return nil, nil
	case err == nil:
		if err := s.cfg.ReachFailpoint(AfterManifest); err != nil {
			return nil, err
		}
		return s.result(p, w.Window, nil), nil
	case ctx.Err() != nil || errors.As(err, new(crash)):
		return nil, err
	case isClickHouse(err) && clickhouse.Classify(err) == clickhouse.Stop:
		return nil, clickhouse.Explain(err)
	}
	s.cfg.Log.Error("a window of an export cannot be extracted, the export fails", "export", w.String(), "window", w.Window, "error", err)
	return s.result(p, w.Window, failure(w.Window, err)), nil
}

var errEnded = errors.New("the export has ended")

// What is there before the work.
type windowState int

const (
	windowMissing windowState = iota // the window has to be extracted
	windowWritten                    // it has a manifest
	exportEnded                      // its export has one
)

// before returns the export's plan, nil if it has none, and what is there of the window.
func (s *Stage) inspect(ctx context.Context, f folder.Folder, window int) (p *export.Plan, done windowState, err error) {
	err = s.reads.Do(ctx, "look for what is done", f.ID.String(), func() error {
		p, err = s.plans.Of(ctx, f)
		if errors.Is(err, bucket.ErrNotFound) {
			p = nil
			return nil
		}
		if err != nil {
			return err
		}
		isOver, err := f.Ended(ctx)
		if isOver || err != nil {
			done = exportEnded
			return err
		}
		_, err = f.Window(ctx, window)
		if errors.Is(err, bucket.ErrNotFound) {
			done = windowMissing
			return nil
		}
		done = windowWritten
		return err
	})
	return p, done, err
}

func (s *Stage) result(p *export.Plan, window int, failed *export.Error) []*kgo.Record {
	result := export.Result{Kind: export.WindowDone, Window: window, Error: failed}
	if failed != nil {
		result.Kind = export.WindowFailed
	}
	return []*kgo.Record{message.Result(s.cfg.TopicPrefix, p, result)}
}
