package bench

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/services"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Growth measures exports of different sizes, each from the request to the completion, and what they take
// for a record. It writes growth.csv and growth.svg.
type Growth struct {
	Runs   []int  `default:"10000,100000,1000000,3000000" help:"Sizes of the exports."`
	Rounds int    `default:"3" help:"Number of measurements of each, in turn, after a first that does not count; the median counts."`
	Dir    string `default:"." help:"Folder for growth.csv and growth.svg."`
}

// growth is what an export of so many runs took.
type growth struct {
	measured
	requests, records int64 // to the store, and to Kafka
}

// Run prints the measurements and writes them into files.
func (c Growth) Run(ctx context.Context, a *app.App) error {
	slices.Sort(c.Runs)
	if len(c.Runs) == 0 || c.Runs[0] < 1 || c.Rounds < 1 {
		return errors.New("--runs are sizes of 1 or more, and --rounds is 1 or more")
	}
	return withServices(ctx, a, func(ctx context.Context, s *services.Services, conn driver.Conn, dir string) error {
		if err := c.fill(ctx, a, conn, s.ClickHouse.Pid()); err != nil {
			return err
		}
		metrics, err := freeAddress()
		if err != nil {
			return err
		}
		process, err := roleCommand(ctx, a, "export")
		if err != nil {
			return err
		}
		process.Env = append(process.Env, app.EnvPrefix+"OPS_ADDR="+metrics)
		if err := process.Start(); err != nil {
			return err
		}
		producer, err := a.KafkaClient(kafka.ProducerOptions()...)
		if err == nil {
			m := growthMeter{a, producer, comparer{conn, s.ClickHouse.Pid(), []int{process.Process.Pid}},
				"http://" + metrics + "/metrics", dir}
			err = c.measure(ctx, m)
			producer.Close()
		}
		process.Process.Signal(syscall.SIGTERM) //nolint:errcheck // the process may have ended; Wait returns how
		return errors.Join(err, process.Wait())
	})
}

func growthApp(runs int) string { return benchApp + "-" + strconv.Itoa(runs) }

func (c Growth) fill(ctx context.Context, a *app.App, conn driver.Conn, server int) error {
	if err := fillOriginals(ctx, a, conn, server); err != nil {
		return err
	}
	for _, n := range c.Runs {
		if err := copyRuns(ctx, conn, growthApp(n), n); err != nil {
			return err
		}
	}
	return conn.Exec(ctx, "OPTIMIZE TABLE runs FINAL")
}

func (c Growth) measure(ctx context.Context, m growthMeter) error {
	all := make([][]growth, len(c.Runs))
	for round := range c.Rounds + 1 {
		for i, n := range c.Runs {
			x, err := m.export(ctx, n)
			if err != nil {
				return err
			}
			if round > 0 {
				all[i] = append(all[i], x)
			}
		}
	}
	var medians []growth
	for i := range all {
		slices.SortFunc(all[i], func(x, y growth) int { return int(x.took - y.took) })
		x := all[i][len(all[i])/2]
		var each []measured
		for _, g := range all[i] {
			each = append(each, g.measured)
		}
		printMeasured(m.app.Stdout, strconv.FormatInt(x.rows, 10)+" runs", each)
		fmt.Fprintf(m.app.Stdout, "  %d requests to the store, %d records in Kafka\n", x.requests, x.records)
		medians = append(medians, x)
	}
	if err := writeGrowth(filepath.Join(c.Dir, "growth.csv"), medians); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "growth.svg"), growthPlot(medians), 0o666)
}

// writeGrowth writes a line for each size.
func writeGrowth(name string, medians []growth) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	lines := [][]string{{"runs", "seconds", "process_cpu_seconds", "clickhouse_cpu_seconds", "peak_memory_bytes",
		"rows_read", "bytes_read", "store_requests", "kafka_records"}}
	for _, x := range medians {
		seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }
		line := []string{strconv.FormatInt(x.rows, 10), seconds(x.took.Seconds()), seconds(x.process), seconds(x.server)}
		for _, n := range []int64{x.memory, int64(x.readRows), int64(x.readSize), x.requests, x.records} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		lines = append(lines, line)
	}
	if err := w.WriteAll(lines); err != nil {
		return err
	}
	return f.Close()
}

// growthMeter measures exports by a process.
type growthMeter struct {
	app          *app.App
	producer     *kgo.Client
	meter        comparer
	metrics, dir string // URL of the metrics of the process, and the folder of the services
}

// export exports all runs of an app, and removes the files.
func (m growthMeter) export(ctx context.Context, runs int) (x growth, err error) {
	requests, records, err := m.counts(ctx)
	if err != nil {
		return x, err
	}
	x.measured, err = m.meter.measure(ctx, func() (int64, error) {
		fields := object{"format": "jsonl", "app_id": growthApp(runs)}
		done, err := request(ctx, m.app, m.producer, export.ExportDataset, runs, fields)
		if err != nil {
			return 0, err
		}
		if done.Records != int64(runs) {
			return 0, fmt.Errorf("%d records of %d", done.Records, runs)
		}
		return done.Records, nil
	})
	if err != nil {
		return x, err
	}
	x.requests, x.records, err = m.counts(ctx)
	x.requests, x.records = x.requests-requests, x.records-records
	return x, errors.Join(err, os.RemoveAll(filepath.Join(m.dir, "bucket", "exports")))
}

var storeRequests = regexp.MustCompile(`(?m)^millrace_bucket_operation_seconds_count\{[^}]*\} (\d+)$`)

// counts returns the requests to the store and the records of Kafka so far.
func (m growthMeter) counts(ctx context.Context) (requests, records int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.metrics, http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	var text []byte
	for began := time.Now(); text == nil; { // the process starts
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			wait(ctx, 100*time.Millisecond)
			if time.Since(began) > time.Minute || ctx.Err() != nil {
				return 0, 0, err
			}
			continue
		}
		text, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return 0, 0, err
		}
	}
	for _, found := range storeRequests.FindAllSubmatch(text, -1) {
		n, err := strconv.ParseInt(string(found[1]), 10, 64)
		if err != nil {
			return 0, 0, err
		}
		requests += n
	}
	ends, err := kadm.NewClient(m.producer).ListEndOffsets(ctx)
	if err == nil {
		err = ends.Error()
	}
	ends.Each(func(o kadm.ListedOffset) { records += o.Offset })
	return requests, records, err
}

// freeAddress returns an address on which nothing listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
