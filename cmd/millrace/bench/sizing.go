package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/cmd/millrace/services"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/sample"
)

// Sizing measures what each role and ClickHouse need of processor and memory: while run events
// arrive at a steady rate, while exports run, and while clients poll. It counts processor time and
// not elapsed time, so other work on the machine changes little. Kafka is in the process that
// measures and is not counted.
type Sizing struct {
	Rate    float64       `default:"1000" help:"Run events per second."`
	Lasting time.Duration `default:"60s" help:"How long they arrive, and how long each role is measured without work."`
	Runs    int           `default:"300000" help:"Runs in the table that is exported."`
	Exports []int         `default:"1,4,16" help:"Exports of 30,000 runs that are requested at the same time."`
	Polls   int           `default:"20000" help:"Requests to the server."`
}

// Run prints the measurements.
func (c Sizing) Run(ctx context.Context, a *app.App) error {
	return withServices(ctx, a, func(ctx context.Context, s *services.Services, conn driver.Conn, dir string) error {
		if err := c.ingest(ctx, a, conn, s.ClickHouse.Pid()); err != nil {
			return err
		}
		if err := deleteGroup(ctx, a, a.Config.KafkaTopicPrefix+"ingest"); err != nil {
			return err
		}
		if err := (Export{Runs: c.Runs}).fill(ctx, a, conn, s.ClickHouse.Pid()); err != nil {
			return err
		}
		if err := c.exports(ctx, a, s.ClickHouse.Pid(), filepath.Join(dir, "bucket")); err != nil {
			return err
		}
		return c.serve(ctx, a, s.ClickHouse.Pid())
	})
}

// meter reads the processor time and the memory of processes.
type meter struct {
	began time.Time
	pids  []int
	cpu   []float64
}

func startMeter(pids ...int) *meter {
	m := &meter{began: time.Now(), pids: pids}
	for _, pid := range pids {
		m.cpu = append(m.cpu, processorTime(pid))
	}
	return m
}

// used returns the processor seconds of the i-th process since the meter was started.
func (m *meter) used(i int) float64 { return processorTime(m.pids[i]) - m.cpu[i] }

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// merged waits until ClickHouse merges nothing, for a minute at most: what merges cost belongs to
// the inserts before them.
func merged(ctx context.Context, conn driver.Conn) error {
	for quiet, began := 0, time.Now(); quiet < 10 && time.Since(began) < time.Minute; quiet++ {
		wait(ctx, 100*time.Millisecond)
		var n uint64
		if err := conn.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			quiet = 0
		}
	}
	return ctx.Err()
}

func stop(cmd *exec.Cmd) error {
	cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended; Wait says how
	return cmd.Wait()
}

// ingest measures the role ingest: without work, and while events arrive.
func (c Sizing) ingest(ctx context.Context, a *app.App, conn driver.Conn, clickHouse int) error {
	cmd, err := startRole(ctx, a, "ingest")
	if err != nil {
		return err
	}
	wait(ctx, 5*time.Second) // it starts
	m := startMeter(cmd.Process.Pid, clickHouse)
	wait(ctx, c.Lasting)
	seconds := time.Since(m.began).Seconds()
	fmt.Fprintf(a.Stdout, "without work: ingest %.3f cores, %d MiB; ClickHouse %.3f cores\n", m.used(0)/seconds,
		peakMemory(cmd.Process.Pid)>>20, m.used(1)/seconds)

	producer, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer producer.Close()
	runs := int(c.Rate * c.Lasting.Seconds() / 7) // a run comes to about seven events
	cfg := sample.Config{Seed: 1, Runs: runs}
	totals := sample.Expect(cfg)
	m = startMeter(cmd.Process.Pid, clickHouse)
	p := client.NewPublisher(producer, a.Config.KafkaTopicPrefix+event.TopicRuns, c.Rate)
	if err := p.SendSample(ctx, sample.New(cfg)); err != nil {
		return err
	}
	if err := p.Flush(ctx); err != nil {
		return err
	}
	published := time.Since(m.began).Seconds()
	if err := waitForRows(ctx, conn, "runs_latest", totals.Runs); err != nil {
		return err
	}
	wait(ctx, 2*time.Second) // the last batch
	own := m.used(0)
	if err := merged(ctx, conn); err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "%d events (%d runs, %d node runs) of %.0f bytes, %.0f a second: "+
		"CPU seconds per 1,000 events: ingest %.3f, ClickHouse with merges %.3f; ingest has %d MiB at most\n",
		totals.Events, totals.Runs, totals.Nodes, float64(p.Bytes.Load())/float64(totals.Events),
		float64(totals.Events)/published, own/float64(totals.Events)*1000, m.used(1)/float64(totals.Events)*1000,
		peakMemory(cmd.Process.Pid)>>20)
	return stop(cmd)
}

// exports measures the role export: without work, and with exports that run at the same time.
func (c Sizing) exports(ctx context.Context, a *app.App, clickHouse int, bucket string) error {
	const runs = 30_000
	client, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, n := range c.Exports {
		for _, f := range formats {
			if err := c.exportsOf(ctx, a, client, clickHouse, n, runs, f.name, f.fields); err != nil {
				return err
			}
			if err := os.RemoveAll(filepath.Join(bucket, "exports")); err != nil {
				return err
			}
		}
	}
	return nil
}

// formats are the formats whose exports are measured.
var formats = []struct {
	name   string
	fields object
}{
	{"jsonl, 150 records a file", object{"format": "jsonl"}},
	{"jsonl, a file a window", object{"format": "jsonl", "fragment": window}},
	{"parquet", object{"format": "parquet"}},
}

// exportsOf measures a fresh process, since memory is its peak, with n exports at the same time.
func (c Sizing) exportsOf(ctx context.Context, a *app.App, client *kgo.Client, clickHouse, n, runs int, name string,
	fields map[string]any) error {
	cmd, err := startRole(ctx, a, "export")
	if err != nil {
		return err
	}
	if _, err := request(ctx, a, client, export.ExportDataset, 150, fields); err != nil { // it has started
		return err
	}
	m := startMeter(cmd.Process.Pid, clickHouse)
	if n == c.Exports[0] && name == formats[0].name {
		wait(ctx, c.Lasting)
		seconds := time.Since(m.began).Seconds()
		fmt.Fprintf(a.Stdout, "without work: export %.3f cores, %d MiB; ClickHouse %.3f cores\n", m.used(0)/seconds,
			peakMemory(cmd.Process.Pid)>>20, m.used(1)/seconds)
		m = startMeter(cmd.Process.Pid, clickHouse)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	var bytes int64
	for i := range n {
		group.Go(func() error {
			done, err := request(groupCtx, a, client, export.ExportDataset, runs, fields)
			if err == nil && i == 0 {
				bytes = done.Bytes
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	thousands := float64(n*runs) / 1000
	fmt.Fprintf(a.Stdout, "%2d exports of %d runs, %s, %.1f MiB each: "+
		"CPU seconds per 1,000 runs: export %.4f, ClickHouse %.4f; export has %d MiB at most\n",
		n, runs, name, float64(bytes)/(1<<20), m.used(0)/thousands, m.used(1)/thousands,
		peakMemory(cmd.Process.Pid)>>20)
	return stop(cmd)
}

// serve measures the role serve: without work, and while clients ask for an export and the list.
func (c Sizing) serve(ctx context.Context, a *app.App, clickHouse int) error {
	cmd, base, err := startServer(ctx, a)
	if err != nil {
		return err
	}
	wait(ctx, 5*time.Second)
	m := startMeter(cmd.Process.Pid, clickHouse)
	wait(ctx, c.Lasting)
	seconds := time.Since(m.began).Seconds()
	fmt.Fprintf(a.Stdout, "without work: serve %.3f cores, %d MiB; ClickHouse %.3f cores\n", m.used(0)/seconds,
		peakMemory(cmd.Process.Pid)>>20, m.used(1)/seconds)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}
	id, err := fileHTTP(ctx, client, base)
	if err != nil {
		return err
	}
	for _, path := range []string{"/v1/exports/" + id, "/v1/exports", "/history?source=recipe&app=" + benchApp} {
		m = startMeter(cmd.Process.Pid, clickHouse)
		polls := c.Polls
		if strings.HasPrefix(path, "/history") {
			polls /= 100
		}
		if err := pollTimes(ctx, client, base+path, polls); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "%d requests of %s: CPU seconds per 1,000: serve %.3f, ClickHouse %.3f; "+
			"serve has %d MiB at most\n",
			polls, strings.ReplaceAll(path, id, "{id}"), m.used(0)/float64(polls)*1000, m.used(1)/float64(polls)*1000,
			peakMemory(cmd.Process.Pid)>>20)
	}
	return stop(cmd)
}

// pollTimes asks for a URL so many times, with 20 clients.
func pollTimes(ctx context.Context, client *http.Client, url string, times int) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range 20 {
		group.Go(func() error {
			for n := i; n < times; n += 20 {
				if _, err := get(ctx, client, url, io.Discard); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
