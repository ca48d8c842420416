package extract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
)

// attempt is one attempt at a window.
type attempt struct {
	stage  *Stage
	folder folder.Folder
	plan   *export.Plan
	window int
	pins   []ch.Setting // of the barrier that the queries stand behind
	rows   selection.BlockRows
	id     string // part of the names of its objects; no other attempt has it (invariant 4)

	stream   *format.Stream
	files    *files
	manifest export.WindowManifest
}

// attempt extracts the window, or finds that another attempt did. Where the rows are too wide, it
// starts over with smaller blocks.
func (s *Stage) attempt(ctx context.Context, f folder.Folder, p *export.Plan, window int) error {
	return stage.Through(ctx, s.dsn, selection.Tables, func(pins []ch.Setting) error {
		for rows := s.widths.of(f.ID); ; rows = s.widths.fewer(f.ID, rows) {
			a := &attempt{stage: s, folder: f, plan: p, window: window, pins: pins, rows: rows}
			err := a.run(ctx)
			if err == nil {
				s.widths.passed(f.ID, rows)
			}
			if !errors.Is(err, selection.ErrWide) || rows.Wide() {
				return err
			}
		}
	})
}

// run makes the attempt. If it fails, it deletes its objects; seal sweeps those that it cannot delete.
func (a *attempt) run(ctx context.Context) error {
	s, p := a.stage, a.plan
	release, err := s.cfg.Budget.Acquire(ctx, a.rows.Memory())
	if err != nil {
		return context.Cause(ctx)
	}
	defer release()
	a.id = strings.ToLower(rand.Text()[:8])
	a.manifest = export.WindowManifest{ID: p.ID, Window: a.window, Attempt: a.id, Files: []export.File{}}
	a.files = newFiles(ctx, a)
	r := p.Request
	if a.stream, err = targets.NewStream(r.Purpose, r.Target, p.Options, r.Shares(), a.files); err != nil {
		return kafka.Permanent(formatError{err})
	}
	if err := a.write(ctx); err != nil {
		a.discard(ctx)
		return err
	}
	if err := s.cfg.ReachFailpoint(InsideWindow); err != nil {
		return kafka.Permanent(crash{err})
	}
	return a.commit(ctx)
}

// commit creates the window's manifest. If the answer is lost, the manifest may exist, so that the
// objects stay. The next attempt reads it.
func (a *attempt) commit(ctx context.Context) error {
	a.manifest.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
	stored, err := a.folder.CreateWindow(ctx, &a.manifest)
	if err != nil {
		return kafka.Unavailable(storeError{err})
	}
	if stored.Attempt != a.id { // another attempt was first
		a.discard(ctx)
		return nil
	}
	a.stage.metrics.written(a.plan.Request, &a.manifest)
	return nil
}

// write streams the rows into fragments, and makes the fragments durable.
func (a *attempt) write(ctx context.Context) error {
	defer a.files.abort()
	if err := a.read(ctx); err != nil {
		return err
	}
	if err := a.stream.Close(); err != nil {
		return classify(err)
	}
	if err := a.files.close(); err != nil {
		return classify(err)
	}
	a.manifest.InputKeys = a.stream.Keys()
	keys := make([]string, len(a.manifest.Files))
	for i, f := range a.manifest.Files {
		keys[i] = a.folder.Key(f.Key)
	}
	if name := a.manifest.Columns; name != "" {
		keys = append(keys, a.folder.Key(name))
	}
	if err := a.stage.bucket.Sync(ctx, keys); err != nil {
		return kafka.Unavailable(storeError{err})
	}
	return nil
}

// classify marks an error of the stream or of its files for the retrier.
func classify(err error) error {
	if errors.As(err, new(storeError)) {
		return kafka.Unavailable(err)
	}
	return kafka.Permanent(formatError{err})
}

// read reads the rows of the window. It returns nil only if its queries ended without an error
// (invariant 5).
func (a *attempt) read(ctx context.Context) error {
	comment := fmt.Sprintf("millrace extract window %d of export %s", a.window, a.plan.ID)
	settings := append(selection.WindowSettings(comment, queryLimit, a.rows), a.pins...)
	write := func(row *record.Row) error {
		a.manifest.Rows++
		if err := a.stream.Row(row); err != nil {
			return classify(err)
		}
		return nil
	}
	if a.plan.Snapshot != "" {
		settings, write = append(settings, yieldingServer()...), yielding(write)
	}
	var nodes selection.RowQuery
	rows := a.selectionReader(settings)
	if a.plan.Snapshot == "" {
		nodes = selection.Of(a.plan).NodeRuns()
	} else {
		nodes, rows = a.snapshotRange().NodeRuns(), a.snapshotReader(settings)
	}
	if nodes.SQL == "" {
		return rows(ctx, write)
	}
	nodes.ID, nodes.Settings = a.queryID()+"/nodes", settings
	return stage.WithClickHouse(ctx, a.stage.dsn, func(client *ch.Client) error {
		return selection.WithNodes(ctx, client, nodes, rows, write)
	})
}

// reader calls a function for each row of the window.
type reader func(ctx context.Context, fn func(*record.Row) error) error

func (a *attempt) queryID() string { return fmt.Sprintf("%s/%d/%s", a.plan.ID, a.window, a.id) }

// selectionReader reads the selection itself.
func (a *attempt) selectionReader(settings []ch.Setting) reader {
	return func(ctx context.Context, fn func(*record.Row) error) error {
		return a.withWindow(ctx, settings, func(window *selection.WindowReader) error {
			end := a.stage.dsn.Timer().Start(ctx, queryRows)
			found, err := window.ReadSelection(ctx, selection.Of(a.plan), fn)
			end(ofClickHouse(err))
			a.vanished(found)
			return err
		})
	}
}

// snapshotReader reads the window from the snapshot, and checks it against the plan.
func (a *attempt) snapshotReader(settings []ch.Setting) reader {
	return func(ctx context.Context, fn func(*record.Row) error) error {
		return a.withWindow(ctx, settings, func(window *selection.WindowReader) error {
			end := a.stage.dsn.Timer().Start(ctx, querySnapshot)
			found, err := window.ReadSnapshot(ctx, a.snapshotRange(), fn)
			end(ofClickHouse(err))
			if err != nil {
				return err
			}
			return a.reconcile(ctx, window.Keys, found, settings)
		})
	}
}

// withWindow calls do with a reader of the window, which has connections of its own.
func (a *attempt) withWindow(ctx context.Context, settings []ch.Setting,
	do func(*selection.WindowReader) error) error {
	return stage.WithClickHouse(ctx, a.stage.dsn, func(runs *ch.Client) error {
		return stage.WithClickHouse(ctx, a.stage.dsn, func(keys *ch.Client) error {
			return do(&selection.WindowReader{Keys: keys, Runs: runs, ID: a.queryID(), Settings: settings})
		})
	})
}

func (a *attempt) snapshotRange() *selection.SnapshotRange {
	window := a.plan.Windows[a.window]
	return &selection.SnapshotRange{Request: a.plan.Request, Snapshot: a.plan.Snapshot,
		From: window.From, To: a.plan.Until(a.window), LastStartedAt: window.LastStartedAt,
		Nodes: a.plan.NodeSnapshot}
}

// errSnapshotGone is the error for a snapshot that has other rows than planned: an operator dropped
// it, or its time to live of a week is over. The remaining rows must not pass for the export.
var errSnapshotGone = errors.New("the snapshot of the export is gone")

// reconcile checks the rows that were found in the snapshot against the plan. It counts rows whose
// runs were deleted, but only if the snapshot still exists after the window was read. The same goes for node runs: of
// how many there are in a window, the plan knows nothing.
func (a *attempt) reconcile(ctx context.Context, client *ch.Client, found selection.WindowRows,
	settings []ch.Setting) error {
	if found.Rows != a.plan.Windows[a.window].Rows {
		return kafka.Permanent(errSnapshotGone)
	}
	check := func(query clickhouse.Query, planned int64) error {
		query.Settings = settings
		rows, err := clickhouse.ReadInt(ctx, client, query)
		if err == nil && rows != planned {
			err = kafka.Permanent(errSnapshotGone)
		}
		return err
	}
	if found.Vanished > 0 {
		if err := check(selection.SnapshotCount(a.plan.Request, a.plan.Snapshot), a.plan.Rows); err != nil {
			return err
		}
	}
	if id := a.plan.NodeSnapshot; id != "" {
		if err := check(selection.NodeSnapshotCount(a.plan.Request, id), a.plan.NodeRuns); err != nil {
			return err
		}
	}
	a.vanished(found)
	return nil
}

// vanished accounts for the rows that were selected, and whose runs were not there to be read.
func (a *attempt) vanished(found selection.WindowRows) {
	a.manifest.Rows += found.Vanished
	a.manifest.Vanished = found.Vanished
}

// discard deletes the objects of the attempt, even when ctx is done. Seal sweeps those that it
// cannot delete.
func (a *attempt) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, name := range a.files.names {
		if err := a.stage.bucket.Delete(ctx, a.folder.Key(name)); err != nil {
			a.stage.cfg.Log.WarnContext(ctx, "deleting an object of a failed attempt failed; seal sweeps it", "key",
				a.folder.Key(name), "error", err)
		}
	}
}

// Errors by their source. All other errors are ClickHouse's.
type (
	formatError struct{ error } // the target cannot write the rows
	storeError  struct{ error } // the bucket failed
	crash       struct{ error } // a failpoint
)

func (e formatError) Unwrap() error { return e.error }
func (e storeError) Unwrap() error  { return e.error }
func (e crash) Unwrap() error       { return e.error }

// ofClickHouse returns err if it is ClickHouse's, and otherwise nil. ErrWide is the reader's.
func ofClickHouse(err error) error {
	if isClickHouse(err) {
		return err
	}
	return nil
}

func isClickHouse(err error) bool {
	return !errors.As(err, new(formatError)) && !errors.As(err, new(storeError)) && !errors.Is(err, selection.ErrWide)
}

// failure returns the error of the export of a failed window. Texts of ClickHouse may quote rows,
// so that they are only in the log.
func failure(window int, err error) *export.Error {
	switch {
	case errors.As(err, new(formatError)):
		return &export.Error{
			Code: export.FormatFailed, Message: fmt.Sprintf("window %d cannot be written as requested: %v", window, err),
		}
	case errors.As(err, new(storeError)):
		return &export.Error{
			Code: export.StoreFailed, Retryable: true,
			Message: fmt.Sprintf("window %d could not be written to the object store for %s: request the export again "+
				"when the store is available", window, maxDuration),
		}
	case errors.Is(err, errSnapshotGone):
		return &export.Error{
			Code: export.StageGone, Retryable: true,
			Message: fmt.Sprintf("window %d cannot be read: the snapshot of the selection in ClickHouse, table export_stage or "+
				"export_stage_rows, is gone, because the export took more than a week or somebody dropped it: request the export "+
				"again", window),
		}
	case clickhouse.IsBehind(err):
		return &export.Error{
			Code: export.ReadFailed, Retryable: true,
			Message: fmt.Sprintf("window %d could not be read: the replicas of ClickHouse lagged behind for %s: request the "+
				"export again when they have caught up", window, maxDuration),
		}
	case clickhouse.Code(err) == 0:
		return &export.Error{
			Code: export.ReadFailed, Retryable: true,
			Message: fmt.Sprintf("window %d could not be read: ClickHouse did not answer for %s: request the export again when "+
				"ClickHouse is available", window, maxDuration),
		}
	case clickhouse.IsOfQuery(err):
		return &export.Error{
			Code: export.ReadFailed,
			Message: fmt.Sprintf("window %d cannot be read: ClickHouse refuses the query with error %d: request a "+
				"narrower selection, or fewer filters", window, clickhouse.Code(err)),
		}
	}
	return &export.Error{
		Code: export.ReadFailed, Retryable: true,
		Message: fmt.Sprintf("window %d could not be read: ClickHouse error %d, %d times: request the export "+
			"again, or a narrower selection", window, clickhouse.Code(err), maxAttempts),
	}
}
