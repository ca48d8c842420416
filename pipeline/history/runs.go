package history

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// maxPage is the most runs of a page, and defaultPage how many where the query does not say.
const (
	maxPage     = 200
	defaultPage = 50
)

// Runs returns a page of runs. A cursor that is not one of Page.Next is ErrCursor. Where more has to be looked through
// than there is time for, it is ErrTooSlow, and never fewer runs.
func (s *Store) Runs(ctx context.Context, q Query) (*Page, error) {
	var after *key
	if q.Cursor != "" {
		k, err := parseCursor(q.Cursor)
		if err != nil {
			return nil, err
		}
		after = &k
	}
	page, err := s.page(ctx, &q, after)
	if err != nil {
		return nil, fmt.Errorf("list runs of workspace %s: %w", q.Workspace, err)
	}
	return page, nil
}

func (s *Store) page(ctx context.Context, q *Query, after *key) (*Page, error) {
	page := &Page{Runs: []Run{}}
	if !utf8.ValidString(q.Text) { // no question has it, and the server reads beyond its end
		return page, nil
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	r := s.read(q.Workspace)
	keys, err := newSearch(r, q, after).find(ctx, limit+1)
	if err != nil || len(keys) == 0 {
		return page, err
	}
	if len(keys) > limit {
		keys = keys[:limit]
		page.Next = keys[limit-1].cursor()
	}
	page.Runs, err = r.rows(ctx, keys)
	return page, err
}

// rows reads the runs of keys, in their order, as a page shows them.
func (r *reading) rows(ctx context.Context, keys []key) ([]Run, error) {
	condition, judged := r.keys("page", keys), "run_id IN "+r.runs("page_runs", keys)
	found := make(map[key]*Run, len(keys))
	var feedback map[string]*Feedback
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return r.page(ctx, condition, found) })
	both.Go(func() (err error) { feedback, err = r.newestFeedback(ctx, judged); return err })
	if err := both.Wait(); err != nil {
		return nil, err
	}
	list := make([]Run, 0, len(keys))
	for _, k := range keys {
		if run := found[k]; run != nil { // or it was deleted just now
			run.Feedback = feedback[k.run]
			list = append(list, *run)
		}
	}
	return list, nil
}

// bounds are a time range in milliseconds since 1970, half-open. What is outside of the contract's times is as good as
// none.
func (q *Query) bounds() (from, to int64) {
	from, to = 0, endsAt
	if !q.From.IsZero() {
		from = min(max(ceilMilli(q.From), 0), endsAt)
	}
	if !q.To.IsZero() {
		to = min(max(ceilMilli(q.To), 0), endsAt)
	}
	return from, to
}

// ceilMilli is a bound between two of the milliseconds of started_at as the later one.
func ceilMilli(t time.Time) int64 {
	milli := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) > 0 {
		milli++
	}
	return milli
}
