// Package seal is the stage that ends exports. No other stage does.
//
//	export-results ──▶ seal ◀── windows/*.json
//	      ▲             ├─────▶ export-progress      running
//	      │             ├─────▶ export-windows       the next window, one for each result
//	      └─ all done ──┤
//	                    └─────▶ README.md, manifest.json ─────▶ export-completions
//
// manifest.json is created once, and names the record that ended the export. A record that is
// redelivered after a crash finds its own position in the manifest and sends the completion. Seal
// ignores all other records of an ended export, so that there is exactly one completion (invariant
// 7). The completion is a pure function of the plan and the manifest.
//
// This requires that the time at which a record is handled does not decide whether the record ends
// its export. Otherwise a paused process could wake up and end the export in the name of a record
// whose offset its successor has committed without a completion. A failure, a cancel, a refusal, an
// empty selection and the result of an only window therefore always end an export that has not
// ended. The result of one window of several never does, because the number of finished windows
// changes with time. When all windows are finished, seal sends itself the result all_done, which
// always ends the export.
//
//	seal.go      Stage: what a result leads to
//	metrics.go   the metrics
//	tally.go     sums of window manifests
//	columns.go   the statistics of columns, merged
//	janitor.go   Janitor: removes objects that were written after the end of their export
package seal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/export/notice"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/pipeline/telemetry"
	"github.com/millrace/millrace/sinks/bucket"
)

// Failpoints of the stage.
const (
	BeforeManifest = "after the sidecars, before manifest.json"
	AfterManifest  = "after manifest.json, before the completion"
)

// trySeal is what is tried again.
const trySeal = "seal"

// Config of the stage. Name, Topic and Outputs of stage.Config are set by New.
type Config struct {
	stage.Config
	WindowsInFlight int    // as in plan.Config; default 48
	Cluster         string // of ClickHouse, whose servers share a snapshot; "" is a single server
}

// Stage consumes export-results.
type Stage struct {
	*stage.Stage
	cfg     Config
	dsn     *clickhouse.DSN
	bucket  *bucket.Bucket
	plans   folder.Plans
	tallies tallies
	notices *notice.Reporter
	metrics *metrics
	retry   kafka.Retrier // without a limit: no other stage can end an export
}

// New returns a stage that is not running.
func New(cfg Config, dsn *clickhouse.DSN, b *bucket.Bucket) *Stage {
	if cfg.WindowsInFlight <= 0 {
		cfg.WindowsInFlight = 48
	}
	cfg.Options = append(slices.Clone(cfg.Options), kgo.RecordPartitioner(message.Partitioner(cfg.TopicPrefix)))
	cfg.Name, cfg.Topic = export.StageSeal, event.TopicExportResults
	cfg.Outputs = []string{event.TopicExportResults, event.TopicExportProgress, event.TopicExportWindows,
		event.TopicExportCompletions, event.TopicAudit}
	s := &Stage{cfg: cfg, dsn: dsn, bucket: b, retry: cfg.Retrier(trySeal), metrics: newMetrics(cfg.Metrics),
		notices: notice.New(cfg.Config.Config, export.StageSeal)}
	dsn.Timer().Init(selection.QueryDrop)
	s.cfg.Log = cfg.Log.With("stage", cfg.Name)
	cfg.OwnTraces = true
	s.Stage = stage.New(cfg.Config, s.handle)
	return s
}

// Run consumes until ctx is done, see [stage.Stage.Run].
func (s *Stage) Run(ctx context.Context) error {
	defer s.notices.Close()
	return s.Stage.Run(ctx)
}

func (s *Stage) handle(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
	result, err := stage.Decode[export.Result](r, export.TypeResult)
	if err != nil {
		return nil, err
	}
	ctx = telemetry.Describe(ctx, telemetry.Export(result.String()), telemetry.Window(result.Window))
	w := &work{stage: s, folder: folder.Folder{Bucket: s.bucket, ID: result.ID}, result: result,
		position: kafka.Position(r)}
	tell := func(f kafka.Failure) { s.notices.Tell(notice.Of(result.ID, w.plan), export.StoreFailed, f) }
	err = s.retry.OnFailure(tell).Do(ctx, trySeal, result.String(), func() error { return w.process(ctx) })
	return w.out, err
}

// work is the work on one result.
type work struct {
	stage    *Stage
	folder   folder.Folder
	result   *export.Result
	position string // of the result's record
	plan     *export.Plan
	out      []*kgo.Record
}

func (w *work) process(ctx context.Context) (err error) {
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

// advance applies the result to an export that has not ended. It returns the manifest if the result
// ends the export.
func (w *work) advance(ctx context.Context) (*export.Manifest, []byte, error) {
	switch w.result.Kind {
	case export.WindowDone:
		return w.windowDone(ctx)
	case export.AllDone, export.Empty:
		return w.succeed(ctx, nil)
	case export.Cancelled:
		return w.commit(ctx, w.manifest(export.StatusCancelled, nil, nil))
	case export.Refused:
		return w.commit(ctx, w.manifest(export.StatusFailed, w.plan.Refusal, nil))
	case export.WindowFailed:
		return w.commit(ctx, w.manifest(export.StatusFailed, w.result.Error, nil))
	}
	return nil, nil, &strictjson.Refusal{Code: strictjson.WrongType, Pointer: "/kind", Rule: "is not a kind of result"}
}

// windowDone sends progress and the next window, or all_done after the last window. An only window
// ends the export.
func (w *work) windowDone(ctx context.Context) (*export.Manifest, []byte, error) {
	done, err := w.folder.Windows(ctx)
	if err != nil {
		return nil, nil, err
	}
	tally, read, err := w.stage.tallies.sum(ctx, w.folder, done)
	if err != nil {
		return nil, nil, err
	}
	w.progress(tally)
	cfg, planned := &w.stage.cfg, len(w.plan.Windows)
	switch next := w.result.Window + cfg.WindowsInFlight; {
	case len(done) == planned && planned == 1:
		return w.succeed(ctx, read)
	case len(done) == planned:
		w.out = append(w.out, message.Result(cfg.TopicPrefix, w.plan, export.Result{Kind: export.AllDone}))
	case next < planned:
		w.out = append(w.out, message.Window(cfg.TopicPrefix, w.plan, next))
	}
	return nil, nil, nil
}

// succeed ends an export whose windows are all finished. Windows are their manifests, if all of
// them have been read.
func (w *work) succeed(ctx context.Context, windows []*export.WindowManifest) (*export.Manifest, []byte, error) {
	if len(windows) != len(w.plan.Windows) {
		numbers := make([]int, len(w.plan.Windows))
		for i := range numbers {
			numbers[i] = i
		}
		var err error
		if windows, err = w.folder.ReadWindows(ctx, numbers); err != nil {
			return nil, nil, err
		}
	}
	m := w.manifest(export.StatusSucceeded, nil, windows)
	if err := w.sidecars(ctx, m, windows); err != nil {
		return nil, nil, err
	}
	if err := w.folder.Sweep(ctx, m.Files); err != nil {
		return nil, nil, err
	}
	return w.commit(ctx, m)
}

// sidecars writes the dataset card, the statistics of columns, and the file that the target's reader
// needs beside the records or the file of no rows.
func (w *work) sidecars(ctx context.Context, m *export.Manifest, windows []*export.WindowManifest) error {
	create := func(key string, kind export.FileKind, text []byte) error {
		if text == nil {
			return nil
		}
		there, err := w.folder.CreateSidecar(ctx, key, text)
		if err == nil {
			m.Add(key, kind, there)
		}
		return err
	}
	var t export.Tally
	for _, window := range windows {
		t.Add(window)
	}
	readme := card.README(w.plan, m) // before m lists sidecars
	empty, err := card.Empty(w.plan, m)
	if err != nil {
		return err
	}
	if err := create(card.EmptyName, export.Other, empty); err != nil {
		return err
	}
	if name, text := card.Sidecar(w.plan, m, t.InputKeys); text != nil {
		if err := create(name, export.Other, text); err != nil {
			return err
		}
	}
	columns, err := w.columns(ctx, windows)
	if err != nil {
		return err
	}
	if err := create(export.AllColumnsName, export.Other, columns); err != nil {
		return err
	}
	return create(export.CardName, export.Card, readme)
}

func (w *work) manifest(status export.Status, failure *export.Error,
	windows []*export.WindowManifest) *export.Manifest {
	return export.NewManifest(w.plan, status, failure, windows, w.position, time.Now().UTC().Truncate(time.Millisecond))
}

// commit creates manifest.json, or reads the manifest that the record or another one created
// before.
func (w *work) commit(ctx context.Context, m *export.Manifest) (*export.Manifest, []byte, error) {
	if err := w.stage.cfg.ReachFailpoint(BeforeManifest); err != nil {
		return nil, nil, kafka.Permanent(err)
	}
	m, text, err := w.folder.CreateManifest(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	if err := w.stage.cfg.ReachFailpoint(AfterManifest); err != nil {
		return nil, nil, kafka.Permanent(err)
	}
	return m, text, nil
}

// complete sends the completion of an ended export, if the record at hand ended it.
func (w *work) complete(ctx context.Context, m *export.Manifest, text []byte) error {
	if m.SealedBy != w.position {
		w.out = nil
		return nil
	}
	ctx, end := telemetry.Start(telemetry.Under(ctx, w.plan.TraceParent), "complete export",
		trace.WithLinks(trace.LinkFromContext(ctx)), trace.WithAttributes(telemetry.Export(w.plan.String()),
			attribute.String("millrace.status", string(m.Status))))
	err := w.completed(ctx, m, text)
	end(err)
	return err
}

// completed clears up behind an ended export, and then sends its completion.
func (w *work) completed(ctx context.Context, m *export.Manifest, text []byte) error {
	if err := w.clear(ctx, m); err != nil {
		return err
	}
	uri := w.stage.bucket.URL(w.folder.Key(export.ManifestName))
	c, err := export.NewCompletion(w.plan, text, uri, card.LoadWith)
	if err != nil {
		return err
	}
	w.stage.tallies.forget(w.folder.ID)
	w.stage.metrics.ended(ctx, c)
	w.stage.cfg.Log.InfoContext(ctx, "export ended", "status", string(c.Status),
		"records", c.Records, "fragments", c.Fragments)
	entry := audit.Entry{
		ID: w.plan.String() + "/" + audit.Ended, At: *c.CompletedAt, Action: audit.Ended, Outcome: string(c.Status),
		Address: w.position, Via: export.StageSeal,
	}
	w.out = append(w.out, message.Completion(w.stage.cfg.TopicPrefix, w.plan, c),
		message.Audit(w.stage.cfg.TopicPrefix, w.plan, entry))
	return nil
}

// clear removes what an ended export leaves behind: its snapshot, its place among the unfinished
// exports of its workspace, and the files of an export that did not succeed.
func (w *work) clear(ctx context.Context, m *export.Manifest) error {
	w.dropSnapshot(ctx)
	if err := w.folder.End(ctx); err != nil {
		return err
	}
	if m.Status == export.StatusSucceeded { // succeed swept the folder before the manifest
		return nil
	}
	return w.folder.Sweep(ctx, nil)
}

// dropLimit is how long a completion may wait for the snapshot to be dropped.
const dropLimit = 5 * time.Second

// dropSnapshot drops the snapshot of the export. An unavailable ClickHouse does not delay the
// completion: a snapshot that remains has a time to live.
func (w *work) dropSnapshot(ctx context.Context) {
	if w.plan.Snapshot == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dropLimit)
	defer cancel()
	if err := selection.DropSnapshot(ctx, w.stage.dsn, w.stage.cfg.Cluster, w.plan); err != nil {
		w.stage.cfg.Log.WarnContext(ctx, "dropping the snapshot of an export failed; it expires by its time to live",
			"stage_id", w.plan.Snapshot, "error", err)
	}
}

func (w *work) progress(t *export.Tally) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	progress := export.NewProgress(w.plan, export.StatusRunning, t, now)
	w.out = append(w.out, message.Progress(w.stage.cfg.TopicPrefix, w.plan, progress))
}
