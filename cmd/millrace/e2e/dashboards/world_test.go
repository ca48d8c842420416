package dashboards

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/sample"
)

type object = e2etest.Object

// world is what the dashboards show: roles that run, sample runs, exports of every purpose, one that failed and one
// that is under way, dead letters, and a Prometheus that has scraped it all.
type world struct {
	ctx        context.Context
	site       *e2etest.Site
	serve      e2etest.Endpoint
	prometheus *prometheus
	targets    []string
	began, end time.Time
}

const sampleRuns = 600

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ctx: t.Context(), site: e2etest.NewSite(t)}
	s := w.site
	ingest := s.Env.Start(t, "ingest")
	exporter := append(s.Env, "EXPORT_WINDOW_RECORDS=5", "EXPORT_CONCURRENCY=2").Start(t, "export")
	serve := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	w.serve = e2etest.Endpoint{URL: e2etest.WaitReady(t, serve)}
	for _, url := range []string{ingest.Field(t, "ops"), exporter.Field(t, "ops"), w.serve.URL} {
		w.targets = append(w.targets, strings.TrimPrefix(url, "http://"))
	}
	w.began = time.Now()
	w.prometheus = startPrometheus(t, w.targets...)

	cfg := sample.Config{Seed: 7, Runs: sampleRuns, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second),
		Interval: 48 * time.Hour / (sampleRuns + sample.MaxLag + 1), Workspaces: []string{"default", "second"}}
	s.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, s.Conn, time.Minute, e2etest.SampleRows(cfg))

	// What happens once makes a series, and what happens twice makes it grow.
	for round := range 2 {
		w.trouble(t, round)
		w.exports(t, round)
		for _, path := range []string{"/recipes", "/exports", "/v1/runs/none", "/v1/exports"} {
			w.serve.In("default").Get(t, path)
		}
		w.scraped(t)
	}
	w.end = time.Now()
	w.leaveOneUnfinished(t, exporter)
	return w
}

// trouble sends what is refused and what is ignored.
func (w *world) trouble(t *testing.T, round int) {
	t.Helper()
	client := e2etest.KafkaClient(t, w.site.Kafka)
	line := e2etest.RunLine(fmt.Sprintf("odd-%d", round))
	for _, value := range []string{"no JSON", `{"type":"dev.millrace.run.v1"}`, line[:len(line)-1] + `,"mood":"good"}`} {
		r := &kgo.Record{Topic: w.site.Prefix + event.TopicRuns, Value: []byte(value)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// apps are an app of each source, and a node of the recipe that asks a model.
func (w *world) apps(t *testing.T) (copilot, recipe, node string) {
	t.Helper()
	const of = "SELECT app_id FROM runs_latest WHERE workspace_id = 'default' AND source = '%s' GROUP BY app_id " +
		"ORDER BY count() DESC, app_id LIMIT 1"
	copilot = e2etest.QueryTexts(t, w.site.Conn, fmt.Sprintf(of, "copilot"))[0]
	recipe = e2etest.QueryTexts(t, w.site.Conn, fmt.Sprintf(of, "recipe"))[0]
	node = e2etest.QueryTexts(t, w.site.Conn, "SELECT node_id FROM nodes_latest WHERE workspace_id = 'default' "+
		"AND app_id = '"+recipe+"' AND node_type = 'llm' GROUP BY node_id ORDER BY count() DESC, node_id LIMIT 1")[0]
	return copilot, recipe, node
}

// exports requests an export of every purpose and one that is refused, and waits until they have ended.
func (w *world) exports(t *testing.T, round int) {
	t.Helper()
	copilot, recipe, node := w.apps(t)
	b := e2etest.NewBatch(t, w.site)
	file := func(purpose, source, app string, more object) {
		request := object{"export_id": fmt.Sprintf("%s-%d", strings.ReplaceAll(purpose, "_", "-"), round),
			"workspace_id": "default", "name": "Every " + purpose, "requested_by": "analytics@example.com",
			"purpose": purpose, "source": source, "app_id": app, "selection": object{"limit": 100}}
		for k, v := range more {
			request[k] = v
		}
		b.File(t, request)
	}
	file("export_dataset", "copilot", copilot, nil)
	file("recipe_evaluation", "recipe", recipe, nil)
	file("node_evaluation", "recipe", recipe, object{"nodes": []string{node}})
	file("node_optimization", "recipe", recipe, object{"nodes": []string{node}})
	file("fine_tuning", "copilot", copilot, nil)
	file("export_dataset", "copilot", copilot, object{"export_id": fmt.Sprintf("refused-%d", round),
		"format": "papyrus"})
	b.Wait(t)
}

// scraped waits until Prometheus has twice scraped what the roles have counted by now: a graph has steps between its
// scrapes.
func (w *world) scraped(t *testing.T) {
	t.Helper()
	now := time.Now()
	e2etest.Eventually(t, time.Minute, func() string {
		if up := w.prometheus.value(t, "sum(up)"); up != float64(len(w.targets)) {
			return fmt.Sprintf("%v roles of %d answer", up, len(w.targets))
		}
		// timestamp is the time of the sample only of a bare selector.
		first := time.UnixMilli(int64(1000 * w.prometheus.value(t, "min(timestamp(up))")))
		if first.Before(now.Add(2 * scrapeInterval)) {
			return fmt.Sprintf("a role was last scraped at %v", first)
		}
		return ""
	})
}

// leaveOneUnfinished requests an export of many windows, and kills the process of role export under it.
func (w *world) leaveOneUnfinished(t *testing.T, exporter *e2etest.Process) {
	t.Helper()
	copilot, _, _ := w.apps(t)
	const running = "SELECT count() FROM exports WHERE completed_at IS NULL AND rows_done > 0"
	for try := range 5 {
		request := object{"export_id": fmt.Sprintf("long-%d", try), "workspace_id": "default", "name": "All conversations",
			"requested_by": "analytics@example.com", "purpose": "export_dataset", "source": "copilot", "app_id": copilot,
			"selection": object{"limit": 1000}, "fragment": object{"max_records": 5}}
		e2etest.NewBatch(t, w.site).File(t, request)
		e2etest.Eventually(t, time.Minute, func() string {
			if n := e2etest.Count(t, w.site.Conn, "SELECT count() FROM exports WHERE rows_done > 0 AND export_id = '"+
				request["export_id"].(string)+"'"); n == 0 {
				return "no progress"
			}
			return ""
		})
		exporter.Kill()
		if e2etest.Count(t, w.site.Conn, running) > 0 {
			return
		}
		exporter = append(w.site.Env, "EXPORT_WINDOW_RECORDS=5", "EXPORT_CONCURRENCY=2").Start(t, "export")
	}
	t.Fatal("every export ended before its process was killed")
}
