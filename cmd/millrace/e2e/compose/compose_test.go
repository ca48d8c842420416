// Package compose_test starts docker-compose.yml, and uses it from a container in its network. The
// images that cannot be had where only package registries are reached are replaced: see standin/.
package compose_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/dashboards/grafana/grafanatest"
)

func TestComposeRunsTheWholeFlowAndEveryServiceMayEnd(t *testing.T) {
	s := start(t)
	s.flow("first")
	s.files("first")
	s.panels()
	s.answersTokens()
	// sample and outside are clients. Whatever else ends, in order or not, the flow goes on with what was stored.
	for _, service := range []string{
		"kafka", "clickhouse", "s3", "ingest", "export", "serve", "prometheus", "alertmanager", "grafana",
	} {
		for _, end := range []string{"stop", "kill", "restart"} {
			began := time.Now()
			s.must(s.command(end, service))
			s.up()
			s.flow(service + "-" + end)
			t.Logf("%s %s: the flow worked again after %s", end, service, time.Since(began).Round(time.Second))
		}
	}
	s.files("first")
}

// flow waits for new rows of the sample, and then files an export with kcat and waits for its end.
func (s *stack) flow(id string) {
	s.t.Helper()
	count := func() (n int, err error) {
		text, err := s.query("SELECT count() FROM runs")
		if err == nil {
			n, err = strconv.Atoi(text)
		}
		return n, err
	}
	before := -1
	s.eventually(2*time.Minute, func() error {
		n, err := count()
		if err == nil && before < 0 {
			before = n
		}
		if err == nil && n < before+10 {
			err = fmt.Errorf("runs: %d rows, and %d at first", n, before)
		}
		return err
	})
	request := fmt.Sprintf(`{"export_id":%q,"workspace_id":"default","purpose":"export_dataset","source":"recipe",`+
		`"app_id":"knowledge-answer","selection":{"limit":100}}`, id)
	s.eventually(time.Minute, func() error {
		_, err := s.exec("outside", "sh", "-c",
			"printf '%s\\n' '"+request+"' | kcat -P -b kafka:9092 -t millrace.export-requests -X message.timeout.ms=10000")
		return err
	})
	s.eventually(2*time.Minute, func() error {
		text, err := s.query("SELECT status, records FROM exports WHERE export_id = '" + id + "'")
		if err == nil && (!strings.HasPrefix(text, "succeeded\t") || text == "succeeded\t0") {
			err = fmt.Errorf("export %s is %q", id, text)
		}
		return err
	})
}

// files checks an export in the bucket, and against its manifest.
func (s *stack) files(id string) {
	s.t.Helper()
	if out, err := s.exec("s3", "ls", "/bucket/millrace/exports/default/"+id); err != nil || !strings.Contains(out,
		"manifest.json") {
		s.t.Errorf("export %s in the bucket: %v: %s", id, err, out)
	}
	if _, err := s.exec("serve", "millrace", "exports", "verify", id); err != nil {
		s.t.Error(err)
	}
}

// answersTokens asks the HTTP API with and without a token.
func (s *stack) answersTokens() {
	s.t.Helper()
	token, err := s.exec("serve", "millrace", "token")
	if err != nil {
		s.t.Fatal(err)
	}
	for header, want := range map[string]string{"Authorization: Bearer " + token: "200", "X-Other: 1": "401"} {
		out, err := s.exec("outside", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", header,
			"http://serve:8080/v1/exports/first")
		if err != nil || out != want {
			s.t.Errorf("GET /v1/exports/first: %s, want %s: %v", out, want, err)
		}
	}
	// The files of an export are read through a URL that a browser outside can open, too.
	if out, err := s.exec("outside", "curl", "-sSL", "--fail-with-body", "-H", "Authorization: Bearer "+token,
		"http://serve:8080/v1/exports/first/files/manifest.json"); err != nil || !strings.Contains(out, `"succeeded"`) {
		s.t.Errorf("the manifest by HTTP: %v: %s", err, out)
	}
}

// panels runs the queries of every panel. Those of ClickHouse must be valid, and those of Prometheus
// too; and every role must be scraped.
func (s *stack) panels() {
	s.t.Helper()
	s.eventually(time.Minute, func() error {
		out, err := s.promQL("sum by (role) (up{job=\"millrace\"})")
		if err == nil && strings.Count(out, `"role":`) != 3 {
			err = fmt.Errorf("not all roles are scraped: %s", out)
		}
		return err
	})
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

// promQL asks Prometheus from another container.
func (s *stack) promQL(expr string) (string, error) {
	out, err := s.exec("outside", "curl", "-sS", "http://prometheus:9090/api/v1/query", "--data-urlencode", "query="+expr)
	if err != nil {
		return "", err
	}
	var answer struct{ Status, Error string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return "", fmt.Errorf("Prometheus: %w: %s", err, out)
	}
	if answer.Status != "success" {
		return "", fmt.Errorf("Prometheus: %s: %s", answer.Error, expr)
	}
	return out, nil
}
