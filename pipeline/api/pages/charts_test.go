package pages

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/history"
)

func TestARangeThatHasNoRunsOffersThoseThatThereAre(t *testing.T) {
	t.Parallel()
	base := url.Values{"source": {"copilot"}, "app": {"helpdesk"}}
	for _, c := range []struct {
		query  string
		newest time.Time
		key    string
		from   time.Time
		older  string
	}{
		{"", noon.Add(-time.Hour), "14d", noon.Add(-14 * day), ""},
		{"", noon.Add(-15 * day), "all", time.Time{}, ""},
		{"range=24h", noon.Add(-25 * time.Hour), "24h", noon.Add(-day), "from=2026-11-23T11%3A01%3A00Z"},
		{"range=all", noon, "all", time.Time{}, ""},
		{"range=nonsense", noon, "14d", noon.Add(-14 * day), ""},
		{"range=1h&from=2026-11-01", noon, custom, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), ""},
	} {
		q, err := url.ParseQuery(c.query + "&" + base.Encode())
		if err != nil {
			t.Fatal(err)
		}
		f := parseFilters(q)
		r := f.setRange(q, noon, c.newest)
		if r.Key != c.key || !f.From.Equal(c.from) || (r.Older == "") != (c.older == "") ||
			!strings.Contains(r.Older, c.older) {
			t.Errorf("%q, newest %s: %+v from %s", c.query, c.newest, r, f.From)
		}
	}
}

func TestChartsShowTheirNumbersAsTextToo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.charts = history.Charts{Step: time.Hour, Total: history.Bucket{Runs: 5276, Failed: 210, P50: 2500, P95: 3000,
		ThumbsUp: 2001, ThumbsDown: 3275, CostUSD: 36.85, Costed: 5276}, Buckets: []history.Bucket{
		{Start: noon, Runs: 5276, Failed: 210, P50: 2500, P95: 3000, ThumbsUp: 2001, ThumbsDown: 3275, CostUSD: 36.85,
			Costed: 5276}, {Start: noon.Add(time.Hour)}}}
	text := s.page("/history?source=copilot&app=helpdesk")
	has(t, text, "5,276 runs", "210 failed · 4.0%", "p50 · p95 3.0 s", "38% up", "2,001 up · 3,275 down", "$36.85",
		"$6.98 per 1,000 runs", `<title>Nov 25, 12:00: 5,276 runs, 210 failed</title>`,
		`from=2026-11-25T12%3A00%3A00Z&amp;source=copilot&amp;to=2026-11-25T13%3A00%3A00Z`, `data-testid="chart-numbers"`)
	s.charts = history.Charts{Step: time.Hour, Buckets: []history.Bucket{{Start: noon}}}
	has(t, s.page("/history?source=copilot&app=helpdesk"), "0 runs")
}

func TestAChartHasAsManyBarsAsFit(t *testing.T) {
	t.Parallel()
	for span, want := range map[time.Duration]time.Duration{time.Hour: 2 * time.Minute, day: 30 * time.Minute,
		14 * day: 6 * time.Hour, 120 * day: 7 * day, 20000 * day: 364 * day, time.Second: time.Second} {
		q, step := charted(history.Query{From: noon.Add(-span)}, noon, time.Time{}, noon.Add(-time.Minute))
		if step != want || !q.To.Equal(noon) {
			t.Errorf("%s: bars of %s up to %s, want %s", span, step, q.To, want)
		}
	}
	q, _ := charted(history.Query{}, noon, noon.Add(-day), noon.Add(time.Hour))
	if !q.From.Equal(noon.Add(-day)) || !q.To.After(noon.Add(time.Hour)) {
		t.Errorf("of all, with a run of a clock that is ahead: %s to %s", q.From, q.To)
	}
}
