package history

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// maxPage bounds the runs of a page. defaultPage is their number where the query has no limit.
const (
	maxPage     = 200
	defaultPage = 50
)

// Runs returns a page of runs. It returns ErrCursor for a cursor that is not a Page.Next, and
// ErrTooSlow where the search runs out of time; it never returns a page with runs missing.
func (s *Store) Runs(ctx context.Context, q Query) (*Page, error) {
	var after *key
	if q.Cursor != "" && q.Sort == "" {
		k, err := parseCursor(q.Cursor)
		if err != nil {
			return nil, err
		}
		after = &k
	}
	places := s.reads
	if q.Text != "" || q.Sort != "" {
		places = s.searches
	}
	leave, err := places.Enter(ctx, q.Workspace)
	if err != nil {
		return nil, err
	}
	defer leave()
	page, err := s.page(ctx, &q, after)
	if err != nil {
		return nil, fmt.Errorf("list runs of workspace %s: %w", q.Workspace, err)
	}
	return page, nil
}

func (s *Store) page(ctx context.Context, q *Query, after *key) (*Page, error) {
	page := &Page{Runs: []Run{}}
	if !utf8.ValidString(q.Text) { // no text contains it, and ClickHouse would read beyond its end
		return page, nil
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	r := s.read(q.Workspace, readRuns)
	if q.Sort != "" {
		return r.sorted(ctx, q, limit)
	}
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

// rows reads the runs of a page, in the order of keys.
func (r *reading) rows(ctx context.Context, keys []key) ([]Run, error) {
	condition, related := r.keys("page", keys), "run_id IN "+r.runs("page_runs", keys)
	found := make(map[key]*Run, len(keys))
	var feedback map[string]*Feedback
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return r.page(ctx, condition, found) })
	both.Go(func() (err error) { feedback, err = r.mergedFeedback(ctx, related, false); return err })
	if err := both.Wait(); err != nil {
		return nil, err
	}
	list := make([]Run, 0, len(keys))
	for _, k := range keys {
		if run := found[k]; run != nil { // it is nil where the run was deleted meanwhile
			run.Feedback = feedback[k.run]
			list = append(list, *run)
		}
	}
	return list, nil
}

// bounds returns the time range in milliseconds since 1970, half-open. Bounds outside the
// contract's times are cut to them.
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

// ceilMilli rounds a bound up to a millisecond, the precision of started_at.
func ceilMilli(t time.Time) int64 {
	milli := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) > 0 {
		milli++
	}
	return milli
}
