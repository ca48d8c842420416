package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/local"
	"github.com/millrace/millrace/pipeline/local/localtest"
	chschema "github.com/millrace/millrace/schemas/clickhouse"
)

// faultRuns is the number of runs. The exports of a fault test select almost all of them, in one
// window or in many.
const faultRuns = 200

// faulty is a flow whose exports run while one of its services fails.
type faulty struct {
	*flow
	random *rand.Rand
	asked  []string // export ids
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("MILLRACE_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MILLRACE_TEST_SEED: %v", err)
		}
	}
	t.Logf("MILLRACE_TEST_SEED=%d", seed)
	f := &faulty{flow: newFlow(t), random: rand.New(rand.NewPCG(seed, 0))}
	f.windowRecords, f.windowsInFlight = 40, 3
	return f
}

// ask requests an export, of one window or of many, and sometimes requests it twice.
func (f *faulty) ask() {
	f.t.Helper()
	id, records := fmt.Sprint("e", len(f.asked)), 10 // four fragments in a window of 40 rows
	if len(f.asked)%2 == 0 {
		records = 1000 // larger than all rows: one window
	}
	f.asked = append(f.asked, id)
	text := request(id, fmt.Sprintf(`,"selection":{"limit":%d},"fragment":{"max_records":%d}`, faultRuns-len(f.asked),
		records))
	for range 1 + f.random.IntN(2) {
		f.send(text)
	}
}

// pause waits for a random time up to d.
func (f *faulty) pause(d time.Duration) {
	select {
	case <-time.After(time.Duration(f.random.Int64N(int64(d)))):
	case <-f.t.Context().Done():
	}
}

// check waits until all exports have ended, and one more that is requested without faults. Each is
// complete or failed with a reason, and has one completion.
func (f *faulty) check() (failed int) {
	f.t.Helper()
	f.ask()
	last := len(f.asked) - 1
	f.settle()
	f.completion(f.asked[last]) // of the export after them, behind which no other completion can follow
	for i, id := range f.asked {
		list := f.completions(id)
		if len(list) != 1 {
			f.t.Errorf("%d completions of %s, want one", len(list), id)
		}
		c := list[0]
		m, got := f.whole(c)
		want := lastRuns(faultRuns-i-1, faultRuns)
		switch {
		case c.Status == export.StatusSucceeded:
			if !slices.Equal(got, want) || c.RowsUsed != int64(len(want)) || m.Status != c.Status {
				f.t.Errorf("%s succeeded with %d records, want these %d, in order", id, len(got), len(want))
			}
		case c.Status == export.StatusFailed && i != last:
			f.t.Logf("%s failed: %+v", id, c.Failure())
			failed++
			if len(got) > 0 || c.ErrorCode == "" || c.ErrorMessage == "" || m.Error == nil {
				f.t.Errorf("%s failed with %d records and the reason %+v", id, len(got), c.Failure())
			}
		default:
			f.t.Errorf("%s is %s: %+v", id, c.Status, c.Failure())
		}
	}
	return failed
}

// whole reads an export through the bucket, and checks the objects against the manifest.
func (f *faulty) whole(c *export.Completion) (m *export.Manifest, runIDs []string) {
	f.t.Helper()
	read := func(name string) []byte {
		body, err := f.bucket.Read(f.t.Context(), c.Prefix()+name)
		if err != nil {
			f.t.Fatal(err)
		}
		return body
	}
	text := read(export.ManifestName)
	m = new(export.Manifest)
	if err := json.Unmarshal(text, m); err != nil || export.HashText(text) != c.ManifestSHA256 {
		f.t.Errorf("%s: the manifest is not that of the completion, %v", c.ID, err)
	}
	var listed []string
	for _, file := range m.Files {
		body := read(file.Key)
		if export.HashText(body) != file.SHA256 || int64(len(body)) != file.Bytes {
			f.t.Errorf("%s: %s is not what the manifest lists", c.ID, file.Key)
		}
		if file.Kind == export.Data {
			listed = append(listed, file.Key)
			runIDs = append(runIDs, runsOf(f.t, body)...)
		}
	}
	if there := f.objects(c.ID, "data"); !slices.Equal(there, slices.Sorted(slices.Values(listed))) {
		f.t.Errorf("%s: objects %v, listed %v", c.ID, there, listed)
	}
	return m, runIDs
}

// slow slows down the queries of extract: ClickHouse computes a column for each row that it reads.
func (f *faulty) slow() {
	f.t.Helper()
	f.exec("ALTER TABLE runs DROP COLUMN trace_id, ADD COLUMN trace_id String DEFAULT if(sleepEachRow(0.0005) = 0, '', " +
		"'never')")
}

func TestAClickHouseThatIsKilledInTheMiddleOfQueriesBreaksNoExport(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	server := f.ownClickHouse()
	f.insertRuns(faultRuns)
	f.slow()
	f.start()
	kills := 3
	if testing.Short() {
		kills = 1
	}
	for range kills {
		f.inTheMiddle(func() {
			restarts := server.Restarts()
			if err := syscall.Kill(server.Pid(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for server.Restarts() == restarts && ctx.Err() == nil {
				f.pause(20 * time.Millisecond)
			}
			if err := server.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	f.check()
}

// inTheMiddle calls fault while windows of exports are read, and then waits until the exports have
// ended.
func (f *faulty) inTheMiddle(fault func()) {
	f.t.Helper()
	f.ask()
	f.ask()
	f.waitForExtract()
	f.pause(50 * time.Millisecond)
	fault()
	f.settle()
}

// settle waits until all exports have ended, so that no retry is waiting at the next fault.
func (f *faulty) settle() {
	f.t.Helper()
	for _, id := range f.asked {
		f.poll("completion of "+id, func() bool { return len(f.completions(id)) > 0 })
	}
}

// ownClickHouse gives the flow a server that the test may kill. The server restarts by itself.
func (f *faulty) ownClickHouse() *local.ClickHouse {
	f.t.Helper()
	server, err := local.NewClickHouse(localtest.Config(f.t))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Run(ctx) // WaitReady returns its error
	}()
	f.t.Cleanup(func() {
		cancel()
		<-done
	})
	if err := server.WaitReady(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	if f.dsn, err = clickhouse.ParseDSN(server.DSN("")); err != nil {
		f.t.Fatal(err)
	}
	if _, err := clickhouse.Migrate(f.t.Context(), f.dsn, chschema.Migrations, "",
		slog.New(slog.DiscardHandler)); err != nil {
		f.t.Fatal(err)
	}
	return server
}

// waitForExtract waits until ClickHouse runs the query of a window.
func (f *faulty) waitForExtract() {
	f.t.Helper()
	conn, err := f.dsn.Open()
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Minute)
	defer cancel()
	for n := uint64(0); n == 0; {
		err := conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE query_id LIKE 'acme/%' AND current_database "+
			"= '"+f.dsn.Database+"'").Scan(&n)
		if ctx.Err() != nil {
			f.t.Fatalf("no window is extracted: %v", err)
		}
	}
}

func TestConnectionsToClickHouseThatAreCutOrFreezeBreakNoExport(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	f.insertRuns(faultRuns)
	f.slow()
	proxy := clickhousetest.NewProxy(t, f.dsn.Addr())
	dsn, err := clickhouse.ParseDSN(localtest.ClickHouse(t).DSNAt(proxy.Addr, f.dsn.Database))
	if err != nil {
		t.Fatal(err)
	}
	f.dsn = dsn
	f.start()
	faults := []func(){proxy.Refuse, proxy.Silence, proxy.Refuse, proxy.Silence}
	if testing.Short() {
		faults = faults[:2]
	}
	for _, fault := range faults {
		f.inTheMiddle(func() {
			fault()
			f.pause(400 * time.Millisecond)
			proxy.Pass()
		})
	}
	if failed := f.check(); failed > 0 { // the stages wait for a server that does not answer
		t.Errorf("%d exports failed", failed)
	}
}
