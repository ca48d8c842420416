package browser

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// theExportPage looks at an export as people do: from the list to its last records, to the run of one, to its
// files, and files it again.
func theExportPage(t *testing.T, p *pagesUnderTest) {
	publishLines(t, p, "paged", tutorRuns("paged", 45), 45)
	api := e2etest.Endpoint{URL: p.url}.In("paged")
	id := file(t, api, `{"name":"All of them","purpose":"recipe_evaluation","source":"recipe","app_id":"tutor",`+
		`"selection":{"window":{"by":"started_at","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z"}},`+
		`"fragment":{"max_records":10},"split":{"validation":0.3,"seed":1}}`)
	api.WaitFor(t, id, "succeeded")
	b := person(t, p, p.url, "paged")
	b.open("/exports")
	b.leave(func() { b.click("row-link") })
	evaluate[bool](b, watchShifts)
	b.wait(`document.querySelector('[data-testid=shown]').innerText === 'Records 1 to 20 of 45'`)
	if states := evaluate[string](b,
		`[...document.querySelectorAll('[data-testid=phase]')].map(p => p.dataset.state).join()`); states !=
		"done,done,done,done" {
		t.Errorf("the phases are %s", states)
	}
	if labels := evaluate[string](b, `[...document.querySelectorAll('[data-testid=funnel-step]')].map(s => s.dataset.label).
		join()`); labels != "rows selected,records,train,validation" {
		t.Errorf("the funnel is %s", labels)
	}
	b.leave(func() { b.click("page-last") })
	b.wait(`document.querySelector('[data-testid=shown]').innerText === 'Records 41 to 45 of 45'`)
	records := evaluate[float64](b, `document.querySelectorAll('[data-testid=record]').length`)
	b.fill("find", "no record has this")
	b.wait(`[...document.querySelectorAll('[data-testid=record]')].every(r => r.hidden)`)
	b.fill("find", "run_id")
	b.wait(`[...document.querySelectorAll('[data-testid=record]')].every(r => !r.hidden)`)
	if records != 5 {
		t.Errorf("the last page has %v records", records)
	}
	b.leave(func() { b.click("as-json") })
	b.wait(`document.querySelector('[data-testid=preview]').dataset.kind === 'json'`)
	b.leave(func() { b.click(`[data-testid=split][data-split=validation]`) })
	b.fill("go-from", "2")
	b.leave(func() { b.click("go") })
	b.wait(`document.querySelector('[data-testid=shown]').innerText.startsWith('Records 2 to ') &&
		document.querySelector('[data-testid=record]').dataset.number === '2'`)
	if shifts := evaluate[string](b, watchShifts+`, window.shifts`); shifts != "" {
		t.Errorf("the layout has shifted: %s", shifts)
	}
	run := evaluate[string](b, `document.querySelector('[data-testid=record-run] .mono').innerText`)
	b.leave(func() { b.click("record-run") })
	b.wait(`location.search.includes(%q)`, run)
	b.open("/exports/" + id)
	b.leave(func() { b.click("tab-files") })
	b.wait(`document.querySelectorAll('[data-testid=file]').length > 6`)
	api.Get(t, evaluate[string](b, `new URL(document.querySelector('[data-testid=file-download]').href).pathname`)).
		Want(t, http.StatusOK)
	b.leave(func() { b.click("tab-columns") })
	b.wait(`document.querySelector('[data-testid=shown]').innerText.includes('counted in all 45 records')`)
	if has := evaluate[string](b, `document.querySelector('[data-testid=column][data-name=app_version]').innerText.
		replace(/\s+/g, ' ')`); !strings.Contains(has, "text no nulls") || !strings.Contains(has, "v0 23 51.1% v1 22 48.9%") {
		t.Errorf("column app_version has %q", has)
	}
	b.leave(func() { b.click("tab-lineage") })
	b.wait(`document.querySelectorAll('[data-testid=origin]').length === 20`)
	b.leave(func() { b.click("tab-trail") })
	b.wait(`document.querySelector('[data-testid=trail-entry][data-action=viewed]')`)
	b.leave(func() { b.click("export-again") })
	b.wait(`document.querySelectorAll('[data-testid=export-row][data-name="All of them"][data-status=succeeded]').length === 2`)
}

// whatCameLaterIsFiled files an export of what was ingested after another one.
func whatCameLaterIsFiled(t *testing.T, p *pagesUnderTest) {
	publishLines(t, p, "later", tutorRuns("later", 3), 3)
	api := e2etest.Endpoint{URL: p.url}.In("later")
	id := file(t, api, `{"name":"Until now","purpose":"export_dataset","source":"recipe","app_id":"tutor",`+
		`"selection":{"window":{"by":"ingested_at","from":"2026-11-01T00:00:00Z","to":%q}}}`,
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	api.WaitFor(t, id, "succeeded") // it is empty: its window ends a minute ago
	b := person(t, p, p.url, "later")
	b.open("/exports/" + id)
	b.wait(`document.querySelector('[data-testid=tab]').innerText.includes('This data set is empty')`)
	b.leave(func() { b.click("export-newer") })
	b.wait(`document.querySelectorAll('[data-testid=export-row][data-status=succeeded]').length === 2`)
}
