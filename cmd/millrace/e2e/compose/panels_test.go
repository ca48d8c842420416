package compose_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/dashboards/grafana/grafanatest"
)

// panels runs the queries of every panel. All must be valid.
func (s *stack) panels() {
	s.t.Helper()
	now := time.Now()
	scope := grafanatest.Scope{From: now.Add(-time.Hour), To: now, Step: time.Minute, Scrape: 5 * time.Second,
		Values: map[string][]string{"role": {"ingest", "export", "serve"}, "instance": {".*"}}}
	var names, requests []string
	for _, d := range grafanatest.Load(s.t, root+"/dashboards/grafana") {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				panel := fmt.Sprintf("%s, panel %q", d.Title, p.Title)
				request, err := queryOf(scope, q)
				if err != nil {
					s.t.Errorf("%s: %v", panel, err)
				}
				names, requests = append(names, panel), append(requests, request)
			}
		}
	}
	// One process sends them all.
	cmd := exec.Command("docker", "exec", "--interactive", name("outside"), "curl", "-sS", "--config", "-")
	cmd.Stdin = strings.NewReader(strings.Join(requests, "next\n"))
	answers := strings.Split(s.must(cmd), endOfAnswer)
	if len(answers) != len(names)+1 || len(names) < 20 {
		s.t.Fatalf("%d answers to the queries of %d panels", len(answers)-1, len(names))
	}
	for i, panel := range names {
		if !strings.HasSuffix(answers[i], "\n200") {
			s.t.Errorf("%s: %s\n%s", panel, answers[i], requests[i])
		}
	}
	s.t.Logf("%d queries of panels ran", len(names))
}

const endOfAnswer = "\x1e"

// queryOf is the request of a panel's query, as a configuration of curl. Its answer ends with a line of the status.
// Prometheus ignores the user.
func queryOf(scope grafanatest.Scope, q grafanatest.Target) (string, error) {
	const format = `url = "%s"
user = "%s"
%s"
write-out = "\n%%{http_code}%s"
`
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace
	if q.RawSQL != "" {
		sql, err := scope.SQL(q.RawSQL)
		return fmt.Sprintf(format, clickhouseURL, clickhouseUser, `data-binary = "`+quote(sql), endOfAnswer), err
	}
	expr, err := scope.PromQL(q.Expr)
	return fmt.Sprintf(format, prometheusURL+"query", clickhouseUser, `data-urlencode = "query=`+quote(expr), endOfAnswer), err
}

// watched checks that Prometheus scrapes every process, has loaded every file of rules and sends to Alertmanager, and
// that Grafana answers.
func (s *stack) watched() {
	s.t.Helper()
	s.eventually(func() error {
		var found struct {
			ActiveTargets []struct {
				Labels map[string]string
				Health string
			}
		}
		if err := s.prometheus(&found, "targets"); err != nil {
			return err
		}
		up := map[string]int{}
		for _, target := range found.ActiveTargets {
			if target.Health == "up" {
				up[target.Labels["role"]]++
			}
		}
		if want := map[string]int{"ingest": 1, "export": 2, "serve": 1, "": 1}; !maps.Equal(up, want) {
			return fmt.Errorf("processes that are scraped: %v, want %v; the one without a role is Prometheus", up, want)
		}
		return nil
	})
	s.eventually(func() error {
		var found struct{ ActiveAlertmanagers []any }
		err := s.prometheus(&found, "alertmanagers")
		if err == nil && len(found.ActiveAlertmanagers) != 1 {
			err = fmt.Errorf("Prometheus knows %d Alertmanagers, want 1", len(found.ActiveAlertmanagers))
		}
		return err
	})
	s.rules()
	for _, url := range []string{"http://alertmanager:9093/api/v2/status", "http://grafana:3000/api/health"} {
		if _, err := s.curl("--fail", url); err != nil {
			s.t.Error(err)
		}
	}
}

// rules checks that Prometheus has loaded every file of rules, and that no rule fails.
func (s *stack) rules() {
	s.t.Helper()
	var found struct {
		Groups []struct {
			File  string
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := s.prometheus(&found, "rules"); err != nil {
		s.t.Error(err)
	}
	loaded := map[string]bool{}
	for _, g := range found.Groups {
		loaded[filepath.Base(g.File)] = true
		for _, r := range g.Rules {
			if r.Health == "err" {
				s.t.Errorf("rule %s of %s: %s", r.Name, g.File, r.LastError)
			}
		}
	}
	files, err := filepath.Glob(root + "/dashboards/prometheus/rules/*.yml")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		if !loaded[filepath.Base(f)] {
			s.t.Errorf("Prometheus has not loaded %s: it has %v", f, loaded)
		}
	}
}

// prometheus asks the API of Prometheus, and decodes the data of its answer.
func (s *stack) prometheus(to any, path string) error {
	out, err := s.curl(prometheusURL + path)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return fmt.Errorf("Prometheus: %w: %s", err, out)
	}
	if answer.Status != "success" {
		return fmt.Errorf("Prometheus: %s", answer.Error)
	}
	return json.Unmarshal(answer.Data, to)
}
