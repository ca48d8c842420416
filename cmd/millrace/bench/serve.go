package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/services"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Serve measures a process `millrace serve`. Clients poll exports, some that have ended and some
// that wait. They poll first alone, and then while other clients download a large export. All
// clients run on the machine of the server.
type Serve struct {
	Pollers   int           `default:"200" help:"Number of clients that poll."`
	Interval  time.Duration `default:"250ms" help:"Interval between two polls of a client."`
	Downloads int           `default:"20" help:"Number of clients that each download the whole export once."`
	Runs      int           `default:"80000" help:"Number of runs in the export, about 1.3 kB each."`
	Alone     time.Duration `default:"10s" help:"How long the clients poll without downloads."`
}

// Run prints the measurements and their ratios.
func (c Serve) Run(ctx context.Context, a *app.App) error {
	return withServices(ctx, a, func(ctx context.Context, s *services.Services, conn driver.Conn, dir string) error {
		if err := (Export{Runs: c.Runs}).fill(ctx, a, conn, s.ClickHouse.Pid()); err != nil {
			return err
		}
		large, err := c.export(ctx, a)
		if err != nil {
			return err
		}
		cmd, url, err := startServer(ctx, a)
		if err != nil {
			return err
		}
		err = c.measure(ctx, a, url, cmd.Process.Pid, large)
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended; Wait says how
		return errors.Join(err, cmd.Wait())
	})
}

// export makes the export that is downloaded, and returns its id.
func (c Serve) export(ctx context.Context, a *app.App) (string, error) {
	process, err := startRole(ctx, a, "export")
	if err != nil {
		return "", err
	}
	client, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return "", err
	}
	defer client.Close()
	done, err := request(ctx, a, client, export.ExportDataset, c.Runs, map[string]any{"format": "jsonl",
		"fragment": map[string]any{"max_records": 30000}})
	process.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended; Wait says how
	if err = errors.Join(err, process.Wait()); err != nil {
		return "", err
	}
	fmt.Fprintf(a.Stdout, "an export of %d MiB\n", done.Bytes>>20)
	return done.ExportID, nil
}

// startServer starts the role serve, and returns its URL.
func startServer(ctx context.Context, a *app.App) (cmd *exec.Cmd, url string, err error) {
	if cmd, err = roleCommand(ctx, a, "serve"); err != nil {
		return nil, "", err
	}
	cmd.Env = append(cmd.Env, app.EnvPrefix+"HTTP_ADDR=127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, "", err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "http "); ok {
			return cmd, url, nil
		}
	}
	return nil, "", fmt.Errorf("millrace serve ended: %w", cmd.Wait())
}

func (c Serve) measure(ctx context.Context, a *app.App, base string, pid int, large string) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c.Pollers + c.Downloads}}
	var polled []string
	for range 20 { // these exports wait, since no process plans them
		id, err := fileHTTP(ctx, client, base)
		if err != nil {
			return err
		}
		polled = append(polled, base+"/v1/exports/"+id, base+"/v1/exports/"+large)
	}
	alone, err := c.poll(ctx, client, polled, func(ctx context.Context) error {
		select {
		case <-time.After(c.Alone):
		case <-ctx.Done():
		}
		return nil
	})
	if err != nil {
		return err
	}
	before := peakMemory(pid)
	fmt.Fprintf(a.Stdout, "%d clients poll every %s:            %s, peak memory %d MiB\n", c.Pollers, c.Interval, alone,
		before>>20)
	var bytes int64
	began := time.Now()
	loaded, err := c.poll(ctx, client, polled, func(ctx context.Context) (err error) {
		bytes, err = c.download(ctx, client, base+"/v1/exports/"+large+"/download")
		return err
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	after := peakMemory(pid)
	fmt.Fprintf(a.Stdout, "the same, while %d download %d MiB each: %s, peak memory %d MiB; %.0f MB/s\n", c.Downloads,
		bytes>>20/int64(c.Downloads), loaded, after>>20,
		float64(bytes)/1e6/took.Seconds())
	fmt.Fprintf(a.Stdout, "ratio of the 95th percentiles %.1f, of memory %.2f\n", loaded.at(95).Seconds()/alone.at(95).
		Seconds(), float64(after)/float64(before))
	return nil
}

// latencies are the latencies of polls, in ascending order.
type latencies []time.Duration

func (l latencies) at(percent int) time.Duration { return l[min(len(l)*percent/100, len(l)-1)] }

func (l latencies) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d polls, median %s, 95th percentile %s, 99th %s, slowest %s", len(l), round(l.at(50)),
		round(l.at(95)), round(l.at(99)), round(l[len(l)-1]))
}

// poll polls with all clients until while returns, and returns the latencies.
func (c Serve) poll(ctx context.Context, client *http.Client, urls []string,
	while func(context.Context) error) (latencies, error) {
	polling, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var all latencies
	group, polling := errgroup.WithContext(polling)
	for i := range c.Pollers {
		group.Go(func() error {
			first := time.NewTimer(c.Interval * time.Duration(i) / time.Duration(c.Pollers)) // not all at the same instant
			defer first.Stop()
			tick := time.NewTicker(c.Interval)
			defer tick.Stop()
			var own latencies
			defer func() { mu.Lock(); all = append(all, own...); mu.Unlock() }()
			next := first.C
			for n := i; ; n++ {
				select {
				case <-polling.Done():
					return nil
				case <-next:
				}
				next = tick.C
				began := time.Now()
				if _, err := get(polling, client, urls[n%len(urls)], io.Discard); err != nil && polling.Err() == nil {
					return err
				}
				own = append(own, time.Since(began))
			}
		})
	}
	err := while(polling)
	stop()
	err = errors.Join(err, group.Wait())
	slices.Sort(all)
	if err == nil && len(all) == 0 {
		err = errors.New("nothing was polled")
	}
	return all, err
}

// download downloads with all clients at once, and returns the bytes that they received.
func (c Serve) download(ctx context.Context, client *http.Client, url string) (total int64, err error) {
	group, ctx := errgroup.WithContext(ctx)
	sizes := make([]int64, c.Downloads)
	for i := range c.Downloads {
		group.Go(func() (err error) {
			sizes[i], err = get(ctx, client, url, io.Discard)
			return err
		})
	}
	err = group.Wait()
	for _, n := range sizes {
		total += n
	}
	return total, err
}

func get(ctx context.Context, client *http.Client, url string, to io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := copyFairly(to, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return n, err
}

// copyFairly copies, and lets the pollers of this process run in between. Otherwise they would
// measure their wait for this process as latency of the server.
func copyFairly(to io.Writer, from io.Reader) (n int64, err error) {
	buffer := make([]byte, 256<<10)
	for {
		k, err := from.Read(buffer)
		if k > 0 {
			if _, err := to.Write(buffer[:k]); err != nil {
				return n, err
			}
			n += int64(k)
			runtime.Gosched()
		}
		switch {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
	}
}

// fileHTTP files a request, and returns the export's id.
func fileHTTP(ctx context.Context, client *http.Client, base string) (string, error) {
	body, err := json.Marshal(map[string]any{"purpose": "export_dataset", "source": "recipe", "app_id": benchApp,
		"selection": map[string]any{"limit": 150}})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/exports", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var filed struct {
		ExportID string `json:"export_id"`
	}
	err = json.NewDecoder(resp.Body).Decode(&filed)
	if err == nil && resp.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("POST /v1/exports: %s", resp.Status)
	}
	return filed.ExportID, err
}
