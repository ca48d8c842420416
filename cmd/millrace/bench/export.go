package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/cmd/millrace/services"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/sample"
)

// Export measures an export of all generated runs in one table by a process `millrace export`, from
// the request to the completion. It compares this with the alternative: ClickHouse writes the same
// rows in its own format over HTTP into a file. Both use one embedded stack. Then it measures small
// exports one after another on the idle system.
type Export struct {
	Runs   int `default:"1000000" help:"Runs in the table."`
	Rounds int `default:"3" help:"Number of measurements of each, in turn; the median counts."`
	Small  int `default:"100" help:"Number of exports of 150 records, one after another."`
}

// formats are the measured exports, each with the format of ClickHouse that it is compared with.
var formats = []struct {
	name, clickhouse string
	fields           map[string]any
}{
	{"jsonl, 150 records a file", "JSONEachRow", map[string]any{"format": "jsonl"}},
	{"jsonl, a file a window", "JSONEachRow", map[string]any{"format": "jsonl",
		"fragment": map[string]any{"max_records": 30000}}},
	{"parquet", "Parquet", map[string]any{"format": "parquet"}},
}

// Run prints the measurements and their ratios.
func (c Export) Run(ctx context.Context, a *app.App) error {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return withServices(ctx, a, dir, func(ctx context.Context, s *services.Services) error {
		conn, err := a.Config.DSN.Open()
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := c.fill(ctx, a, conn, s.ClickHouse.Pid()); err != nil {
			return err
		}
		process, err := startRole(ctx, a, "export")
		if err != nil {
			return err
		}
		err = c.measure(ctx, a, s, process.Process.Pid, dir)
		process.Process.Signal(syscall.SIGTERM) //nolint:errcheck // the process may have ended; Wait returns how
		return errors.Join(err, process.Wait())
	})
}

// benchApp is the app id of the runs.
const benchApp = "bench"

// fill fills the table with runs of the sample, and with copies of them that start at other times.
func (c Export) fill(ctx context.Context, a *app.App, conn driver.Conn, server int) error {
	const originals = 50_000
	if _, err := fillTopic(ctx, a, sample.Config{Seed: 1, Runs: originals, Plain: true}); err != nil {
		return err
	}
	if _, err := measureIngest(ctx, a, conn, server, originals, 0); err != nil {
		return err
	}
	return conn.Exec(ctx, fmt.Sprintf(
		`INSERT INTO runs SELECT * EXCEPT (copy) REPLACE ('recipe' AS source, '%s' AS app_id, concat(run_id, '-', toString(copy)) AS run_id,
    started_at + toIntervalHour(copy) AS started_at)
FROM runs CROSS JOIN (SELECT number AS copy FROM numbers(%d)) AS copies LIMIT %d SETTINGS async_insert = 0`, benchApp,
		(c.Runs+originals-1)/originals, c.Runs))
}

func (c Export) measure(ctx context.Context, a *app.App, s *services.Services, pid int, dir string) error {
	client, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, f := range formats {
		var ours, theirs []result
		for range c.Rounds {
			began := time.Now()
			done, err := request(ctx, a, client, c.Runs, f.fields)
			if err != nil {
				return err
			}
			if done.Records != int64(c.Runs) {
				return fmt.Errorf("%d records of %d", done.Records, c.Runs)
			}
			ours = append(ours, result{took: time.Since(began), memory: peakMemory(pid)})
			took, err := measureHTTP(ctx, s.ClickHouse.HTTPURL(), a.Config.DSN.Database, f.clickhouse,
				filepath.Join(dir, "clickhouse.out"))
			if err != nil {
				return err
			}
			theirs = append(theirs, result{took: took})
			if err := os.RemoveAll(filepath.Join(dir, "bucket", "exports")); err != nil {
				return err
			}
		}
		x, y := median(ours), median(theirs)
		c.print(a.Stdout, f.name, x)
		c.print(a.Stdout, "ClickHouse FORMAT "+f.clickhouse, y)
		fmt.Fprintf(a.Stdout, "ratio %.2f\n", y.took.Seconds()/x.took.Seconds())
	}
	var latencies []time.Duration
	for range c.Small {
		began := time.Now()
		if _, err := request(ctx, a, client, 150, formats[0].fields); err != nil {
			return err
		}
		latencies = append(latencies, time.Since(began))
	}
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		fmt.Fprintf(a.Stdout, "%d exports of 150 records, one after another: median %s, 95th percentile %s, slowest %s\n", n,
			latencies[n/2].Round(time.Millisecond), latencies[n*95/100].Round(time.Millisecond),
			latencies[n-1].Round(time.Millisecond))
	}
	return nil
}

func (c Export) print(w io.Writer, what string, r result) {
	memory := ""
	if r.memory > 0 {
		memory = fmt.Sprintf("  peak memory %d MiB", r.memory>>20)
	}
	fmt.Fprintf(w, "%-32s %6.2f s  %8.0f runs/s%s\n", what, r.took.Seconds(), float64(c.Runs)/r.took.Seconds(), memory)
}

// request files an export of the most recent runs and waits for its completion.
func request(ctx context.Context, a *app.App, producer *kgo.Client, limit int,
	fields map[string]any) (*export.Completion, error) {
	exportID := uuid.Must(uuid.NewV7()).String()
	document := map[string]any{
		"export_id": exportID, "workspace_id": a.Config.DefaultWorkspace, "purpose": export.ExportDataset,
		"source": "recipe", "app_id": benchApp, "selection": map[string]any{"limit": limit},
	}
	maps.Copy(document, fields)
	data, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	id := export.ID{WorkspaceID: a.Config.DefaultWorkspace, ExportID: exportID}
	f, err := client.Follow(ctx, a, false, id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := client.ExportRequests(a, producer, "millrace/bench").File(ctx, id, data); err != nil {
		return nil, err
	}
	done, err := client.WaitCompletion(ctx, f, func(*export.Progress) {})
	if err == nil && done.Status != export.StatusSucceeded {
		err = client.DescribeFailure(done.Failure())
	}
	return done, err
}

// startRole starts this program as a role on the stack.
func startRole(ctx context.Context, a *app.App, role string) (*exec.Cmd, error) {
	cmd, err := roleCommand(ctx, a, role)
	if err != nil {
		return nil, err
	}
	return cmd, cmd.Start()
}

// roleCommand returns the command that runs this program as a role on the stack.
func roleCommand(ctx context.Context, a *app.App, name string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, name)
	cmd.Env = append(os.Environ(), app.EnvPrefix+"KAFKA_BROKERS="+a.Config.KafkaBrokers[0],
		app.EnvPrefix+"CLICKHOUSE_DSN="+a.Config.ClickHouseDSN,
		app.EnvPrefix+"BUCKET_URL="+a.Config.BucketURL, app.EnvPrefix+"LOG_LEVEL=error")
	cmd.Stderr = a.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd, nil
}

// measureHTTP measures how long ClickHouse takes to write all runs of the app, with their feedback,
// in its own format.
func measureHTTP(ctx context.Context, server, database, format, file string) (time.Duration, error) {
	out, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	query := "SELECT * FROM runs_latest WHERE app_id = '" + benchApp + "' ORDER BY started_at, run_id FORMAT " + format
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/?database="+url.QueryEscape(database),
		strings.NewReader(query))
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, resp.Body); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("ClickHouse answers %s to the query of the baseline", resp.Status)
	}
	return time.Since(began), out.Close()
}
