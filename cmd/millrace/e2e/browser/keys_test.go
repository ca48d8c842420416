package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// press types a key, wherever the focus is.
func (b *tab) press(key string) { b.Helper(); b.do(chromedp.KeyEvent(key)) }

// panelOf is the run that the panel shows.
const panelOf = `document.querySelector('#panel:not([hidden], [aria-busy]) #panel-run')?.dataset.run`

func keysAndThePanel(t *testing.T, p *pagesUnderTest) {
	const inputs = 20
	publishLines(t, p, "keys", sums("keys", inputs), 3*inputs)
	b := person(t, p, p.url, "keys")
	const page = "/history?source=recipe&app=sums&range=all"
	b.looks(scene{"panel", page, func(b *tab) {
		b.press("j")
		b.wait(panelOf + ` === 'v3-019'`)
	}}, scene{"keys", page, func(b *tab) {
		b.press("?")
		b.wait(`document.querySelector('[data-testid=keys-dialog]').open`)
	}})
	b.width(1440)
	b.open(page)
	b.press("j")
	b.press("j")
	b.press("j")
	b.press("k")
	b.wait(panelOf + ` === 'v3-018'`)
	if same := evaluate[string](b, `document.querySelector('[data-testid=panel-same]').innerText`); !strings.Contains(same,
		"v2") || !strings.Contains(same, "v1") || strings.Contains(same, "v3") {
		t.Errorf("of the same input are %q", same)
	}
	b.press("x")
	b.reads("selection-count", "1 run selected")
	b.wait(`document.querySelector('[data-run=v3-018] [data-run-check]').checked`)
	b.click("[data-go='1']")
	b.wait(panelOf + ` === 'v3-017'`)
	b.leave(func() { b.press("e") })
	b.wait(`document.querySelector('[data-testid=export-count]').dataset.records === '1'`) // the checked run
	b.wait(`document.querySelector('[data-testid=export-take-picked]').checked`)
	b.open(page)
	b.click(`[data-run=v3-017] td[data-label=Question]`)
	b.wait(panelOf + ` === 'v3-017'`)
	b.press("\u001b")
	b.wait(`document.querySelector('#panel').hidden`)
	b.press("k")
	b.wait(panelOf + ` === 'v3-018'`)
	b.click("[data-close-panel]")
	b.wait(`document.querySelector('#panel').hidden`)
	b.press("/")
	b.wait(`document.activeElement.dataset.testid === 'filter-text'`)
	b.press("jk")
	b.wait(`document.activeElement.value.endsWith('jk') && document.querySelector('#panel').hidden`)
	b.open(page)
	b.click(`[data-run=v3-010] td[data-label=Question]`)
	b.wait(panelOf + ` === 'v3-010'`)
	b.leave(func() { b.click("panel-open") })
	b.reads("run-question", "How much is 10 plus 10?")
	b.reads("raw", "The run as JSON")
}

func withoutScripts(t *testing.T, p *pagesUnderTest) {
	const inputs = 20
	publishLines(t, p, "plain", sums("plain", inputs), 3*inputs)
	b := person(t, p, p.url, "plain")
	b.scripts(false)
	b.open("/history?source=recipe&app=sums&version=v2&range=all")
	b.click("action-menu")
	b.leave(func() { b.click("menu-export-dataset") })
	b.fill("export-name", "Without a script")
	b.fill("export-limit", "many")
	b.leave(func() { b.click("export-proceed") })
	b.reads("export-error-limit", "It must be a number")
	b.expect("422")
	b.fill("export-limit", "7")
	b.leave(func() { b.click("export-try") })
	b.reads("export-count", "7 records")
	b.click(`[data-testid=export-purpose][value=fine_tuning]`)
	b.leave(func() { b.click("export-update") })
	b.wait(`document.querySelector('[data-testid=export-target][value=openai_chat]').checked`)
	b.click(`[data-testid=export-purpose][value=export_dataset]`)
	b.leave(func() { b.click("export-update") })
	b.leave(func() { b.click("export-proceed") })
	id := evaluate[string](b, `location.hash.slice(1)`)
	api := e2etest.Endpoint{URL: p.url}.In("plain")
	api.WaitFor(t, id, "succeeded")
	var want []string
	for i := inputs - 7; i < inputs; i++ {
		want = append(want, fmt.Sprintf("v2-%03d", i))
	}
	if got := runsOf(t, api, id); got != strings.Join(want, ",") {
		t.Errorf("exported are %s, want %v", got, want)
	}
	b.open("/history/run?id=v2-017")
	b.leave(func() { b.click("find-exports") })
	b.reads("exports-in", "Without a script")
	b.leave(func() { b.click("[data-testid=exports-in] a") })
	b.reads("preview", "v2-017")
	b.open("/history/run/exports?id=v2-012") // the eighth newest
	b.reads("run-exports", "It is in none. Looked in all exports of this app that succeeded, 1 since")
	b.scripts(true)
	b.looks(scene{"run-exports", "/history/run/exports?id=v2-017", nil})
}

func switchesWorkspaces(t *testing.T, p *pagesUnderTest) {
	publishLines(t, p, "here", tutorRuns("here", 2), 2)
	publishLines(t, p, "there", tutorRuns("there", 2), 2)
	b := person(t, p, p.url, "here")
	e2etest.Eventually(t, time.Minute, func() string { // the list is up to 15 seconds old
		if text := string(e2etest.Endpoint{URL: p.url}.In("here").Get(t, "/recipes").Want(t, http.StatusOK).
			Body); !strings.Contains(text, `value="there"`) {
			return "the switcher does not list the workspace"
		}
		return ""
	})
	b.open("/recipes")
	b.click("workspace-menu")
	b.leave(func() { b.click("[data-testid=workspace-choice][value=there]") })
	b.reads("workspace", "there")
	b.wait(`location.pathname === '/recipes'`)
}
