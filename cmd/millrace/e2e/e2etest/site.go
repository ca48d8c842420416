package e2etest

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// EnvPrefix begins the names of the environment variables.
const EnvPrefix = "MILLRACE_"

// Exit codes of the contract.
const (
	ExitFailed       = 1
	ExitUsage        = 2
	ExitExportFailed = 3
	ExitCancelled    = 4
	ExitNoRecords    = 5
)

// Environment is what a process is started with beside the environment of the test: NAME=value, without EnvPrefix.
// Variables of Go's runtime, such as GOMEMLIMIT, and of OpenTelemetry keep their names.
type Environment []string

// Site is a place to run roles in: topics, a database and a bucket of its own.
type Site struct {
	Env    Environment
	Kafka  string // brokers, as in MILLRACE_KAFKA_BROKERS
	Prefix string // of topics and consumer groups
	DSN    string // of the database
	Conn   driver.Conn
}

// NewKafka returns the addresses of brokers, comma-separated, and a prefix of topics and groups that no other test has.
// The brokers are an in-memory Kafka for the test alone, or in `make test-kafka` the cluster of Apache Kafka that all
// tests of a package share.
func NewKafka(t *testing.T) (brokers, prefix string) {
	t.Helper()
	if localtest.OnKafkaCluster() {
		return strings.Join(localtest.ApacheKafka(t).Addrs(), ","), "test-" + crand.Text()[:10] + "."
	}
	return localtest.Kafka(t).ListenAddrs()[0], event.DefaultPrefix
}

// NewSite creates topics and tables with the commands that users have for it.
func NewSite(t *testing.T) *Site {
	t.Helper()
	server := localtest.ClickHouse(t)
	s := &Site{DSN: server.DSN(server.Database(t))}
	s.Kafka, s.Prefix = NewKafka(t)
	s.Env = Environment{
		"KAFKA_BROKERS=" + s.Kafka, "KAFKA_TOPIC_PREFIX=" + s.Prefix, "CLICKHOUSE_DSN=" + s.DSN,
		"BUCKET_URL=file://" + filepath.Join(t.TempDir(), "bucket"),
	}
	s.Env.Run(t, "topics")
	s.Env.Run(t, "migrate")
	s.Conn = Connect(t, s.DSN)
	return s
}

// Connect opens a connection to ClickHouse, which is closed when the test ends.
func Connect(t *testing.T, dsn string) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Command returns the process of a command, which is not started yet.
func (e Environment) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	// What selects tests is not Millrace's, which would say so.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, EnvPrefix+"TEST_") })
	for _, v := range e {
		if !strings.HasPrefix(v, "GO") && !strings.HasPrefix(v, "OTEL_") {
			v = EnvPrefix + v
		}
		cmd.Env = append(cmd.Env, v)
	}
	return cmd
}

// Outcome is how a command ended.
type Outcome struct {
	Code           int
	Stdout, Stderr string
}

// Try runs a command to its end, whatever its exit code. It has three minutes.
func (e Environment) Try(t *testing.T, stdin string, args ...string) Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := e.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("millrace %s: %v", strings.Join(args, " "), err)
	}
	return Outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// Run runs a command that must succeed, and returns what it printed to stdout.
func (e Environment) Run(t *testing.T, args ...string) string {
	t.Helper()
	got := e.Try(t, "", args...)
	if got.Code != 0 {
		t.Fatalf("millrace %s: exit code %d\n%s%s", strings.Join(args, " "), got.Code, got.Stdout, got.Stderr)
	}
	return got.Stdout
}

// KafkaClient returns a client, which is closed when the test ends.
func KafkaClient(t *testing.T, brokers string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// Elsewhere returns a site with the same tables, but with topics and a bucket of its own.
func (s *Site) Elsewhere(t *testing.T, prefix, bucket string) *Site {
	t.Helper()
	o := *s
	o.Prefix += prefix
	o.Env = append(slices.Clone(s.Env), "KAFKA_TOPIC_PREFIX="+o.Prefix, "KAFKA_TRANSACTIONAL_ID_PREFIX="+o.Prefix,
		"BUCKET_URL="+bucket)
	o.Env = slices.DeleteFunc(o.Env, func(v string) bool {
		return slices.Contains(s.Env, v) && strings.HasPrefix(v, "BUCKET_URL=")
	})
	o.Env.Run(t, "topics")
	return &o
}

// ExportFolder returns the folder of an export in a bucket that is a folder.
func (s *Site) ExportFolder(t *testing.T, workspace, id string) string {
	t.Helper()
	for _, v := range s.Env {
		if text, ok := strings.CutPrefix(v, "BUCKET_URL="); ok {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			return filepath.Join(u.Path, "exports", workspace, id)
		}
	}
	t.Fatal("the site has no bucket")
	return ""
}

// LocalStack is a running `millrace local`.
type LocalStack struct {
	*Process
	Kafka, DSN string
}

// StartLocal starts `millrace local` in a folder of its own, and returns the environment of its clients. On the cluster
// of `make test-kafka` it skips the test.
func StartLocal(t *testing.T, settings ...string) (*LocalStack, Environment) {
	t.Helper()
	return StartLocalIn(t, t.TempDir(), settings...)
}

// StartLocalIn is StartLocal in a folder.
func StartLocalIn(t *testing.T, dir string, settings ...string) (*LocalStack, Environment) {
	t.Helper()
	if localtest.OnKafkaCluster() {
		t.Skip("millrace local brings its own Kafka: `make test` runs this")
	}
	localtest.ClickHouse(t) // skips where the engine cannot be had
	env := Environment{"LOCAL_KAFKA_PORT=0", "LOCAL_CLICKHOUSE_PORT=0", "LOCAL_CLICKHOUSE_HTTP_PORT=0",
		"HTTP_ADDR=127.0.0.1:0"}
	l := &LocalStack{Process: append(env, settings...).Start(t, "local", "--data", dir)}
	l.Kafka = l.Field(t, "kafka")
	l.DSN = l.Field(t, "clickhouse")
	return l, Environment{"KAFKA_BROKERS=" + l.Kafka, "CLICKHOUSE_DSN=" + l.DSN,
		"BUCKET_URL=" + l.Field(t, "bucket")}
}

// NewSampleSite returns a site with sample runs, where ingest and export run.
func NewSampleSite(t *testing.T, runs int) *Site {
	t.Helper()
	s := NewSite(t)
	cfg := sample.Config{Seed: 11, Runs: runs, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
	s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", SampleFile(t, cfg))
	WaitForCounts(t, s.Conn, time.Minute, SampleRows(cfg))
	append(s.Env, "EXPORT_WINDOW_RECORDS=200").Start(t, "export")
	return s
}

// Combination is what a request may ask for, as `millrace formats --json` prints it.
type Combination struct {
	Purpose, Target string
	Formats         []string
	Dropped         map[string]string
}

// Combinations returns all that `millrace formats --json` prints.
func Combinations(t *testing.T, e Environment) (all []Combination) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(e.Run(t, "formats", "--json")), "\n") {
		var p Combination
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}
