package browser

import (
	"archive/zip"
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// What people do with the pages, in a real browser against the running roles.
func TestBrowserPages(t *testing.T) {
	t.Parallel()
	localtest.ClickHouse(t)
	p := &pagesUnderTest{axe: axeCore(t), browser: chromium(t), Site: e2etest.NewSite(t)}
	keys := authtest.New(t)
	p.Env.Start(t, "ingest")
	append(p.Env, "EXPORT_CONCURRENCY=1", "EXPORT_WINDOW_RECORDS=1").Start(t, "export")
	p.url = e2etest.WaitReady(t, append(p.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve"))
	withKeys := append(slices.Clone(p.Env), "HTTP_ADDR=127.0.0.1:0")
	for _, v := range keys.Environment() {
		withKeys = append(withKeys, strings.TrimPrefix(v, e2etest.EnvPrefix))
	}
	p.keyed = e2etest.WaitReady(t, withKeys.Start(t, "serve"))
	t.Run("flows", func(t *testing.T) {
		for name, flow := range map[string]func(*testing.T, *pagesUnderTest){
			"from an empty history to a downloaded recipe evaluation": fromNothingToAnEvaluation,
			"a node evaluation needs nodes":                           nodesAreEnforced,
			"checked rows of two pages are exported, and no others":   checkedRowsAreExported,
			"the page of an app, with charts and a table":             theAppPage,
			"the page of an app, by keys":                             keysAndThePanel,
			"the page of an app, without scripts":                     withoutScripts,
			"the switcher lists the workspaces":                       switchesWorkspaces,
			"versions are compared, and what is shown is exported":    comparesVersions,
			"a cancel, and a delete":                                  cancelAndDelete,
			"exports of others appear":                                exportsOfOthersAppear,
			"the page of an export":                                   theExportPage,
			"what came later is exported from the page of an export":  whatCameLaterIsFiled,
			"pages with much on them":                                 looksOfMuch,
			"pages with nothing on them":                              looksOfNothing,
			"pages of people with tokens": func(t *testing.T, p *pagesUnderTest) {
				looksWithTokens(t,
					p, keys)
			},
			"sign in and out": func(t *testing.T, p *pagesUnderTest) { signInAndOut(t, p, keys) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				flow(t, p)
			})
		}
	})
}

// tutorRuns are n runs of recipe tutor with two nodes each, one a minute.
func tutorRuns(workspace string, n int) (lines []string) {
	for i := range n {
		at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute).Format(time.RFC3339)
		lines = append(lines, fmt.Sprintf(
			`{"type":"dev.millrace.run.v1","workspace_id":%q,"run_id":"r-%03d","request_id":"req-%03d","source":"recipe","app_id":"tutor","app_name":"Math tutor","app_version":"v%d","trigger":"webhook","started_at":%q,"ended_at":%q,"status":"succeeded","question":"How much is %d plus %d?","answer":"%d","reference":"%d"}`,
			workspace, i, i, i%2, at, at, i, i, 2*i, 2*i))
		for j, node := range []string{"extract", "solve"} {
			lines = append(lines, fmt.Sprintf(
				`{"type":"dev.millrace.node.v1","workspace_id":%q,"run_id":"r-%03d","node_run_id":"%s-1","source":"recipe","app_id":"tutor","app_version":"v%d","node_id":%q,"node_name":%q,"node_type":"llm","sequence":%d,"started_at":%q,"ended_at":%q,"status":"succeeded","inputs":{"n":%d},"outputs":{"answer":"%d"},"prompt":{"template":"%s {n}","variables":{"n":%d}}}`,
				workspace, i, node, i%2, node, strings.ToUpper(node[:1])+node[1:], j, at, at, i, 2*i, node, i))
		}
	}
	return lines
}

// records are those of a downloaded export.
func records(t *testing.T, file string) (list []object) {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasPrefix(f.Name, "data/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var record object
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
				t.Fatal(err)
			}
			list = append(list, record)
		}
	}
	return list
}

// filed waits for the row of the one export of the page, and returns its id.
func (b *tab) filed(status string) string {
	b.Helper()
	b.wait(`location.pathname === '/exports' && document.querySelector('[data-testid=export-row][data-status=%s]')`,
		status)
	return evaluate[string](b, `document.querySelector('[data-testid=export-row][data-status=`+status+`]').dataset.id`)
}

func fromNothingToAnEvaluation(t *testing.T, p *pagesUnderTest) {
	b := person(t, p, p.url, "school")
	b.open("/recipes")
	// what to do
	b.wait(
		`document.querySelector('main').innerText.includes('/v1/runs') || document.querySelector('main').innerText.includes('millrace replay')`)
	b.screenshot("empty")
	publishLines(t, p, "school", tutorRuns("school", 30), 30)
	b.open("/recipes")
	b.click(`[data-testid=app-row][data-app=tutor] [data-testid=action-menu]`)
	b.leave(func() { b.click("menu-webhook-history") })
	b.wait(`document.querySelectorAll('[data-testid=run-row]').length === 30`)
	b.click("action-menu")
	b.leave(func() { b.click("menu-export-dataset") })
	b.fill("export-name", "November tutor")
	b.purpose("recipe_evaluation")
	b.fill("export-limit", "20")
	b.wait(
		`(() => { const c = document.querySelector('[data-testid=export-count]'); return c.dataset.state === 'done' && c.dataset.records === '20' })()`)
	b.screenshot("form")
	b.leave(func() { b.click("export-proceed") })
	b.wait(`document.querySelector('[data-testid=export-row]')`)
	evaluate[bool](b, `window.since = 'it was filed', true`)
	id := b.filed("succeeded")
	if evaluate[string](b, `window.since ?? ''`) == "" {
		t.Error("the page was loaded again before the export had ended")
	}
	list := records(t, b.downloaded()) // by itself
	if len(list) != 20 {
		t.Errorf("%d records were downloaded, want 20", len(list))
	}
	ids := map[any]bool{}
	for _, r := range list {
		ids[r["run_id"]] = true
	}
	for i := 10; i < 30; i++ {
		if !ids[fmt.Sprintf("r-%03d", i)] {
			t.Errorf("run %d of the newest 20 is not there", i)
		}
	}
	b.wait(`document.querySelector('[data-testid=export-records]').innerText.trim() === '20'`)
	b.leave(func() { b.click("row-link") })
	b.wait(`document.querySelector('[data-testid=preview]').innerText.includes('plus')`)
	b.open("/exports") // a second look downloads nothing
	b.wait(`document.querySelector('[data-id=%q]')`, id)
	if files, err := os.ReadDir(b.downloads); err != nil || len(files) != 1 {
		t.Errorf("%d files were downloaded, %v", len(files), err)
	}
}

func nodesAreEnforced(t *testing.T, p *pagesUnderTest) {
	publishLines(t, p, "nodes", tutorRuns("nodes", 10), 10)
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM nodes_latest WHERE workspace_id = 'nodes'": 20})
	b := person(t, p, p.url, "nodes")
	b.open("/history?source=recipe&app=tutor")
	b.click("action-menu")
	b.leave(func() { b.click("menu-export-dataset") })
	b.purpose("node_evaluation")
	b.wait(`document.querySelectorAll('[data-testid=export-node]').length === 2`)
	if nodes := evaluate[string](b,
		`[...document.querySelectorAll('[data-testid=export-node]')].map(n => n.value).sort().join()`); nodes != "extract,solve" {
		t.Errorf("the form offers the nodes %s", nodes)
	}
	b.leave(func() { b.click("export-proceed") })
	b.expect("422")
	b.wait(`document.querySelector('[data-testid=export-error-nodes]')?.innerText`)
	b.wait(`document.activeElement.dataset.testid === 'export-node'`)
	if filed := string(e2etest.Endpoint{URL: p.url}.In("nodes").Get(t, "/v1/exports").Want(t, http.StatusOK).
		Body); !strings.Contains(filed, `"exports":[]`) {
		t.Errorf("filed without nodes: %s", filed)
	}
	b.click(`[data-testid=export-node][value=solve]`)
	b.wait(`document.querySelector('[data-testid=export-count]').dataset.records === '10'`)
	b.leave(func() { b.click("export-proceed") })
	b.filed("succeeded")
	b.click("row-download")
	list := records(t, b.downloaded())
	for _, r := range list {
		if node, ok := r["node"].(object); !ok || node["id"] != "solve" {
			t.Errorf("a record of node %v", r["node"])
		}
	}
	if len(list) != 10 {
		t.Errorf("%d records, want 10", len(list))
	}
}

func checkedRowsAreExported(t *testing.T, p *pagesUnderTest) {
	publishLines(t, p, "rows", tutorRuns("rows", 120), 120)
	b := person(t, p, p.url, "rows")
	b.open("/history?source=recipe&app=tutor")
	want := []string{}
	check := func(positions ...int) {
		for _, n := range positions {
			run := evaluate[string](b, fmt.Sprintf(`document.querySelectorAll('[data-testid=run-row]')[%d].dataset.run`, n))
			b.click(fmt.Sprintf(`[data-testid=run-row][data-run=%q] [data-testid=run-check]`, run))
			want = append(want, run)
		}
	}
	check(0, 7, 12)
	b.leave(func() { b.click("page-next") })
	b.wait(`document.querySelector('[data-testid=selection-count]').innerText.startsWith('3 ')`)
	check(3, 49)
	b.fill("filter-text", "119 plus") // of the first page
	b.leave(func() { b.click("filter-apply") })
	b.wait(
		`document.querySelectorAll('[data-testid=run-row]').length === 1 && document.querySelector('[data-testid=run-check]').checked`)
	b.open("/history?source=recipe&app=tutor")
	b.wait(`document.querySelectorAll('[data-testid=run-check]:checked').length === 3`)
	b.screenshot("checked")
	b.leave(func() { b.click("selection-export") })
	b.purpose("export_dataset")
	b.wait(`document.querySelector('[data-testid=export-count]').dataset.records === '5'`)
	b.leave(func() { b.click("export-proceed") })
	b.filed("succeeded")
	b.click("row-download")
	var got []string
	for _, r := range records(t, b.downloaded()) {
		got = append(got, r["run_id"].(string))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("exported are %v, and checked were %v", got, want)
	}
}

// signIn signs in where the pages ask for a token.
func (b *tab) signIn(token string) {
	b.Helper()
	b.wait(`location.pathname === '/login'`)
	b.fill("token", token)
	b.leave(func() { b.click("sign-in") })
	b.wait(`location.pathname === '/recipes' && document.querySelector('[data-app=tutor]')`)
}

func signInAndOut(t *testing.T, p *pagesUnderTest, keys *authtest.Keys) {
	publishLines(t, p, "vip", tutorRuns("vip", 3), 3)
	b := person(t, p, p.keyed, "")
	b.open("/recipes")
	b.wait(`location.pathname === '/login'`)
	b.fill("token", "not.a.token")
	b.leave(func() { b.click("sign-in") })
	b.wait(`document.querySelector('[data-testid=login-error]').innerText !== ''`)
	b.expect("401")
	b.open("/recipes")
	b.signIn(keys.Token("ES256", keys.Claims("vip", auth.Scopes...)))
	b.open("/history?source=recipe&app=tutor")
	b.click("action-menu")
	b.leave(func() { b.click("menu-export-dataset") })
	b.purpose("export_dataset")
	b.wait(`document.querySelector('[data-testid=export-count]').dataset.records === '3'`)
	b.leave(func() { b.click("export-proceed") })
	b.filed("succeeded")
	b.wait(`document.querySelector('[data-testid=row-delete]')`)
	b.leave(func() { b.click("sign-out") })

	b.open("/recipes")
	b.signIn(keys.Token("ES256", keys.Claims("vip", auth.RunsRead, auth.ExportsRead)))
	const writing = `document.querySelectorAll('[data-testid=export-proceed], [data-testid=menu-export-dataset], [data-testid=run-check], [data-testid=row-cancel], [data-testid=row-delete]').length`
	b.open("/history?source=recipe&app=tutor")
	b.wait(`document.querySelectorAll('[data-testid=run-row]').length === 3`)
	if n := evaluate[float64](b, writing); n > 0 {
		t.Error("the history offers to file exports to who may not")
	}
	b.open("/exports")
	b.wait(`document.querySelector('[data-testid=row-view]')`)
	if n := evaluate[float64](b, writing); n > 0 {
		t.Error("the exports offer what changes them to who may not")
	}
	b.leave(func() { b.click("sign-out") })
	b.open("/recipes")
	b.wait(`location.pathname === '/login'`)
}
