package history

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/condition"
)

// search finds the keys of a query's runs, the newest first.
//
// A query with FINAL cannot read backwards from the end of the table: it merges all rows that the
// rest of the key selects. So a search first looks for candidates without FINAL: rows whose
// snapshot meets the filters, older snapshots too. That reads only the rows down to the last
// candidate. A second query reads the candidates with FINAL and keeps those whose newest snapshot
// meets the filters and has no other key. Where it keeps few, FINAL reads the whole span instead.
// That happens to runs whose first snapshots were of the status running, until ClickHouse merges
// the parts.
//
// A search goes back in spans of time, each longer than the one before: candidates cost a block of
// each part of the table that the span touches, and without an app all rows of the span.
type search struct {
	r       *reading
	ordered bool     // source and app are bound: the table is in the order of the list
	fixed   string   // conditions that all rows of a key meet, or none does; without the span
	filters []string // conditions that only some rows of a key may meet
	query   *Query
	from    int64 // runs start at this time or later
	to      int64 // and before this one
	after   *key  // and come after this key in the list; nil: no condition
	stale   bool  // most candidates were superseded

	found []key
}

func newSearch(r *reading, q *Query, after *key) *search {
	s := &search{r: r, ordered: q.Source != "" && q.AppID != "", fixed: r.app(q.Source, q.AppID), query: q,
		after: after}
	s.from, s.to = q.bounds()
	if after != nil {
		s.to = min(s.to, after.started+1)
	}
	if len(q.RunIDs) > 0 {
		s.fixed += " AND run_id IN " + r.Texts("run_ids", q.RunIDs)
	}
	s.filters = slices.Concat(condition.Row(r.Binder, &q.Filters), condition.Run(r.Binder, &q.Filters),
		condition.Metadata(r.Binder, &q.Filters, ""))
	return s
}

const dayMilli = 24 * 60 * 60 * 1000

// spans are the days that a search goes back, one after the other; after the last one it goes back
// to the beginning.
var spans = [...]int64{1, 31, 92, 366}

// find returns the first n keys, or all where there are fewer.
func (s *search) find(ctx context.Context, n int) ([]key, error) {
	back := min(s.to, s.r.now.UnixMilli()) // the first span includes the runs after now
	for i := 0; s.from < s.to && len(s.found) < n; i++ {
		first := s.from
		if i < len(spans) {
			first = max(first, back-spans[i]*dayMilli)
		}
		if err := s.span(ctx, first, n); err != nil {
			return nil, err
		}
		s.to, s.after = first, nil
	}
	return s.found[:min(n, len(s.found))], nil
}

// The first query for candidates reads spareCandidates more than are needed, since some may be
// superseded. Where that was not enough, the next queries read moreCandidates.
const (
	spareCandidates = 16
	moreCandidates  = 1000
)

// span searches the runs that started at first or later, until n keys are found.
func (s *search) span(ctx context.Context, first int64, n int) error {
	for limit := n - len(s.found) + spareCandidates; !s.stale; limit = moreCandidates {
		keys, ended, err := s.candidates(ctx, first, limit)
		if err != nil || len(keys) == 0 {
			return err
		}
		last := keys[len(keys)-1]
		keys = slices.Compact(keys)
		all := len(keys)
		if keys, err = s.final(ctx, s.r.keys("candidates", keys), "run_id IN "+s.r.runs("candidate_runs", keys),
			all); err != nil {
			return err
		}
		s.stale = len(keys) < all/4
		if s.found = append(s.found, keys...); ended || len(s.found) >= n {
			return nil
		}
		s.after, s.to = &last, last.started+1
	}
	keys, err := s.final(ctx, s.started(first), "", n-len(s.found))
	s.found = append(s.found, keys...)
	return err
}

// started returns a condition on the key: it started at first or later, and the search has not
// reached it.
func (s *search) started(first int64) string {
	text := "started_at >= " + s.r.Milli("first", first) + " AND started_at < " + s.r.Milli("end", s.to)
	if a := s.after; a != nil {
		text += " AND (started_at < " + s.r.Milli("after", a.started) + " OR (run_id, source, app_id) < (" +
			s.r.Text("after_run", a.run) + ", " + s.r.Text("after_source", a.source) + ", " + s.r.Text("after_app", a.app) + "))"
	}
	return text
}

// candidates returns the next keys of rows that meet the filters, superseded rows too. Ended means
// that no further ones started at first or later.
func (s *search) candidates(ctx context.Context, first int64, limit int) (keys []key, ended bool, err error) {
	// Most runs have no feedback, so export.Unrated and export.NotThumbsDown filter nothing here.
	conditions := slices.Concat([]string{s.fixed, s.started(first)}, s.filters,
		condition.Judged(s.r.Binder, &s.query.Filters, inWorkspace))
	keys, err = s.keys(ctx, "runs WHERE NOT superseded AND "+strings.Join(conditions, " AND "), limit)
	return keys, len(keys) < limit, err
}

// final returns the keys of the runs whose key meets the condition ofKey and whose newest
// snapshot meets the filters, limit at most. Related narrows the feedback that it reads.
func (s *search) final(ctx context.Context, ofKey, related string, limit int) ([]key, error) {
	return s.keys(ctx, s.matching(ofKey, related), limit)
}

// matching is a FROM of the runs whose key meets the condition ofKey and whose newest snapshot meets
// the filters.
func (s *search) matching(ofKey, related string) string {
	filters := slices.Clone(s.filters)
	judged := s.query.Filters
	switch judged.Rating {
	case export.Unrated:
		judged.Rating = ""
		filters = append(filters, "run_id NOT IN (SELECT run_id FROM ("+mergedFeedback("run_id", related, false)+"))")
	case export.NotThumbsDown:
		judged.Rating = ""
		filters = append(filters, "run_id NOT IN (SELECT run_id FROM ("+
			mergedFeedback("run_id, feedback_rating", related, false)+") WHERE feedback_rating = 'thumbsDown')")
	}
	if conditions := condition.Feedback(s.r.Binder, &judged, ""); len(conditions) > 0 {
		filters = append(filters, "run_id IN (SELECT run_id FROM ("+
			mergedFeedback("run_id, feedback_rating, feedback_score, feedback_tags, feedback_scores", related, false)+
			") WHERE "+strings.Join(conditions, " AND ")+")")
	}
	return strings.Join(append([]string{latest("runs", s.fixed+" AND "+ofKey)}, filters...), " AND ")
}

// keys reads keys in the order of the list.
func (s *search) keys(ctx context.Context, from string, limit int) ([]key, error) {
	order := "started_at DESC, run_id DESC"
	if !s.ordered {
		order += ", source DESC, app_id DESC"
	}
	sql := "SELECT toUnixTimestamp64Milli(started_at), run_id, source, app_id FROM " + from +
		"\nORDER BY " + order + " LIMIT " + s.r.Count("at_most", int64(limit))
	return s.r.scanKeys(ctx, sql)
}
