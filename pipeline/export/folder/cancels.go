package folder

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/bucket"
)

// Cancellation reads cancel.json. It returns bucket.ErrNotFound where there is none.
func (f Folder) Cancellation(ctx context.Context) (*export.Cancellation, error) {
	c, _, err := read[export.Cancellation](ctx, f, export.CancelName)
	return c, err
}

// CreateCancellation creates cancel.json and returns the cancellation in the bucket: c, or the
// cancellation that existed before.
func (f Folder) CreateCancellation(ctx context.Context, c *export.Cancellation) (*export.Cancellation, error) {
	stored, _, err := create(ctx, f, export.CancelName, c)
	return stored, err
}

// waitingDir has an empty object for each cancel that was read before the request of its export:
// waiting-cancels/<workspace>/<export>. So those who look for cancels whose request never came list
// the cancels of a day, and not all exports there are.
const waitingDir = "waiting-cancels/"

// AwaitRequest notes that the cancel of the export waits for its request.
func (f Folder) AwaitRequest(ctx context.Context) error {
	err := f.Bucket.Create(ctx, waitingDir+f.ID.String(), nil)
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return err
}

// RemoveOrphans removes the cancel.json of each export whose request has not come within
// export.CancelReach after its cancel was read. It returns the number of removed cancels.
func RemoveOrphans(ctx context.Context, b *bucket.Bucket, now time.Time) (removed int, err error) {
	waiting, err := b.List(ctx, waitingDir)
	if err != nil {
		return 0, err
	}
	for _, o := range waiting {
		if now.Sub(o.ModTime) <= export.CancelReach {
			continue
		}
		workspace, exportID, _ := strings.Cut(strings.TrimPrefix(o.Key, waitingDir), "/")
		f := Folder{Bucket: b, ID: export.ID{WorkspaceID: workspace, ExportID: exportID}}
		orphan, err := f.removeOrphan(ctx)
		if err != nil {
			return removed, err
		}
		if orphan {
			removed++
		}
		if err := b.Delete(ctx, o.Key); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// removeOrphan deletes cancel.json unless the export has a plan, and reports whether it did.
func (f Folder) removeOrphan(ctx context.Context) (bool, error) {
	_, err := f.Plan(ctx)
	if !errors.Is(err, bucket.ErrNotFound) {
		return false, err
	}
	switch _, err := f.Cancellation(ctx); {
	case errors.Is(err, bucket.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, f.Bucket.Delete(ctx, f.Key(export.CancelName))
}
