package pages

import (
	"net/url"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/history"
)

// preset is a time range that ends now.
type preset struct {
	Key, Label, About string
	ago               time.Duration // 0: since the first run
}

const day = 24 * time.Hour

var presets = []preset{
	{"1h", "1 h", "last hour", time.Hour}, {"24h", "24 h", "last 24 hours", day}, {"7d", "7 d", "last 7 days", 7 * day},
	{"14d", "14 d", "last 14 days", 14 * day}, {"all", "All", "whole history", 0},
}

// custom is the range of an address that has times.
const custom = "custom"

// timeRange is the range of time of the page.
type timeRange struct {
	Key     string // of the preset, or custom
	About   string
	Presets []rangeLink
	// Older is the address of the same span of time up to the newest run, where the preset has no run;
	// "" where it has some, or where there is none to show.
	Older string
}

// rangeLink is a preset with its address.
type rangeLink struct {
	preset
	Address string
	On      bool
}

// setRange chooses the range of time. An address that names none has that of the last 14 days, or all
// of it where the newest run is older.
func (f *filters) setRange(q url.Values, now, newest time.Time) timeRange {
	r := timeRange{Key: custom, About: "chosen time"}
	named := q.Get("range")
	chosen := preset{}
	if f.FromText == "" && f.ToText == "" {
		i := slices.IndexFunc(presets, func(p preset) bool { return p.Key == named })
		switch {
		case i >= 0:
			f.Range = named
		case newest.Before(now.Add(-14 * day)):
			i = len(presets) - 1
		default:
			i = len(presets) - 2
		}
		chosen = presets[i]
		r.Key, r.About = chosen.Key, chosen.About
		if chosen.ago > 0 {
			f.From = now.Add(-chosen.ago)
			r.Older = f.older(chosen, newest)
		}
	}
	for _, p := range presets {
		to := f.values()
		to.Del("from")
		to.Del("to")
		to.Set("range", p.Key)
		r.Presets = append(r.Presets, rangeLink{p, address("/history", to), p.Key == r.Key})
	}
	return r
}

func (f *filters) older(p preset, newest time.Time) string {
	if newest.IsZero() || !newest.Before(f.From) {
		return ""
	}
	q := f.values()
	q.Del("range")
	end := newest.Truncate(time.Minute).Add(time.Minute)
	q.Set("from", end.Add(-p.ago).Format(time.RFC3339))
	q.Set("to", end.Format(time.RFC3339))
	return address("/history", q)
}

// steps are the spans of time that charts have bars of.
var steps = []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute,
	5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour,
	12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 28 * day, 91 * day, 364 * day}

// maxBars is how many bars a chart has at most, but of very long times.
const maxBars = 60

// charted returns the query of the charts, with both ends, and the span of a bar.
func charted(q history.Query, now, first, newest time.Time) (history.Query, time.Duration) {
	if q.From.IsZero() {
		q.From = first
	}
	if q.To.IsZero() { // a clock may be ahead of ours
		if q.To = now; !newest.Before(now) {
			q.To = newest.Add(time.Millisecond)
		}
	}
	for _, step := range steps {
		if q.To.Sub(q.From) <= (maxBars-1)*step {
			return q, step
		}
	}
	return q, steps[len(steps)-1]
}
