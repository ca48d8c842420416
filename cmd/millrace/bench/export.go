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
	"strconv"
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
)

// Export measures exports of all generated runs of one app by a process `millrace export`, each from
// the request to the completion. Beside each it measures the fastest plain way to the same rows: a query
// over HTTP, which ClickHouse answers in its own format, into a file. All use one embedded stack. Then it
// measures small exports one after another on the idle system.
type Export struct {
	Runs      int      `default:"1000000" help:"Runs in the table."`
	Rounds    int      `default:"5" help:"Number of measurements of each, in turn, after a first that does not count; the median counts."`
	Small     int      `default:"100" help:"Number of exports of 150 records, one after another."`
	Processes []int    `default:"1,2,4" help:"Numbers of processes that share one large export."`
	Events    []string `sep:"none" type:"existingfile" placeholder:"FILE" help:"Files of run events, whose runs are copied in place of those of the sample, under new ids."`
	Only      string   `help:"Take those measurements only whose name contains this."`
	Node      string   `default:"cmd/millrace/bench/node" help:"Folder of chats.mjs and its node_modules, with which fine-tuning is compared."`
	Store     string   `help:"File for all rounds, in the format of Go's benchmarks, which benchstat compares."`
}

// comparison is an export, and ClickHouse's own ways to the same rows.
type comparison struct {
	name, purpose string
	fields        object  // of the request
	query         string  // the fastest plain query; FORMAT is added
	order         string  // the ORDER BY of the export, "" where the query has an order of its own
	format        string  // of ClickHouse, or "" for the script for Node
	zstd          bool    // whether the answer is compressed
	aim           float64 // how many times as fast as the query the export should be
}

type object = map[string]any

// plain is the query that a user would write for the rows of an app.
const plain = "SELECT * FROM runs FINAL WHERE " + ofBenchApp

const ofBenchApp = "workspace_id = 'default' AND source = 'recipe' AND app_id = '" + benchApp + "'"

// compared is the query that a user would write to compare the versions of an app on each input.
const compared = "SELECT inputs, any(reference), groupArray((app_version, run_id, status, answer, " +
	"usage_input_tokens, usage_output_tokens, cost_usd, started_at, ended_at)) FROM runs FINAL WHERE " +
	ofBenchApp + " GROUP BY inputs"

var (
	window      = object{"max_records": 30000} // a file has as many records as a window
	comparisons = []comparison{
		{"jsonl, a file a window", export.ExportDataset, object{"format": "jsonl", "fragment": window},
			plain, "started_at, run_id", "JSONEachRow", false, 2.5},
		{"jsonl, 150 records a file", export.ExportDataset, object{"format": "jsonl"},
			plain, "started_at, run_id", "JSONEachRow", false, 1.5},
		{"jsonl, zstd", export.ExportDataset, object{"format": "jsonl", "compression": "zstd", "fragment": window},
			plain, "started_at, run_id", "JSONEachRow", true, 2},
		{"parquet, zstd", export.ExportDataset, object{"format": "parquet", "compression": "zstd"},
			plain, "started_at, run_id", "Parquet", false, 1.5},
		{"recipe_evaluation canonical", export.RecipeEvaluation, object{"format": "jsonl", "fragment": window},
			compared, "", "JSONEachRow", false, 1.5},
		{"fine_tuning openai_chat", export.FineTuning, object{"fragment": window, "options": object{"dedupe": false}},
			strings.Replace(plain, "*", "messages, question, answer", 1), "", "", false, 5},
	}
)

// Run prints the measurements and their ratios.
func (c Export) Run(ctx context.Context, a *app.App) error {
	return withServices(ctx, a, func(ctx context.Context, s *services.Services, conn driver.Conn, dir string) error {
		if err := c.fill(ctx, a, conn, s.ClickHouse.Pid()); err != nil {
			return err
		}
		err := withExports(ctx, a, 1, func(pids []int) error { return c.measure(ctx, a, s, conn, pids, dir) })
		for _, n := range c.Processes {
			name := fmt.Sprintf("jsonl, processes: %d", n)
			if err == nil && strings.Contains(name, c.Only) {
				err = withExports(ctx, a, n, func(pids []int) error { return c.share(ctx, a, s, conn, name, pids, dir) })
			}
		}
		return err
	})
}

// withExports calls do with n processes `millrace export`.
func withExports(ctx context.Context, a *app.App, n int, do func(pids []int) error) (err error) {
	var pids []int
	for range n {
		process, failed := startRole(ctx, a, "export")
		if failed != nil {
			return failed
		}
		defer func() {
			process.Process.Signal(syscall.SIGTERM) //nolint:errcheck // the process may have ended; Wait returns how
			err = errors.Join(err, process.Wait())
		}()
		pids = append(pids, process.Process.Pid)
	}
	return do(pids)
}

// share measures one large export that several processes work on.
func (c Export) share(ctx context.Context, a *app.App, s *services.Services, conn driver.Conn, name string, pids []int,
	dir string) error {
	client, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	b := bench{a, client, comparer{conn, s.ClickHouse.Pid(), pids}, "", dir}
	f := comparison{name: name, purpose: export.ExportDataset, fields: comparisons[0].fields}
	w := way{name: name, f: func() (int64, error) { return b.export(ctx, &f, c.Runs) }}
	if err := c.inTurn(ctx, b, []*way{&w}); err != nil {
		return err
	}
	printMeasured(a.Stdout, w.name, w.all)
	return nil
}

// benchApp is the app id of the runs.
const benchApp = "bench"

func (c Export) measure(ctx context.Context, a *app.App, s *services.Services, conn driver.Conn, pids []int,
	dir string) error {
	client, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	b := bench{a, client, comparer{conn, s.ClickHouse.Pid(), pids}, s.ClickHouse.ServerHTTPURL(), dir}
	for _, f := range comparisons {
		if strings.Contains(f.name, c.Only) {
			if err := c.compare(ctx, b, &f); err != nil {
				return err
			}
		}
	}
	var latencies []time.Duration
	for range c.Small {
		began := time.Now()
		if _, err := request(ctx, a, client, export.ExportDataset, 150, object{"format": "jsonl"}); err != nil {
			return err
		}
		latencies = append(latencies, time.Since(began))
	}
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		at := func(percent int) time.Duration { return latencies[min(n-1, n*percent/100)].Round(time.Millisecond) }
		fmt.Fprintf(a.Stdout, "%d exports of 150 records, one after another: median %s, 95th percentile %s, 99th %s, "+
			"slowest %s\n", n, at(50), at(95), at(99), at(100))
	}
	return nil
}

// bench is what measurements of exports need.
type bench struct {
	app    *app.App
	client *kgo.Client
	meter  comparer
	http   string // URL of ClickHouse
	dir    string
}

// way is an export, or what it is compared with.
type way struct {
	name string
	f    func() (int64, error)
	all  []measured
}

// compare measures an export and the queries in turn, and prints both.
func (c Export) compare(ctx context.Context, b bench, f *comparison) error {
	ways := []*way{
		{name: f.name, f: func() (int64, error) { return b.export(ctx, f, c.Runs) }},
		{name: "  FORMAT " + f.format, f: func() (int64, error) { return int64(c.Runs), b.query(ctx, f, f.query) }},
		{name: "  FORMAT " + f.format + ", in order", f: func() (int64, error) {
			return int64(c.Runs), b.query(ctx, f, f.query+" ORDER BY "+f.order)
		}},
	}
	if f.order == "" {
		ways = ways[:2]
	}
	if f.format == "" {
		if _, err := os.Stat(filepath.Join(c.Node, "node_modules")); err != nil {
			fmt.Fprintf(b.app.Stdout, "%s: not measured: %v; fetch it with: npm ci --prefix %s\n", f.name, err, c.Node)
			return nil
		}
		ways[1] = &way{name: "  client for Node", f: func() (int64, error) { return int64(c.Runs), b.node(ctx, c, f) }}
	}
	if err := c.inTurn(ctx, b, ways); err != nil {
		return err
	}
	for i, w := range ways {
		printMeasured(b.app.Stdout, w.name, w.all)
		if c.Store != "" {
			if i > 0 {
				w.name = f.name + "/" + w.name
			}
			if err := storeMeasured(c.Store, "Export/"+w.name, w.all); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(b.app.Stdout, "  ratio %.2f, aim %.1f\n",
		medianOf(ways[1].all).took.Seconds()/medianOf(ways[0].all).took.Seconds(), f.aim)
	return nil
}

// queryOutput is the file that the plain ways write.
const queryOutput = "clickhouse.out"

// inTurn measures the ways in turn, in rounds of which the first does not count: in it, files are read for
// the first time, and groups of consumers settle.
func (c Export) inTurn(ctx context.Context, b bench, ways []*way) error {
	for round := range c.Rounds + 1 {
		for _, w := range ways {
			x, err := b.meter.measure(ctx, w.f)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if round > 0 {
				w.all = append(w.all, x)
			}
			// Pages of memory that were just freed are there at once; on a virtual machine, others take ten times as
			// long. So each way begins after the files of the one before are gone.
			for _, written := range []string{filepath.Join("bucket", "exports"), queryOutput} {
				err := app.Poll(ctx, func() (bool, error) {
					err := os.RemoveAll(filepath.Join(b.dir, written))
					if errors.Is(err, syscall.ENOTEMPTY) { // a window that two processes read is still written
						return false, nil
					}
					return true, err
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b bench) export(ctx context.Context, f *comparison, runs int) (int64, error) {
	done, err := request(ctx, b.app, b.client, f.purpose, runs, f.fields)
	if err != nil {
		return 0, err
	}
	if done.RowsPlanned != int64(runs) {
		return 0, fmt.Errorf("%d rows of %d", done.RowsPlanned, runs)
	}
	return done.RowsPlanned, nil
}

// node writes the conversations with ClickHouse's client for Node, as a team would that has no Millrace.
func (b bench) node(ctx context.Context, c Export, f *comparison) error {
	cmd := exec.CommandContext(ctx, "node", filepath.Join(c.Node, "chats.mjs"), b.http, b.app.Config.DSN.Database, f.query,
		filepath.Join(b.dir, queryOutput))
	cmd.Stderr = b.app.Stderr
	lines, err := cmd.Output()
	if n := strings.TrimSpace(string(lines)); err == nil && n != strconv.Itoa(c.Runs) {
		err = fmt.Errorf("%s lines of %d", n, c.Runs)
	}
	return err
}

// query writes ClickHouse's answer to a query into a file.
func (b bench) query(ctx context.Context, f *comparison, query string) error {
	out, err := os.Create(filepath.Join(b.dir, queryOutput))
	if err != nil {
		return err
	}
	defer out.Close()
	values := url.Values{"database": {b.app.Config.DSN.Database}}
	if f.zstd {
		values.Set("enable_http_compression", "1")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.http+"/?"+values.Encode(),
		strings.NewReader(query+" FORMAT "+f.format))
	if err != nil {
		return err
	}
	if f.zstd {
		req.Header.Set("Accept-Encoding", "zstd")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ClickHouse answers %s", resp.Status)
	}
	return out.Close()
}

// request files an export of the most recent runs and waits for its completion.
func request(ctx context.Context, a *app.App, producer *kgo.Client, purpose string, limit int,
	fields object) (*export.Completion, error) {
	exportID := uuid.Must(uuid.NewV7()).String()
	document := map[string]any{
		"export_id": exportID, "workspace_id": a.Config.DefaultWorkspace, "purpose": purpose,
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
