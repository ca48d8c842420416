package local_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/local"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// deadline bounds every wait of these tests. It is long, so that only a broken test reaches it, and
// not a slow machine.
const deadline = 2 * time.Minute

// quiet returns a log that is shown only when the test fails, since the tests expect warnings.
func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// realConfig returns the configuration of a real server with a new folder.
func realConfig(t testing.TB) local.ClickHouseConfig {
	t.Helper()
	cfg := localtest.Config(t)
	cfg.Ephemeral = false
	return cfg
}

// run runs a server until the test ends or stop is called. stop returns Run's error.
func run(t testing.TB, cfg local.ClickHouseConfig) (c *local.ClickHouse, stop func() error) {
	t.Helper()
	c, err := local.NewClickHouse(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var end error
	go func() {
		defer close(done)
		end = c.Run(ctx)
	}()
	stop = func() error {
		cancel()
		<-done
		return end
	}
	t.Cleanup(func() { _ = stop() })
	return c, stop
}

func waitReady(t testing.TB, c *local.ClickHouse) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok returns true, and fails the test after the deadline.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(deadline)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("still not so: %s", what)
		}
	}
}

func connect(t testing.TB, c *local.ClickHouse) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(c.DSN("default"))
	if err != nil {
		t.Fatal(err)
	}
	options.DialTimeout = 10 * time.Second
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func execute(t testing.TB, conn driver.Conn, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if err := conn.Exec(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func count(t testing.TB, conn driver.Conn, table string) (n uint64) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAServerAnswersOnBothPorts(t *testing.T) {
	t.Parallel()
	start := time.Now()
	c, stop := run(t, realConfig(t))
	waitReady(t, c)
	t.Logf("ready after %s", time.Since(start).Round(time.Millisecond))
	if status, err := os.ReadFile("/proc/" + strconv.Itoa(c.Pid()) + "/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "Rss") || strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "Threads") {
				t.Log("idle: ", strings.TrimSpace(line))
			}
		}
	}

	conn := connect(t, c)
	execute(t, conn,
		`CREATE TABLE t (id UInt64, at DateTime64(6), doc JSON, tags Map(LowCardinality(String), String), note String, version UInt64)
		 ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(at) ORDER BY id`,
		`INSERT INTO t VALUES (1, '2026-01-02 03:04:05.123456', '{"a":{"b":[1,2]}}', {'k':'v'}, '', 1), (1, '2026-01-02 03:04:05.123456', '{"a":{"b":[3]}}', {}, '', 2)`,
		`ALTER TABLE t UPDATE note = 'noted' WHERE version = 2 SETTINGS mutations_sync = 2`,
		`OPTIMIZE TABLE t FINAL`)
	if n := count(t, conn, "t"); n != 1 {
		t.Errorf("%d rows after a merge, want 1", n)
	}

	body := get(t, c, "SELECT at, doc.a.b, note, version, timezone(), currentUser() FROM t FORMAT TSV")
	if want := "2026-01-02 03:04:05.123456\t[3]\tnoted\t2\tUTC\tmillrace\n"; body != want {
		t.Errorf("over HTTP: %q, want %q", body, want)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", c.NativeAddr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the native port after Run: %v, want a refused connection", err)
	}
}

func get(t testing.TB, c *local.ClickHouse, query string) string {
	t.Helper()
	resp, err := http.Post(c.HTTPURL(), "text/plain", strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTablesSurviveAKilledServer(t *testing.T) {
	t.Parallel()
	c, _ := run(t, realConfig(t))
	waitReady(t, c)
	conn := connect(t, c)
	execute(t, conn,
		"CREATE DATABASE d", "CREATE TABLE d.t (id UInt64) ENGINE = MergeTree ORDER BY id",
		"INSERT INTO d.t SELECT number FROM numbers(100000)")

	pid, down := c.Pid(), time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another server", func() bool { return c.Restarts() == 1 && c.Pid() != pid })
	waitReady(t, c)
	t.Logf("ready %s after the kill", time.Since(down).Round(time.Millisecond))
	// The pooled connection broke when the server died, so the client's first query may fail.
	eventually(t, "the client is connected again", func() bool { return conn.Ping(t.Context()) == nil })
	if n := count(t, conn, "d.t"); n != 100000 {
		t.Errorf("%d rows, want 100000", n)
	}
}

func TestDataSurvivesACleanRestart(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	c, stop := run(t, cfg)
	waitReady(t, c)
	execute(t, connect(t, c), "CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id",
		"INSERT INTO t SELECT number FROM numbers(1000)")
	start := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped, with a pooled connection open, after %s", time.Since(start).Round(time.Millisecond))

	c, _ = run(t, cfg)
	waitReady(t, c)
	if n := count(t, connect(t, c), "t"); n != 1000 {
		t.Errorf("%d rows, want 1000", n)
	}
	if c.Restarts() != 0 {
		t.Errorf("%d restarts, want none", c.Restarts())
	}
}

func TestAStopEndsRunningQueries(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	cfg.Ephemeral = true
	c, stop := run(t, cfg)
	waitReady(t, c)
	conn := connect(t, c)
	queried := make(chan error, 1)
	go func() {
		queried <- conn.Exec(context.Background(), "SELECT sleepEachRow(3) FROM numbers(1000) SETTINGS max_block_size = 1")
	}()
	eventually(t, "the query runs", func() bool {
		return strings.TrimSpace(get(t, c,
			"SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'")) == "1"
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-queried; err == nil {
		t.Error("the query that was cut off returned no error")
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("the ephemeral folder is still there (%v)", err)
	}
	if rest, err := os.ReadDir(cfg.Dir); err != nil || len(rest) > 0 {
		t.Errorf("left in the folder: %v %v", rest, err)
	}
}

func TestConnectionsEndAtOnceWhileThereIsNoServer(t *testing.T) {
	t.Parallel()
	// This child runs and never answers.
	c, _ := run(t, local.ClickHouseConfig{Dir: t.TempDir(), Command: []string{"sh", "-c", "cat"}, Log: quiet(t)})
	conn, err := net.Dial("tcp", c.NativeAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection to the native port: %v, want it closed", err)
	}
	resp, err := http.Get(c.HTTPURL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a request to the HTTP port: %s, want 503", resp.Status)
	}
}

func TestAServerThatCannotStartIsGivenUp(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	command, err := localtest.Command()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		command  []string
		want     string
		restarts int
	}{
		{"its log tells why", []string{"sh", "-c", "echo the mill is on fire >&2; exit 1"}, "the mill is on fire", 4},
		{"a signal", []string{"sh", "-c", "kill -ABRT $$"}, "signal: aborted", 4},
		{"a library that does not load is not tried twice", command, text, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, stop := run(t, local.ClickHouseConfig{Dir: t.TempDir(), Library: text, Command: test.command, Log: quiet(t)})
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			err := c.WaitReady(ctx)
			if err == nil || ctx.Err() != nil {
				t.Fatalf("WaitReady: %v, want the server's failure", err)
			}
			if ran := stop(); !errors.Is(ran, err) {
				t.Errorf("Run: %v\nWaitReady: %v", ran, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error without %q: %v", test.want, err)
			}
			if c.Restarts() != test.restarts {
				t.Errorf("%d restarts, want %d", c.Restarts(), test.restarts)
			}
		})
	}
}

func TestAPortOrFolderThatIsInUseIsNamed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	held := t.TempDir()
	c, err := local.NewClickHouse(local.ClickHouseConfig{Dir: held})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		done, cancel := context.WithCancel(context.Background())
		cancel()
		if err := c.Run(done); err != nil {
			t.Error(err)
		}
	})
	heldKafka := t.TempDir()
	kafka, err := local.NewKafka(local.KafkaConfig{Dir: heldKafka})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeKafka(t, kafka) })

	clickHouse := func(cfg local.ClickHouseConfig) error { _, err := local.NewClickHouse(cfg); return err }
	newKafka := func(cfg local.KafkaConfig) error { _, err := local.NewKafka(cfg); return err }
	fresh := t.TempDir()
	for _, test := range []struct {
		what string
		err  error
		want []string
	}{
		{"native port", clickHouse(local.ClickHouseConfig{Dir: fresh, NativePort: port}),
			[]string{local.NativeListener, strconv.Itoa(port)}},
		{"http port", clickHouse(local.ClickHouseConfig{Dir: fresh, HTTPPort: port}),
			[]string{local.HTTPListener, strconv.Itoa(port)}},
		{"kafka port", newKafka(local.KafkaConfig{Dir: fresh, Port: port}), []string{local.KafkaListener,
			strconv.Itoa(port)}},
		{"kafka port, ephemeral", newKafka(local.KafkaConfig{Ephemeral: true, Port: port}),
			[]string{local.KafkaListener, strconv.Itoa(port)}},
		{"clickhouse folder", clickHouse(local.ClickHouseConfig{Dir: held}), []string{held, strconv.Itoa(os.Getpid())}},
		{"kafka folder", newKafka(local.KafkaConfig{Dir: heldKafka}), []string{heldKafka, strconv.Itoa(os.Getpid())}},
		{"no clickhouse folder", clickHouse(local.ClickHouseConfig{}), []string{"folder"}},
		{"no kafka folder", newKafka(local.KafkaConfig{}), []string{"folder"}},
	} {
		for _, want := range test.want {
			if test.err == nil || !strings.Contains(test.err.Error(), want) {
				t.Errorf("%s: error %v, want one that names %s", test.what, test.err, want)
			}
		}
	}
}
