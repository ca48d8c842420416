package browser

import (
	"archive/zip"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// pagesUnderTest are a site with all roles and a browser.
type pagesUnderTest struct {
	*e2etest.Site
	url     string
	keyed   string // of a server with keys
	browser context.Context
	axe     string // the script of axe-core
}

// chromium starts the browser. Without it the test is skipped, and fails where CI=true.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the browser must be there where CI=true: %v; make test installs it", err)
		}
		t.Skipf("no browser: %v; make test installs it where it may", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.WindowSize(1280, 1000), chromedp.UserDataDir(t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is a tab of a person's own: cookies and storage are nobody else's.
type tab struct {
	*testing.T
	ctx       context.Context
	url, axe  string
	downloads string

	mu       sync.Mutex
	problems []string
}

const tabTimeout = 30 * time.Second

// person opens a tab at a server. At the end of the test its console must be free of errors.
func person(t *testing.T, p *pagesUnderTest, url, workspace string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(p.browser, chromedp.WithNewBrowserContext())
	b := &tab{T: t, ctx: ctx, url: url, axe: p.axe, downloads: t.TempDir()}
	b.must(chromedp.Listen(ctx, b.listen))
	_, err := chromedp.Call(ctx, log.Enable, struct{}{})
	b.must(err)
	events := true
	_, err = chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.downloads, EventsEnabled: &events,
		BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
	})
	b.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			b.screenshot("failed")
		}
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Errorf("console: %s", p)
		}
	})
	if workspace != "" { // by the switcher
		b.open("/exports")
		b.click("workspace-menu")
		b.fill("workspace-input", workspace)
		b.leave(func() { b.click("workspace-submit") })
		b.wait(`document.querySelector('[data-testid=workspace]')?.textContent.includes(%q)`, workspace)
	}
	return b
}

func (b *tab) listen(ev any) {
	problem := ""
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			for _, a := range e.Args {
				problem += fmt.Sprintf("%s %s ", a.Value, a.Description)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			problem = fmt.Sprintf("%s %s", e.Entry.Text, e.Entry.URL)
		}
	}
	if problem != "" {
		b.mu.Lock()
		b.problems = append(b.problems, problem)
		b.mu.Unlock()
	}
}

// expect takes back a problem that belongs to what is tested, such as an answer that the browser
// counts as an error.
func (b *tab) expect(text string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range b.problems {
		if strings.Contains(p, text) {
			b.problems = append(b.problems[:i], b.problems[i+1:]...)
			return
		}
	}
	b.Errorf("the console does not have %q but %q", text, b.problems)
}

func (b *tab) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, tabTimeout)
	defer cancel()
	b.must(chromedp.Do(ctx, steps...))
}

func (b *tab) open(path string) { b.Helper(); b.do(chromedp.Navigate(b.url + path)) }

// leave waits for the page that something leads to.
func (b *tab) leave(f func()) {
	b.Helper()
	b.do(chromedp.Steps(), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.left = false, true`))
		return err
	}))
	f()
	b.wait(`window.left === undefined && document.readyState === 'complete'`)
}

// hook is the selector of a data-testid; a selector is itself.
func hook(id string) string {
	if strings.ContainsAny(id, " [") {
		return id
	}
	return `[data-testid="` + id + `"]`
}

// click clicks with the mouse, once what is to be clicked is there, enabled, at rest, and on top of
// all else.
func (b *tab) click(id string) {
	b.Helper()
	b.wait(
		`(() => { const e = document.querySelector(%q); if (!e || e.disabled) return false; e.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2, rests = window.at?.join() ===
			[x, y].join(); window.at = [x, y];
		return rests && r.width > 0 && e.contains(document.elementFromPoint(x, y)) })()`, hook(id))
	at := evaluate[[]float64](b, `(() => { const at = window.at; window.at = undefined; return at })()`)
	b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// fill types a text into a field, as a person does who clears it first.
func (b *tab) fill(id, text string) {
	b.Helper()
	b.click(id)
	evaluate[string](b, fmt.Sprintf(`document.querySelector(%q).value = ''`, hook(id)))
	b.do(chromedp.KeyEvent(text))
}

// choose chooses an option of a list.
func (b *tab) choose(id, value string) {
	b.Helper()
	b.wait(
		`(() => { const e = document.querySelector('[data-testid=%s]'); if (![...e.options].some(o => o.value === %q)) return false; e.value = %q;
		e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change', {bubbles: true})); return true })()`, id, value, value)
}

// purpose chooses a purpose in the export form, and waits until the form has its fields.
func (b *tab) purpose(value string) {
	b.Helper()
	b.click(fmt.Sprintf(`[data-testid=export-purpose][value=%s]`, value))
	b.counted()
	b.wait(`document.querySelector('[data-testid=export-purpose][value=%s]').checked`, value)
}

// counted waits until the export form shows what its request would come to, or why that is not known.
func (b *tab) counted() {
	b.Helper()
	b.wait(`document.querySelector('[data-testid=export-count]').dataset.state !== 'waiting'`)
}

// wait waits until an expression is true, whatever pages come and go meanwhile.
func (b *tab) wait(format string, args ...any) {
	b.Helper()
	expression := fmt.Sprintf(format, args...)
	last := ""
	deadline, tick := time.After(tabTimeout), time.NewTicker(30*time.Millisecond)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(b.ctx, tabTimeout)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if ok {
			return
		}
		last = fmt.Sprint(err)
		select {
		case <-tick.C:
		case <-deadline:
			b.Fatalf("never true: %s (%s); the page says %.1500s", expression, last,
				evaluate[string](b, "document.body.innerText"))
		}
	}
}

func evaluate[T any](b *tab, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, tabTimeout)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// downloaded waits for a file that the browser has saved whole.
func (b *tab) downloaded() string {
	b.Helper()
	var found string
	e2etest.Eventually(b.T, tabTimeout, func() string {
		names, err := filepath.Glob(filepath.Join(b.downloads, "*.zip"))
		if err != nil || len(names) == 0 {
			return fmt.Sprint("no file was downloaded: ", err)
		}
		z, err := zip.OpenReader(names[0]) // it has its name before it is whole
		if err != nil {
			return err.Error()
		}
		found = names[0]
		z.Close()
		return ""
	})
	return found
}

// copies clicks each button of an element that copies, and expects texts that contain these, in turn.
func (b *tab) copies(element string, wanted ...string) {
	b.Helper()
	evaluate[bool](b, `navigator.clipboard.writeText = async (text) => { window.copied = text }, true`)
	for i, want := range wanted {
		evaluate[bool](b, fmt.Sprintf(`document.querySelectorAll(%q + ' [data-copy]')[%d].click(), true`, element, i))
		b.wait(`window.copied?.includes(%q)`, want)
	}
}

// screenshot keeps how the page looks, where MILLRACE_TEST_SCREENSHOTS names a folder.
func (b *tab) screenshot(name string) {
	dir := os.Getenv("MILLRACE_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, tabTimeout)
	defer cancel()
	_, test, _ := strings.Cut(b.Name(), "/flows/")
	size, err := chromedp.Run(ctx, chromedp.Evaluate[[]float64](
		`scrollTo(0, 0), [innerWidth, Math.max(innerHeight, Math.min(2400, document.documentElement.scrollHeight))]`))
	var picture page.CaptureScreenshotResult
	if err == nil {
		beyond := len(size) == 2 && size[1] > 900
		picture, err = chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
			CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: size[0], Height: size[1], Scale: 1},
		})
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, test+"-"+name+".png"), picture.Data, 0o600)
	}
	if err != nil {
		b.Log(err)
	}
}

// publishLines publishes run events of a workspace, and waits until they are stored.
func publishLines(t *testing.T, p *pagesUnderTest, workspace string, lines []string, runs uint64) {
	t.Helper()
	e2etest.Endpoint{URL: p.url}.In(workspace).Call(t, http.MethodPost, "/v1/runs", strings.Join(lines, "\n"),
		"Content-Type: application/x-ndjson").Want(t, http.StatusOK)
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest WHERE workspace_id = '" +
			workspace + "'": runs})
}
