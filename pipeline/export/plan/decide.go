package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/stage"
)

// Limits of the plan's queries.
const (
	countLimit    = 2 * time.Minute // of one query
	countAttempts = 5               // that ClickHouse answers with an error; one that does not answer is waited for
	// settled is how long ago a row must be for nothing older to appear any more: an insert times out after
	// 30 s, and ingested_at is the server's own clock at its start.
	settled = time.Minute
)

// Codes of refusals beside those of mistakes.
const (
	tooLarge    = "selection_too_large"
	countFailed = "count_failed"
)

// decide fills in the rest of the plan: why the request is refused, or how its rows are cut into windows.
// An error stops the stage.
func (s *Stage) decide(ctx context.Context, p *export.Plan, mistakes export.Mistakes) error {
	if len(mistakes) > 0 {
		p.Refusal = mistakes.Refusal()
		return nil
	}
	p.AcceptedAt = time.Now().UTC().Truncate(time.Millisecond)
	p.Selection = p.Request.Selection
	var refusal *export.Error
	err := s.retry.Limited(countAttempts, 0).Do(ctx, "count", p.String(), func() error {
		return stage.WithClickHouse(ctx, s.dsn, func(client *ch.Client) error { return s.measure(ctx, client, p) })
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case errors.As(err, &refusal):
		p.Refusal = refusal
	case clickhouse.Classify(err) == clickhouse.Stop:
		return clickhouse.Explain(err)
	default:
		s.cfg.Log.Error("the rows of an export cannot be counted", "export", p.String(), "error", err)
		p.Refusal = &export.Error{
			Code: countFailed, Retryable: true,
			Message: fmt.Sprintf("the rows could not be counted: ClickHouse error %d, %d times; ask again later, or for a narrower selection", clickhouse.Code(err), countAttempts),
		}
	}
	p.AcceptedAt = time.Time{}
	return nil
}

// measure fixes the bounds of the selection and counts its rows.
func (s *Stage) measure(ctx context.Context, client *ch.Client, p *export.Plan) error {
	run := func(q clickhouse.Query) clickhouse.Query {
		q.Settings = clickhouse.ReadSettings("millrace plan of export "+p.String(), countLimit)
		return q
	}
	if w := p.Request.Selection.Window; w != nil && w.By == export.ByIngestedAt {
		now, err := clickhouse.ReadInt(ctx, client, run(clickhouse.ServerTime()))
		if err != nil {
			return err
		}
		clamped := clamp(*w, time.UnixMicro(now).UTC())
		p.Selection.Window, p.Watermark = &clamped, clamped.To
	}
	if p.Selection.RunIDs != nil {
		found, err := clickhouse.ReadTexts(ctx, client, run(clickhouse.FoundRuns(p.Request)))
		if err != nil {
			return err
		}
		p.Warnings = notFound(p.Selection.RunIDs, found)
	}
	size := p.Request.WindowSize(s.cfg.WindowRecords)
	n, err := clickhouse.ReadInt(ctx, client, run(clickhouse.NewSelection(p.Request, p.Selection).Count(size+1)))
	if err != nil {
		return err
	}
	if refusal := s.cut(p, n, size); refusal != nil {
		return stage.Permanent(refusal)
	}
	return nil
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

// cut makes windows of n rows, of which size + 1 were counted at most. One window needs no more than the
// selection itself; more of them need the selection to be staged, which this release does not do.
func (s *Stage) cut(p *export.Plan, n, size int64) *export.Error {
	if n > size {
		return &export.Error{
			Code: tooLarge, Pointer: "/selection",
			Message: fmt.Sprintf("the selection has more than %d rows, and this release exports no more at once: set selection.limit to %d or less, narrow selection.window, or add filters", size, size),
		}
	}
	p.Rows = n
	if n > 0 {
		p.Windows = []export.PlannedWindow{{Rows: n}}
	}
	return nil
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
