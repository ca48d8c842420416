package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// scene is a page, and what is opened on it.
type scene struct {
	name, path string
	then       func(b *tab)
}

// looks holds scenes against axe-core and the width of the window: wide and narrow, light and dark.
func (b *tab) looks(scenes ...scene) {
	b.Helper()
	for _, s := range scenes {
		b.width(1440)
		b.scheme("light")
		if s.path != "" {
			b.open(s.path)
		}
		if s.then != nil {
			s.then(b)
		}
		for _, width := range []int64{1440, 780, 360} { // the same document: what it looks like is the styles' alone
			b.width(width)
			b.fits(fmt.Sprintf("%s-%d", s.name, width))
			if width == 780 { // is between the two
				b.screenshot(s.name + "-780")
				continue
			}
			for _, scheme := range []string{"light", "dark"} {
				name := fmt.Sprintf("%s-%d-%s", s.name, width, scheme)
				b.scheme(scheme)
				b.screenshot(name)
				// Each width and each scheme once: axe-core takes most of the time of these tests.
				if (width == 1440) == (scheme == "light") {
					b.accessible(name)
				}
			}
		}
	}
}

// width sets how wide the window is.
func (b *tab) width(pixels int64) { b.Helper(); b.do(chromedp.EmulateViewport(pixels, 900)) }

// scheme sets light or dark. Nothing moves, so that a colour is never seen on its way to another.
func (b *tab) scheme(name string) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion",
			Value: "reduce"}},
	})
	b.must(err)
}

// axeCore is the script that finds what keeps people out. Without it the tests are skipped, and
// fail where CI=true.
func axeCore(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e2etest.Root(t), ".ci", "npm", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("axe-core must be there where CI=true: %v; make test fetches it", err)
		}
		t.Skipf("no axe-core: %v; make test fetches it", err)
	}
	return string(text)
}

// violation is a rule of axe-core that a page breaks.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML string }
}

// accessible holds the page against the rules of axe-core.
func (b *tab) accessible(what string) {
	b.Helper()
	if !evaluate[bool](b, `'axe' in window`) {
		evaluate[bool](b, b.axe+"; true")
	}
	var found []violation
	text := evaluate[string](b, `axe.run({resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))`)
	b.must(json.Unmarshal([]byte(text), &found))
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			b.Errorf("%s: %s: %s (%s), such as %.300s", what, v.Impact, v.Help, v.ID, v.Nodes[0].HTML)
		}
	}
}

// fits tells of a page that scrolls sideways.
func (b *tab) fits(what string) {
	b.Helper()
	if sideways := evaluate[float64](b,
		`document.documentElement.scrollWidth - document.documentElement.clientWidth`); sideways > 0 {
		b.Errorf("%s: the page is %v pixels wider than its window", what, sideways)
	}
}

// file files an export, and returns its id.
func file(t *testing.T, api e2etest.Endpoint, format string, args ...any) string {
	t.Helper()
	var filed struct {
		ExportID string `json:"export_id"`
	}
	e2etest.Decode(t, api.Call(t, http.MethodPost, "/v1/exports", fmt.Sprintf(format, args...),
		"Content-Type: application/json").
		Want(t, http.StatusAccepted).Body, &filed)
	return filed.ExportID
}

// shop fills a workspace with sample runs, and exports of every outcome. It returns the exports'
// ids by their names.
func shop(t *testing.T, p *pagesUnderTest, api e2etest.Endpoint) map[string]string {
	t.Helper()
	cfg := sample.Config{Seed: 5, Runs: 200, Workspaces: []string{"shop"}, Start: time.Now().Add(-10 * 24 * time.Hour),
		Interval: 10 * 24 * time.Hour / (200 + sample.MaxLag + 1)}
	p.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest WHERE workspace_id = 'shop'": uint64(sample.Expect(cfg).Runs)})
	exports := map[string]string{
		"tree": file(t, api,
			`{"name":"Answers of November","purpose":"recipe_evaluation","source":"recipe","app_id":"knowledge-answer","selection":{"limit":50}}`),
		"chat": file(t, api,
			`{"name":"Help desk, to be tuned with a name that goes on for longer than a column has room for","purpose":"fine_tuning","source":"copilot","app_id":"airline-helpdesk","selection":{"limit":60}}`),
		"table": file(t, api,
			`{"name":"Help desk as a table","purpose":"export_dataset","source":"copilot","app_id":"airline-helpdesk","format":"csv","selection":{"limit":20}}`),
		"nodes": file(t, api,
			`{"name":"Two nodes","purpose":"node_evaluation","source":"recipe","app_id":"knowledge-answer","nodes":["generate","rerank"],"selection":{"limit":20}}`),
		"warned": file(t, api,
			`{"purpose":"export_dataset","source":"copilot","app_id":"airline-helpdesk","selection":{"run_ids":["there-is-none"]}}`),
		"deleted": file(t, api,
			`{"name":"Not needed any more","purpose":"export_dataset","source":"copilot","app_id":"hr-assistant","selection":{"limit":5}}`),
		"failed": "failed-1",
	}
	e2etest.Produce(t, p.Site, "export-requests",
		`{"export_id":"failed-1","workspace_id":"shop","name":"Not a purpose","purpose":"nonsense","source":"copilot","app_id":"hr-assistant","selection":{"limit":1}}`)
	for name, id := range exports {
		api.WaitFor(t, id, map[bool]string{false: "succeeded", true: "failed"}[name == "failed"])
	}
	api.Call(t, http.MethodDelete, "/v1/exports/"+exports["deleted"], "").Want(t, http.StatusNoContent)
	return exports
}

// aRun returns a run of the newest that a list has.
func aRun(t *testing.T, api e2etest.Endpoint, query string) string {
	t.Helper()
	var list struct {
		Runs []struct {
			RunID string `json:"run_id"`
		} `json:"runs"`
	}
	e2etest.Decode(t, api.Get(t, "/v1/runs?"+query).Want(t, http.StatusOK).Body, &list)
	if len(list.Runs) == 0 {
		t.Fatalf("no runs for %s", query)
	}
	return list.Runs[0].RunID
}

func looksOfMuch(t *testing.T, p *pagesUnderTest) {
	api := e2etest.Endpoint{URL: p.url}.In("shop")
	exports := shop(t, p, api)
	b := person(t, p, p.url, "shop")
	const history = "/history?source=recipe&app=knowledge-answer"
	const exportForm = "/history/export?source=recipe&app=knowledge-answer&feedback=thumbsDown"
	const few = history + "&feedback=thumbsDown" // what takes the time is to look at each element
	run := "/history/run?id=" + url.QueryEscape(aRun(t, api, "source=recipe&app_id=knowledge-answer"))
	failed := "/history/run?id=" + url.QueryEscape(aRun(t, api, "source=recipe&app_id=knowledge-answer&status=failed"))
	form := func(then func(b *tab)) func(b *tab) {
		return func(b *tab) {
			b.purpose("node_optimization")
			b.wait(`document.querySelector('[data-testid=export-node]')`)
			then(b)
		}
	}
	b.looks(
		scene{"copilots", "/copilots", nil},
		scene{"recipes", "/recipes", nil},
		scene{"recipes-menu", "/recipes", func(b *tab) {
			b.click("action-menu")
			b.wait(
				`document.querySelector('[popover]:popover-open')`)
		}},
		scene{"workspace", "/copilots", func(b *tab) {
			b.click("workspace-menu")
			b.wait(`document.querySelector('#workspace-menu:popover-open')`)
		}},
		scene{"history", history, nil},
		scene{"history-menu", few, func(b *tab) {
			b.click("action-menu")
			b.wait(
				`document.querySelector('#menu:popover-open')`)
		}},
		scene{"history-filters", history + "&status=failed&status=running&feedback=thumbsDown",
			func(b *tab) { b.click("filter-status"); b.wait(`document.querySelector('#f-status-box:popover-open')`) }},
		scene{"history-nothing-passes", history + "&status=failed&q=nothing+has+this", nil},
		scene{"history-mistake", history + "&from=2026-11-02T00:00&to=2026-11-01T00:00", func(b *tab) { b.expect("400") }},
		scene{"form", exportForm, form(func(b *tab) {
			b.click("export-node")
			b.wait(`document.querySelector('[data-testid=export-count]').dataset.state === 'done'`)
		})},
		scene{"form-mistake", exportForm, form(func(b *tab) {
			b.leave(func() { b.click("export-proceed") })
			b.wait(`document.querySelector('[data-testid=export-error-nodes]')`)
			b.expect("422")
		})},
		scene{"form-of-a-workspace", "/recipes", func(b *tab) {
			b.leave(func() { b.click("export-workspace") })
			b.wait(`location.pathname === '/history/export' && document.querySelector('#x-app').value === ''`)
			b.wait(`document.querySelector('[data-testid=export-count]').dataset.state === 'done'`)
		}},
		scene{"form-of-chats", "/history/export?source=copilot&app=airline-helpdesk&range=all", func(b *tab) {
			b.purpose("fine_tuning")
			b.wait(`document.querySelector('[data-testid=record][data-kind=chat]')`)
			evaluate[bool](b, watchShifts)
			b.fill("export-find", "vertex")
			b.wait(`[...document.querySelectorAll('.target')].filter((t) => !t.hidden).length === 2`)
			b.click(`[data-testid=export-target][value=gemini]`)
			b.wait(`document.querySelector('#export-same').innerText.includes('--target=gemini')`)
			b.wait(`/^Leave out the [1-9][0-9]* rated thumbsDown$/.test(
				document.querySelector('[data-testid=export-change][value="feedback=notThumbsDown"]')?.innerText)`)
			b.click(`[data-testid=export-change][value="feedback=notThumbsDown"]`)
			b.wait(`document.querySelector('[data-testid=export-filter-feedback]').value === 'notThumbsDown'`)
			b.wait(`document.querySelector('#export-same').innerText.includes('--rating=notThumbsDown')`)
			if shifts := evaluate[string](b, `window.shifts`); shifts != "" {
				b.Errorf("the form has shifted while its preview changed:%s", shifts)
			}
			b.copies("#export-same", "--rating=notThumbsDown", `"notThumbsDown"`)
		}},
		scene{"history-selection", few, func(b *tab) {
			b.click("select-page")
			b.wait(`!document.querySelector('[data-testid=selection-bar]').hidden`)
		}},
		scene{"run", run, func(b *tab) {
			b.click(`[data-testid=node-run] summary`)
			b.wait(`document.querySelector('[data-testid=node-run]').open`)
		}},
		scene{"run-failed", failed, nil},
		scene{"run-of-a-chat", "/history/run?id=" + url.QueryEscape(aRun(t, api,
			"source=copilot&app_id=airline-helpdesk&rating=thumbsDown")), nil},
		scene{"run-missing", "/history/run?id=none",
			func(b *tab) { b.wait(`document.querySelector('[data-testid=message]')`); b.expect("404") }},
		scene{"exports", "/exports", func(b *tab) {
			evaluate[bool](b, `document.querySelectorAll('details').forEach(d => { d.open = true }), true`)
		}},
		scene{"exports-menu", "/exports", func(b *tab) {
			b.click("row-menu")
			b.wait(`document.activeElement.dataset.testid === 'row-delete'`)
		}},
		scene{"exports-confirm", "/exports", func(b *tab) {
			b.click("row-menu")
			b.click("row-delete")
			b.wait(`document.querySelector('[data-testid=confirm-dialog]').open`)
		}},
		scene{"export-tree", "/exports/" + exports["tree"] + "?n=2", nil},
		scene{"export-chat", "/exports/" + exports["chat"] + "?n=3", nil},
		scene{"export-table", "/exports/" + exports["table"] + "?n=3", nil},
		scene{"export-columns", "/exports/" + exports["table"] + "?tab=columns", nil},
		scene{"export-columns-chat", "/exports/" + exports["chat"] + "?tab=columns", func(b *tab) {
			evaluate[bool](b, `document.querySelectorAll('details').forEach(d => { d.open = true }), true`)
		}},
		scene{"export-card", "/exports/" + exports["table"] + "?tab=card", nil},
		scene{"export-request", "/exports/" + exports["failed"], nil},
		scene{"export-lineage", "/exports/" + exports["chat"] + "?tab=lineage&n=3", nil},
		scene{"export-files", "/exports/" + exports["table"] + "?tab=files", nil},
	)
}

func looksOfNothing(t *testing.T, p *pagesUnderTest) {
	b := person(t, p, p.url, "nobody")
	b.looks(
		scene{"copilots", "/copilots", nil},
		scene{"recipes", "/recipes", nil},
		scene{"exports", "/exports", nil},
		scene{"exports-failed", "/exports?status=failed", nil},
		scene{"history", "/history?source=recipe&app=none", func(b *tab) { b.expect("404") }},
		scene{"docs", "/docs", nil},
		scene{"docs-overview", "/docs/overview", nil},
		scene{"docs-targets", "/docs/targets", nil},
		scene{"docs-pages", "/docs/pages", nil},
		scene{"docs-reference", "/docs/reference", func(b *tab) {
			b.wait(`document.querySelectorAll('.document h3').length > 10`)
		}},
	)
}

func looksWithTokens(t *testing.T, p *pagesUnderTest, keys *authtest.Keys) {
	const workspace = "a-workspace-whose-name-is-longer-than-most"
	publishLines(t, p, workspace, tutorRuns(workspace, 3), 3)
	b := person(t, p, p.keyed, "")
	b.looks(
		scene{"login", "/login", nil},
		scene{"login-refused", "/login", func(b *tab) {
			b.fill("token", "not.a.token")
			b.leave(func() { b.click("sign-in") })
			b.wait(`document.querySelector('[data-testid=login-error]')`)
			b.expect("401")
		}},
	)
	b.open("/recipes")
	b.signIn(keys.Token("ES256", keys.Claims(workspace, auth.RunsRead)))
	b.looks(
		scene{"recipes", "/recipes", nil},
		scene{"history", "/history?source=recipe&app=tutor", nil},
		scene{"forbidden", "/exports", func(b *tab) {
			b.wait(`document.querySelector('[data-testid=message]')`)
			b.expect(
				"403")
		}},
	)
}
