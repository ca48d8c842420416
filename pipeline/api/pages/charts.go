package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/history"
)

// The size of a chart in units of its drawing.
const (
	chartWidth  = 1000
	chartHeight = 72
)

// charts are the charts of the app page. They are absent where counting takes long: a script then
// fetches them.
type charts struct {
	Total   history.Bucket
	Cards   []chartCard
	Numbers []chartNumbers
	Step    string
	Step1   int64 // in milliseconds
	Origin  int64 // the start of the first bar, in milliseconds since 1970
	Bars    int
	Away    string // the address that the charts are at, where they are absent
	Wait    string // the address of the page that waits for them
}

// chartCard is a chart with its numbers.
type chartCard struct {
	Key, Title, Big, Small string
	Bars                   []chartBar
	Lines                  []chartLine
	Hits                   []chartHit
	Left, Middle, Right    string // below the chart
}

type chartBar struct {
	Kind                string
	X, Y, Width, Height int
}

// chartLine is a line through the middles of buckets. It has a gap where a bucket is empty.
type chartLine struct{ Kind, Path string }

// chartHit is the part of a chart that is clicked for a bucket.
type chartHit struct {
	X, Width       int
	Title, Address string
}

// chartNumbers are the numbers of a bucket, as texts.
type chartNumbers struct {
	Start                            time.Time
	Address                          string
	Runs, Failed, P50, P95, Up, Down string
	Cost                             string
}

func newCharts(c *history.Charts, f *filters) *charts {
	n := len(c.Buckets)
	if n == 0 {
		return &charts{}
	}
	view := &charts{Total: c.Total, Step: spanName(c.Step), Step1: c.Step.Milliseconds(), Bars: n,
		Origin: c.Buckets[0].Start.UnixMilli()}
	hits := make([]chartHit, n)
	for i, b := range c.Buckets {
		x := i * chartWidth / n
		hits[i] = chartHit{X: x, Width: (i+1)*chartWidth/n - x, Address: bucketAddress(f, b.Start, c.Step)}
	}
	view.Cards = []chartCard{runsCard(c), latencyCard(c), feedbackCard(c), costCard(c)}
	for i := range view.Cards {
		card := &view.Cards[i]
		card.Hits = make([]chartHit, n)
		for j, b := range c.Buckets {
			card.Hits[j] = hits[j]
			card.Hits[j].Title = b.Start.Format("Jan 2, 15:04") + ": " + bucketText(card.Key, &b)
		}
		card.Left, card.Right = moment(c.Buckets[0].Start, c.Step), moment(c.Buckets[n-1].Start.Add(c.Step), c.Step)
	}
	for i, b := range c.Buckets {
		if b.Runs == 0 {
			continue
		}
		view.Numbers = append(view.Numbers, chartNumbers{Start: b.Start, Address: hits[i].Address, Runs: number(b.Runs),
			Failed: number(b.Failed), P50: latencyText(b.P50), P95: latencyText(b.P95), Up: number(b.ThumbsUp),
			Down: number(b.ThumbsDown), Cost: costText(&b)})
	}
	return view
}

// bucketAddress is the address of the runs of a bucket.
func bucketAddress(f *filters, start time.Time, step time.Duration) string {
	q := f.values()
	q.Del("range")
	q.Set("from", stamp(start))
	q.Set("to", stamp(start.Add(step)))
	return address("/history", q)
}

func moment(t time.Time, step time.Duration) string {
	if step >= 3*time.Hour {
		return t.Format("Jan 2")
	}
	return t.Format("Jan 2, 15:04")
}

// spanName names the span of a bar, such as 6 h.
func spanName(d time.Duration) string {
	switch {
	case d >= day:
		return plural(int64(d/day), "day", "days")
	case d >= time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

func latencyText(ms float64) string {
	if ms == 0 {
		return "–"
	}
	return millis(ms)
}

func costText(b *history.Bucket) string {
	if b.Costed == 0 {
		return "–"
	}
	return cost(b.CostUSD)
}

func bucketText(key string, b *history.Bucket) string {
	switch key {
	case "latency":
		return "p50 " + latencyText(b.P50) + ", p95 " + latencyText(b.P95)
	case "feedback":
		return number(b.ThumbsUp) + " up, " + number(b.ThumbsDown) + " down"
	case "cost":
		return costText(b)
	}
	return plural(b.Runs, "run", "runs") + ", " + number(b.Failed) + " failed"
}

// stack adds bars of two numbers, one on the other, for each bucket.
func stack(c *history.Charts, lower, upper string,
	of func(b *history.Bucket) (lower, upper float64)) (bars []chartBar) {
	most, n := 0.0, len(c.Buckets)
	for i := range c.Buckets {
		x, y := of(&c.Buckets[i])
		most = max(most, x+y)
	}
	if most == 0 {
		return nil
	}
	for i := range c.Buckets {
		x := i * chartWidth / n
		width := max(1, (i+1)*chartWidth/n-x-3)
		low, high := of(&c.Buckets[i])
		height := func(v float64) int {
			if v == 0 {
				return 0
			}
			return max(2, int(v*chartHeight/most))
		}
		first := height(low)
		second := min(height(high), chartHeight-first)
		if first > 0 {
			bars = append(bars, chartBar{lower, x, chartHeight - first, width, first})
		}
		if second > 0 {
			bars = append(bars, chartBar{upper, x, chartHeight - first - second, width, second})
		}
	}
	return bars
}

func runsCard(c *history.Charts) chartCard {
	card := chartCard{Key: "runs", Title: "Runs", Big: number(c.Total.Runs), Middle: "drag to choose a time"}
	if c.Total.Runs > 0 {
		card.Small = fmt.Sprintf("%s failed · %.1f%%", number(c.Total.Failed),
			float64(c.Total.Failed)*100/float64(c.Total.Runs))
	}
	card.Bars = stack(c, "runs", "failed", func(b *history.Bucket) (lower, upper float64) {
		return float64(b.Runs - b.Failed), float64(b.Failed)
	})
	return card
}

func feedbackCard(c *history.Charts) chartCard {
	t := &c.Total
	card := chartCard{Key: "feedback", Title: "Feedback", Big: "none", Middle: "click a bar to filter"}
	if rated := t.ThumbsUp + t.ThumbsDown; rated > 0 {
		card.Big = fmt.Sprintf("%d%% up", percent(t.ThumbsUp, rated))
		card.Small = fmt.Sprintf("%s up · %s down", number(t.ThumbsUp), number(t.ThumbsDown))
	}
	card.Bars = stack(c, "up", "down", func(b *history.Bucket) (lower, upper float64) {
		return float64(b.ThumbsUp), float64(b.ThumbsDown)
	})
	return card
}

func costCard(c *history.Charts) chartCard {
	card := chartCard{Key: "cost", Title: "Cost", Big: "none", Middle: "per " + spanName(c.Step)}
	if c.Total.Costed > 0 {
		card.Big = cost(c.Total.CostUSD)
		card.Small = cost(c.Total.CostUSD*1000/float64(c.Total.Costed)) + " per 1,000 runs"
	}
	card.Bars = stack(c, "cost", "cost", func(b *history.Bucket) (lower, upper float64) { return b.CostUSD, 0 })
	return card
}

func latencyCard(c *history.Charts) chartCard {
	card := chartCard{Key: "latency", Title: "Latency", Big: "none", Middle: "p50 / p95"}
	if c.Total.P95 > 0 {
		card.Big, card.Small = latencyText(c.Total.P50), "p50 · p95 "+latencyText(c.Total.P95)
	}
	most := 0.0
	for _, b := range c.Buckets {
		most = max(most, b.P95)
	}
	if most == 0 {
		return card
	}
	line := func(kind string, of func(b *history.Bucket) float64) chartLine {
		var path strings.Builder
		move := true
		for i := range c.Buckets {
			b := &c.Buckets[i]
			if b.P95 == 0 {
				move = true
				continue
			}
			x, y := (2*i+1)*chartWidth/(2*len(c.Buckets)), chartHeight-2-int(of(b)*(chartHeight-6)/most)
			if move {
				fmt.Fprintf(&path, "M%d %dh2", x-1, y) // a point of its own is seen too
			} else {
				fmt.Fprintf(&path, "L%d %d", x, y)
			}
			move = false
		}
		return chartLine{kind, path.String()}
	}
	card.Lines = []chartLine{line("p50", func(b *history.Bucket) float64 { return b.P50 }),
		line("p95", func(b *history.Bucket) float64 { return b.P95 })}
	return card
}

// A page waits for its charts until it has taken pageTime, but for leastPatience at least.
const (
	pageTime      = 120 * time.Millisecond
	leastPatience = 30 * time.Millisecond
)

// count counts the runs that the filters select.
func (p *Pages) count(ctx context.Context, workspace string, f *filters, newest time.Time) (*charts, error) {
	first := time.Time{}
	if f.From.IsZero() {
		var err error
		if first, err = p.runs.FirstRun(ctx, workspace, f.Source, f.App); err != nil {
			return nil, err
		}
	}
	q, step := charted(f.query(workspace), p.now().UTC(), first, newest)
	found, err := p.runs.Charts(ctx, q, step)
	if err != nil {
		return nil, err
	}
	return newCharts(found, f), nil
}

// patientCharts counts, after the list of the page: beside each other, both would come later. It waits only so long
// since the page began: then it returns charts that are elsewhere.
func (p *Pages) patientCharts(r *http.Request, workspace string, f filters, newest, began time.Time) (*charts, error) {
	if r.URL.Query().Get("charts") == "wait" {
		return p.count(r.Context(), workspace, &f, newest)
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	timer := time.AfterFunc(max(leastPatience, pageTime-time.Since(began)), func() { cancel(errImpatient) })
	defer timer.Stop()
	c, err := p.count(ctx, workspace, &f, newest)
	if err != nil && errors.Is(context.Cause(ctx), errImpatient) {
		wait := f.values()
		wait.Set("charts", "wait")
		return &charts{Away: address("/history/charts", f.values()), Wait: address("/history", wait)}, nil
	}
	return c, err
}

var errImpatient = errors.New("the page waits no longer for its charts")

// showCharts answers with the charts alone, for the script of a page that did not wait for them.
func (p *Pages) showCharts(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	f, app, err := p.listed(r, c)
	if err != nil {
		return err
	}
	f.setRange(r.URL.Query(), p.now().UTC(), app.LastRunAt)
	found, err := p.count(r.Context(), c.Workspace, &f, app.LastRunAt)
	if err != nil {
		return err
	}
	return p.render(w, r, view{template: "charts.html", data: found})
}
