// Package compose_test starts docker-compose.yml, and uses it from a container in its network. The
// images that cannot be had where only package registries are reached are replaced: see standin/.
package compose_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// together are the services that end in the same round. Those of the last are the clients of the others, so each loss
// of a store is seen by clients that live on. sample and outside never end.
var together = [][]string{
	{"kafka", "prometheus"}, {"clickhouse", "alertmanager"}, {"s3", "grafana"}, {"ingest", "export", "serve"},
}

func TestComposeRunsTheWholeFlowAndEveryServiceMayEnd(t *testing.T) {
	s := start(t)
	began := time.Now()
	s.works("first")
	s.ports()
	s.panels()
	t.Logf("the flow, the ports and the panels took %s", time.Since(began).Round(time.Second))
	var all []string
	for _, services := range together {
		all = append(all, services...)
		if os.Getenv("MILLRACE_TEST_SOAK") == "true" { // the restart of all is a stop of each
			s.round("stop", services, func() {
				s.must(s.compose(append([]string{"stop"}, services...)...))
				s.up()
			})
		}
		s.round("kill", services, func() { s.kill(services) })
	}
	s.round("restart", all, func() { s.must(s.compose(append([]string{"restart"}, all...)...)) })
	t.Logf("all of it took %s", time.Since(began).Round(time.Second))
}

// round ends services, and waits until every service is healthy again and the flow works.
func (s *stack) round(how string, services []string, end func()) {
	s.t.Helper()
	began := time.Now()
	ended := map[int]bool{}
	for _, c := range s.containers(services...) {
		ended[c.pid] = true
	}
	end()
	s.healthy(ended)
	healthy := time.Since(began)
	s.works(how + "-" + services[0])
	s.t.Logf("%s %s: healthy after %.1f s, and the flow worked after %.1f s", how, strings.Join(services, ", "),
		healthy.Seconds(), time.Since(began).Seconds())
}

// works checks what each service is for, with a new export, and that what was there before still is.
func (s *stack) works(id string) {
	s.t.Helper()
	s.flow(id)
	s.files(id)
	s.files("first")
	s.http(id)
	s.watched()
}

// flow waits for new rows of the sample, and then files an export with kcat and waits for its end.
func (s *stack) flow(id string) {
	s.t.Helper()
	before := -1
	s.eventually(func() error {
		text, err := s.query("SELECT count() FROM runs")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(text)
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
	s.eventually(func() error {
		_, err := s.exec("outside", "sh", "-c",
			"echo '"+request+"' | kcat -P -b kafka:9092 -t millrace.export-requests -X message.timeout.ms=10000")
		return err
	})
	s.eventually(func() error {
		text, err := s.query("SELECT status, records > 0 FROM exports WHERE export_id = '" + id + "'")
		if err == nil && text != "succeeded\t1" {
			err = fmt.Errorf("export %s is %q", id, text)
		}
		return err
	})
}

// files checks an export in the bucket, and against its manifest.
func (s *stack) files(id string) {
	s.t.Helper()
	out, err := s.exec("s3", "ls", "/bucket/millrace/exports/default/"+id)
	if err != nil || !strings.Contains(out, "manifest.json") {
		s.t.Errorf("export %s in the bucket: %v: %s", id, err, out)
	}
	if _, err := s.exec("serve", "millrace", "exports", "verify", id); err != nil {
		s.t.Error(err)
	}
}

// http asks the HTTP API for an export, with and without a token.
func (s *stack) http(id string) {
	s.t.Helper()
	token, err := s.exec("serve", "millrace", "token")
	if err != nil {
		s.t.Fatal(err)
	}
	const export = "http://serve:8080/v1/exports/"
	for header, want := range map[string]string{"Authorization: Bearer " + token: "200", "X-Other: 1": "401"} {
		out, err := s.curl("-o", "/dev/null", "-w", "%{http_code}", "-H", header, export+id)
		if err != nil || out != want {
			s.t.Errorf("GET %s%s: %s, want %s: %v", export, id, out, want, err)
		}
	}
	// The answer may be a redirect to the store, by a name that browsers resolve too.
	out, err := s.curl("-L", "--fail-with-body", "-H", "Authorization: Bearer "+token, export+id+"/files/manifest.json")
	if err != nil || !strings.Contains(out, `"succeeded"`) {
		s.t.Errorf("the manifest of %s by HTTP: %v: %s", id, err, out)
	}
}

// ports uses the published ports as people on the machine do, and from no other address.
func (s *stack) ports() {
	s.t.Helper()
	for _, url := range []string{
		"http://127.0.0.1:8080/healthz", "http://127.0.0.1:3000/api/health", "http://127.0.0.1:9090/-/ready",
		"http://127.0.0.1:9093/-/ready", "http://127.0.0.1:8123/ping", "http://s3.localhost:7070/health",
	} {
		if _, err := s.output(s.onMachine("curl", "-sS", "--fail", "--max-time", "20", url)); err != nil {
			s.t.Error(err)
		}
	}
	out, err := s.output(s.onMachine("kcat", "-b", "127.0.0.1:9092", "-t", "millrace.runs", "-C", "-c", "1", "-e"))
	if err != nil || !strings.Contains(out, "run_id") {
		s.t.Errorf("a run of the topic: %v: %q", err, out)
	}
	for line := range strings.Lines(s.must(s.onMachine("ss", "-Hltn"))) {
		if address := strings.Fields(line)[3]; !strings.HasPrefix(address, "127.0.0.1:") {
			s.t.Errorf("%s is open to other machines", address)
		}
	}
}
