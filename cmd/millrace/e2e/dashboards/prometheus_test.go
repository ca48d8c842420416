package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

const scrapeInterval = time.Second

// prometheus is a real Prometheus that scrapes the roles of a test.
type prometheus struct{ url string }

// startPrometheus starts it for the addresses of roles, host:port. Without it the test is skipped, and fails where
// CI=true.
func startPrometheus(t *testing.T, targets ...string) *prometheus {
	t.Helper()
	return startPrometheusWithRules(t, nil, targets...)
}

// startPrometheusWithRules also evaluates files of rules, once a scrape.
func startPrometheusWithRules(t *testing.T, rules []string, targets ...string) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("Prometheus must be there where CI=true: %v; make test installs it", err)
		}
		t.Skipf("no Prometheus: %v; make test installs it where it may", err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: %s, evaluation_interval: %[1]s}\nrule_files: %s\n"+
		"scrape_configs:\n- job_name: millrace\n  static_configs: [{targets: %s}]\n", scrapeInterval,
		e2etest.JSONText(t, rules), e2etest.JSONText(t, targets))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var log bytes.Buffer
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus:\n%s", log.String())
		}
	})
	p := &prometheus{"http://" + addr}
	e2etest.Eventually(t, time.Minute, func() string {
		resp, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return err.Error()
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return ""
	})
	return p
}

// vector is a series: its labels and its points, each a time in Unix seconds and a value.
type vector struct {
	Metric map[string]string `json:"metric"`
	Value  *[2]any           `json:"value"`
	Values [][2]any          `json:"values"`
}

// points are those of an instant or a ranged query. A value that is not a number is left out.
func (v vector) points() (list [][2]float64) {
	values := v.Values
	if v.Value != nil {
		values = append(values, *v.Value)
	}
	for _, p := range values {
		f, err := strconv.ParseFloat(p[1].(string), 64)
		if err == nil && f == f && f < 1e300 {
			list = append(list, [2]float64{p[0].(float64), f})
		}
	}
	return list
}

// api calls Prometheus and decodes the data of its answer.
func (p *prometheus) api(path string, query url.Values, to any) error {
	resp, err := http.PostForm(p.url+"/api/v1/"+path, query)
	if err != nil {
		return err
	}
	return decodeAnswer(resp, to)
}

// get calls a part of the API that has no parameters.
func (p *prometheus) get(path string, to any) error {
	resp, err := http.Get(p.url + "/api/v1/" + path)
	if err != nil {
		return err
	}
	return decodeAnswer(resp, to)
}

func decodeAnswer(resp *http.Response, to any) error {
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, to)
}

// instant runs an expression at a time.
func (p *prometheus) instant(expr string, at time.Time) ([]vector, error) {
	var data struct{ Result []vector }
	err := p.api("query", url.Values{"query": {expr}, "time": {unix(at)}}, &data)
	return data.Result, err
}

// ranged runs an expression at all times between two.
func (p *prometheus) ranged(expr string, from, to time.Time, step time.Duration) ([]vector, error) {
	var data struct{ Result []vector }
	err := p.api("query_range", url.Values{"query": {expr}, "start": {unix(from)}, "end": {unix(to)},
		"step": {step.String()}}, &data)
	return data.Result, err
}

func unix(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }

// value is the sum of an expression now, 0 without a series.
func (p *prometheus) value(t *testing.T, expr string) (sum float64) {
	t.Helper()
	result, err := p.instant(expr, time.Now())
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	for _, v := range result {
		for _, point := range v.points() {
			sum += point[1]
		}
	}
	return sum
}

// names are the metrics that Prometheus has seen.
func (p *prometheus) names(t *testing.T) map[string]bool {
	t.Helper()
	var found []string
	if err := p.get("label/__name__/values", &found); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, n := range found {
		names[n] = true
		for _, suffix := range []string{"_count", "_sum", "_bucket"} {
			names[strings.TrimSuffix(n, suffix)] = true
		}
	}
	return names
}
