package api

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/event"
)

// peak returns by how much the heap grows at most while f runs. The tests that call it do not run in
// parallel with others.
func peak(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(25)) // what counts is in use, not garbage
	for range 3 {                                    // the second collection frees what pools hold
		debug.FreeOSMemory()
	}
	heap := func() int64 { // which, unlike runtime.ReadMemStats, stops nobody
		sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		runtimemetrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	before := heap()
	done, most := make(chan struct{}), make(chan int64)
	go func() {
		highest := before
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				most <- highest
				return
			case <-tick.C:
				highest = max(highest, heap())
			}
		}
	}()
	f()
	close(done)
	return <-most - before
}

// repeated is a text that begins, repeats a part so often that it has size bytes, and ends.
func repeated(begin, part, end string, size int) io.Reader {
	return io.MultiReader(strings.NewReader(begin),
		io.LimitReader(&repeating{part: part}, int64(size/len(part)*len(part))), strings.NewReader(end))
}

type repeating struct {
	part string
	at   int
}

func (r *repeating) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		c := copy(p[n:], r.part[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.part)
	}
	return n, nil
}

// numbered is like repeated, with parts of which each begins with another number of seven digits.
func numbered(begin, part, end string, size int) io.Reader {
	number, text := 0, []byte(nil)
	return io.MultiReader(strings.NewReader(begin), io.LimitReader(readerFunc(func(p []byte) (n int, _ error) {
		for n < len(p) {
			if len(text) == 0 {
				text = append(text, strings.Replace(part, "#", strconv.Itoa(1e6+number), 1)...)
				number++
			}
			c := copy(p[n:], text)
			n, text = n+c, text[c:]
		}
		return n, nil
	}), int64(size/(len(part)+6)*(len(part)+6))), strings.NewReader(end))
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// aRun is a run event of another workspace, up to its last field: it is decoded, and then refused.
const aRun = `{"type":"dev.millrace.run.v1","workspace_id":"other","run_id":"r","source":"recipe","app_id":"a",` +
	`"status":"succeeded","started_at":"2026-01-01T00:00:00Z",`

// However many clients send bodies at a time, and whatever is in them, the server takes less than three
// times its memory budget.
func TestBodiesTakeNoMoreThanTheBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the race detector takes memory of its own")
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.New(t.Context(), auth.Config{HMACSecretFile: file})
	if err != nil {
		t.Fatal(err)
	}
	const value = 8 << 20 // so that the test is fast
	const size = eventCopies * value
	a := New(Config{Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), TopicPrefix: "millrace.",
		Limits: event.Limits{Value: value}, Budget: budget.New(size)},
		Deps{Auth: authenticator, Pages: pages.New(pages.Config{}, authenticator, nil, nil)})
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	const fits, over = value - 4096, 9 << 20
	for _, attack := range []struct {
		name, path, media string
		body              func() io.Reader
		status            int
	}{
		{"one huge text", "/v1/runs", "application/json",
			func() io.Reader { return repeated(aRun+`"answer":"`, "x", `"}`, over) }, 422},
		{"one huge line", "/v1/runs", "application/x-ndjson",
			func() io.Reader { return repeated(aRun+`"answer":"`, "x", `"}`, over) }, 422},
		{"one huge array", "/v1/runs", "application/json", func() io.Reader { return repeated("[[", "0,", "0]]", over) }, 422},
		{"white space", "/v1/runs", "application/json", func() io.Reader { return repeated("[", " ", "]", over) }, 422},
		{"white space in an event", "/v1/runs", "application/json",
			func() io.Reader { return repeated(aRun+`"inputs":{"a":`, " ", `1}}`, fits) }, 403},
		{"a document of keys", "/v1/runs", "application/json",
			func() io.Reader { return numbered(aRun+`"inputs":{"a":0`, `,"#":1`, `}}`, fits/4) }, 403},
		{"unknown fields", "/v1/runs", "application/x-ndjson",
			func() io.Reader { return numbered(aRun+`"x":1`, `,"#":1`, `}`, fits/4) }, 403},
		{"metadata", "/v1/runs", "application/json",
			func() io.Reader { return numbered(aRun+`"metadata":{"a":""`, `,"#":""`, `}}`, fits/4) }, 422},
		{"files", "/v1/runs", "application/json",
			func() io.Reader { return repeated(aRun+`"files":[{}`, `,{}`, `]}`, fits) }, 422},
		{"tags", "/v1/runs", "application/json", func() io.Reader {
			return repeated(`{"type":"dev.millrace.feedback.v1","workspace_id":"other","run_id":"r","feedback_id":"f",`+
				`"rating":"thumbsUp","tags":[""`, `,""`, `]}`, fits)
		}, 422},
		{"chunks", "/v1/runs", "application/json", func() io.Reader {
			return repeated(strings.Replace(aRun, "run.v1", "node.v1", 1)+`"node_id":"n","node_run_id":"m","chunks":[{}`, `,{}`,
				`]}`, fits)
		}, 422},
		{"small events", "/v1/runs", "application/x-ndjson", func() io.Reader { return repeated("", "{}\n", "", 400_000) }, 413},
		{"a request of keys", "/v1/exports", "application/json",
			func() io.Reader { return numbered(`{"a":1`, `,"#":1`, `}`, maxRequest-100) }, 422},
		{"a request of run ids", "/v1/exports/dry-run", "application/json",
			func() io.Reader {
				return repeated(`{"export_id":"e","selection":{"run_ids":[""`, `,""`, `]}}`, maxRequest-100)
			}, 422},
		{"a large request", "/v1/exports", "application/json", func() io.Reader { return repeated("{", " ", "}", over) }, 413},
	} {
		t.Run(attack.name, func(t *testing.T) {
			bodies := make([]io.Reader, 5)
			for i := range bodies {
				bodies[i] = attack.body()
			}
			began := time.Now()
			grown := peak(func() {
				var group sync.WaitGroup
				for i, body := range bodies {
					group.Go(func() {
						r, _ := http.NewRequest(http.MethodPost, server.URL+attack.path, io.NopCloser(body))
						r.Header.Set("Authorization", "Bearer "+tokenOf(t, fmt.Sprint("w", i%4)))
						r.Header.Set("Content-Type", attack.media)
						resp, err := http.DefaultClient.Do(r)
						if err != nil {
							return // the server has closed the connection
						}
						defer resp.Body.Close()
						answer, _ := io.ReadAll(resp.Body)
						retry := resp.Header.Get("Retry-After")
						if resp.StatusCode != attack.status && (resp.StatusCode != http.StatusTooManyRequests &&
							resp.StatusCode != http.StatusServiceUnavailable || retry == "") {
							t.Errorf("%d, Retry-After %q: %.300s", resp.StatusCode, retry, answer)
						}
					})
				}
				group.Wait()
			})
			t.Logf("%d MiB in %s", grown>>20, time.Since(began).Round(time.Millisecond))
			if grown > 3*size {
				t.Errorf("%d clients took %d MiB of a server whose budget is %d", len(bodies), grown>>20, size>>20)
			}
		})
	}
}
