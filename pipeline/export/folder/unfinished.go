package folder

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/bucket"
)

// unfinishedDir has an object for each export that was planned and has not ended, which says whose it is:
// unfinished/<workspace>/<export>. So those who count them list at most a few hundred objects, and
// not all exports that there are.
const unfinishedDir = "unfinished/"

// Begin notes that the export has not ended, and whose it is. It is called before plan.json is created. It returns
// whose the export is that began first, which is "" where an older release noted it.
func (f Folder) Begin(ctx context.Context, whose string) (first string, err error) {
	key := unfinishedDir + f.ID.String()
	err = f.Bucket.Create(ctx, key, []byte(whose))
	if !errors.Is(err, bucket.ErrExists) {
		return whose, err
	}
	text, err := f.Bucket.Read(ctx, key)
	if errors.Is(err, bucket.ErrNotFound) { // the export ended at this moment
		return "", nil
	}
	return string(text), err
}

// End notes that the export has ended. It is called after manifest.json was created, and before the
// completion is sent: whoever has read the completion can request another export.
func (f Folder) End(ctx context.Context) error {
	return f.Bucket.Delete(ctx, unfinishedDir+f.ID.String())
}

// Unfinished returns the ids of the exports of a workspace that were planned and have not ended.
func Unfinished(ctx context.Context, b *bucket.Bucket, workspace string) (map[string]bool, error) {
	prefix := unfinishedDir + workspace + "/"
	objects, err := b.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(objects))
	for _, o := range objects {
		ids[strings.TrimPrefix(o.Key, prefix)] = true
	}
	return ids, nil
}

// RemoveEnded removes what Begin left of exports that have ended, as by a process that was paused
// before it called Begin, and of those that have no plan after a day. It returns their number.
func RemoveEnded(ctx context.Context, b *bucket.Bucket, now time.Time) (removed int, err error) {
	objects, err := b.List(ctx, unfinishedDir)
	if err != nil {
		return 0, err
	}
	for _, o := range objects {
		age := now.Sub(o.ModTime)
		if age <= time.Hour {
			continue
		}
		workspace, exportID, _ := strings.Cut(strings.TrimPrefix(o.Key, unfinishedDir), "/")
		f := Folder{Bucket: b, ID: export.ID{WorkspaceID: workspace, ExportID: exportID}}
		over, err := f.Ended(ctx)
		if err == nil && !over && age > export.CancelReach {
			_, err = f.Plan(ctx)
			if over = errors.Is(err, bucket.ErrNotFound); over {
				err = nil
			}
		}
		if err == nil && over {
			if err = f.End(ctx); err == nil {
				removed++
			}
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}
