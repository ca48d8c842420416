package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// The real run events: rows by query.
var realRows = map[string]uint64{
	"SELECT count() FROM runs_latest": 5476,
	"SELECT count() FROM runs_latest WHERE source = 'copilot' AND status = 'succeeded'": 200,
	"SELECT count() FROM runs_latest WHERE source = 'recipe'":                           5276,
	"SELECT count() FROM nodes_latest WHERE source = 'copilot'":                         3618,
	"SELECT count() FROM nodes_latest WHERE source = 'recipe'":                          10552,
	"SELECT count() FROM feedback FINAL":                                                5476,
	"SELECT count() FROM runs_with_feedback WHERE feedback_rating != ''":                5476,
}

func TestRealRunsReplayedFourTimesInAnyOrderAreStoredOnce(t *testing.T) {
	t.Parallel()
	recipes, copilots := shared(t, "math-recipe.events.jsonl.gz"), shared(t, "airline-copilot.events.jsonl.gz")
	random := dice(t)
	s := newSite(t)
	s.env.start(t, "ingest")
	out := s.env.run(t, "replay", recipes, copilots)
	if !strings.Contains(out, "published 25322 events, 0 lines skipped") {
		t.Errorf("replay said %q", out)
	}
	counted(t, s.conn, time.Minute, realRows)

	lines := append(readLines(t, recipes), readLines(t, copilots)...)
	for range 3 {
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		if got := s.env.try(t, strings.Join(lines, "\n"), "replay", "-"); got.code != 0 {
			t.Fatalf("replay: exit code %d\n%s", got.code, got.stderr)
		}
	}
	reachedTheEnd(t, s)
	counted(t, s.conn, time.Minute, realRows)
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil && strings.HasSuffix(name, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(text)); err == nil {
			text, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// reachedTheEnd waits until the consumer group's offsets equal the ends of topic runs.
func reachedTheEnd(t *testing.T, s *site) {
	t.Helper()
	admin := kadm.NewClient(kafkaClient(t, s.kafka))
	eventually(t, 3*time.Minute, func() string {
		ends, err := admin.ListEndOffsets(t.Context(), s.prefix+event.TopicRuns)
		if err != nil {
			return err.Error()
		}
		offsets, err := admin.FetchOffsets(t.Context(), s.prefix+"ingest")
		if err != nil {
			return err.Error()
		}
		behind := ""
		if err := errors.Join(ends.Error(), offsets.Error()); err != nil {
			return err.Error()
		}
		ends.Each(func(end kadm.ListedOffset) {
			if at, _ := offsets.Lookup(end.Topic, end.Partition); at.At != end.Offset && end.Offset > 0 {
				behind = fmt.Sprintf("partition %d: offset %d of %d", end.Partition, at.At, end.Offset)
			}
		})
		return behind
	})
}

// sampleFile writes the events of a generator to a file for `millrace replay`.
func sampleFile(t *testing.T, cfg sample.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var buf []byte
	g := sample.New(cfg)
	for e, ok := g.Next(); ok; e, ok = g.Next() {
		if buf = e.AppendLine(buf); len(buf) > 1<<20 {
			if _, err := f.Write(buf); err != nil {
				t.Fatal(err)
			}
			buf = buf[:0]
		}
	}
	if _, err := f.Write(buf); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// sampleRows are the rows that the events of a generator come to, and no others.
func sampleRows(cfg sample.Config) map[string]uint64 {
	want := sample.Expect(cfg)
	rows := map[string]uint64{
		"SELECT count() FROM runs_latest":                            uint64(want.Runs),
		"SELECT uniqExact(run_id) FROM runs_latest":                  uint64(want.Runs),
		"SELECT count() FROM nodes_latest":                           uint64(want.Nodes),
		"SELECT uniqExact(run_id, node_run_id) FROM nodes_latest":    uint64(want.Nodes),
		"SELECT count() FROM feedback_latest":                        uint64(want.Feedback),
		"SELECT uniqExact(run_id, feedback_id) FROM feedback_latest": uint64(want.Feedback),
	}
	for status, n := range want.RunsByStatus {
		rows["SELECT count() FROM runs_latest WHERE status = '"+status+"'"] = uint64(n)
	}
	for status, n := range want.NodesByStatus {
		rows["SELECT count() FROM nodes_latest WHERE status = '"+status+"'"] = uint64(n)
	}
	return rows
}

// killRuns is how many generated runs make at least 200,000 events.
const killRuns = 29_500

func TestKillingIngestLosesNothingAndStoresNothingTwice(t *testing.T) {
	t.Parallel()
	if localtest.OnKafkaCluster() {
		t.Skip("TestKillingBrokersAndIngestLosesNothingAndStoresNothingTwice kills ingest there, at any moment")
	}
	random := dice(t)
	cfg := sample.Config{Seed: random.Uint64(), Runs: killRuns}
	kills := scale(5, 30)
	s := newSite(t)
	file := sampleFile(t, cfg)
	if n := sample.Expect(cfg).Events; n < 200_000 {
		t.Fatalf("only %d events", n)
	}
	s.env = append(s.env, "INGEST_BATCH_ROWS=2000", "INGEST_BATCH_INTERVAL=100ms")
	// A killed member keeps its partitions until its session ends, after 10 s: as long as it lasts,
	// so long the events flow.
	replay := s.env.start(t, "replay", "--rate", strconv.Itoa(sample.Expect(cfg).Events/(12*kills)), file)
	ingest := s.env.start(t, "ingest")
	admin := kadm.NewClient(kafkaClient(t, s.kafka))
	for i := range kills {
		ops := ingest.field(t, "ops")
		eventually(t, 2*time.Minute, func() string {
			if members := groupMembers(t, admin, s.prefix+"ingest"); members != 1 {
				return fmt.Sprintf("the group has %d members", members)
			}
			if _, metrics := get(t, ops+"/metrics"); !strings.Contains(metrics, "\nmillrace_ingest_records_total ") ||
				strings.Contains(metrics, "\nmillrace_ingest_records_total 0\n") {
				return "nothing stored by this process"
			}
			return ""
		})
		wait(t, time.Duration(random.Int64N(int64(2*time.Second))))
		ingest.kill()
		t.Logf("kill %d with %d rows stored", i+1, storedRows(t, s))
		ingest = s.env.start(t, "ingest")
	}
	<-replay.done
	if code := replay.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, replay.log())
	}
	reachedTheEnd(t, s)
	counted(t, s.conn, time.Minute, sampleRows(cfg))
	if letters := s.env.run(t, "dead-letters", "ls"); !strings.Contains(letters, "no dead letters") {
		t.Errorf("dead letters:\n%s", letters)
	}
	if code, took := ingest.stop(t); code != 0 || took > 10*time.Second {
		t.Errorf("SIGTERM: exit code %d after %s", code, took)
	}
}

// groupMembers counts the members of the consumer group, 0 while partitions change hands. A member
// is not killed in such a moment: kfake then keeps it, with its partitions, for ever, which Kafka
// does not.
func groupMembers(t *testing.T, admin *kadm.Client, group string) int {
	t.Helper()
	groups, err := admin.DescribeGroups(t.Context(), group)
	if err != nil || groups[group].State != "Stable" {
		return 0
	}
	return len(groups[group].Members)
}

// storedRows counts the rows of all snapshots, in all tables; it changes with every batch.
func storedRows(t *testing.T, s *site) uint64 {
	t.Helper()
	return count(t, s.conn, "SELECT (SELECT count() FROM runs) + (SELECT count() FROM nodes) + (SELECT count() FROM "+
		"feedback)")
}

// wait is a fixed part of an experiment, not a way to wait for something.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func TestKillingTheEmbeddedClickHouseLosesNothingAndStoresNothingTwice(t *testing.T) {
	t.Parallel()
	random := dice(t)
	cfg := sample.Config{Seed: random.Uint64(), Runs: 8_000}
	kills := scale(3, 10)
	local, env := startLocal(t)
	conn := connect(t, local.DSN)
	file := sampleFile(t, cfg)
	replay := env.start(t, "replay", "--rate", strconv.Itoa(sample.Expect(cfg).Events/(4*kills)), file)
	for i := range kills {
		wait(t, time.Duration(random.Int64N(int64(2*time.Second))))
		child := childOf(t, local.cmd.Process.Pid)
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, func() string {
			if n := childrenOf(t, local.cmd.Process.Pid); len(n) != 1 || n[0] == child {
				return "no new ClickHouse"
			}
			return ""
		})
		eventually(t, time.Minute, func() string {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := conn.Ping(ctx); err != nil {
				return err.Error()
			}
			return ""
		})
		t.Logf("kill %d with %d runs stored", i+1, count(t, conn, "SELECT count() FROM runs"))
	}
	<-replay.done
	if code := replay.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, replay.log())
	}
	reachedTheEnd(t, &site{kafka: local.kafka, prefix: event.DefaultPrefix})
	counted(t, conn, 2*time.Minute, sampleRows(cfg))
	child := childOf(t, local.cmd.Process.Pid)
	if code, took := local.stop(t); code != 0 || took > 10*time.Second {
		t.Errorf("SIGTERM: exit code %d after %s", code, took)
	}
	if err := syscall.Kill(child, 0); err == nil {
		t.Error("the ClickHouse child is still there")
	}
}

// runningStack is a running `millrace local`.
type runningStack struct {
	*process
	kafka, DSN, bucket string
	dir                string
}

// startLocal starts `millrace local` in a fresh folder and returns the environment of its clients.
func startLocal(t *testing.T) (*runningStack, environment) {
	t.Helper()
	if localtest.OnKafkaCluster() {
		t.Skip("millrace local brings its own Kafka: `make test` runs this")
	}
	localtest.ClickHouse(t) // skips where the engine cannot be had
	dir := t.TempDir()
	env := environment{"LOCAL_KAFKA_PORT=0", "LOCAL_CLICKHOUSE_PORT=0", "LOCAL_CLICKHOUSE_HTTP_PORT=0",
		"HTTP_ADDR=127.0.0.1:0"}
	l := &runningStack{process: env.start(t, "local", "--data", dir), dir: dir}
	l.kafka = l.field(t, "kafka")
	l.DSN = "clickhouse://" + l.field(t, "clickhouse") + "/" + l.field(t, "database")
	l.bucket = l.field(t, "bucket")
	return l, environment{"KAFKA_BROKERS=" + l.kafka, "CLICKHOUSE_DSN=" + l.DSN, "BUCKET_URL=" + l.bucket}
}

func childOf(t *testing.T, pid int) int {
	t.Helper()
	children := childrenOf(t, pid)
	if len(children) != 1 {
		t.Fatalf("process %d has children %v, want one", pid, children)
	}
	return children[0]
}

// childrenOf lists the processes that a process started.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
	if err != nil && len(out) > 0 {
		t.Fatal(err)
	}
	var list []int
	for _, f := range strings.Fields(string(out)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}
