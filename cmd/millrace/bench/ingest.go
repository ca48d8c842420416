package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/cmd/millrace/services"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/sample"
)

// Ingest measures the time from the start of consuming until every row can be queried. It compares
// a process `millrace ingest` with ClickHouse's usual way, a Kafka engine table with a materialized
// view. Both consume the same topic of generated run events on one embedded stack.
type Ingest struct {
	Events int `default:"500000" help:"Number of run events in the topic."`
	Rounds int `default:"3" help:"Number of measurements of each, in turn; the median counts."`

	RandomIDs bool `name:"random-ids" help:"Give the runs ids in random order; by default, they are in the order of the runs."`
	Alone     bool `help:"Do not compare with ClickHouse's Kafka engine."`
}

type result struct {
	took   time.Duration
	memory int64 // peak resident bytes, 0 = not known
	// Processor seconds of the process and of ClickHouse; those of the Kafka engine are ClickHouse's.
	ingest, clickhouse float64
}

// Run prints the measurements and their ratio.
func (c Ingest) Run(ctx context.Context, a *app.App) error {
	return withServices(ctx, a, func(ctx context.Context, services *services.Services, conn driver.Conn, _ string) error {
		server := services.ClickHouse.Pid()
		size, err := fillTopic(ctx, a, sample.Config{Seed: 1, Runs: c.Events, Plain: true, RandomIDs: c.RandomIDs})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "%d run events, %.0f MiB, %.0f bytes each\n", c.Events, float64(size)/(1<<20),
			float64(size)/float64(c.Events))
		var ours, theirs []result
		for round := range c.Rounds {
			r, err := measureIngest(ctx, a, conn, server, c.Events, round)
			if err != nil {
				return err
			}
			ours = append(ours, r)
			c.print(a.Stdout, "millrace ingest", size, r)
			if c.Alone {
				continue
			}
			if r, err = measureKafkaEngine(ctx, a, conn, server, c.Events, round); err != nil {
				return err
			}
			theirs = append(theirs, r)
			c.print(a.Stdout, "Kafka engine", size, r)
		}
		x := median(ours)
		fmt.Fprintln(a.Stdout, "median:")
		c.print(a.Stdout, "millrace ingest", size, x)
		if c.Alone {
			return nil
		}
		y := median(theirs)
		c.print(a.Stdout, "Kafka engine", size, y)
		fmt.Fprintf(a.Stdout, "ratio %.2f\n", y.took.Seconds()/x.took.Seconds())
		return nil
	})
}

func (c Ingest) print(w io.Writer, what string, size int64, r result) {
	memory := ""
	if r.memory > 0 {
		memory = fmt.Sprintf("  peak memory %d MiB", r.memory>>20)
	}
	fmt.Fprintf(w, "%-16s %6.2f s  %8.0f events/s  %6.1f MB/s%s\n", what, r.took.Seconds(),
		float64(c.Events)/r.took.Seconds(),
		float64(size)/1e6/r.took.Seconds(), memory)
	fmt.Fprintf(w, "%-16s processor time: %.1f s of ingest, %.1f s of ClickHouse\n", "", r.ingest, r.clickhouse)
}

func median(results []result) result {
	sorted := slices.SortedFunc(slices.Values(results), func(x, y result) int { return int(x.took - y.took) })
	return sorted[len(sorted)/2]
}

// withServices runs the embedded services on free ports, without roles. f has a connection to ClickHouse, and the
// folder of the services, which is removed after it.
func withServices(ctx context.Context, a *app.App, f func(_ context.Context, _ *services.Services, _ driver.Conn,
	dir string) error) error {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a.Log = slog.New(slog.DiscardHandler)
	a.Config.LocalKafkaPort, a.Config.LocalClickHousePort, a.Config.LocalClickHouseHTTPPort = 0, 0, 0
	return services.Run(ctx, a, services.Config{Dir: dir}, func(ctx context.Context, s *services.Services) error {
		conn, err := a.Config.DSN.Open()
		if err != nil {
			return err
		}
		defer conn.Close()
		return f(ctx, s, conn, dir)
	})
}

// fillTopic publishes the events of the benchmark and returns the total bytes of their values.
func fillTopic(ctx context.Context, a *app.App, events sample.Config) (int64, error) {
	producer, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return 0, err
	}
	defer producer.Close()
	p := client.NewPublisher(producer, a.Config.KafkaTopicPrefix+event.TopicRuns, 0)
	if err := p.SendSample(ctx, sample.New(events)); err != nil {
		return 0, err
	}
	err = p.Flush(ctx)
	return p.Bytes.Load(), err
}

// measureIngest measures a process `millrace ingest` with its own consumer group. Server is ClickHouse's process.
func measureIngest(ctx context.Context, a *app.App, conn driver.Conn, server, events, round int) (r result,
	err error) {
	for _, table := range []string{"runs", "run_keys"} {
		if err := conn.Exec(ctx, "TRUNCATE TABLE IF EXISTS "+table); err != nil {
			return r, err
		}
	}
	if round > 0 { // the group of the round before has consumed everything
		if err := deleteGroup(ctx, a, a.Config.KafkaTopicPrefix+"ingest"); err != nil {
			return r, err
		}
	}
	began, used := time.Now(), processorTime(server)
	cmd, err := startRole(ctx, a, "ingest")
	if err != nil {
		return r, err
	}
	err = waitForRows(ctx, conn, "runs", events)
	r.took = time.Since(began)
	r.memory = peakMemory(cmd.Process.Pid)
	r.ingest, r.clickhouse = processorTime(cmd.Process.Pid), processorTime(server)-used
	cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // the process may have ended; Wait returns how
	if waitErr := cmd.Wait(); err == nil {
		err = waitErr
	}
	return r, err
}

// measureKafkaEngine measures ClickHouse's way: a queue table, and a materialized view that fills a
// table like runs.
func measureKafkaEngine(ctx context.Context, a *app.App, conn driver.Conn, server, events, round int) (r result,
	err error) {
	queue := fmt.Sprintf(`CREATE TABLE bench_queue
(
    workspace_id String, run_id String, source String, app_id String, app_name String, app_version String, request_id
    String,
    session_id String, user_id String, model String, trace_id String, trigger String, status String,
    started_at DateTime64(3, 'UTC'), ended_at Nullable(DateTime64(3, 'UTC')), updated_at DateTime64(6, 'UTC'),
    question String, answer String, reference String, inputs String, system_inputs String, outputs String, messages
    String, tools String,
    error Tuple(type String, message String),
    files Array(Tuple(file_id String, name String, uri String, content_type String, size_bytes Nullable(Int64),
    direction String)),
    usage Tuple(input_tokens Nullable(Int64), output_tokens Nullable(Int64)), cost_usd Nullable(Float64), metadata
    Map(String, String)
)
ENGINE = Kafka
SETTINGS kafka_broker_list = '%s', kafka_topic_list = '%s', kafka_group_name = 'bench-%d', kafka_format = 'JSONEachRow',
    kafka_num_consumers = 1, kafka_flush_interval_ms = 1000, date_time_input_format = 'best_effort', input_format_skip_unknown_fields = 1`,
		a.Config.KafkaBrokers[0], a.Config.KafkaTopicPrefix+event.TopicRuns, round)
	for _, statement := range []string{
		"DROP TABLE IF EXISTS bench_view", "DROP TABLE IF EXISTS bench_queue", "DROP TABLE IF EXISTS bench_runs",
		"CREATE TABLE bench_runs AS runs", queue,
	} {
		if err := conn.Exec(ctx, statement); err != nil {
			return r, fmt.Errorf("%s: %w", firstLine(statement), err)
		}
	}
	began, used := time.Now(), processorTime(server)
	err = conn.Exec(ctx, `CREATE MATERIALIZED VIEW bench_view TO bench_runs AS
SELECT * EXCEPT (error, usage), error.type AS error_type, error.message AS error_message, usage.input_tokens AS
    usage_input_tokens,
    usage.output_tokens AS usage_output_tokens, toUInt64(toUnixTimestamp64Micro(updated_at)) * 2 + (status !=
    'running') AS version
FROM bench_queue`)
	if err != nil {
		return r, err
	}
	err = waitForRows(ctx, conn, "bench_runs", events)
	r.took, r.clickhouse = time.Since(began), processorTime(server)-used
	for _, statement := range []string{"DROP TABLE bench_view", "DROP TABLE bench_queue", "DROP TABLE bench_runs"} {
		if dropErr := conn.Exec(ctx, statement); err == nil {
			err = dropErr
		}
	}
	return r, err
}

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }

// waitForRows waits until a table has at least want rows. It fails if no rows arrive for a minute.
func waitForRows(ctx context.Context, conn driver.Conn, table string, want int) error {
	var last uint64
	moved := time.Now()
	return app.Poll(ctx, func() (bool, error) {
		var rows uint64
		if err := conn.QueryRow(ctx, "SELECT count() FROM "+table).Scan(&rows); err != nil &&
			clickhouse.Classify(err) != clickhouse.Retry {
			return false, err
		}
		if rows != last {
			last, moved = rows, time.Now()
		} else if rows < uint64(want) && time.Since(moved) > time.Minute {
			return false, fmt.Errorf("table %s has %d of %d rows, and no more arrive", table, rows, want)
		}
		return rows >= uint64(want), nil
	})
}

func deleteGroup(ctx context.Context, a *app.App, group string) error {
	client, err := a.KafkaClient()
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).DeleteGroup(ctx, group)
	return err
}
