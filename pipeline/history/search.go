package history

import (
	"context"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// search finds the keys of a query's runs, the newest first.
//
// FINAL cannot be read from a table's end, and merges all that the rest of the key leaves. So a search looks for
// candidates without it: rows whose snapshot meets the filters, of which the newest of the run is one if it does. That
// reads no more than what lies before the last of them. Then FINAL reads the candidates, to leave those whose newest
// snapshot it was. Where most were superseded, which happens to runs that were running until the parts are merged, FINAL
// reads all of a span instead.
//
// It goes back in spans of time, each longer than the one before, since candidates cost a block of each part of
// the table that the span touches, and without an app all rows of the span.
type search struct {
	r       *reading
	ordered bool     // source and app are bound: the table is in the order of the list
	fixed   string   // conditions that all snapshots of a run meet, or none; of the span aside
	filters []string // conditions that only some may
	rating  string
	from    int64 // no run started before
	to      int64 // all started before
	after   *key  // nor from here on
	verify  bool  // whether a candidate may not be one of the runs
	stale   bool  // whether most were not

	found []key
}

func newSearch(r *reading, q *Query, after *key) *search {
	s := &search{r: r, ordered: q.Source != "" && q.AppID != "", fixed: r.app(q.Source, q.AppID), rating: q.Rating, after: after}
	s.from, s.to = q.bounds()
	if after != nil {
		s.to = min(s.to, after.started+1)
	}
	if len(q.RunIDs) > 0 {
		s.fixed += " AND run_id IN " + r.Texts("run_ids", q.RunIDs)
	}
	if len(q.Statuses) > 0 {
		s.filters = append(s.filters, "status IN "+r.Texts("statuses", q.Statuses))
	}
	if len(q.Versions) > 0 {
		s.filters = append(s.filters, "app_version IN "+r.Texts("versions", q.Versions))
	}
	if q.SessionID != "" {
		s.filters = append(s.filters, "session_id = "+r.Text("session", q.SessionID))
	}
	if q.Text != "" {
		s.filters = append(s.filters, "positionCaseInsensitiveUTF8(question, "+r.Text("text", q.Text)+") > 0")
	}
	if q.Rating != "" {
		r.Text("rating", q.Rating)
	}
	s.verify = s.filters != nil || s.rating != ""
	return s
}

const dayMilli = 24 * 60 * 60 * 1000

// spans are how far a search goes back, in days; after the last one, to the beginning.
var spans = [...]int64{1, 31, 92, 366}

// find returns the first n keys, or all if there are fewer.
func (s *search) find(ctx context.Context, n int) ([]key, error) {
	back := min(s.to, s.r.now.UnixMilli()) // the first span has all that is later
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

// candidates are how many a search reads at most with a query: a few more than are wanted, as some may be superseded;
// then more, since they were.
const (
	spareCandidates = 16
	moreCandidates  = 1000
)

// span looks through what started from first on, until n keys are found.
func (s *search) span(ctx context.Context, first int64, n int) error {
	for atMost := n - len(s.found) + spareCandidates; !s.stale; atMost = moreCandidates {
		keys, ended, err := s.candidates(ctx, first, atMost)
		if err != nil || len(keys) == 0 {
			return err
		}
		last := keys[len(keys)-1]
		keys = slices.Compact(keys)
		if s.verify {
			all := len(keys)
			if keys, err = s.final(ctx, s.r.keys("candidates", keys), "run_id IN "+s.r.runs("candidate_runs", keys), all); err != nil {
				return err
			}
			s.stale = len(keys) < all/4
		}
		if s.found = append(s.found, keys...); ended || len(s.found) >= n {
			return nil
		}
		s.after, s.to = &last, last.started+1
	}
	keys, err := s.final(ctx, s.started(first), "", n-len(s.found))
	s.found = append(s.found, keys...)
	return err
}

// started is a condition on the key: first or later, and after where the search has come to.
func (s *search) started(first int64) string {
	condition := "started_at >= " + s.r.Milli("first", first) + " AND started_at < " + s.r.Milli("end", s.to)
	if a := s.after; a != nil {
		condition += " AND (started_at < " + s.r.Milli("after", a.started) + " OR (run_id, source, app_id) < (" +
			s.r.Text("after_run", a.run) + ", " + s.r.Text("after_source", a.source) + ", " + s.r.Text("after_app", a.app) + "))"
	}
	return condition
}

// candidates returns the next keys of rows that meet the filters, superseded ones too, and whether these are
// the last that started from first on.
func (s *search) candidates(ctx context.Context, first int64, atMost int) (keys []key, ended bool, err error) {
	conditions := append([]string{s.fixed, s.started(first)}, s.filters...)
	if s.rating != "" && s.rating != unrated {
		// Not the newest feedback, but that is one of them. Of runs without any there are so many that it need not be looked at.
		conditions = append(conditions, "run_id IN (SELECT run_id FROM feedback WHERE "+inWorkspace+" AND node_id = '' AND rating = unhex({rating:String}))")
	}
	keys, err = s.keys(ctx, "runs WHERE "+strings.Join(conditions, " AND "), atMost)
	return keys, len(keys) < atMost, err
}

// unrated is the rating of runs that nobody judged as a whole.
const unrated = "none"

// final returns the keys, so many at most, of the runs whose key meets a condition and whose newest snapshot meets the
// filters. Related narrows their feedback.
func (s *search) final(ctx context.Context, condition, related string, atMost int) ([]key, error) {
	filters := slices.Clone(s.filters)
	if s.rating != "" {
		judged := "(SELECT run_id FROM (" + newestFeedback("run_id, rating", related) + ")"
		if s.rating == unrated {
			filters = append(filters, "run_id NOT IN "+judged+")")
		} else {
			filters = append(filters, "run_id IN "+judged+" WHERE rating = unhex({rating:String}))")
		}
	}
	from := "runs FINAL PREWHERE " + s.fixed + " AND " + condition
	if filters != nil {
		from += " WHERE " + strings.Join(filters, " AND ")
	}
	return s.keys(ctx, from, atMost)
}

// keys reads keys in the order of the list.
func (s *search) keys(ctx context.Context, from string, atMost int) (keys []key, err error) {
	order := "started_at DESC, run_id DESC"
	if !s.ordered {
		order += ", source DESC, app_id DESC"
	}
	sql := "SELECT toUnixTimestamp64Milli(started_at), run_id, source, app_id FROM " + from +
		"\nORDER BY " + order + " LIMIT " + s.r.Count("at_most", int64(atMost))
	err = s.r.each(ctx, sql, func(rows driver.Rows) error {
		var k key
		err := rows.Scan(&k.started, &k.run, &k.source, &k.app)
		keys = append(keys, k)
		return err
	})
	return keys, err
}
