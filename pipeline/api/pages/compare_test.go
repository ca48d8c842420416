package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/history"
)

func TestDifferencesMarkTheWordsThatTheOtherLacks(t *testing.T) {
	t.Parallel()
	mark := func(all []piece) string {
		var b strings.Builder
		for _, p := range all {
			if p.Marked {
				b.WriteString("[" + p.Text + "]")
			} else {
				b.WriteString(p.Text)
			}
		}
		return b.String()
	}
	long := strings.Repeat("a b ", maxWords)
	for _, c := range [][4]string{
		{"", "", "", ""}, {"same", "same", "same", "same"}, {"", "new", "", "[new]"},
		{"She makes $18 a day.", "She makes $26 every day.", "She makes $[18 a] day.", "She makes $[26 every] day."},
		{"x y", "y x", "[x] y", "y [x]"}, {"Größe: 1,5", "Größe: 1.5", "Größe: 1[,]5", "Größe: 1[.]5"},
		{"begin " + long + "end", "begin " + strings.ToUpper(long) + "end", "begin [" + long[:len(long)-1] + "] end",
			"begin [" + strings.ToUpper(long[:len(long)-1]) + "] end"},
	} {
		if x, y := differences(c[0], c[1]); mark(x) != c[2] || mark(y) != c[3] {
			t.Errorf("%.40q and %.40q: %.60q and %.60q", c[0], c[1], mark(x), mark(y))
		}
	}
}

func TestChanceIsThatOfTheSignTest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		better, worse int64
		want          string
	}{{0, 0, ""}, {1, 0, "p = 1.00"}, {5, 5, "p = 1.00"}, {9, 1, "p = 0.02"}, {1, 9, "p = 0.02"}, {10, 1, "p = 0.01"},
		{11, 1, "p = 0.006"}, {360, 76, "p < 0.001"}} {
		if got := chance(c.better, c.worse); got != c.want {
			t.Errorf("%d and %d: %q, want %q", c.better, c.worse, got, c.want)
		}
	}
}

// compared is a comparison of two versions on 30 inputs.
func compared() history.Comparison {
	score, none := 1.0, 0.0
	spread := &history.Spread{Count: 30, Mean: .5, P25: .2, P50: .5, P75: .8, P95: 1, Most: 1}
	run := func(id, version, answer string, score *float64) history.Run {
		return history.Run{RunID: id, AppVersion: version, Question: "How much <b>?", Answer: answer, Status: "succeeded",
			StartedAt: noon, Feedback: &history.Feedback{Score: score}}
	}
	return history.Comparison{
		Since: &time.Time{}, Inputs: 30, Base: "v1", Version: "v2", Total: 30, NodePairs: 30,
		Versions: []history.VersionResult{
			{Version: "v2", Inputs: 30, Better: 3, Worse: 20, Same: 6, Unjudged: 1, ThumbsUp: 1, ThumbsDown: 2, Score: spread},
			{Version: "v1", Inputs: 30, Score: spread}},
		Pairs: []history.Pair{{Base: run("r1", "v1", "It is 18.", &score), Version: run("r2", "v2", "It is 26.", &none),
			Outcome: history.Worse}},
		Nodes: []history.NodeResult{{NodeID: "solve", Base: history.NodeNumbers{NodeRuns: 30, P50: &score},
			Version: history.NodeNumbers{NodeRuns: 30, Failed: 2, P50: &none}}},
	}
}

func TestAComparisonShowsPairsAndFilesThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.compared = compared()
	text := s.page("/compare?source=copilot&app=helpdesk&show=worse")
	has(t, text, "Regressions <span class=\"num\">20</span>", `data-testid="better">3<`, `data-testid="unjudged">1<`,
		"How much &lt;b&gt;?", `It is <mark class="is-gone">18</mark>.`, `It is <mark class="is-new">26</mark>.`,
		`name="run" value="r1"`, `name="run" value="r2"`, "Covers the newest 100,000 runs", "1 to 1 of 30",
		`<span class="dim">score</span> 0`, "Export all 30", "33%", "was 0")
	s.caller.Scopes = []string{auth.RunsRead}
	hasNot(t, s.page("/compare?source=copilot&app=helpdesk"), "Export these")
	if a := s.post("/compare/export", url.Values{"source": {"copilot"}}); a.Status != http.StatusForbidden {
		t.Errorf("without the scope: %d", a.Status)
	}
	s.caller.Scopes = auth.Scopes
	if a := s.post("/compare/export", url.Values{"source": {"copilot"}, "app": {"helpdesk"}}); a.Status !=
		http.StatusUnprocessableEntity || !strings.Contains(a.Text, "run_ids") {
		t.Errorf("without runs: %d %s", a.Status, a.Text)
	}
	if a := s.post("/compare/export", url.Values{"source": {"x"}}); a.Status != http.StatusBadRequest {
		t.Errorf("without an app: %d", a.Status)
	}
	s.compared = history.Comparison{}
	has(t, s.page("/compare?source=copilot&app=helpdesk"), "No input is shared by two versions")
}
