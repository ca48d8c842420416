package plan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/export/notice"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/pipeline/telemetry"
	"github.com/millrace/millrace/sinks/bucket"
)

// cancel asks seal to end an export, or leaves cancel.json for the request that has not been read. It
// changes nothing about an export that has ended.
func (s *Stage) cancel(ctx context.Context, r *kgo.Record, e *event.Event) ([]*kgo.Record, error) {
	c, err := export.ParseCancel(e.Data)
	if err != nil {
		return nil, err
	}
	f := folder.Folder{Bucket: s.bucket, ID: c.ID}
	ctx = telemetry.Describe(ctx, telemetry.Export(c.String()))
	mine := &export.Cancellation{ID: c.ID, RequestedBy: c.RequestedBy, FiledAt: r.Timestamp.UTC()}
	store := s.retry.OnFailure(s.notices.Store(notice.Of(c.ID, nil)))
	stored, err := createCancel(ctx, store, f, mine)
	if stored == nil || err != nil { // the export has ended
		return nil, err
	}
	if err := s.cfg.ReachFailpoint(AfterCancel); err != nil {
		return nil, err
	}
	p, err := readPlan(ctx, store, f)
	if err != nil {
		return nil, err
	}
	entry := message.Audit(s.cfg.TopicPrefix, &export.Plan{ID: c.ID}, audit.Entry{
		ID: kafka.Position(r) + "/" + audit.Cancelled, At: time.Now(), Action: audit.Cancelled, Outcome: audit.OK,
		Subject: c.RequestedBy, Address: kafka.Position(r), Via: export.StagePlan,
	})
	if p == nil {
		return []*kgo.Record{entry}, s.awaitRequest(ctx, f, stored, mine)
	}
	if err := s.cfg.ReachFailpoint(BeforeCommit); err != nil {
		return nil, err
	}
	s.metrics.count(p.Request, cancelled)
	s.cfg.Log.InfoContext(ctx, "an export is cancelled", "by_record", kafka.Position(r))
	told := export.NewNotice(p.ID, p.Request, p.RequestedAt, r.Timestamp.UTC().Truncate(time.Millisecond))
	told.Cancelling = true
	return []*kgo.Record{message.Notice(s.cfg.TopicPrefix, told, p.TraceParent), s.result(p, export.Cancelled), entry}, nil
}

// createCancel creates cancel.json and returns the cancellation in the bucket, nil where the export
// has ended.
func createCancel(ctx context.Context, retry kafka.Retrier, f folder.Folder, mine *export.Cancellation) (
	stored *export.Cancellation, err error,
) {
	err = retry.Do(ctx, tryCancel, f.ID.String(), func() error {
		over, err := f.Ended(ctx)
		if over || err != nil {
			return err
		}
		stored, err = f.CreateCancellation(ctx, mine)
		return err
	})
	return stored, err
}

// readCancel returns the cancellation of the export, nil where it has none.
func readCancel(ctx context.Context, retry kafka.Retrier, f folder.Folder) (c *export.Cancellation, err error) {
	err = retry.Do(ctx, tryCancel, f.ID.String(), func() error {
		c, err = f.Cancellation(ctx)
		if errors.Is(err, bucket.ErrNotFound) {
			c, err = nil, nil
		}
		return err
	})
	return c, err
}

// awaitRequest leaves the cancellation for a request that comes later. Stored is the first
// cancellation of the export, which counts. Where it does not reach the requests that mine reaches,
// mine would be lost: it is refused until the janitor has removed the first.
func (s *Stage) awaitRequest(ctx context.Context, f folder.Folder, stored, mine *export.Cancellation) error {
	if !stored.Reaches(mine.FiledAt) {
		return &strictjson.Refusal{
			Code: strictjson.UnknownExport, Pointer: "/export_id",
			Rule: fmt.Sprintf("there is no such export in this workspace, and it was cancelled more than %s before: cancel it "+
				"after it was requested", export.CancelReach),
		}
	}
	s.cfg.Log.InfoContext(ctx, "a cancel waits for its request")
	return s.retry.Do(ctx, tryCancel, f.ID.String(), func() error { return f.AwaitRequest(ctx) })
}
