// Package seal is the only stage that ends exports.
//
//	export-results ──▶ seal ◀── windows/*.json
//	                    ├─────▶ export-progress      running
//	                    ├─────▶ export-windows       the next window, one for each result
//	                    └─────▶ manifest.json ─────▶ export-completions
//
// manifest.json is created once, and names the record that ended the export. A record that comes again after
// a crash finds its own name there and sends the completion, every other record of an ended export is
// ignored: so there is exactly one completion (invariant 7). The completion is a pure function of the plan and
// the manifest.
package seal

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

// Name is the stage's name.
const Name = "seal"

// AfterManifest is the failpoint between the manifest and the completion.
const AfterManifest = "after manifest.json, before the completion"

// Config of the stage. Name, Topic and Outputs of stage.Config are set by New.
type Config struct {
	stage.Config
	WindowsInFlight int // as in plan.Config; default 48
}

// Stage consumes export-results.
type Stage struct {
	*stage.Stage
	cfg     Config
	bucket  *bucket.Bucket
	plans   folder.Plans
	tallies tallies
	retry   stage.Retrier // for ever: nobody but seal can end an export
}

// New returns a stage that is not running.
func New(cfg Config, b *bucket.Bucket) *Stage {
	if cfg.WindowsInFlight <= 0 {
		cfg.WindowsInFlight = 48
	}
	cfg.Name, cfg.Topic = Name, event.TopicExportResults
	cfg.Outputs = []string{event.TopicExportProgress, event.TopicExportWindows, event.TopicExportCompletions}
	s := &Stage{cfg: cfg, bucket: b, retry: stage.NewRetrier(&cfg.Config)}
	s.Stage = stage.New(cfg.Config, s.handle)
	return s
}

func (s *Stage) handle(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
	result, err := stage.Decode[export.Result](r, export.TypeResult)
	if err != nil {
		return nil, err
	}
	w := &work{stage: s, folder: folder.Folder{Bucket: s.bucket, ID: result.ID}, result: result, position: stage.Position(r)}
	err = s.retry.Do(ctx, "seal", result.String(), func() error { return w.do(ctx) })
	return w.out, err
}

// work is what one result leads to.
type work struct {
	stage    *Stage
	folder   folder.Folder
	result   *export.Result
	position string // of its record
	plan     *export.Plan
	out      []*kgo.Record
}

func (w *work) do(ctx context.Context) (err error) {
	w.out = nil
	w.plan, err = w.stage.plans.Of(ctx, w.folder)
	if errors.Is(err, bucket.ErrNotFound) {
		return &strictjson.Refusal{Code: strictjson.UnknownExport, Pointer: "/export_id", Rule: "the export has no plan"}
	}
	if err != nil {
		return err
	}
	manifest, text, err := w.folder.Manifest(ctx)
	if errors.Is(err, bucket.ErrNotFound) {
		if manifest, text, err = w.advance(ctx); manifest == nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return w.complete(ctx, manifest, text)
}

// advance does what the result leads to in an export that has not ended. Where it ends it, it returns the
// manifest.
func (w *work) advance(ctx context.Context) (*export.Manifest, []byte, error) {
	switch w.result.Kind {
	case export.WindowDone:
		return w.windowDone(ctx)
	case export.Empty:
		return w.end(ctx, export.StatusSucceeded, nil, nil)
	case export.Cancelled:
		return w.end(ctx, export.StatusCancelled, nil, nil)
	case export.Refused:
		return w.end(ctx, export.StatusFailed, w.plan.Refusal, nil)
	case export.WindowFailed:
		return w.end(ctx, export.StatusFailed, w.result.Error, nil)
	}
	return nil, nil, &strictjson.Refusal{Code: strictjson.WrongType, Pointer: "/kind", Rule: "is not a kind of result"}
}

// windowDone reports progress and sends out the next window, or ends the export after its last one.
func (w *work) windowDone(ctx context.Context) (*export.Manifest, []byte, error) {
	done, err := w.folder.Windows(ctx)
	if err != nil {
		return nil, nil, err
	}
	tally, err := w.stage.tallies.sum(ctx, w.folder, done)
	if err != nil {
		return nil, nil, err
	}
	w.progress(tally)
	if len(done) >= len(w.plan.Windows) {
		return w.succeed(ctx, done)
	}
	if next := w.result.Window + w.stage.cfg.WindowsInFlight; next < len(w.plan.Windows) {
		w.out = append(w.out, message.Window(&w.stage.cfg.Config, w.plan, next))
	}
	return nil, nil, nil
}

// succeed ends an export whose windows are all there.
func (w *work) succeed(ctx context.Context, done []int) (*export.Manifest, []byte, error) {
	windows := make([]*export.WindowManifest, len(done))
	var files []export.File
	for i, number := range done {
		var err error
		if windows[i], err = w.folder.Window(ctx, number); err != nil {
			return nil, nil, err
		}
		files = append(files, windows[i].Files...)
	}
	if err := w.folder.Sweep(ctx, files); err != nil {
		return nil, nil, err
	}
	return w.end(ctx, export.StatusSucceeded, nil, windows)
}

// end creates manifest.json, or finds that another record has ended the export meanwhile.
func (w *work) end(ctx context.Context, status export.Status, why *export.Error, windows []*export.WindowManifest) (*export.Manifest, []byte, error) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	m, text, err := w.folder.CreateManifest(ctx, export.NewManifest(w.plan, status, why, windows, w.position, at))
	if err != nil {
		return nil, nil, err
	}
	if err := w.stage.cfg.At(AfterManifest); err != nil {
		return nil, nil, stage.Permanent(err)
	}
	return m, text, nil
}

// complete sends the completion of an export that has ended, if it was this record that ended it.
func (w *work) complete(ctx context.Context, m *export.Manifest, text []byte) error {
	if m.SealedBy != w.position {
		w.out = nil
		return nil
	}
	if m.Status != export.StatusSucceeded { // it lists nothing, so nothing of it is kept
		if err := w.folder.Sweep(ctx, nil); err != nil {
			return err
		}
	}
	uri := w.stage.bucket.URL(w.folder.Key(export.ManifestName))
	c, err := export.NewCompletion(w.plan, text, uri)
	if err != nil {
		return err
	}
	w.stage.tallies.forget(w.folder.ID)
	w.stage.cfg.Log.Info("export ended", "export", w.folder.ID.String(), "status", string(c.Status), "records", c.Records, "fragments", c.Fragments)
	w.out = append(w.out, message.Completion(&w.stage.cfg.Config, w.plan, c))
	return nil
}

func (w *work) progress(t *export.Tally) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	w.out = append(w.out, message.Progress(&w.stage.cfg.Config, w.plan, export.NewProgress(w.plan, export.StatusRunning, t, at)))
}
