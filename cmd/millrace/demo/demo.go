// Package demo is the command that shows all of Millrace on a local stack.
package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/services"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/sample"
)

// Command is the command line of millrace demo.
type Command struct {
	Dir  string `type:"path" placeholder:"DIR" help:"Folder for the data and the exports; default a new temporary folder, whose path is printed."`
	Keep bool   `help:"Leave the stack and its pages up at the end, until interrupted."`
	Runs int    `default:"3000" hidden:""`
}

// queries are what an analyst might ask first.
var queries = []struct{ title, sql string }{
	{"Runs, success and latency by version",
		`SELECT app_id, app_version, count() AS runs, round(avg(status = 'succeeded'), 3) AS success,
       round(quantile(0.95)(dateDiff('millisecond', started_at, ended_at))) AS p95_ms
FROM runs_latest
GROUP BY app_id, app_version
ORDER BY app_id, app_version`},
	{"What people think of the answers",
		`SELECT app_id, countIf(feedback_rating = 'thumbsUp') AS up, countIf(feedback_rating = 'thumbsDown') AS down,
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

// LocalStack runs the embedded services with their data in dir, and all roles on the services. It
// calls f with the URL of the pages when everything answers, and stops everything after f has
// returned.
type LocalStack func(ctx context.Context, a *app.App, dir string, f func(ctx context.Context, s *services.Services,
	pages string) error) error

// Run starts the local stack on free ports, streams sample runs through it, queries the runs and
// exports them.
func (c Command) Run(ctx context.Context, a *app.App, local LocalStack) (err error) {
	began := time.Now()
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "millrace-demo-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(c.Dir, "millrace.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	a.Log = a.Config.Logger(logFile)
	a.Config.LocalKafkaPort, a.Config.LocalClickHousePort, a.Config.LocalClickHouseHTTPPort, a.Config.OpsAddr = 0, 0, 0,
		"127.0.0.1:0"
	a.Config.HTTPAddr = "127.0.0.1:0"

	kept := false
	fmt.Fprintf(a.Stdout, "Starting Kafka, ClickHouse and all roles in %s\n", c.Dir)
	err = local(ctx, a, c.Dir, func(ctx context.Context, s *services.Services, pages string) error {
		fmt.Fprintf(a.Stdout, "  Kafka %s, ClickHouse %s and http://%s, log %s (%.1f s)\n",
			s.Kafka.Addr(), s.ClickHouse.NativeAddr(), s.ClickHouse.HTTPAddr(), logFile.Name(), time.Since(began).Seconds())
		if err := c.show(ctx, a, s); err != nil || !c.Keep {
			return err
		}
		fmt.Fprintf(a.Stdout, "\nEverything stays up until you press Ctrl-C. Its pages are at\n\n  %s\n\n"+
			"Other commands find it with\n\n  $ export MILLRACE_KAFKA_BROKERS=%s MILLRACE_CLICKHOUSE_DSN='%s' "+
			"MILLRACE_BUCKET_URL='%s'\n", pages, s.Kafka.Addr(), a.Config.ClickHouseDSN, a.Config.BucketURL)
		kept = true
		<-ctx.Done()
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w; the log is %s", err, logFile.Name())
	}
	if ctx.Err() != nil && !kept {
		return ctx.Err()
	}
	fmt.Fprintf(a.Stdout, "\nDone in %.0f s; everything is stopped.\n", time.Since(began).Seconds())
	return nil
}

func (c Command) show(ctx context.Context, a *app.App, s *services.Services) error {
	if err := c.stream(ctx, a); err != nil {
		return err
	}
	for _, q := range queries {
		answer, err := queryHTTP(ctx, s.ClickHouse.HTTPURL(), a.Config.DSN.Database, q.sql)
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		fmt.Fprintf(a.Stdout, "\n%s\n\n%s\n%s", q.title, indent(q.sql), indent(answer))
	}
	return c.export(ctx, a)
}

// stream publishes the sample and waits until all of it can be queried.
func (c Command) stream(ctx context.Context, a *app.App) error {
	cfg := lastDays(a.Config.DefaultWorkspace, c.Runs)
	want := sample.Expect(cfg)
	fmt.Fprintf(a.Stdout, "\nStreaming %d events of %d runs through Kafka into ClickHouse\n", want.Events, want.Runs)
	producer, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer producer.Close()
	if _, err := publishHistory(ctx, a, producer, cfg); err != nil {
		return err
	}
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	err = app.Poll(ctx, func() (bool, error) {
		var runs, nodes, feedback uint64
		err := conn.QueryRow(ctx, "SELECT (SELECT count() FROM runs_latest), (SELECT count() FROM nodes_latest), (SELECT "+
			"count() FROM feedback_latest)").Scan(&runs, &nodes, &feedback)
		return runs == uint64(want.Runs) && nodes == uint64(want.Nodes) && feedback == uint64(want.Feedback), err
	})
	if err == nil {
		fmt.Fprintf(a.Stdout, "  queryable: %d runs, %d node runs, %d feedback\n", want.Runs, want.Nodes, want.Feedback)
	}
	return err
}

// queryHTTP runs a query and returns its result as a text table.
func queryHTTP(ctx context.Context, server, database, sql string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+
		"/?default_format=PrettyCompactMonoBlock&output_format_pretty_color=0&output_format_pretty_row_numbers=0&database="+
		database, strings.NewReader(sql))
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
