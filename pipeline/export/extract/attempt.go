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
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/sinks/fragment"
)

// attempt is one try at a window.
type attempt struct {
	stage  *Stage
	folder folder.Folder
	plan   *export.Plan
	window int
	id     string // part of the names of its objects, never used again (invariant 4)

	formatter format.Formatter
	encoder   fragment.Encoder
	names     []string // of the objects it has begun
	manifest  export.WindowManifest
	record    []byte // reused
}

// attempt extracts the window, or finds that somebody else did. What it leaves where it fails is nothing,
// or objects that seal sweeps.
func (s *Stage) attempt(ctx context.Context, f folder.Folder, p *export.Plan, window int) error {
	a := &attempt{stage: s, folder: f, plan: p, window: window, id: strings.ToLower(rand.Text()[:8])}
	var err error
	if a.formatter, err = format.New(p.Request.Purpose, p.Request.Target, p.Request.Options); err != nil {
		return stage.Permanent(formatError{err})
	}
	metadata := map[string]string{"export_id": p.ExportID, "schema_id": export.SchemaID(p.Request.Purpose, p.Request.Target)}
	if a.encoder, err = format.NewEncoder(p.Request.Purpose, p.Request.Target, p.Request.Format, p.Request.Compression, p.Request.Options, metadata); err != nil {
		return stage.Permanent(formatError{err})
	}
	a.manifest = export.WindowManifest{ID: p.ID, Window: window, Attempt: a.id, Files: []export.File{}}
	if err := a.write(ctx); err != nil {
		a.discard(ctx)
		return err
	}
	if err := s.cfg.At(InsideWindow); err != nil {
		return stage.Permanent(crash{err})
	}
	return a.commit(ctx)
}

// commit creates the window's manifest. If the answer is lost, the manifest may be there, so the objects
// stay; the next attempt finds out.
func (a *attempt) commit(ctx context.Context) error {
	a.manifest.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
	there, err := a.folder.CreateWindow(ctx, &a.manifest)
	if err != nil {
		return stage.Unavailable(storeError{err})
	}
	if there.Attempt != a.id { // somebody else was first
		a.discard(ctx)
	}
	return nil
}

// write streams the rows into fragments and makes them durable.
func (a *attempt) write(ctx context.Context) error {
	r := a.plan.Request
	w := fragment.NewWriter(a.encoder, fragment.Limits{MaxRecords: r.Fragment.MaxRecords, MaxBytes: r.Fragment.MaxBytes},
		func(index int) (fragment.Destination, error) {
			name := export.DataName(export.SplitTrain, a.window, index, a.id, a.encoder.Extension())
			a.names = append(a.names, name)
			return a.stage.bucket.NewWriter(ctx, a.folder.Key(name))
		})
	defer w.Abort()
	if err := a.read(ctx, w); err != nil {
		return err
	}
	fragments, err := w.Close()
	if err != nil {
		return stage.Unavailable(storeError{err})
	}
	keys := make([]string, len(fragments))
	for i, info := range fragments {
		keys[i] = a.folder.Key(a.names[i])
		a.manifest.Records += info.Records
		a.manifest.Files = append(a.manifest.Files, export.File{
			Key: a.names[i], Kind: export.Data, Split: export.SplitTrain, Window: a.window,
			Records: info.Records, Bytes: info.Bytes, SHA256: info.SHA256,
			MinStartedAt: time.UnixMilli(info.MinStartedAt).UTC(), MaxStartedAt: time.UnixMilli(info.MaxStartedAt).UTC(),
		})
	}
	if err := a.stage.bucket.Sync(ctx, keys); err != nil {
		return stage.Unavailable(storeError{err})
	}
	return nil
}

// read reads the window's rows. It returns nil only if its queries ended as they should (invariant 5).
func (a *attempt) read(ctx context.Context, w *fragment.Writer) error {
	id := fmt.Sprintf("%s/%d/%s", a.plan.ID, a.window, a.id)
	settings := clickhouse.ReadSettings(fmt.Sprintf("millrace extract window %d of export %s", a.window, a.plan.ID), queryLimit)
	write := func(row *format.Row) error { return a.row(row, w) }
	return stage.WithClickHouse(ctx, a.stage.dsn, func(client *ch.Client) error {
		if a.plan.Stage == "" {
			query := clickhouse.NewSelection(a.plan.Request, a.plan.Bounded()).Rows()
			query.ID, query.Settings = id, settings
			_, err := clickhouse.ReadRows(ctx, client, query, write)
			return err
		}
		return stage.WithClickHouse(ctx, a.stage.dsn, func(keys *ch.Client) error {
			found, err := clickhouse.ReadStaged(ctx, keys, client, a.staged(), id, settings, write)
			if err != nil {
				return err
			}
			return a.account(ctx, keys, found, settings)
		})
	})
}

func (a *attempt) staged() *clickhouse.StagedRange {
	r := a.plan.Request
	return &clickhouse.StagedRange{
		WorkspaceID: r.WorkspaceID, Source: r.Source, AppID: r.AppID,
		Stage: a.plan.Stage, From: a.plan.Windows[a.window].From, To: a.plan.Until(a.window),
	}
}

// errStageGone says that the stage is not what was planned: an operator dropped it, or its week is over. What
// is left of it must not pass for the export.
var errStageGone = errors.New("the stage of the export is gone")

// account holds what was found of a stage against the plan. Rows whose runs are not there any more are
// counted, but only if the stage has outlived the reading of the window.
func (a *attempt) account(ctx context.Context, client *ch.Client, found clickhouse.Staged, settings []ch.Setting) error {
	planned := a.plan.Windows[a.window].Rows
	if found.Rows == planned && found.Vanished > 0 {
		query := clickhouse.StageCount(a.plan.WorkspaceID, a.plan.Stage)
		query.Settings = settings
		rows, err := clickhouse.ReadInt(ctx, client, query)
		if err != nil {
			return err
		}
		if rows != a.plan.Rows {
			found.Rows = 0
		}
	}
	if found.Rows != planned {
		return stage.Permanent(errStageGone)
	}
	a.manifest.Rows += found.Vanished
	a.manifest.Vanished = found.Vanished
	return nil
}

// maxRecord is the size of a record in bytes above which its row is dropped, as recordTooLarge: few readers
// take such a line, and a window holds one record in memory.
const maxRecord = 64 << 20

const recordTooLarge = "record_too_large"

// row writes one source row. Every row is counted, as used or as dropped.
func (a *attempt) row(row *format.Row, w *fragment.Writer) error {
	record, drop, err := a.formatter.Append(a.record[:0], row)
	if err != nil {
		return stage.Permanent(formatError{err})
	}
	a.record = record
	m := &a.manifest
	m.Rows++
	if drop == "" && len(record) > maxRecord {
		drop = recordTooLarge
	}
	if drop != "" {
		if m.Dropped == nil {
			m.Dropped = map[string]int64{}
		}
		m.Dropped[drop]++
		return nil
	}
	if err := w.Write(record, row.StartedAt); err != nil {
		return stage.Unavailable(storeError{err})
	}
	m.RowsUsed++
	return nil
}

// discard deletes the attempt's objects. It does so even when ctx is done; what it cannot delete, seal
// sweeps.
func (a *attempt) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, name := range a.names {
		if err := a.stage.bucket.Delete(ctx, a.folder.Key(name)); err != nil {
			a.stage.cfg.Log.Warn("object of a failed attempt is left, to be swept", "key", a.folder.Key(name), "error", err)
		}
	}
}

// Errors by where they come from; any other is ClickHouse's.
type (
	formatError struct{ error } // the rows cannot be written so, and never will
	storeError  struct{ error } // the bucket
	crash       struct{ error } // a failpoint
)

func (e formatError) Unwrap() error { return e.error }
func (e storeError) Unwrap() error  { return e.error }
func (e crash) Unwrap() error       { return e.error }

func isClickHouse(err error) bool {
	return !errors.As(err, new(formatError)) && !errors.As(err, new(storeError))
}

// failure is what users are told of a window that failed. ClickHouse's own text may quote rows, so it is
// for the log.
func failure(window int, err error) *export.Error {
	switch {
	case errors.As(err, new(formatError)):
		return &export.Error{Code: "format_failed", Message: fmt.Sprintf("window %d cannot be written as asked: %v", window, err)}
	case errors.As(err, new(storeError)):
		return &export.Error{
			Code: "store_failed", Retryable: true,
			Message: fmt.Sprintf("window %d could not be written to the object store for %s; ask again when it is well", window, within),
		}
	case errors.Is(err, errStageGone):
		return &export.Error{
			Code: "stage_gone", Retryable: true,
			Message: fmt.Sprintf("window %d cannot be read: the rows that were set aside for the export in ClickHouse table export_stage are not there any more, since it took more than a week or somebody dropped them; ask again", window),
		}
	case clickhouse.Code(err) == 0:
		return &export.Error{
			Code: "read_failed", Retryable: true,
			Message: fmt.Sprintf("window %d could not be read: ClickHouse did not answer for %s; ask again when it is well", window, within),
		}
	}
	return &export.Error{
		Code: "read_failed", Retryable: true,
		Message: fmt.Sprintf("window %d could not be read: ClickHouse error %d, %d times; ask again, or for a narrower selection", window, clickhouse.Code(err), attempts),
	}
}
