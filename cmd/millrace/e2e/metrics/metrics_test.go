package metrics

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/sample"
)

type object = e2etest.Object

// scrape is an answer of /metrics.
type scrape struct {
	text   string
	kinds  map[string]string   // of the families of Millrace
	labels map[string][]string // of their series, where they have series
	series map[string]bool     // each with its labels
}

var (
	typeLine   = regexp.MustCompile(`^# TYPE (millrace_\w+) (\w+)$`)
	seriesLine = regexp.MustCompile(`^((millrace_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})?) \S+$`)
	labelName  = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
)

func read(t *testing.T, url string) *scrape {
	t.Helper()
	code, text := e2etest.Get(t, url+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("%s/metrics: %d %s", url, code, text)
	}
	s := &scrape{text, map[string]string{}, map[string][]string{}, map[string]bool{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := typeLine.FindStringSubmatch(line); m != nil {
			s.kinds[m[1]] = m[2]
		}
		m := seriesLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		s.series[m[1]] = true
		var names []string
		for _, l := range labelName.FindAllStringSubmatch(m[3], -1) {
			if l[1] != "le" {
				names = append(names, l[1])
			}
		}
		slices.Sort(names)
		s.labels[m[2]] = names
	}
	return s
}

// added returns the series that s has and before has not.
func (s *scrape) added(before *scrape) (list []string) {
	for name := range s.series {
		if !before.series[name] {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// row is what the document says about a metric.
type row struct {
	kind          string
	roles, labels []string
}

// documented returns the table of `millrace help metrics`.
func documented(t *testing.T, env e2etest.Environment) map[string]row {
	t.Helper()
	rows := map[string]row{}
	line := regexp.MustCompile("(?m)^\\| `(millrace_\\w+)` \\| (\\w+) \\| ([^|]*) \\| ([^|]*) \\|")
	for _, m := range line.FindAllStringSubmatch(env.Run(t, "help", "metrics"), -1) {
		r := row{kind: m[2], roles: strings.Split(m[3], ", ")}
		for _, l := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[4], -1) {
			r.labels = append(r.labels, l[1])
		}
		rows[m[1]] = r
	}
	if len(rows) < 40 {
		t.Fatalf("the document has only %d metrics", len(rows))
	}
	return rows
}

// promtool checks metrics as their format and its conventions want them.
func promtool(t *testing.T, role string, s *scrape) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("promtool must be there where CI=true: %v; make test installs it with Prometheus", err)
		}
		t.Logf("no promtool: %v; make test installs it where it may", err)
		return
	}
	check := exec.Command(path, "check", "metrics")
	check.Stdin = strings.NewReader(s.text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("role %s: promtool check metrics: %v\n%s", role, err, out)
	}
}

// late are metrics that have series only after something has happened, since nobody knows their labels before: the
// partitions that a process is given, the brokers that it meets, and what others send.
var late = regexp.MustCompile(`^millrace_(consumer_lag_|kafka_|http_request_seconds|ingest_unknown_fields_total)`)

// ofKafka are metrics whose series come with brokers and partitions, also while the test goes on.
var ofKafka = regexp.MustCompile(`^millrace_(consumer_lag|kafka)_`)

func TestMetricsAreAsDocumentedAndDoNotGrowWithWorkspaces(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	serve := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	urls := map[string]string{"ingest": s.Env.Start(t, "ingest").Field(t, "ops"),
		"export": append(s.Env, "EXPORT_WINDOW_RECORDS=50").Start(t, "export").Field(t, "ops"), "serve": serve.Field(t, "ops")}
	start := map[string]*scrape{}
	for role, url := range urls {
		e2etest.Eventually(t, time.Minute, func() string {
			if code, text := e2etest.Get(t, url+"/readyz"); code != http.StatusOK {
				return fmt.Sprintf("%s: /readyz: %d %s", role, code, text)
			}
			return ""
		})
		start[role] = read(t, url)
	}
	web := e2etest.Endpoint{URL: serve.Field(t, "http")}
	use(t, s, web)

	rows := documented(t, s.Env)
	used := map[string]*scrape{}
	for role, url := range urls {
		e2etest.Eventually(t, time.Minute, func() string { // the lag is measured every few seconds
			used[role] = read(t, url)
			for name, r := range rows {
				if slices.Contains(r.roles, role) && !strings.Contains(name, "_kafka_") && used[role].kinds[name] == "" {
					return role + " has no " + name
				}
			}
			return ""
		})
		promtool(t, role, used[role])
		compare(t, role, used[role], rows)
		for _, name := range used[role].added(start[role]) {
			if !late.MatchString(name) {
				t.Errorf("role %s has %s only after its first use", role, name)
			}
		}
		if other := read(t, urlOf(role, urls, web)); other.kinds["millrace_build_info"] == "" {
			t.Errorf("role %s: no metrics on its other address", role)
		}
	}
	workspaces(t, s, web)
	for role, url := range urls {
		grown := slices.DeleteFunc(read(t, url).added(used[role]), func(series string) bool {
			return ofKafka.MatchString(series) && !strings.Contains(series, "workspace-")
		})
		if len(grown) > 0 {
			t.Errorf("after 1,000 workspaces role %s has %d more series: %.500s", role, len(grown), grown)
		}
	}
}

// urlOf is the second address of metrics, where a role has one.
func urlOf(role string, urls map[string]string, web e2etest.Endpoint) string {
	if role == "serve" {
		return web.URL
	}
	return urls[role]
}

// compare holds the metrics of a role against the document.
func compare(t *testing.T, role string, s *scrape, rows map[string]row) {
	t.Helper()
	for name, kind := range s.kinds {
		r, ok := rows[name]
		if !ok || r.kind != kind || role != "local" && !slices.Contains(r.roles, role) {
			t.Errorf("role %s has the %s %s, and the document %+v", role, kind, name, r)
		}
		if labels, ok := s.labels[name]; ok && !slices.Equal(labels, r.labels) {
			t.Errorf("role %s: %s has the labels %q, and the document %q", role, name, labels, r.labels)
		}
	}
}

// use stores runs, exports them for every purpose, and causes some trouble.
func use(t *testing.T, s *e2etest.Site, web e2etest.Endpoint) {
	t.Helper()
	cfg := sample.Config{Seed: 7, Runs: 300, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second),
		Workspaces: []string{"default"}}
	s.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, s.Conn, time.Minute, e2etest.SampleRows(cfg))
	line := e2etest.RunLine("odd")
	for _, value := range []string{"no JSON", line[:len(line)-1] + `,"mood":"good"}`} {
		e2etest.Produce(t, s, event.TopicRuns, value)
	}
	const of = "SELECT app_id FROM runs_latest WHERE workspace_id = 'default' AND source = '%s' GROUP BY app_id " +
		"ORDER BY count() DESC, app_id LIMIT 1"
	copilot := e2etest.QueryTexts(t, s.Conn, fmt.Sprintf(of, "copilot"))[0]
	recipe := e2etest.QueryTexts(t, s.Conn, fmt.Sprintf(of, "recipe"))[0]
	node := e2etest.QueryTexts(t, s.Conn, "SELECT node_id FROM nodes_latest WHERE workspace_id = 'default' AND app_id = '"+
		recipe+"' AND node_type = 'llm' GROUP BY node_id ORDER BY count() DESC, node_id LIMIT 1")[0]
	b := e2etest.NewBatch(t, s)
	for _, more := range []object{
		{"purpose": "export_dataset", "source": "copilot", "app_id": copilot},
		{"purpose": "recipe_evaluation", "source": "recipe", "app_id": recipe},
		{"purpose": "node_evaluation", "source": "recipe", "app_id": recipe, "nodes": []string{node}},
		{"purpose": "node_optimization", "source": "recipe", "app_id": recipe, "nodes": []string{node}},
		{"purpose": "fine_tuning", "source": "copilot", "app_id": copilot},
		{"purpose": "fortune_telling", "source": "copilot", "app_id": copilot},
	} {
		request := object{"export_id": more["purpose"], "workspace_id": "default", "selection": object{"limit": 200}}
		maps.Copy(request, more)
		b.File(t, request)
	}
	b.Wait(t)
	for _, path := range []string{"/recipes", "/exports", "/v1/exports", "/v1/runs", "/v1/apps", "/nowhere"} {
		web.In("default").Get(t, path)
	}
}

// workspaces has each of 1,000 workspaces send a run. Some also look at their runs, and some file an export, of which
// every second is refused: a single new series would fail the test.
func workspaces(t *testing.T, s *e2etest.Site, web e2etest.Endpoint) {
	t.Helper()
	client := e2etest.KafkaClient(t, s.Kafka)
	b := e2etest.NewBatch(t, s)
	for i := range 1000 {
		workspace := fmt.Sprintf("workspace-%d", i)
		line := strings.Replace(e2etest.RunLine("r"), "acme", workspace, 1)
		client.Produce(t.Context(), &kgo.Record{Topic: s.Prefix + event.TopicRuns, Value: []byte(line)}, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT uniqExact(workspace_id) FROM runs WHERE workspace_id LIKE 'workspace-%'": 1000})
	for i := range 100 {
		workspace := fmt.Sprintf("workspace-%d", i)
		web.In(workspace).Get(t, "/v1/runs").Want(t, http.StatusOK)
		if i >= 20 {
			continue
		}
		request := object{"export_id": fmt.Sprintf("export-%d", i), "workspace_id": workspace, "purpose": "export_dataset",
			"source": "copilot", "app_id": "a", "selection": object{"limit": 1}}
		if i%2 != 0 {
			request["format"] = "papyrus"
		}
		b.File(t, request)
	}
	b.Wait(t)
}

func TestLocalHasTheMetricsOfAllRoles(t *testing.T) {
	t.Parallel()
	local, env := e2etest.StartLocal(t)
	rows := documented(t, env)
	var s *scrape
	e2etest.Eventually(t, time.Minute, func() string {
		s = read(t, local.Field(t, "ops"))
		for name := range rows {
			if !strings.Contains(name, "_kafka_") && s.kinds[name] == "" {
				return "local has no " + name
			}
		}
		return ""
	})
	promtool(t, "local", s)
	compare(t, "local", s, rows)
}
