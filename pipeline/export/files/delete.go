package files

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// Delete deletes the objects of an export that has ended, however it ended: fragments, sidecars and
// the dataset card. What was asked for and what there was stays: plan.json, windows/ and
// manifest.json.
//
// deleted.json is written first, so that nobody is surprised by a file that is gone. A crash in
// between is completed by deleting again, which may be done any number of times: deleted.json stays
// that of the first. An export that has not ended is refused with ErrRunning.
func (d *Dataset) Delete(ctx context.Context, by string) error {
	if d.Manifest == nil {
		return fmt.Errorf("export %s: %w", d.folder.ID, ErrRunning)
	}
	deletion, err := d.folder.CreateDeletion(ctx, &export.Deletion{
		ID: d.folder.ID, DeletedAt: time.Now().UTC().Truncate(time.Millisecond), DeletedBy: by,
	})
	if err != nil {
		return err
	}
	d.Deletion = deletion
	return d.folder.Sweep(ctx, nil)
}
