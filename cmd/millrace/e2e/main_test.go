package e2e

import (
	"bufio"
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// The tests of this package start `millrace` as a process and use only what the contract promises.

// envPrefix begins the names of the environment variables.
const envPrefix = "MILLRACE_"

// Exit codes of the contract.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitExportFailed = 3
	exitCancelled    = 4
)

// binary is the path of the binary under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "millrace-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "millrace")
		build := exec.Command("go", "build", "-o", binary, "..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// env is what a process is started with beside the test's own environment, NAME=value without the
// prefix.
type environment []string

// site is a place to run roles in: topics of its own and a database of its own.
type site struct {
	env    environment
	kafka  string // brokers, as in MILLRACE_KAFKA_BROKERS
	prefix string // of topics and consumer groups
	DSN    string
	conn   driver.Conn
}

// newKafka returns brokers, and a prefix that no other test has topics and groups of: an in-memory
// Kafka for the test alone, or in `make test-kafka` the cluster of Apache Kafka that all tests
// share.
func newKafka(t *testing.T) (brokers, prefix string) {
	t.Helper()
	if localtest.OnKafkaCluster() {
		return strings.Join(localtest.ApacheKafka(t).Addrs(), ","), "test-" + crand.Text()[:10] + "."
	}
	return localtest.Kafka(t).ListenAddrs()[0], event.DefaultPrefix
}

// newSite makes topics and tables with the commands that users have for it.
func newSite(t *testing.T) *site {
	t.Helper()
	server := localtest.ClickHouse(t)
	s := &site{DSN: server.DSN(server.Database(t))}
	s.kafka, s.prefix = newKafka(t)
	s.env = environment{
		"KAFKA_BROKERS=" + s.kafka, "KAFKA_TOPIC_PREFIX=" + s.prefix, "CLICKHOUSE_DSN=" + s.DSN,
		"BUCKET_URL=file://" + filepath.Join(t.TempDir(), "bucket"),
	}
	s.env.run(t, "topics")
	s.env.run(t, "migrate")
	s.conn = connect(t, s.DSN)
	return s
}

func connect(t *testing.T, dsn string) driver.Conn {
	t.Helper()
	parsed, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := parsed.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (e environment) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	// What selects tests is not Millrace's, which would say so.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envPrefix+"TEST_") })
	for _, v := range e {
		cmd.Env = append(cmd.Env, envPrefix+v)
	}
	return cmd
}

// outcome of a command that ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// try runs a command to its end.
func (e environment) try(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := e.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("millrace %s: %v", strings.Join(args, " "), err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// run runs a command that must succeed and returns its output.
func (e environment) run(t *testing.T, args ...string) string {
	t.Helper()
	got := e.try(t, "", args...)
	if got.code != 0 {
		t.Fatalf("millrace %s: exit code %d\n%s%s", strings.Join(args, " "), got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// process is a role that runs.
type process struct {
	cmd  *exec.Cmd
	name string
	done chan struct{}

	mu     sync.Mutex
	stdout []string
	stderr bytes.Buffer
	line   chan struct{} // closed and replaced at each line of stdout
}

// start starts a role. It is killed when the test ends.
func (e environment) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: e.command(context.Background(), args...), name: "millrace " + strings.Join(args, " "),
		done: make(chan struct{}), line: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = writer(func(b []byte) { p.mu.Lock(); p.stderr.Write(b); p.mu.Unlock() })
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.stdout = append(p.stdout, s.Text())
			close(p.line)
			p.line = make(chan struct{})
			p.mu.Unlock()
		}
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, p.log())
		}
	})
	return p
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.stderr.String()
	return text[max(0, len(text)-8000):]
}

// field waits for a line of stdout that begins with a name and returns the word after it.
func (p *process) field(t *testing.T, name string) string {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		p.mu.Lock()
		for _, l := range p.stdout {
			if f := strings.Fields(l); len(f) > 1 && f[0] == name {
				p.mu.Unlock()
				return f[1]
			}
		}
		next := p.line
		p.mu.Unlock()
		select {
		case <-next:
		case <-p.done:
			t.Fatalf("%s ended before it printed %q\n%s", p.name, name, p.log())
		case <-timeout:
			t.Fatalf("%s did not print %q in time\n%s", p.name, name, p.log())
		}
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// stop asks the process to end, and returns its exit code and how long it took.
func (p *process) stop(t *testing.T) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatalf("%s did not end on SIGTERM\n%s", p.name, p.log())
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(began)
}

// eventually polls until f returns "", and fails with its last answer after the deadline.
func eventually(t *testing.T, within time.Duration, f func() string) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := f()
		if last == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("after %s: %s", within, last)
		case <-tick.C:
		}
	}
}

// count runs a query that returns a number.
func count(t *testing.T, conn driver.Conn, query string, args ...any) uint64 {
	t.Helper()
	var n uint64
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := conn.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		t.Logf("%s: %v", query, err)
		return 0
	}
	return n
}

// counted waits until queries that return a number return these.
func counted(t *testing.T, conn driver.Conn, within time.Duration, want map[string]uint64) {
	t.Helper()
	eventually(t, within, func() string {
		var wrong []string
		for query, n := range want {
			if got := count(t, conn, query); got != n {
				wrong = append(wrong, fmt.Sprintf("%s: %d, want %d", query, got, n))
			}
		}
		return strings.Join(wrong, "\n")
	})
}

// shared returns a file of ../shared/data, or skips the test where that folder is not beside the
// project.
func shared(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the real run events are not beside the project: %v", err)
	}
	return path
}

// scale returns n, or full in `make soak`.
func scale(n, full int) int {
	if os.Getenv("MILLRACE_TEST_SOAK") == "true" {
		return full
	}
	return n
}

// dice returns seeded randomness; the seed is printed, and MILLRACE_TEST_SEED sets it.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("MILLRACE_TEST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("MILLRACE_TEST_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("MILLRACE_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func kafkaClient(t *testing.T, brokers string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
