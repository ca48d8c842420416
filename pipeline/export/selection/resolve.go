package selection

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/evaluation"
)

const (
	// queryLimit is how long one query of a plan may take.
	queryLimit = 2 * time.Minute
	// settled is the age of a row behind which no older row can appear: an insert times out after
	// 30 s, and ingested_at is the clock of the server when the insert starts.
	settled = time.Minute
	// manyRows is from how many rows on it pays to ask a question more, which takes some milliseconds, so that
	// the rows are read once less.
	manyRows = 4096
)

// Reader runs the queries of one plan or dry run over one connection.
type Reader struct {
	Client  *ch.Client
	Comment string // names the export in the query log of ClickHouse
	// BlockRows is for queries that read rows, see ErrWide.
	BlockRows BlockRows
	Until     time.Time    // when the server ends a query; zero: after two minutes
	Pins      []ch.Setting // of the barrier that the queries stand behind

	// counted is how many rows the plan selects, where ResolveSince has counted all of them; otherwise 0.
	counted int64
}

// Limited returns the query with the settings of a plan: it reads only, and until Reader.Until.
func (r *Reader) Limited(query clickhouse.Query) clickhouse.Query {
	query.Settings = r.Settings()
	return query
}

// Settings returns the settings of the queries of a plan.
func (r *Reader) Settings() []ch.Setting {
	return append(ReadSettings(r.Comment, r.Left(queryLimit), r.BlockRows), r.Pins...)
}

// Left returns how long a query may take: limit, or less where Until comes before.
func (r *Reader) Left(limit time.Duration) time.Duration {
	if r.Until.IsZero() {
		return limit
	}
	return max(min(limit, time.Until(r.Until)), time.Millisecond) // for ClickHouse, 0 is no limit
}

// LimitedRows returns the query with the settings of a plan.
func (r *Reader) LimitedRows(query RowQuery) RowQuery {
	query.Query = r.Limited(query.Query)
	return query
}

// Int returns the one number that the query selects.
func (r *Reader) Int(ctx context.Context, query clickhouse.Query) (int64, error) {
	return clickhouse.ReadInt(ctx, r.Client, r.Limited(query))
}

func (r *Reader) texts(ctx context.Context, query clickhouse.Query) ([]string, error) {
	return clickhouse.ReadTexts(ctx, r.Client, r.Limited(query))
}

// Clamp fixes the end of a window by ingested_at. The barrier comes after it: what the window selects
// was stored before the call, and whoever has passed the barrier since then sees it.
func Clamp(ctx context.Context, r *Reader, p *export.Plan) error {
	w := p.Request.Selection.Window
	if w == nil || w.By != export.ByIngestedAt {
		return nil
	}
	now, err := r.Int(ctx, ServerTime())
	if err != nil {
		return err
	}
	clamped := clamp(*w, time.UnixMicro(now).UTC())
	p.Selection.Window, p.Watermark = &clamped, clamped.To
	return nil
}

// Resolve fixes what the data decides about the selection of a plan, after [Clamp] and before its rows
// are counted: the oldest started_at, warnings about missing runs, and options. Size is the number
// of rows of a window.
func Resolve(ctx context.Context, r *Reader, p *export.Plan, size int64) error {
	p.Warnings = nil
	if p.Selection.RunIDs != nil {
		var err error
		if p.Warnings, err = unknownRuns(ctx, r, p.Request); err != nil {
			return err
		}
	}
	if err := resolveOptions(ctx, r, p); err != nil {
		return err
	}
	return ResolveSince(ctx, r, p, size)
}

// clamp ends a window by ingested_at before the present, so that no row appears in the window after
// it was read.
func clamp(w export.TimeWindow, now time.Time) export.TimeWindow {
	if until := now.Add(-settled); w.To.After(until) {
		w.To = until
	}
	if w.To.Before(w.From) { // the whole window is in the future: the next window starts where this one would have
		w.To = w.From
	}
	return w
}

// resolveOptions adds the options that depend on the data. CSV has its columns before its rows, so
// that the columns of prompt variables are looked up first.
func resolveOptions(ctx context.Context, r *Reader, p *export.Plan) error {
	p.Options = maps.Clone(p.Request.Options)
	if p.Request.Target != evaluation.KariniCSV || len(p.Request.Nodes) == 0 {
		return nil
	}
	found, err := r.texts(ctx, New(p.Request, p.Selection).Variables())
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
	p.Options = evaluation.KariniOptions(p.Options, variables, types)
	return nil
}

// WeighFeedback finds out whether the workspace has so little feedback that a plan of one window reads all of it.
// It comes after the rows are counted.
func WeighFeedback(ctx context.Context, r *Reader, p *export.Plan) error {
	if p.Request.Nodes != nil || p.Rows < manyRows || p.Rows > maxFewRuns {
		return nil
	}
	feedback, err := r.Int(ctx, FeedbackCount(p.Request))
	p.AllFeedback = feedback <= p.Rows
	return err
}

// CountRows returns how many rows the plan selects that [Resolve] has fixed, but at most bound.
func CountRows(ctx context.Context, r *Reader, p *export.Plan, bound int64) (int64, error) {
	if r.counted > 0 {
		return min(r.counted, bound), nil
	}
	if !p.Since.IsZero() { // as many rows as the limit, and more, have started since
		return min(p.Selection.Limit, bound), nil
	}
	return r.Int(ctx, Of(p).Count(bound))
}

// ResolveSince finds a time since which all requested rows of a small limit have started, again after
// the limit of the plan was changed. The reader then skips older rows: with FINAL, ClickHouse cannot
// start at the end of the table. It takes an eighth more rows than requested, since the selection changes
// until it is read. No such time means that hardly more rows match than are requested. The limit of
// several nodes is one of each, which can be older than any such time, and a sample is of all times.
//
// Where the limit is large, the rows are counted first: if the limit is as large as their number, a time would
// leave none out.
func ResolveSince(ctx context.Context, r *Reader, p *export.Plan, size int64) error {
	limit, window := p.Selection.Limit, p.Selection.Window
	p.Since, r.counted = time.Time{}, 0
	if limit == 0 || limit > size || len(p.Request.Nodes) > 1 || p.Selection.Sample != nil ||
		window != nil && window.By != export.ByStartedAt {
		return nil
	}
	if limit >= manyRows {
		all := *p
		all.Selection.Limit = 0
		n, err := r.Int(ctx, Of(&all).Count(limit+1))
		if err != nil {
			return err
		}
		if n <= limit {
			r.counted = n
			return nil
		}
	}
	enough := limit + limit/8 + 16
	for k := 4 * (limit + 1024); ; k *= 16 {
		since, err := r.Int(ctx, Newest(p.Request, p.Selection, k))
		if err != nil {
			return err
		}
		bounded := *p
		bounded.Selection.Limit = 0
		if since != 0 {
			bounded.Since = time.UnixMilli(since).UTC()
		}
		oldest, err := r.Int(ctx, Of(&bounded).oldest(enough))
		if err != nil {
			return err
		}
		if oldest != 0 {
			p.Since = time.UnixMilli(oldest).UTC()
		}
		if oldest != 0 || since == 0 { // the table has fewer than k rows
			return nil
		}
	}
}
