package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// watchShifts is JavaScript that collects in window.shifts which elements move without a person's
// doing, and from where to where. It has those that moved before it was run, but not while the page was parsed: a
// browser that paints half a page moves what the other half makes wider.
const watchShifts = `window.shifts = '', new PerformanceObserver(l => { for (const e of l.getEntries()) {
	if (e.hadRecentInput || e.startTime < performance.getEntriesByType('navigation')[0].domInteractive) continue;
	const at = r => [r.x, r.y, r.width, r.height].map(Math.round).join(' ');
	for (const s of e.sources) window.shifts += '\n' + Math.round(e.startTime) + ' ms: ' +
		(s.node?.outerHTML ?? s.node?.textContent ?? 'gone').slice(0, 120) + ' from ' + at(s.previousRect) + ' to ' + at(s.currentRect);
} }).observe({type: 'layout-shift', buffered: true}), true`

// columns is JavaScript that says where the columns of the table of exports are, and how wide.
const columns = `[...document.querySelectorAll('#exports th')].map(h => h.getBoundingClientRect()).
	map(r => [r.x, r.width].join(' ')).join()`

// stays fails the test if a change of the texts of a row moves the columns, or makes the row higher.
func (b *tab) stays(fields map[string]string) {
	b.Helper()
	change, err := json.Marshal(fields)
	b.must(err)
	if moved := evaluate[string](b, fmt.Sprintf(`(() => {
		const row = document.querySelector('[data-testid=export-row]'), at = () => %s + ' ' + row.offsetHeight;
		const before = at(), was = {};
		for (const [name, text] of Object.entries(%s)) {
			const field = row.querySelector('[data-field=' + name + ']');
			was[name] = field.textContent;
			field.textContent = text;
		}
		const after = at();
		for (const [name, text] of Object.entries(was)) row.querySelector('[data-field=' + name + ']').textContent = text;
		return before === after ? '' : before + ' to ' + after })()`, columns, change)); moved != "" {
		b.Errorf("the columns, or the height of the row, move with %s: from %s", change, moved)
	}
}

func cancelAndDelete(t *testing.T, p *pagesUnderTest) {
	const rows = 3000
	var lines []string
	for i := range rows {
		at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second).Format(time.RFC3339)
		lines = append(lines, fmt.Sprintf(
			`{"type":"dev.millrace.run.v1","workspace_id":"long","run_id":"r-%04d","source":"copilot","app_id":"desk","started_at":%q,"status":"succeeded","question":"q","answer":"a"}`, i, at))
	}
	publishLines(t, p, "long", lines, rows)
	b := person(t, p, p.url, "long")
	api := e2etest.Endpoint{URL: p.url}.In("long")
	const request = `{"name":%q,"purpose":"export_dataset","source":"copilot","app_id":"desk",%s}`
	long := file(t, api, request, "Windows of one run",
		fmt.Sprintf(`"selection":{"limit":%d},"fragment":{"max_records":1}`, rows))
	b.open("/exports/" + long)
	evaluate[bool](b, `window.since = 'it was filed', true`)
	b.wait(`Number(document.querySelector('[data-testid=export-progress]')?.value) > 0 &&
		/^[0-9,]+ rows.s$/.test(document.querySelector('[data-testid=export-rate]').innerText) &&
		/^about .* left$/.test(document.querySelector('[data-testid=export-left]').innerText)`)
	if evaluate[string](b, `window.since ?? ''`) == "" {
		t.Error("the page of the export was loaded again to show its progress")
	}
	b.accessible("the page of a running export")
	b.screenshot("export-running")
	b.open("/exports")
	evaluate[bool](b, watchShifts)
	b.wait(`Number(document.querySelector('[data-testid=export-progress]')?.value) > 0`) // as it goes, without a reload
	b.fits("running")
	b.accessible("running")
	b.screenshot("running")
	if shifts := evaluate[string](b, `window.shifts`); shifts != "" {
		t.Errorf("the layout has shifted while progress moved:%s", shifts)
	}
	b.stays(map[string]string{"rows": "waiting", "records": "0", "size": "0 B", "percent": "0%"})
	b.stays(map[string]string{"rows": "987,654,321 of 1,987,654,321 rows", "records": "1,987,654,321", "size": "999 MB",
		"percent": "100%"})
	before := evaluate[string](b, columns)
	b.click("row-menu")
	b.click("row-cancel")
	b.click("confirm-yes")
	b.filed("cancelled")
	if after := evaluate[string](b, columns); after != before {
		t.Errorf("the columns are at %s when the export has ended, and were at %s", after, before)
	}
	if n := evaluate[float64](b,
		`document.querySelectorAll('[data-testid=row-download], [data-testid=row-cancel]').length`); n > 0 {
		t.Error("a cancelled export may be downloaded or cancelled")
	}
	if n := evaluate[float64](b, `window.shifts === undefined ? -1 : 0`); n < 0 {
		t.Error("the page was loaded again to show that the export was cancelled")
	}
	id := file(t, api, request, "To be deleted", `"selection":{"limit":5}`)
	b.open("/exports")
	b.filed("succeeded")
	files, err := filepath.Glob(filepath.Join(p.ExportFolder(t, "long", id), "data", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the files are %v, %v", files, err)
	}
	b.fill("exports-search", "be DELETED")
	b.wait(`document.querySelectorAll('[data-testid=export-row]').length === 1 && location.search === '?q=be+DELETED'`)
	b.wait(`document.querySelector('[data-testid=status-all] .count').textContent === '1'`)
	b.click(fmt.Sprintf(`[data-id=%q] [data-testid=row-menu]`, id))
	b.click(fmt.Sprintf(`[data-id=%q] [data-testid=row-delete]`, id))
	b.click("confirm-yes")
	b.wait(`'deleted' in document.querySelector('[data-id=%q]').dataset`, id)
	api.Get(t, "/v1/exports/"+id+"/download").Want(t, http.StatusGone)
	api.Get(t, "/v1/exports/"+id+"/files/data/"+filepath.Base(files[0])).Want(t, http.StatusGone)
}

func exportsOfOthersAppear(t *testing.T, p *pagesUnderTest) {
	publishLines(t, p, "team", tutorRuns("team", 3), 3)
	api := e2etest.Endpoint{URL: p.url}.In("team")
	const request = `{"name":%q,"purpose":"export_dataset","source":"recipe","app_id":"tutor","selection":{"run_ids":["r-000","r-001","none"]}}`
	b := person(t, p, p.url, "team")
	b.open("/exports")
	evaluate[bool](b, `window.since = 'it was opened', true`)
	b.wait(`document.querySelector('[data-testid=empty]')`)
	first := file(t, api, request, "First")
	b.wait(`document.querySelector('[data-id=%q][data-status=succeeded]')`, first)
	b.wait(`document.getElementById('announce').textContent !== ''`)
	evaluate[bool](b, fmt.Sprintf(`(() => { const row = document.querySelector('[data-id=%q]'); window.kept = row;
		row.querySelector('details').open = true; row.querySelector('[data-testid=row-view]').focus(); return true })()`, first))
	before := evaluate[string](b, columns)
	for _, name := range []string{"Second", "Third"} {
		id := file(t, api, request, name)
		b.wait(`document.querySelector('[data-testid=export-row]').dataset.id === %q`, id)
	}
	b.wait(`document.querySelectorAll('[data-testid=export-row][data-status=succeeded]').length === 3`)
	b.wait(`document.querySelector('[data-testid=status-succeeded] .count').textContent === '3'`)
	if names := evaluate[string](b,
		`[...document.querySelectorAll('[data-testid=export-row]')].map(r => r.dataset.name).join()`); names !=
		"Third,Second,First" {
		t.Errorf("the exports are %s", names)
	}
	if !evaluate[bool](b, fmt.Sprintf(`(() => { const row = document.querySelector('[data-id=%q]'); return row === window.kept &&
		row.querySelector('details').open && document.activeElement === row.querySelector('[data-testid=row-view]') })()`, first)) {
		t.Error("the row that was there has been replaced, closed, or has lost the focus")
	}
	if after := evaluate[string](b, columns); after != before {
		t.Errorf("the columns are at %s, and were at %s", after, before)
	}
	if evaluate[string](b, `window.since ?? ''`) == "" {
		t.Error("the page was loaded again")
	}
	b.accessible("exports that appeared")
}
