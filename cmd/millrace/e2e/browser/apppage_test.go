package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// busy are n runs of recipe busy, one each ten minutes up to a time. Each fourth has failed; the later
// a run, the longer it took and the less it cost.
func busy(workspace string, n int, newest time.Time) (lines []string) {
	for i := range n {
		at := newest.Add(time.Duration(i+1-n) * 10 * time.Minute)
		outcome := `"status":"succeeded","answer":"done"`
		if i%4 == 0 {
			outcome = `"status":"failed","error":{"type":"timeout","message":"the model did not answer"}`
		}
		lines = append(lines, fmt.Sprintf(
			`{"type":"dev.millrace.run.v1","workspace_id":%q,"run_id":"b-%03d","source":"recipe","app_id":"busy","app_version":"v1","model":"gpt","started_at":%q,"ended_at":%q,%s,"question":"Job %d?","cost_usd":%g,"usage":{"input_tokens":1000,"output_tokens":%d}}`,
			workspace, i, at.Format(time.RFC3339), at.Add(time.Duration(i+1)*time.Second).Format(time.RFC3339), outcome, i,
			0.5-0.001*float64(i), i))
		if i%2 == 0 {
			lines = append(lines, fmt.Sprintf(
				`{"type":"dev.millrace.feedback.v1","workspace_id":%q,"run_id":"b-%03d","feedback_id":"f","rating":"thumbsUp","score":0}`,
				workspace, i))
		}
	}
	return lines
}

// rows are the runs of the table, in its order.
const rows = `[...document.querySelectorAll('[data-testid=run-row]')].map(r => r.dataset.run).join()`

func theAppPage(t *testing.T, p *pagesUnderTest) {
	const n = 120
	publishLines(t, p, "busy", busy("busy", n, time.Now().Add(-time.Hour)), n)
	publishLines(t, p, "past", busy("past", n, time.Now().AddDate(0, 0, -40)), n)
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM feedback_latest WHERE workspace_id IN ('busy', 'past')": n})
	b := person(t, p, p.url, "busy")
	const page = "/history?source=recipe&app=busy"
	b.looks(scene{"app", page, nil}, scene{"app-columns", page, func(b *tab) {
		b.click("columns")
		b.wait(`document.querySelector('#columns:popover-open')`)
	}}, scene{"app-numbers", page + "&range=7d", func(b *tab) {
		b.click("[data-testid=chart-numbers] summary")
		b.wait(`document.querySelector('[data-testid=chart-numbers]').open`)
	}})
	b.looks(scene{"app-completions", page, func(b *tab) {
		b.fill("filter-text", "err")
		b.wait(options + ` === 'error_type:'`)
		b.press(kb.ArrowDown)
	}}, scene{"app-search-mistake", page + "&search=stauts:failed", func(b *tab) {
		b.expect("400")
		b.reads("search-error", "do you mean status?")
	}})
	for _, width := range []int64{360, 780, 1440} { // charts that come later take the place that was kept for them
		b.width(width)
		b.open(page)
		evaluate[bool](b, watchShifts)
		b.wait(`document.querySelector('[data-of=runs] svg')`)
		if shifts := evaluate[string](b, `new Promise(r => requestAnimationFrame(() => setTimeout(() => r(window.shifts))))`); shifts != "" {
			t.Errorf("at %d pixels, the page has shifted:%s", width, shifts)
		}
	}
	theSearchBox(b, page)
	b.open(page)
	b.reads("total", "120 runs")
	b.reads("[data-of=runs]", "30 failed · 25.0%")
	b.reads("[data-of=feedback]", "60 up · 0 down")
	b.reads("[data-of=cost]", "$52.86")
	b.reads("[data-run=b-118]", "score 0")
	if height := evaluate[float64](b, `document.querySelector('[data-testid=run-row]').offsetHeight`); height > 37 {
		t.Errorf("a row is %v pixels high", height)
	}

	b.leave(func() { b.click("range-1h") })
	b.reads("older", "No run is of the last hour")
	b.leave(func() { b.click("show-older") })
	b.reads("total", "6 runs")

	b.open(page + "&range=24h")
	b.leave(func() { b.click("sort-Cost") })
	if first := evaluate[string](b, rows); !strings.HasPrefix(first, "b-000,b-001,") {
		t.Errorf("the dearest are %.40s", first)
	}
	b.leave(func() { b.click("sort-Latency") })
	if first := evaluate[string](b, rows); !strings.HasPrefix(first, "b-119,b-118,") {
		t.Errorf("the slowest are %.40s", first)
	}
	b.leave(func() { b.click("page-next") })
	if first := evaluate[string](b, rows); !strings.HasPrefix(first, "b-069,") {
		t.Errorf("the next slowest are %.40s", first)
	}

	b.open(page + "&range=24h")
	b.wait(`document.querySelector('[data-of=runs] svg')`)
	drag := evaluate[[]float64](b, `(() => { const r = document.querySelector('[data-of=runs] svg').getBoundingClientRect();
		return [r.x + r.width * 0.3, r.x + r.width * 0.7, r.y + 30] })()`)
	b.leave(func() { b.drag(drag[0], drag[1], drag[2]) })
	b.wait(`new URLSearchParams(location.search).has('from') && new URLSearchParams(location.search).has('to')`)
	b.wait(`document.querySelector('[data-of=runs] svg')`)
	count := evaluate[string](b, `document.querySelector('[data-testid=total]').innerText`)
	if count == "120 runs" || count == "0 runs" {
		t.Errorf("a drag chooses %s", count)
	}
	last := evaluate[[]float64](b, `(() => { const all = [...document.querySelectorAll('[data-of=runs] .bar-runs')];
		const r = all.at(-1).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`)
	b.leave(func() { b.do(chromedp.MouseClickXY(last[0], last[1])) })
	b.wait(`document.querySelector('[data-of=runs] svg')`)
	if got := evaluate[string](b, `document.querySelector('[data-testid=total]').innerText`); got == count {
		t.Errorf("a click on a bar leaves %s", got)
	}

	// Columns are remembered, also without a script.
	b.scripts(false)
	b.open(page)
	b.click("columns")
	b.click("column-latency")
	b.click("column-model")
	b.leave(func() { b.click("columns-save") })
	b.open("/history?source=recipe&app=busy&range=all")
	head := evaluate[string](b, `document.querySelector('#runs thead').innerText`)
	if strings.Contains(head, "Latency") || !strings.Contains(head, "Model") || !strings.Contains(head, "Error") ||
		strings.Contains(head, "Files") {
		t.Errorf("the columns are %q", head)
	}
	b.scripts(true)

	old := person(t, p, p.url, "past")
	old.open(page)
	old.reads("total", "120 runs")
	old.wait(`document.querySelector('[data-testid=range-all]').ariaCurrent`)
	answer := e2etest.Endpoint{URL: p.url}.In("past").Get(t, page+"&range=14d").Want(t, http.StatusOK)
	if text := string(answer.Body); !strings.Contains(text, "No run passes") || !strings.Contains(text, `data-testid="older"`) {
		t.Error("a preset without runs does not offer those that there are")
	}
}

// options are the completions of the search box.
const options = `[...document.querySelectorAll('[data-testid=completions] [role=option] .mono')].map(o => o.innerText).join()`

// theSearchBox completes keys and values by keys alone, and shows what was found; without a script too.
func theSearchBox(b *tab, page string) {
	b.Helper()
	b.open(page)
	b.click("filter-text")
	b.wait(options + `.startsWith('status:,version:,rating:,latency>,')`)
	b.press("stat")
	b.wait(options + ` === 'status:'`)
	b.press(kb.ArrowDown)
	b.enter()
	b.wait(options + ` === 'status:running,status:succeeded,status:failed,status:cancelled'`)
	b.press(kb.ArrowUp)
	b.press(kb.ArrowUp)
	b.wait(`document.activeElement.getAttribute('aria-activedescendant') === 'completion-2'`)
	b.press(kb.Tab)
	b.press("err")
	b.wait(options + ` === 'error_type:'`)
	b.press(kb.ArrowDown)
	b.enter()
	b.wait(options + ` === 'error_type:timeout'`)
	b.press(kb.Escape)
	b.wait(`document.querySelector('[data-testid=completions]').hidden && document.activeElement.value.endsWith('error_type:')`)
	b.press("timeout latency>100s \"Job 1\"")
	b.leave(func() { b.enter() })
	b.reads("total", "5 runs") // 100, 104, 108, 112 and 116
	b.wait(`location.search.includes('min_latency_ms=100000') && document.querySelector('#f-search').value === 'Job 1'`)
	b.scripts(false)
	b.open(page)
	b.fill("filter-text", "version:v1 rating:none Job")
	b.leave(func() { b.enter() })
	if where := evaluate[string](b, `location.search`); !strings.HasSuffix(where, "feedback=none&q=Job&source=recipe&version=v1") {
		b.Errorf("the address without a script is %s", where)
	}
	b.scripts(true)
}

// enter presses Enter, which does what a page does with it, and nothing else where the page takes it.
func (b *tab) enter() {
	b.Helper()
	for _, kind := range []input.DispatchKeyEventType{kb.KeyDown, kb.KeyUp} {
		_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: "Enter",
			Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13})
		b.must(err)
	}
}

// reads waits until an element contains a text.
func (b *tab) reads(id, text string) {
	b.Helper()
	b.wait(`document.querySelector(%q)?.innerText.replace(/\s+/g, ' ').includes(%q)`, hook(id), text)
}

// drag moves the mouse with its button pressed.
func (b *tab) drag(from, to, y float64) {
	b.Helper()
	b.do(chromedp.MouseEvent(chromedp.MousePressed, from, y, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, (from+to)/2, y, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, to, y, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseReleased, to, y, chromedp.ButtonLeft))
}
