package seal

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/statistics"
	"github.com/millrace/millrace/sinks/bucket"
)

// windowReads is how many statistics of windows are read concurrently.
const windowReads = 16

// columns returns the statistics of the columns of all windows, nil where they were not kept: an older
// release has written some of the windows. Only some windows of a large export have statistics, so
// that merging them does not take longer the larger it is.
//
// The statistics of windows are no part of the export, and are swept when the merged ones exist. If
// they are gone, a process that did not come to an end has merged and swept them.
func (w *work) columns(ctx context.Context, windows []*export.WindowManifest) ([]byte, error) {
	sample := statistics.NewSample(w.plan.Rows, len(windows))
	var names []string
	for i, window := range windows {
		if !sample.Window(i) || window.Records == 0 {
			continue
		}
		if window.Columns == "" {
			return nil, nil
		}
		names = append(names, window.Columns)
	}
	if len(names) == 0 {
		return nil, nil
	}
	read := make([]*statistics.Statistics, len(names))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(windowReads)
	for i, name := range names {
		group.Go(func() (err error) {
			read[i], err = w.readColumns(inner, name)
			return err
		})
	}
	switch err := group.Wait(); {
	case errors.Is(err, bucket.ErrNotFound):
		merged, err := w.stage.bucket.Read(ctx, w.folder.Key(export.AllColumnsName))
		if errors.Is(err, bucket.ErrNotFound) {
			w.warnOfColumns(ctx, err)
			return nil, nil
		}
		return merged, err
	case errors.As(err, new(changedError)):
		w.warnOfColumns(ctx, err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	var all statistics.Counter
	for _, s := range read {
		all.Merge(s)
	}
	return all.Statistics().JSON(), nil
}

// changedError is the error for statistics of a window that somebody has changed.
type changedError struct{ error }

func (w *work) readColumns(ctx context.Context, name string) (*statistics.Statistics, error) {
	r, _, err := w.stage.bucket.NewReader(ctx, w.folder.Key(name))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, statistics.MaxBytes+1))
	if err != nil {
		return nil, err
	}
	s, err := statistics.Parse(text)
	if err != nil {
		return nil, changedError{err}
	}
	return s, nil
}

// warnOfColumns logs why an export has no statistics. It is no reason to fail the export.
func (w *work) warnOfColumns(ctx context.Context, err error) {
	w.stage.cfg.Log.WarnContext(ctx, "the statistics of a window were deleted or changed; the export has none",
		"export_id", w.folder.ID.String(), "error", err)
}
