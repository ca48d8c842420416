package dashboards

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/sinks/bucket/buckettest"
)

// alertsFaster is by how much the durations of the rules are divided: minutes become seconds.
const alertsFaster = 60

var duration = regexp.MustCompile(`(\[|for: )(\d+)(m|h)\b`)

// fastRules writes the rules with short durations, and returns their files.
func fastRules(t *testing.T) (names []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(e2etest.Root(t), "dashboards/prometheus/rules/*.yml"))
	if err != nil || len(found) < 2 {
		t.Fatalf("files of rules: %v, %v", found, err)
	}
	dir := t.TempDir()
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fast := duration.ReplaceAllStringFunc(string(text), func(m string) string {
			part := duration.FindStringSubmatch(m)
			n, _ := strconv.Atoi(part[2])
			seconds := n * map[string]int{"m": 60, "h": 3600}[part[3]]
			return fmt.Sprintf("%s%ds", part[1], seconds/alertsFaster)
		})
		names = append(names, filepath.Join(dir, filepath.Base(name)))
		if err := os.WriteFile(names[len(names)-1], []byte(fast), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// firing returns whether an alert fires that has these labels, NAME=value.
func (p *prometheus) firing(t *testing.T, name string, labels ...string) bool {
	t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	if err := p.get("alerts", &data); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(data.Alerts, func(a struct {
		State  string
		Labels map[string]string
	}) bool {
		return a.State == "firing" && a.Labels["alertname"] == name && !slices.ContainsFunc(labels, func(l string) bool {
			key, value, _ := strings.Cut(l, "=")
			return a.Labels[key] != value
		})
	})
}

// waitForAlert waits until an alert fires, or does not fire any more. It calls meanwhile at each look.
func (p *prometheus) waitForAlert(t *testing.T, fires bool, meanwhile func(), name string, labels ...string) {
	t.Helper()
	began := time.Now()
	e2etest.Eventually(t, time.Minute, func() string {
		meanwhile()
		if p.firing(t, name, labels...) != fires {
			return fmt.Sprintf("%s fires: %t", name, !fires)
		}
		return ""
	})
	t.Logf("%s fires: %t, after %.1f s", name, fires, time.Since(began).Seconds())
}

// runbook returns the section of an alert in the operator's document, and the commands in it.
func runbook(t *testing.T, alert string) (section, commands string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e2etest.Root(t), "dashboards/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### "+alert+"\n")
	if !found {
		t.Fatalf("the operator's document has no section %s", alert)
	}
	section, _, _ = strings.Cut(section, "\n#")
	block := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindStringSubmatch(section)
	if block == nil {
		t.Fatalf("section %s has no commands", alert)
	}
	return section, block[1]
}

// follow runs the commands of a runbook against a role, and returns what they print.
func follow(t *testing.T, alert, opsAddr string) string {
	t.Helper()
	_, commands := runbook(t, alert)
	address := strings.NewReplacer("127.0.0.1:9464", opsAddr)
	out, _ := exec.CommandContext(t.Context(), "bash", "-c", address.Replace(commands)).CombinedOutput()
	return string(out) // curl fails where the answer is an error, and that is what it is asked for
}

// freeAddr returns an address on which nothing listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func nothing() {}

func TestAlertOfARoleThatIsDownFiresUntilItIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	addr := freeAddr(t)
	env := append(s.Env, "OPS_ADDR="+addr)
	ingest := env.Start(t, "ingest")
	ingest.Field(t, "ops")
	p := startPrometheusWithRules(t, fastRules(t), addr)
	p.waitForAlert(t, true, nothing, "MillraceRoleDown", "role=serve")   // it never ran
	p.waitForAlert(t, false, nothing, "MillraceRoleDown", "role=ingest") // it may fire until the first scrape
	ingest.Kill()
	p.waitForAlert(t, true, nothing, "MillraceRoleDown", "role=ingest")
	_, commands := runbook(t, "MillraceRoleDown")
	start := regexp.MustCompile(`(?m)^bin/millrace (ingest)\b`).FindStringSubmatch(commands)
	if start == nil {
		t.Fatalf("the runbook does not start the role:\n%s", commands)
	}
	env.Start(t, start[1])
	p.waitForAlert(t, false, nothing, "MillraceRoleDown", "role=ingest")
}

func TestAlertOfRunsThatWaitFiresWhileClickHouseIsDown(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	dsn, err := url.Parse(s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	proxy := clickhousetest.NewProxy(t, dsn.Host)
	env := append(s.Env, "CLICKHOUSE_DSN="+strings.Replace(s.DSN, dsn.Host, proxy.Addr, 1))
	opsAddr := strings.TrimPrefix(env.Start(t, "ingest").Field(t, "ops"), "http://")
	p := startPrometheusWithRules(t, fastRules(t), opsAddr)
	publish := func(id string) {
		if got := s.Env.Try(t, e2etest.RunLine(id), "replay", "--no-wait", "-"); got.Code != 0 {
			t.Fatal(got.Stderr)
		}
	}
	publish("before")
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": 1})
	proxy.Refuse()
	publish("meanwhile")
	p.waitForAlert(t, true, nothing, "MillraceIngestStalled")
	e2etest.Eventually(t, time.Minute, func() string {
		n := p.value(t, `sum(millrace_clickhouse_query_seconds_count{stage="ingest",outcome="error"})`)
		if n < 3 { // the insert that was cut, and connections that were refused
			return fmt.Sprintf("%v queries of ingest have failed", n)
		}
		return ""
	})
	if got := follow(t, "MillraceIngestStalled", opsAddr); !strings.Contains(got, "no answer from ClickHouse") ||
		!regexp.MustCompile(`millrace_stage_retries_total\{.*what="runs".*\} [1-9]`).MatchString(got) {
		t.Errorf("the runbook's commands do not tell the cause:\n%s", got)
	}
	proxy.Pass() // what they tell to do
	p.waitForAlert(t, false, nothing, "MillraceIngestStalled")
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": 2})
}

func TestAlertOfABucketThatRefusesFiresWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	store, _ := buckettest.S3(t) // the credentials are in this process's environment, which others inherit
	endpoint := regexp.MustCompile(`endpoint=http://([^&]+)`).FindStringSubmatch(store)[1]
	proxy := clickhousetest.NewProxy(t, endpoint)
	s := e2etest.NewSite(t)
	s.Env = append(s.Env, "BUCKET_URL="+strings.Replace(store, endpoint, proxy.Addr, 1)+"&timeout=1s",
		"HTTP_ADDR=127.0.0.1:0")
	s.Env.Start(t, "export")
	process := s.Env.Start(t, "serve")
	serve := e2etest.Endpoint{URL: e2etest.WaitReady(t, process)}.In("default")
	opsAddr := strings.TrimPrefix(process.Field(t, "ops"), "http://")
	p := startPrometheusWithRules(t, fastRules(t), opsAddr)
	id := serve.File(t, object{"purpose": "export_dataset", "source": "copilot", "app_id": "none",
		"selection": object{"limit": 10}})
	serve.WaitFor(t, id, "succeeded")
	read := func() { serve.Get(t, "/v1/exports/"+id+"/download") }
	if got := serve.Get(t, "/v1/exports/"+id+"/download"); got.Status != http.StatusOK {
		t.Fatalf("%d: %s", got.Status, got.Body)
	}
	proxy.Refuse()
	p.waitForAlert(t, true, read, "MillraceBucketRefuses", "operation=read")
	if got := follow(t, "MillraceBucketRefuses", opsAddr); !strings.Contains(got, "no answer from the object store") ||
		!regexp.MustCompile(`operation_seconds_count\{operation="read",outcome="error"\} [1-9]`).MatchString(got) {
		t.Errorf("the runbook's commands do not tell the cause:\n%s", got)
	}
	proxy.Pass() // what they tell to do
	p.waitForAlert(t, false, read, "MillraceBucketRefuses", "operation=read")
}
