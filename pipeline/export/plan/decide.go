package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/notice"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
)

// Limits of the queries of a plan.
const (
	freezeLimit   = 10 * time.Minute
	countAttempts = 5 // that end with an error of ClickHouse; the stage waits for a ClickHouse that does not answer
	defaultBudget = 30 * time.Second
	largeBudget   = 20 // times the budget, of a request that was handed over
)

// large is what is known about the selection of a request, and done, if it is one of more than a window.
type large struct {
	counted bool // it is
	freeze  bool // it is frozen; otherwise the plan has only its rows
}

// draft fills in the rest of the plan: the refusal, or the windows. An error stops the stage.
func (s *Stage) draft(ctx context.Context, store kafka.Retrier, f folder.Folder, p *export.Plan,
	mistakes export.Mistakes, l large) error {
	if len(mistakes) > 0 {
		p.Refusal = mistakes.Refusal()
		return nil
	}
	var others int
	err := store.Do(ctx, tryCount, p.String(), func() error {
		unfinished, err := folder.Unfinished(ctx, s.bucket, p.WorkspaceID)
		delete(unfinished, p.ExportID) // by an attempt before
		others = len(unfinished)
		return err
	})
	if err != nil {
		return err
	}
	if others >= export.MaxUnfinished {
		p.Refusal = &export.Error{
			Code: export.TooMany, Retryable: true,
			Message: fmt.Sprintf("the workspace has %d exports that have not ended, and may have %d: request the export again "+
				"when some have ended", others, export.MaxUnfinished),
		}
		return nil
	}
	// Requests that are planned at this moment may pass the limit together: by one a slot.
	group, both := errgroup.WithContext(ctx)
	var first string
	group.Go(func() error {
		return store.Do(both, tryCreate, p.String(), func() (err error) {
			first, err = f.Begin(both, p.PlannedBy+" "+p.Hash)
			return err
		})
	})
	group.Go(func() error { return s.decide(both, p, l) })
	if err := group.Wait(); err != nil || l.counted || mayBeOf(p, first) {
		return err
	}
	s.dropSnapshot(ctx, p)
	return errConflict
}

// errConflict means that the export id is that of another request, which was handed over and has no plan yet.
var errConflict = errors.New("another request has the export id")

// mayBeOf reports whether the export that began first may be that of the plan's record or of the same request.
func mayBeOf(p *export.Plan, first string) bool {
	position, hash, said := strings.Cut(first, " ")
	return !said || position == p.PlannedBy || hash == p.Hash
}

// budget is how long ClickHouse may take for a request. One that was handed over holds up none but large ones.
func (s *Stage) budget(l large) time.Duration {
	if l.counted {
		return largeBudget * s.cfg.Budget
	}
	return s.cfg.Budget
}

// decide selects the rows: it fills in the windows, or the refusal. An error stops the stage.
func (s *Stage) decide(ctx context.Context, p *export.Plan, l large) error {
	p.AcceptedAt = time.Now().UTC().Truncate(time.Millisecond)
	p.Selection = p.Request.Selection
	tell := func(f kafka.Failure) {
		code := export.PlanFailed
		if clickhouse.IsBehind(f.Err) {
			code = export.ReplicaBehind
		}
		s.notices.Tell(notice.Of(p.ID, p), code, f)
	}
	budget := s.budget(l)
	spending := &spending{left: budget}
	err := s.retry.Limited(countAttempts, 0).OnFailure(tell).Do(ctx, trySelect, p.String(), func() error {
		return stage.WithClickHouse(ctx, s.dsn, func(client *ch.Client) error {
			return s.measure(ctx, client, p, spending, l)
		})
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case clickhouse.Classify(err) == clickhouse.Stop: // the stage stops, and tries again when it is started
		tell(kafka.Failure{Err: err, Since: p.AcceptedAt, Attempts: 1})
		return clickhouse.Explain(err)
	}
	s.cfg.Log.ErrorContext(ctx, "selecting the rows of an export failed; the export fails", "error", err)
	p.Refusal, p.AcceptedAt = failure(err, budget), time.Time{}
	return nil
}

// failure returns the error of an export whose rows cannot be selected. Texts of ClickHouse may
// quote rows, so that they are only in the log.
func failure(err error, budget time.Duration) *export.Error {
	e := &export.Error{Code: export.PlanFailed, Retryable: true}
	switch {
	case errors.Is(err, errSpent):
		e.Message = fmt.Sprintf("the rows could not be selected within %s: request a narrower selection, such as a shorter "+
			"window, or request the export again when ClickHouse has less to do", budget)
	case clickhouse.IsOfQuery(err):
		e.Retryable = false
		e.Message = fmt.Sprintf("the rows cannot be selected: ClickHouse refuses the query with error %d: request a "+
			"narrower selection, or fewer filters", clickhouse.Code(err))
	default:
		e.Message = fmt.Sprintf("the rows could not be selected: ClickHouse error %d, %d times: request the export again "+
			"later, or a narrower selection", clickhouse.Code(err), countAttempts)
	}
	return e
}

// spending is what one request has left of its budget. Its partition waits meanwhile. Time in which
// ClickHouse does not answer at all, or its replicas lag, does not count: other requests would fare no
// better.
type spending struct {
	left   time.Duration
	failed time.Time // when ClickHouse answered the attempt before with an error
}

// errSpent means that the budget of a request is spent.
var errSpent = errors.New("the time to plan a request is over")

// attempt runs one attempt on a connection of ClickHouse, until the budget is spent. Errors that no
// attempt mends are Permanent.
func (b *spending) attempt(ctx context.Context, try func(ctx context.Context, until time.Time) error) error {
	began := time.Now()
	if !b.failed.IsZero() {
		b.left -= began.Sub(b.failed) // the pause
	}
	left, until := b.left, began.Add(b.left)
	trying, cancel := context.WithDeadline(ctx, until.Add(grace))
	defer cancel()
	err := try(trying, until)
	b.left, b.failed = time.Until(until), time.Now()
	switch {
	case err == nil, ctx.Err() != nil:
		b.failed = time.Time{}
		return err
	case clickhouse.IsBehind(err):
		b.left, b.failed = left, time.Time{}
		return err
	case b.left <= 0: // ClickHouse ended the query, or did not
		return kafka.Permanent(fmt.Errorf("%w: %w", errSpent, err))
	case clickhouse.IsOfQuery(err):
		return kafka.Permanent(err)
	case clickhouse.Code(err) == 0:
		b.failed = time.Time{}
	}
	return err
}

// grace is how long ClickHouse may take to end a query whose time is over.
const grace = time.Second

// measure resolves the selection, counts its rows and cuts them into windows. What it waits for replicas
// is not spent. Nobody reads an unfinished snapshot: the next attempt writes another one.
func (s *Stage) measure(ctx context.Context, client *ch.Client, p *export.Plan, spending *spending, l large) (
	err error) {
	r := &selection.Reader{Client: client, Comment: "millrace plan of export " + p.String()}
	if err := selection.Clamp(ctx, r, p); err != nil {
		return err
	}
	p.Snapshot, p.NodeSnapshot = "", ""
	defer func() {
		if err != nil {
			s.dropSnapshot(ctx, p)
			p.Snapshot, p.NodeSnapshot = "", ""
		}
	}()
	behind := func(tables []string, work func(context.Context, *selection.Reader, *export.Plan) error) error {
		return s.dsn.Through(ctx, tables, func(pins []ch.Setting) error {
			return spending.attempt(ctx, func(ctx context.Context, until time.Time) error {
				r.Pins, r.Until = pins, until
				return work(ctx, r, p)
			})
		})
	}
	choose := func(ctx context.Context, r *selection.Reader, p *export.Plan) error { return s.choose(ctx, r, p, l) }
	if err := behind(selection.Tables, choose); err != nil || p.Snapshot == "" {
		return err
	}
	if selection.New(p.Request, p.Selection).ReadsNodes() {
		if err := behind(selection.Tables, s.freezeNodes); err != nil {
			return err
		}
	}
	return behind(selection.SnapshotTables, s.cut)
}

// choose resolves the selection, and counts its rows as far as that decides something. Those of more than one window
// it freezes, or leaves to another.
func (s *Stage) choose(ctx context.Context, r *selection.Reader, p *export.Plan, l large) error {
	size := p.Request.WindowSize(s.cfg.WindowRecords)
	timer := s.dsn.Timer()
	err := timer.Time(ctx, queryResolve, func() error { return selection.Resolve(ctx, r, p, size) })
	if err != nil {
		return err
	}
	count := func(bound int64) (n int64, err error) {
		err = timer.Time(ctx, queryCount, func() error {
			n, err = selection.CountRows(ctx, r, p, bound)
			return err
		})
		return n, err
	}
	n := size + 1
	if !l.counted {
		if n, err = count(n); err != nil {
			return err
		}
	}
	p.Rows, p.Windows, p.AllFeedback = n, nil, false
	if n > size && !l.freeze {
		return nil
	}
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
		return selection.WeighFeedback(ctx, r, p)
	}
	feedback, err := r.Int(ctx, selection.FeedbackCount(p.Request))
	if err != nil {
		return err
	}
	if bound := selection.CountBound(p.Request, feedback); bound > n {
		if n, err = count(bound); err != nil {
			return err
		}
	}
	p.Snapshot = uuid.NewString()
	insert := selection.New(p.Request, p.Selection).InsertSnapshot(p.Snapshot, n, feedback)
	insert.Settings = append(selection.SnapshotSettings(r.Comment, r.Left(freezeLimit)), r.Pins...)
	return timer.Time(ctx, queryFreeze, func() error { return clickhouse.Do(ctx, r.Client, insert.Native()) })
}

// freezeNodes freezes the node runs of the snapshot of the plan.
func (s *Stage) freezeNodes(ctx context.Context, r *selection.Reader, p *export.Plan) error {
	rows, err := r.Int(ctx, selection.SnapshotCount(p.Request, p.Snapshot)) // ClickHouse knows it without reading
	if err != nil {
		return err
	}
	p.NodeSnapshot = uuid.NewString()
	insert := selection.New(p.Request, p.Selection).InsertNodeRuns(p.NodeSnapshot, p.Snapshot, rows)
	insert.Settings = append(selection.SnapshotSettings(r.Comment, r.Left(freezeLimit)), r.Pins...)
	return s.dsn.Timer().Time(ctx, queryFreezeNodes, func() error {
		return clickhouse.Do(ctx, r.Client, insert.Native())
	})
}

// cut cuts the snapshot of the plan into windows, and counts its node runs.
func (s *Stage) cut(ctx context.Context, r *selection.Reader, p *export.Plan) error {
	size := p.Request.WindowSize(s.cfg.WindowRecords)
	var rows int64
	var windows []export.PlannedWindow
	err := s.dsn.Timer().Time(ctx, queryWindows, func() (err error) {
		windows, rows, err = selection.Cut(ctx, r, p.Request, p.Snapshot, size, s.cfg.Cluster == "")
		return err
	})
	if err != nil {
		return err
	}
	if rows > 0 && len(windows) == 0 {
		return fmt.Errorf("snapshot %s has %d rows and %d windows", p.Snapshot, rows, len(windows))
	}
	p.Rows, p.Windows = rows, windows
	if p.NodeSnapshot == "" {
		return nil
	}
	p.NodeRuns, err = r.Int(ctx, selection.NodeSnapshotCount(p.Request, p.NodeSnapshot))
	return err
}

// dropLimit is how long a plan may wait for a snapshot to be dropped.
const dropLimit = 5 * time.Second

// dropSnapshot drops the snapshots of a plan that is not stored, even when ctx is done. A snapshot that remains
// has a time to live.
func (s *Stage) dropSnapshot(ctx context.Context, p *export.Plan) {
	if p.Snapshot == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropLimit)
	defer cancel()
	if err := selection.DropSnapshot(ctx, s.dsn, s.cfg.Cluster, p); err != nil {
		s.cfg.Log.WarnContext(ctx, "dropping an unused snapshot failed; the snapshot expires by its time to live", "stage_id",
			p.Snapshot, "error", err)
	}
}
