package browser

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// sums are the runs of three versions on n inputs each, with their judgements. Versions v2 and v3 are
// better than v1 on every third input, and worse on each input behind those. Inputs that 7 divides are
// not judged in v1.
func sums(workspace string, n int) (lines []string) {
	began := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	for v := 1; v <= 3; v++ {
		for i := range n {
			at := began.AddDate(0, 0, v).Add(time.Duration(i) * time.Minute)
			answer, score := fmt.Sprintf("First %d and %d are added, which makes %d.", i, i, 2*i), 1
			if v == 1 && i%3 == 0 || v > 1 && i%3 == 1 {
				answer, score = fmt.Sprintf("Adding %d and %d makes %d.", i, i, 2*i+1), 0
			}
			id := fmt.Sprintf("v%d-%03d", v, i)
			lines = append(lines, fmt.Sprintf(
				`{"type":"dev.millrace.run.v1","workspace_id":%q,"run_id":%q,"source":"recipe","app_id":"sums","app_name":"Sums","app_version":"v%d","started_at":%q,"ended_at":%q,"status":"succeeded","question":"How much is %d plus %d?","answer":%q,"cost_usd":%g}`,
				workspace, id, v, at.Format(time.RFC3339), at.Add(time.Duration(v)*time.Second).Format(time.RFC3339), i, i, answer,
				0.001*float64(v)),
				fmt.Sprintf(
					`{"type":"dev.millrace.node.v1","workspace_id":%q,"run_id":%q,"node_run_id":"n","source":"recipe","app_id":"sums","app_version":"v%d","node_id":"add","node_name":"Add up","node_type":"llm","started_at":%q,"ended_at":%q,"status":"succeeded"}`,
					workspace, id, v, at.Format(time.RFC3339), at.Add(time.Duration(v)*time.Second).Format(time.RFC3339)))
			if v > 1 || i%7 > 0 {
				lines = append(lines, fmt.Sprintf(
					`{"type":"dev.millrace.feedback.v1","workspace_id":%q,"run_id":%q,"feedback_id":"f","score":%d,"updated_at":"2026-11-10T00:00:00Z"}`,
					workspace, id, score))
			}
		}
	}
	return lines
}

// sides are the runs of the pairs that the page lists, sorted.
const sides = `[...document.querySelectorAll('[data-testid=side]')].map(s => s.dataset.run).sort().join()`

func comparesVersions(t *testing.T, p *pagesUnderTest) {
	const inputs = 90
	var better, worse, same, unjudged int
	for i := range inputs {
		switch {
		case i%7 == 0:
			unjudged++
		case i%3 == 0:
			better++
		case i%3 == 1:
			worse++
		default:
			same++
		}
	}
	publishLines(t, p, "versions", sums("versions", inputs), 3*inputs)
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM feedback_latest WHERE workspace_id = 'versions'": uint64(3*inputs - unjudged),
		"SELECT count() FROM nodes_latest WHERE workspace_id = 'versions'":    3 * inputs})
	b := person(t, p, p.url, "versions")
	b.open("/recipes")
	b.click("action-menu")
	b.leave(func() { b.click("menu-compare") })
	b.choose("compare-base", "v1")
	b.leave(func() { b.click("compare-apply") })
	for _, version := range []string{"v2", "v3"} {
		row := `document.querySelector('[data-testid=version-row][data-version=` + version + `]')`
		got := evaluate[string](b, `['better', 'worse', 'same', 'unjudged'].map(k => `+row+
			`.querySelector('[data-testid=' + k + ']').innerText).join()`)
		if want := fmt.Sprintf("%d,%d,%d,%d", better, worse, same, unjudged); got != want {
			t.Errorf("%s has %s, want %s", version, got, want)
		}
	}
	const compare = "/compare?source=recipe&app=sums&base=v1&version=v3"
	b.looks(scene{"compare", compare, nil}, scene{"compare-same", compare + "&show=same", nil},
		scene{"compare-nothing", compare + "&from=2026-11-04T00:00&to=2026-11-04T12:00", nil})

	b.width(1280)
	b.open(compare)
	b.leave(func() { b.click("show-worse") })
	if marked := evaluate[string](b, `[...document.querySelectorAll('[data-testid=pair]:first-child mark')].map(m => m.innerText).
		join('|')`); !strings.Contains(marked, "First") || !strings.Contains(marked, "Adding") {
		t.Errorf("marked are %s", marked)
	}
	shown := evaluate[string](b, sides)
	if n := strings.Count(shown, ",") + 1; n != 50 {
		t.Errorf("%d runs are shown, want 25 pairs", n)
	}
	b.leave(func() { b.click("export-these") })
	b.exported(shown)

	// Without a script the same works, and all pairs can be exported at once.
	b.scripts(false)
	b.open(compare + "&show=worse&page=2")
	shown2 := evaluate[string](b, sides)
	if n := strings.Count(shown2, ",") + 1; n != 2*(worse-25) {
		t.Errorf("%d runs are on the second page, want %d", n, 2*(worse-25))
	}
	b.open(compare + "&show=worse")
	b.leave(func() { b.click("export-all") })
	id := evaluate[string](b, `location.hash.slice(1)`)
	api := e2etest.Endpoint{URL: p.url}.In("versions")
	api.WaitFor(t, id, "succeeded")
	if got := runsOf(t, api, id); got != sorted(shown+","+shown2) {
		t.Errorf("all are %s, want %s,%s", got, shown, shown2)
	}
	b.scripts(true)
}

// exported waits for the evaluation that was filed, which downloads by itself, and holds its runs
// against those that were shown.
func (b *tab) exported(shown string) {
	b.Helper()
	b.filed("succeeded")
	var ids []string
	for _, r := range records(b.T, b.downloaded()) {
		ids = append(ids, r["run_id"].(string))
	}
	slices.Sort(ids)
	if got := strings.Join(ids, ","); got != shown {
		b.Errorf("exported are %s, and shown were %s", got, shown)
	}
}

// scripts switches the scripts of pages on or off.
func (b *tab) scripts(on bool) {
	b.Helper()
	b.do(chromedp.Steps())
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: !on})
	b.must(err)
}

// runsOf returns the runs of the records of an export, sorted.
func runsOf(t *testing.T, api e2etest.Endpoint, id string) string {
	t.Helper()
	var preview struct {
		Records []object `json:"records"`
	}
	e2etest.Decode(t, api.Get(t, "/v1/exports/"+id+"/preview?n=100").Want(t, http.StatusOK).Body, &preview)
	var ids []string
	for _, r := range preview.Records {
		ids = append(ids, r["run_id"].(string))
	}
	return sorted(strings.Join(ids, ","))
}

func sorted(list string) string {
	all := strings.Split(list, ",")
	slices.Sort(all)
	return strings.Join(all, ",")
}
