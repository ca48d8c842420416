package soak

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// While many poll and others download exports that are larger than its memory may be, a server
// needs what it needs anyway, and every download is whole.
func TestServeLargeDownloadsAndManyPollersInFlatMemory(t *testing.T) {
	t.Parallel()
	const downloads = 20
	runs, pollers := e2etest.Scale(30_000, 90_000), e2etest.Scale(50, 200)
	s := newLargeSite(t, runs)
	exporter := s.Env.Start(t, "export")
	large := ask(t, s, e2etest.KafkaClient(t, s.Kafka), object{"selection": object{"limit": runs},
		"fragment": object{"max_records": 30_000}})
	endsOf(t, s).of(t, large, 2*time.Minute)
	exporter.Stop(t)
	server := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	url := e2etest.WaitReady(t, server)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: downloads + pollers}}
	first := downloadOnce(t, client, url+"/v1/exports/"+large+"/download")
	idle, _ := e2etest.Memory(server.Cmd.Process.Pid)

	m := watchMemory(t, server)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var polls atomic.Int64
	polling, pollCtx := errgroup.WithContext(ctx)
	for i := range pollers {
		polling.Go(func() error {
			tick := time.NewTicker(100*time.Millisecond + time.Duration(i)*time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-pollCtx.Done():
					return nil
				case <-tick.C:
				}
				if _, err := getOK(pollCtx, client, url+"/v1/exports/"+large, io.Discard); err != nil && pollCtx.Err() == nil {
					return err
				}
				polls.Add(1)
			}
		})
	}
	downloading, ctx := errgroup.WithContext(ctx)
	for range downloads {
		downloading.Go(func() error {
			n, err := getOK(ctx, client, url+"/v1/exports/"+large+"/download", io.Discard)
			if err == nil && n != first {
				err = fmt.Errorf("a download has %d bytes, and the first had %d", n, first)
			}
			return err
		})
	}
	if err := downloading.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	if err := polling.Wait(); err != nil {
		t.Error(err)
	}
	before, after := m.halves()
	t.Logf("%d downloads of %d MB and %d polls: %d MB before, %d and %d MB meanwhile", downloads, first/1e6, polls.Load(),
		idle/1e6, before/1e6, after/1e6)
	if before == 0 || polls.Load() == 0 {
		t.Error("it was over before it was looked at")
	}
	// a megabyte for each of the clients, and the garbage of the polls
	if limit := idle + 64<<20; max(before, after) > limit {
		t.Errorf("memory grew from %d MB to %d MB", idle/1e6, max(before, after)/1e6)
	}
}

// downloadOnce downloads a zip, checks it, and returns its size.
func downloadOnce(t *testing.T, client *http.Client, url string) int64 {
	t.Helper()
	f, err := os.Create(t.TempDir() + "/export.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := getOK(t.Context(), client, url, f)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(f, n)
	if err != nil {
		t.Fatal(err)
	}
	data := 0
	for _, file := range z.File {
		r, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil { // it checks the CRC
			t.Errorf("%s: %v", file.Name, err)
		}
		if strings.HasPrefix(file.Name, "data/") {
			data++
		}
	}
	if data == 0 {
		t.Error("the zip has no data")
	}
	return n
}

// getOK copies a resource to a writer, and returns its size.
func getOK(ctx context.Context, client *http.Client, url string, to io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(to, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return n, err
}
