package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/stage"
)

// Limits of the plan's queries.
const (
	countLimit    = 2 * time.Minute // of one query
	stageLimit    = 10 * time.Minute
	countAttempts = 5 // that ClickHouse answers with an error; one that does not answer is waited for
	// settled is how long ago a row must be for nothing older to appear any more: an insert times out after
	// 30 s, and ingested_at is the server's own clock at its start.
	settled = time.Minute
)

// exactly is up to how many rows they are counted before they are staged: how their feedback is looked up
// depends on it, see [clickhouse.Selection.Stage].
const exactly = 1_000_000

// planFailed is the code of the refusal where ClickHouse cannot select.
const planFailed = "plan_failed"

// decide fills in the rest of the plan: why the request is refused, or how its rows are cut into windows.
// An error stops the stage.
func (s *Stage) decide(ctx context.Context, p *export.Plan, mistakes export.Mistakes) error {
	if len(mistakes) > 0 {
		p.Refusal = mistakes.Refusal()
		return nil
	}
	p.AcceptedAt = time.Now().UTC().Truncate(time.Millisecond)
	p.Selection = p.Request.Selection
	err := s.retry.Limited(countAttempts, 0).Do(ctx, "select", p.String(), func() error {
		return stage.WithClickHouse(ctx, s.dsn, func(client *ch.Client) error { return s.measure(ctx, client, p) })
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case clickhouse.Classify(err) == clickhouse.Stop:
		return clickhouse.Explain(err)
	default:
		s.cfg.Log.Error("the rows of an export cannot be selected", "export", p.String(), "error", err)
		p.Refusal = &export.Error{
			Code: planFailed, Retryable: true,
			Message: fmt.Sprintf("the rows could not be selected: ClickHouse error %d, %d times; ask again later, or for a narrower selection", clickhouse.Code(err), countAttempts),
		}
	}
	p.AcceptedAt = time.Time{}
	return nil
}

// measure fixes the bounds of the selection, counts its rows and cuts them into windows.
func (s *Stage) measure(ctx context.Context, client *ch.Client, p *export.Plan) error {
	q := &queries{ctx: ctx, client: client, comment: "millrace plan of export " + p.String()}
	size := p.Request.WindowSize(s.cfg.WindowRecords)
	if err := fix(q, p, size); err != nil {
		return err
	}
	n, err := q.int(selection.NewSelection(p.Request, p.Bounded()).Count(max(size, exactly) + 1))
	if err != nil {
		return err
	}
	p.Rows, p.Windows, p.Stage = n, nil, ""
	switch {
	case n == 0:
		return nil
	case n <= size:
		p.Windows = []export.PlannedWindow{{Rows: n}}
		return nil
	}
	return s.freeze(q, p, size)
}

// fix fixes what else the selection decides: its bounds, warnings and options.
func fix(q *queries, p *export.Plan, size int64) error {
	if w := p.Request.Selection.Window; w != nil && w.By == export.ByIngestedAt {
		now, err := q.int(selection.ServerTime())
		if err != nil {
			return err
		}
		clamped := clamp(*w, time.UnixMicro(now).UTC())
		p.Selection.Window, p.Watermark = &clamped, clamped.To
	}
	if p.Selection.RunIDs != nil {
		found, err := selection.ReadTexts(q.ctx, q.client, q.read(selection.FoundRuns(p.Request)))
		if err != nil {
			return err
		}
		p.Warnings = notFound(p.Selection.RunIDs, found)
	}
	if err := fixOptions(q, p); err != nil {
		return err
	}
	return since(q, p, size)
}

// since finds a time since which the most recent rows have started that the request asks for, so that nothing
// older is read: with FINAL, ClickHouse cannot begin at the table's end. It looks for some more of them than are
// asked for, since the selection moves until it is read.
func since(q *queries, p *export.Plan, size int64) error {
	limit, window := p.Selection.Limit, p.Selection.Window
	p.Since = time.Time{}
	if limit == 0 || limit > size || window != nil && window.By != export.ByStartedAt {
		return nil
	}
	enough := limit + limit/8 + 16
	for k := 4 * (limit + 1024); ; k *= 16 {
		since, err := q.int(selection.Newest(p.Request, p.Selection, k))
		if err != nil || since == 0 { // there are no more
			return err
		}
		bounded := *p
		bounded.Since, bounded.Selection.Limit = time.UnixMilli(since).UTC(), 0
		n, err := q.int(selection.NewSelection(p.Request, bounded.Bounded()).Count(enough))
		if err != nil {
			return err
		}
		if n >= enough {
			p.Since = bounded.Since
			return nil
		}
	}
}

// fixOptions adds the options that depend on the selection: CSV has its columns before its rows, so those of prompt variables
// are looked up.
func fixOptions(q *queries, p *export.Plan) error {
	p.Options = maps.Clone(p.Request.Options)
	if p.Request.Target != format.KariniCSV || len(p.Request.Nodes) == 0 {
		return nil
	}
	found, err := selection.ReadTexts(q.ctx, q.client, q.read(selection.NewSelection(p.Request, p.Selection).Variables()))
	if err != nil {
		return err
	}
	var variables, types []string
	for _, name := range found {
		if variable, ok := strings.CutPrefix(name, "v"); ok {
			variables = append(variables, variable)
		} else {
			types = append(types, name[1:])
		}
	}
	p.Options = format.KariniOptions(p.Options, variables, types)
	return nil
}

// freeze stages the selection, and cuts the stage into windows. A stage that is not finished is read by
// nobody: the next attempt makes another.
func (s *Stage) freeze(q *queries, p *export.Plan, size int64) (err error) {
	stageID := uuid.NewString()
	defer func() {
		if err != nil {
			s.dropStage(q.ctx, stageID)
		}
	}()
	insert := selection.NewSelection(p.Request, p.Selection).Stage(stageID, p.Rows)
	err = clickhouse.Do(q.ctx, q.client, ch.Query{
		Body: insert.SQL, Parameters: insert.Parameters, Settings: selection.StageSettings(q.comment, stageLimit),
	})
	if err != nil {
		return err
	}
	rows, err := q.int(selection.StageCount(p.Request, stageID))
	if err != nil {
		return err
	}
	windows, err := selection.ReadWindows(q.ctx, q.client, q.read(selection.StageKeys(p.Request, stageID, size)), rows)
	if err != nil {
		return err
	}
	if rows > 0 && (len(windows) == 0 || windows[0].Rows <= 0) {
		return fmt.Errorf("stage %s has %d rows and %d windows", stageID, rows, len(windows))
	}
	p.Rows, p.Stage, p.Windows = rows, stageID, windows
	return nil
}

// dropLimit is how long a plan may wait for a stage to be dropped.
const dropLimit = 5 * time.Second

// dropStage drops a stage that no plan names, also when ctx is done. What is left of one has a time to live.
func (s *Stage) dropStage(ctx context.Context, id string) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropLimit)
	defer cancel()
	if err := selection.DropStage(ctx, s.dsn, s.cfg.Cluster, id); err != nil {
		s.cfg.Log.Warn("a stage that no export needs is left to its time to live", "stage_id", id, "error", err)
	}
}

// queries are those of one plan.
type queries struct {
	ctx     context.Context
	client  *ch.Client
	comment string
}

func (q *queries) read(query selection.Query) selection.Query {
	query.Settings = selection.ReadSettings(q.comment, countLimit)
	return query
}

func (q *queries) int(query selection.Query) (int64, error) {
	return selection.ReadInt(q.ctx, q.client, q.read(query))
}

// clamp keeps a window by ingested_at behind the present, so that nothing appears in it after it was read.
func clamp(w export.TimeWindow, now time.Time) export.TimeWindow {
	if until := now.Add(-settled); w.To.After(until) {
		w.To = until
	}
	if w.To.Before(w.From) { // all of it lies ahead: the next one starts where this one would have
		w.To = w.From
	}
	return w
}

// maxNamed is how many runs a warning names.
const maxNamed = 100

func notFound(wanted, found []string) []export.Warning {
	slices.Sort(found)
	missing := slices.DeleteFunc(slices.Clone(wanted), func(id string) bool {
		_, ok := slices.BinarySearch(found, id)
		return ok
	})
	if len(missing) == 0 {
		return nil
	}
	return []export.Warning{{
		Code: "runs_not_found", Count: int64(len(missing)), RunIDs: missing[:min(len(missing), maxNamed)],
		Message: fmt.Sprintf("%d of the %d runs in selection.run_ids do not exist in this app.", len(missing), len(wanted)),
	}}
}
