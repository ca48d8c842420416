// Package prometheus_test checks the rules and alerts of this folder, with Prometheus's own tools.
package prometheus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// promtool runs promtool, of Debian's package prometheus.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("promtool (Debian package prometheus) must be there where CI=true: %v", err)
		}
		t.Skipf("promtool (Debian package prometheus) is not there: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	promtool(t, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles(t)...)...)
}

// rules.test.yml has for each alert series with which it fires, and clears.
func TestEachAlertFiresAndClears(t *testing.T) {
	promtool(t, "test", "rules", "rules.test.yml")
	tests, err := os.ReadFile("rules.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alerts(t) {
		fires := `exp_samples: [{value: 1, labels: 'ALERTS{alertname="` + r.Alert + `", alertstate="firing", severity="` +
			r.Labels["severity"] + `"`
		if !strings.Contains(string(tests), fires) {
			t.Errorf("%s: no test in which it fires as %s", r.Alert, r.Labels["severity"])
		}
		_, after, _ := strings.Cut(string(tests), fires)
		checks := strings.SplitN(after, "eval_time", 3)
		if len(checks) < 2 || strings.Contains(strings.SplitN(checks[len(checks)-1], "\n", 3)[1], "exp_samples") {
			t.Errorf("%s: no test in which it clears", r.Alert)
		}
	}
}

// docker-compose.yml mounts this folder at /etc/prometheus.
func TestPrometheusReadsTheRulesAndNotTheirTests(t *testing.T) {
	text, err := os.ReadFile("prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		RuleFiles []string `yaml:"rule_files"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var read []string
	for _, pattern := range config.RuleFiles {
		found, err := filepath.Glob(strings.TrimPrefix(pattern, "/etc/prometheus/"))
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, found...)
	}
	if want := ruleFiles(t); !slices.Equal(read, want) {
		t.Errorf("Prometheus reads %q, and the rules are %q", read, want)
	}
}

// rule is a rule of Prometheus: an alert, or a recording rule.
type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

func ruleFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("rules/*.yml")
	if err != nil || len(names) < 2 {
		t.Fatalf("files of rules: %v, %v", names, err)
	}
	return names
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	for _, name := range ruleFiles(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Groups []struct{ Rules []rule } }
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, g := range file.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

func alerts(t *testing.T) (all []rule) {
	t.Helper()
	for _, r := range rules(t) {
		if r.Alert != "" {
			all = append(all, r)
		}
	}
	if len(all) < 8 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

func TestEachAlertSaysWhatItIsAndHasItsRunbook(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	const address = "https://github.com/millrace/millrace/blob/main/dashboards/README.md#"
	named := map[string]bool{}
	for _, r := range alerts(t) {
		named[r.Alert] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		for _, name := range []string{"summary", "description"} {
			if !strings.HasSuffix(r.Annotations[name], ".") {
				t.Errorf("%s: %s %q is no sentence", r.Alert, name, r.Annotations[name])
			}
		}
		if got, want := r.Annotations["runbook_url"], address+strings.ToLower(r.Alert); got != want {
			t.Errorf("%s: runbook_url %s, want %s", r.Alert, got, want)
		}
		_, section, found := strings.Cut(string(document), "\n### "+r.Alert+"\n")
		if !found {
			t.Errorf("%s: dashboards/README.md has no section of its name", r.Alert)
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		for _, part := range []string{"**Means:**", "**See:**", "```sh\n", "**Do:**", "**Clears:**"} {
			if !strings.Contains(section, part) {
				t.Errorf("%s: its section has no %s", r.Alert, part)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Millrace\w+)$`).FindAllSubmatch(document, -1) {
		if !named[string(m[1])] {
			t.Errorf("dashboards/README.md has a section about %s, which is no alert", m[1])
		}
	}
}

// A rule about a metric or a value of a label that nothing has never fires.
func TestEveryMetricAndLabelOfTheRulesExists(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "METRICS.md")) // generated from the code, by a test
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // the line of a metric, or of a label that is too long for it
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*$").FindAllStringSubmatch(string(document), -1) {
		rows[m[1]] = m[0]
	}
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		recorded[r.Record] = true
	}
	checked := 0
	for _, r := range rules(t) {
		for _, m := range regexp.MustCompile(`\b(millrace[_:][\w:]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(r.Expr, -1) {
			family := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(m[1], "")
			if recorded[m[1]] {
				continue
			}
			if rows[family] == "" {
				t.Errorf("%s%s: the code has no metric %s", r.Alert, r.Record, m[1])
			}
			for _, l := range regexp.MustCompile(`(\w+)(?:=~|!=|=)"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
				if l[1] != "le" && !strings.Contains(rows[family], "`"+l[1]+"`") {
					t.Errorf("%s%s: metric %s has no label %s", r.Alert, r.Record, m[1], l[1])
				}
				for _, value := range strings.Split(l[2], "|") {
					word := regexp.MustCompile(`\b` + value + `\b`)
					if l[1] != "le" && l[1] != "group" && !word.MatchString(rows[family]+rows[l[1]]) && !roles[value] {
						t.Errorf("%s%s: label %s of %s is never %q", r.Alert, r.Record, l[1], m[1], value)
					}
					checked++
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d values of labels were found", checked)
	}
}

// roles are the values of label role, which METRICS.md shows in its own column.
var roles = map[string]bool{"ingest": true, "export": true, "serve": true}

// A runbook that names a panel which is gone is of no use.
func TestEveryPanelOfTheRunbooksExists(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string]bool{}
	for _, name := range []string{"pipeline", "exports"} {
		text, err := os.ReadFile(filepath.Join("..", "grafana", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"title": "([^"]+)"`).FindAllSubmatch(text, -1) {
			titles[string(m[1])] = true
		}
	}
	named := 0
	for _, see := range regexp.MustCompile(`(?ms)^\*\*See:\*\*(.*?)^(?:\*\*Do|`+"```"+`)`).FindAllSubmatch(document, -1) {
		for _, m := range regexp.MustCompile(`(?:^|\s)\*([^*]+)\*`).FindAllSubmatch(see[1], -1) {
			named++
			if title := strings.Join(strings.Fields(string(m[1])), " "); !titles[title] {
				t.Errorf("dashboards/README.md names the panel %q, which no dashboard has", title)
			}
		}
	}
	if named < 12 {
		t.Errorf("only %d panels are named", named)
	}
}
