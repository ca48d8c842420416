package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/sample"
)

type demoCommand struct {
	Dir  string `type:"path" placeholder:"DIR" help:"Folder for the data and the exports; default a fresh one, which is named."`
	Runs int    `default:"3000" hidden:""`
}

// demoQueries are what an analyst might ask first.
var demoQueries = []struct{ title, sql string }{
	{"Runs, success and latency by version", `SELECT app_id, app_version, count() AS runs, round(avg(status = 'succeeded'), 3) AS success,
       round(quantile(0.95)(dateDiff('millisecond', started_at, ended_at))) AS p95_ms
FROM runs_latest
GROUP BY app_id, app_version
ORDER BY app_id, app_version`},
	{"What people think of the answers", `SELECT app_id, countIf(feedback_rating = 'thumbsUp') AS up, countIf(feedback_rating = 'thumbsDown') AS down,
       round(avg(feedback_score), 2) AS score
FROM runs_with_feedback
GROUP BY app_id
ORDER BY app_id`},
	{"Where the time of the recipes goes", `SELECT app_id, node_id, any(node_type) AS type, count() AS node_runs,
       round(avg(dateDiff('millisecond', started_at, ended_at))) AS avg_ms, round(sum(cost_usd), 2) AS usd
FROM nodes_latest
WHERE source = 'recipe'
GROUP BY app_id, node_id
ORDER BY app_id, node_runs DESC, node_id
LIMIT 8`},
}

// localStack runs the embedded services over dir and all roles on them, and calls f when everything answers. It stops
// all when f returns.
type localStack func(ctx context.Context, a *app, dir string, f func(context.Context, *Services) error) error

// Run starts the local stack on free ports, streams sample runs through it, queries and exports them.
func (c demoCommand) Run(ctx context.Context, a *app, local localStack) (err error) {
	began := time.Now()
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "millrace-demo-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	logFile, err := os.Create(filepath.Join(c.Dir, "millrace.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	a.log = a.cfg.logger(logFile)
	a.cfg.LocalKafkaPort, a.cfg.LocalClickHousePort, a.cfg.LocalClickHouseHTTPPort, a.cfg.OpsAddr = 0, 0, 0, "127.0.0.1:0"
	a.cfg.HTTPAddr = "127.0.0.1:0"

	fmt.Fprintf(a.stdout, "Starting Kafka, ClickHouse and all roles in %s\n", c.Dir)
	err = local(ctx, a, c.Dir, func(ctx context.Context, s *Services) error {
		fmt.Fprintf(a.stdout, "  Kafka %s, ClickHouse %s and http://%s, log %s (%.1f s)\n",
			s.Kafka.Addr(), s.ClickHouse.NativeAddr(), s.ClickHouse.HTTPAddr(), logFile.Name(), time.Since(began).Seconds())
		return c.show(ctx, a, s)
	})
	if err != nil {
		return fmt.Errorf("%w; the log is %s", err, logFile.Name())
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fmt.Fprintf(a.stdout, "\nDone in %.0f s; everything is stopped.\n", time.Since(began).Seconds())
	return nil
}

func (c demoCommand) show(ctx context.Context, a *app, s *Services) error {
	if err := c.stream(ctx, a); err != nil {
		return err
	}
	for _, q := range demoQueries {
		answer, err := queryHTTP(ctx, s.ClickHouse.HTTPAddr(), a.cfg.dsn.Database, q.sql)
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		fmt.Fprintf(a.stdout, "\n%s\n\n%s\n%s", q.title, indent(q.sql), indent(answer))
	}
	return c.export(ctx, a)
}

// stream publishes the sample and waits until all of it can be queried.
func (c demoCommand) stream(ctx context.Context, a *app) error {
	cfg := sample.Config{
		Seed: 1, Runs: c.Runs, Workspaces: []string{a.cfg.DefaultWorkspace},
		Start: time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Hour), Interval: 30 * 24 * time.Hour / time.Duration(c.Runs),
	}
	want := sample.Expect(cfg)
	fmt.Fprintf(a.stdout, "\nStreaming %d events of %d runs through Kafka into ClickHouse\n", want.Events, want.Runs)
	client, err := a.kafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	conn, err := a.cfg.dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	p := newPublisher(client, a.cfg.KafkaTopicPrefix+event.TopicRuns, 0)
	bar := eventsBar(a, "  published", int64(want.Events))
	p.progress = func(events, _ int64) { bar.set(events) }
	if err := p.sendSample(ctx, sample.New(cfg)); err != nil {
		return err
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	bar.finish()
	bar = eventsBar(a, "  queryable", int64(want.Runs+want.Nodes+want.Feedback))
	err = poll(ctx, func() (bool, error) {
		var runs, nodes, feedback uint64
		err := conn.QueryRow(ctx, "SELECT (SELECT count() FROM runs_latest), (SELECT count() FROM nodes_latest), (SELECT count() FROM feedback_latest)").Scan(&runs, &nodes, &feedback)
		bar.set(int64(runs + nodes + feedback))
		return runs == uint64(want.Runs) && nodes == uint64(want.Nodes) && feedback == uint64(want.Feedback), err
	})
	bar.finish()
	if err == nil {
		fmt.Fprintf(a.stdout, "  queryable: %d runs, %d node runs, %d feedback\n", want.Runs, want.Nodes, want.Feedback)
	}
	return err
}

// queryHTTP asks ClickHouse for a table to look at.
func queryHTTP(ctx context.Context, addr, database, sql string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/?default_format=PrettyCompactMonoBlock&output_format_pretty_color=0&output_format_pretty_row_numbers=0&database="+database, strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", body)
	}
	return string(body), err
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ") + "\n"
}
