package sample

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// atLeast fails the test if n is less than want. what names what n counts.
func atLeast(t *testing.T, n, want int, what string) {
	t.Helper()
	if n < want {
		t.Errorf("%d %s, want at least %d", n, what, want)
	}
}

type set map[string]bool

func (s set) add(v string) { s[v] = true }

func TestEveryStatusSourceAppAndVersionOccurs(t *testing.T) {
	seen, versions := set{}, map[string]set{}
	for _, e := range sample(t) {
		if e.Type == TypeFeedback {
			continue
		}
		kind := e.Type + " " + e.str("source") + " "
		seen.add(kind + e.str("status"))
		if versions[kind+e.str("app_id")] == nil {
			versions[kind+e.str("app_id")] = set{}
		}
		versions[kind+e.str("app_id")].add(e.str("app_version"))
	}
	atLeast(t, len(seen), 2*2*4, "combinations of type, source and status")
	atLeast(t, len(versions), 8, "apps, by runs and by nodes")
	for app, v := range versions {
		atLeast(t, len(v), 3, "versions of "+app)
	}
}

// Versions are ordered by their first run: it must be that of the release.
func TestVersionsAppearInOrder(t *testing.T) {
	first := map[string]string{}
	for _, e := range sample(t) {
		key := e.str("app_id") + " " + e.str("app_version")
		if at := e.str("started_at"); e.Type == TypeRun && (first[key] == "" || at < first[key]) {
			first[key] = at
		}
	}
	for _, a := range apps {
		for v := 1; v < len(a.versions); v++ {
			if before, after := first[a.id+" "+a.versions[v-1].name], first[a.id+" "+a.versions[v].name]; before >= after {
				t.Errorf("%s: version %d first seen %s, the one before it %s", a.id, v, after, before)
			}
		}
	}
}

func TestNewerVersionsScoreBetter(t *testing.T) {
	runs := map[string]sent{}
	sum, n := map[string]float64{}, map[string]float64{}
	for _, e := range sample(t) {
		if e.Type == TypeRun {
			runs[e.str("run_id")] = e
		}
	}
	for _, e := range sample(t) {
		if score, ok := e.data["score"].(float64); ok && e.str("node_id") == "" {
			run := runs[e.str("run_id")]
			key := run.str("app_id") + " " + run.str("app_version")
			sum[key], n[key] = sum[key]+score, n[key]+1
		}
	}
	for _, a := range apps {
		for v := 1; v < len(a.versions); v++ {
			old, new := a.id+" "+a.versions[v-1].name, a.id+" "+a.versions[v].name
			if sum[old]/n[old] >= sum[new]/n[new] {
				t.Errorf("%s scores %.2f, %s %.2f", old, sum[old]/n[old], new, sum[new]/n[new])
			}
		}
	}
}

// An input is the question and the inputs of a run, with white space collapsed and keys sorted.
func TestInputsComeBackThroughVersions(t *testing.T) {
	type group struct {
		versions, ratings, references set
		runs                          int
	}
	groups, of := map[string]*group{}, map[string]*group{}
	for _, e := range sample(t) {
		if e.Type != TypeRun {
			continue
		}
		inputs, _ := json.Marshal(e.data["inputs"]) // sorts keys
		key := fmt.Sprintf("%s %q %s", e.str("app_id"), strings.Fields(e.str("question")), inputs)
		g := groups[key]
		if g == nil {
			g = &group{versions: set{}, ratings: set{}, references: set{}}
			groups[key] = g
		}
		if of[e.str("run_id")] == nil {
			of[e.str("run_id")] = g
			g.runs++
		}
		g.versions.add(e.str("app_version"))
		g.references.add(e.str("reference"))
	}
	for _, e := range sample(t) {
		if e.str("rating") != "" && e.str("node_id") == "" {
			of[e.str("run_id")].ratings.add(e.str("rating"))
		}
	}
	several, pairs, referenced, largest := 0, 0, 0, 0
	for key, g := range groups {
		if len(g.versions) >= 2 {
			several++
		}
		if len(g.ratings) == 2 {
			pairs++
		}
		if g.references[""] && len(g.references) > 1 {
			t.Logf("sometimes without reference: %.200s", key)
		} else if !g.references[""] {
			referenced++
		}
		largest = max(largest, g.runs)
	}
	atLeast(t, several, 150, "inputs that met two versions")
	atLeast(t, pairs, 60, "inputs rated up and down")
	atLeast(t, referenced, 50, "inputs with a reference")
	if largest > 100 {
		t.Errorf("an input came %d times", largest)
	}
}

func TestEveryModelNodeHasTwoTemplatesAndTheirVariables(t *testing.T) {
	templates := map[string]set{}
	long := 0
	for _, e := range sample(t) {
		prompt, ok := e.data["prompt"].(data)
		if !ok {
			continue
		}
		node := e.str("app_id") + " " + e.str("node_id")
		if templates[node] == nil {
			templates[node] = set{}
		}
		template := prompt["template"].(string)
		templates[node].add(template)
		variables := prompt["variables"].(data)
		for name := range variables {
			if !strings.Contains(template, "{{"+name+"}}") {
				t.Errorf("%s: %s is not in the template", e.ID, name)
			}
			if len(name) > 60 {
				long++
			}
		}
		if n := strings.Count(template, "{{"); n != len(variables) {
			t.Errorf("%s: %d placeholders, %d variables", e.ID, n, len(variables))
		}
	}
	atLeast(t, len(templates), 7, "nodes with prompts")
	atLeast(t, long, 10, "variables with long names")
	for node, all := range templates {
		atLeast(t, len(all), 2, "templates of "+node)
	}
}

func TestNodesAreOfEveryTypeAndNestAndRepeat(t *testing.T) {
	kinds, ids, parents, times := set{}, set{}, set{}, map[string]set{}
	for _, e := range sample(t) {
		if e.Type != TypeNode {
			continue
		}
		kinds.add(e.str("source") + " " + e.str("node_type"))
		ids.add(e.str("run_id") + " " + e.str("node_run_id"))
		if p := e.str("parent_node_run_id"); p != "" {
			parents.add(e.str("run_id") + " " + p)
		}
		key := e.str("run_id") + " " + e.str("node_id")
		if times[key] == nil {
			times[key] = set{}
		}
		times[key].add(e.str("node_run_id"))
	}
	for _, kind := range strings.Split("copilot agent,copilot llm,copilot retrieval,copilot router,copilot tool,copilot "+
		"code,"+
		"recipe llm,recipe retrieval,recipe router,recipe tool,recipe code", ",") {
		if !kinds[kind] {
			t.Errorf("no %s node", kind)
		}
	}
	again := 0
	for _, runs := range times {
		if len(runs) > 1 {
			again++
		}
	}
	atLeast(t, again, 20, "nodes that ran twice in a run")
	atLeast(t, len(parents), 50, "nodes with children")
	for p := range parents {
		if !ids[p] {
			t.Errorf("parent %s is not there", p)
		}
	}
}

func TestChunksAreSentAndUsed(t *testing.T) {
	used, unused, unsent := 0, 0, 0
	for _, e := range sample(t) {
		chunks, _ := e.data["chunks"].([]any)
		for _, c := range chunks {
			switch c := c.(data); {
			case c["used_in_answer"] == true && c["sent_to_llm"] == true:
				used++
			case c["used_in_answer"] == true:
				t.Errorf("%s: used, but not sent", e.ID)
			case c["sent_to_llm"] == true:
				unused++
			default:
				unsent++
			}
		}
	}
	atLeast(t, min(used, unused, unsent), 100, "chunks used, unused and unsent")
}

func TestEventsAreLateRepeatedAndOutOfOrder(t *testing.T) {
	n := map[string]int{}
	seen := map[string]string{}  // id to line
	newest := map[string]int64{} // identity to version
	status := map[string]sent{}  // of the newest
	started := 0                 // runs seen so far
	at := map[string]int{}
	var clock int64
	for _, e := range sample(t) {
		run := e.str("run_id")
		if _, ok := at[run]; !ok {
			at[run] = started
			started++
		}
		switch behind := started - at[run]; {
		case behind > 500:
			n["very late "+e.Type]++
		case behind > 100:
			n["late "+e.Type]++
		}
		if old, ok := seen[e.ID]; ok {
			n["repeated "+e.Type]++
			if old != string(e.line) {
				t.Errorf("%s is not the same the second time", e.ID)
			}
		}
		seen[e.ID] = string(e.line)
		if ms := e.Time.UnixMilli(); ms < clock {
			n["out of order"]++
		} else {
			clock = ms
		}
		old, known := status[e.key()]
		v := e.version(t)
		switch {
		case !known:
		case v < newest[e.key()] && e.str("status") == running && old.str("status") != running:
			n["running after final"]++
			if e.updated(t).Equal(old.updated(t)) {
				n["running after final, same time"]++
			}
		case v > newest[e.key()] && e.str("status") != running && old.str("status") == running:
			n["running, then final "+e.Type]++
		case v > newest[e.key()] && e.Type == TypeRun:
			n["revised"]++
		case v > newest[e.key()] && e.Type == TypeFeedback:
			n["changed feedback"]++
		}
		if !known || v > newest[e.key()] {
			newest[e.key()], status[e.key()] = v, e
		}
	}
	for _, what := range []string{
		"late " + TypeRun, "late " + TypeNode, "late " + TypeFeedback, "very late " + TypeRun, "very late " + TypeFeedback,
		"repeated " + TypeRun, "repeated " + TypeNode, "out of order",
		"running after final", "running after final, same time", "running, then final " + TypeRun,
		"running, then final " + TypeNode,
		"revised", "changed feedback",
	} {
		atLeast(t, n[what], 10, "events "+what)
	}
}

func TestRunsStartLongAgoAndInAnotherMonth(t *testing.T) {
	early, before := set{}, set{}
	for _, e := range sample(t) {
		if at := e.str("started_at"); e.Type == TypeRun && at < "2026-01-05T08" {
			early.add(e.str("run_id"))
			if at < "2026-01" {
				before.add(e.str("run_id"))
			}
		}
	}
	atLeast(t, len(early), 15, "runs from before the start")
	atLeast(t, len(before), 2, "runs of the month before")
}

func TestTextsAreLongMultilingualAndHostile(t *testing.T) {
	longest, n := 0, map[string]int{}
	starts := map[byte]int{}
	for _, e := range sample(t) {
		walk("", e.data, func(path string, v any) {
			s, ok := v.(string)
			if !ok {
				return
			}
			longest = max(longest, len(s))
			if strings.HasSuffix(path, "question") || path == "comment" || path == "answer" {
				starts[(s + " ")[0]]++
			}
			for what, has := range map[string]bool{
				"ZWJ": strings.Contains(s, "👩\u200d"), "combining": strings.Contains(s, "e\u0301"), "newline": strings.Contains(s,
					"\n"),
				"CR": strings.Contains(s, "\r\n"), "quote": strings.Contains(s, `"`), "backslash": strings.Contains(s, `\`),
				"HTML": strings.Contains(s, "<script>"), "escape": strings.Contains(s, "\u001b["), "separator": strings.Contains(s,
					"\u2028"),
				"astral": strings.Contains(s, "𠮷"), "flag": strings.Contains(s, "🏳️"), "blank": s != "" &&
					strings.TrimSpace(s) == "",
			} {
				if has {
					n[what]++
				}
			}
			for script, table := range map[string]*unicode.RangeTable{
				"Han": unicode.Han, "Hiragana": unicode.Hiragana, "Hangul": unicode.Hangul, "Arabic": unicode.Arabic,
				"Hebrew":     unicode.Hebrew,
				"Devanagari": unicode.Devanagari, "Thai": unicode.Thai, "Cyrillic": unicode.Cyrillic,
			} {
				if len(s) < 2000 && strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(table, r) }) {
					n[script]++
				}
			}
		})
		if bytes.Contains(e.line, []byte(`\ud83d\ude`)) {
			n["escaped surrogates"]++
		}
	}
	for _, what := range strings.Fields(
		`ZWJ combining newline CR quote backslash HTML escape separator astral flag blank Han Hiragana Hangul
		Arabic Hebrew Devanagari Thai Cyrillic`) {
		atLeast(t, n[what], 5, "texts with "+what)
	}
	atLeast(t, n["escaped surrogates"], 1, "events in ASCII")
	for _, c := range []byte("=@+-<\t\r") {
		atLeast(t, starts[c], 1, fmt.Sprintf("texts that start with %q", c))
	}
	if longest < 40_000 || longest > 110_000 {
		t.Errorf("the longest text has %d bytes", longest)
	}
}
