package compose_test

import (
	"encoding/json"
	"fmt"
	"maps"
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
	ran := 0
	for _, d := range grafanatest.Load(s.t, root+"/dashboards/grafana") {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				ran++
				if err := s.target(scope, q); err != nil {
					s.t.Errorf("%s, panel %q: %v", d.Title, p.Title, err)
				}
			}
		}
	}
	if ran < 20 {
		s.t.Errorf("only %d queries of panels were found", ran)
	}
	s.t.Logf("%d queries of panels ran", ran)
}

func (s *stack) target(scope grafanatest.Scope, q grafanatest.Target) error {
	if q.RawSQL != "" {
		sql, err := scope.SQL(q.RawSQL)
		if err == nil {
			_, err = s.query(sql)
		}
		return err
	}
	expr, err := scope.PromQL(q.Expr)
	if err == nil {
		_, err = s.promQL(expr)
	}
	return err
}

// watched checks that Prometheus scrapes every process, has loaded every file of rules and sends to Alertmanager, and
// that Grafana answers.
func (s *stack) watched() {
	s.t.Helper()
	s.eventually(func() error {
		series, err := s.promQL(`count by (role) (up{job="millrace"} == 1)`)
		if err != nil {
			return err
		}
		up := map[string]string{}
		for _, v := range series {
			up[v.Metric["role"]] = fmt.Sprint(v.Value[1])
		}
		if want := map[string]string{"ingest": "1", "export": "2", "serve": "1"}; !maps.Equal(up, want) {
			return fmt.Errorf("processes that are scraped: %v, want %v", up, want)
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
	var rules struct{ Groups []struct{ Name, File string } }
	if err := s.prometheus(&rules, "rules"); err != nil {
		s.t.Error(err)
	}
	loaded := map[string]bool{}
	for _, g := range rules.Groups {
		loaded[filepath.Base(g.File)] = true
	}
	files, _ := filepath.Glob(root + "/dashboards/prometheus/*.rules.yml")
	for _, f := range files {
		if !loaded[filepath.Base(f)] {
			s.t.Errorf("Prometheus has not loaded %s: it has %v", f, rules.Groups)
		}
	}
	for _, url := range []string{"http://alertmanager:9093/api/v2/status", "http://grafana:3000/api/health"} {
		if _, err := s.curl("--fail", url); err != nil {
			s.t.Error(err)
		}
	}
}

// series is a series of an instant query: its labels, and a time with a value.
type series struct {
	Metric map[string]string
	Value  [2]any
}

// promQL runs an expression now.
func (s *stack) promQL(expr string) ([]series, error) {
	var data struct{ Result json.RawMessage }
	if err := s.prometheus(&data, "query", "--data-urlencode", "query="+expr); err != nil {
		return nil, fmt.Errorf("%w: %s", err, expr)
	}
	var list []series
	if !strings.HasPrefix(string(data.Result), "[{") { // no series, or a single number
		return nil, nil
	}
	return list, json.Unmarshal(data.Result, &list)
}

// prometheus asks the API of Prometheus, and decodes the data of its answer.
func (s *stack) prometheus(to any, path string, args ...string) error {
	out, err := s.curl(append(args, "http://prometheus:9090/api/v1/"+path)...)
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
