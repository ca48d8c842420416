package plan

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/notice"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
)

// Limits of the queries of a plan.
const (
	freezeLimit   = 10 * time.Minute
	countAttempts = 5 // that end with an error of ClickHouse; the stage waits for a ClickHouse that does not answer
)

// maxExactCount is the largest selection that is counted exactly before it is frozen. The count
// decides how the snapshot looks up feedback, see [selection.Selection.InsertSnapshot].
const maxExactCount = 1_000_000

// decide fills in the rest of the plan: the refusal, or the windows. An error stops the stage.
func (s *Stage) decide(ctx context.Context, p *export.Plan, mistakes export.Mistakes) error {
	if len(mistakes) > 0 {
		p.Refusal = mistakes.Refusal()
		return nil
	}
	p.AcceptedAt = time.Now().UTC().Truncate(time.Millisecond)
	p.Selection = p.Request.Selection
	tell := func(f kafka.Failure) { s.notices.Tell(notice.Of(p.ID, p), export.PlanFailed, f) }
	err := s.retry.Limited(countAttempts, 0).OnFailure(tell).Do(ctx, trySelect, p.String(), func() error {
		return stage.WithClickHouse(ctx, s.dsn, func(client *ch.Client) error { return s.measure(ctx, client, p) })
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case clickhouse.Classify(err) == clickhouse.Stop: // the stage stops, and tries again when it is started
		tell(kafka.Failure{Err: err, Since: p.AcceptedAt, Attempts: 1})
		return clickhouse.Explain(err)
	default:
		s.cfg.Log.Error("selecting the rows of an export failed; the export fails", "export", p.String(), "error", err)
		p.Refusal = &export.Error{
			Code: export.PlanFailed, Retryable: true,
			Message: fmt.Sprintf("the rows could not be selected: ClickHouse error %d, %d times: request the export again "+
				"later, or a narrower selection", clickhouse.Code(err), countAttempts),
		}
	}
	p.AcceptedAt = time.Time{}
	return nil
}

// measure resolves the selection, counts its rows and cuts them into windows.
func (s *Stage) measure(ctx context.Context, client *ch.Client, p *export.Plan) error {
	r := &selection.Reader{Client: client, Comment: "millrace plan of export " + p.String()}
	size := p.Request.WindowSize(s.cfg.WindowRecords)
	timer := s.dsn.Timer()
	err := timer.Time(queryResolve, func() error { return selection.Resolve(ctx, r, p, size) })
	if err != nil {
		return err
	}
	var n int64
	err = timer.Time(queryCount, func() (err error) {
		n, err = r.Int(ctx, selection.New(p.Request, p.Bounded()).Count(max(size, maxExactCount)+1))
		return err
	})
	if err != nil {
		return err
	}
	p.Rows, p.Windows, p.Snapshot = n, nil, ""
	unknown, err := selection.UnknownNames(ctx, r, p.Request, n)
	if err != nil {
		return err
	}
	p.Warnings = append(p.Warnings, unknown...)
	switch {
	case n == 0:
		return nil
	case n <= size:
		p.Windows = []export.PlannedWindow{{Rows: n}}
		return nil
	}
	return s.freeze(ctx, r, p, size)
}

// freeze writes a snapshot of the selection, and cuts it into windows. Nobody reads an unfinished
// snapshot: the next attempt writes another one.
func (s *Stage) freeze(ctx context.Context, r *selection.Reader, p *export.Plan, size int64) (err error) {
	snapshot := uuid.NewString()
	defer func() {
		if err != nil {
			s.dropSnapshot(ctx, snapshot)
		}
	}()
	insert := selection.New(p.Request, p.Selection).InsertSnapshot(snapshot, p.Rows)
	insert.Settings = selection.SnapshotSettings(r.Comment, freezeLimit)
	timer := s.dsn.Timer()
	err = timer.Time(queryFreeze, func() error { return clickhouse.Do(ctx, r.Client, insert.Native()) })
	if err != nil {
		return err
	}
	var rows int64
	var windows []export.PlannedWindow
	err = timer.Time(queryWindows, func() (err error) {
		if rows, err = r.Int(ctx, selection.SnapshotCount(p.Request, snapshot)); err != nil {
			return err
		}
		windows, err = selection.ReadWindows(ctx, r.Client, r.Limited(selection.SnapshotKeys(p.Request, snapshot, size)),
			rows)
		return err
	})
	if err != nil {
		return err
	}
	if rows > 0 && (len(windows) == 0 || windows[0].Rows <= 0) {
		return fmt.Errorf("snapshot %s has %d rows and %d windows", snapshot, rows, len(windows))
	}
	p.Rows, p.Snapshot, p.Windows = rows, snapshot, windows
	return nil
}

// dropLimit is how long a plan may wait for a snapshot to be dropped.
const dropLimit = 5 * time.Second

// dropSnapshot drops a snapshot that no plan names, even when ctx is done. A snapshot that remains
// has a time to live.
func (s *Stage) dropSnapshot(ctx context.Context, id string) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropLimit)
	defer cancel()
	if err := selection.DropSnapshot(ctx, s.dsn, s.cfg.Cluster, id); err != nil {
		s.cfg.Log.Warn("dropping an unused snapshot failed; the snapshot expires by its time to live", "stage_id", id,
			"error", err)
	}
}
