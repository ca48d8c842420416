package soak

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// killRuns is how many generated runs make at least 200,000 events.
const killRuns = 29_500

// Two processes ingest, and one of them or both are killed, again and again. Meanwhile runs move: later
// snapshots have other starts, apps and sources, in any order and in any partition.
func TestKillingIngestLosesNothingAndStoresNothingTwice(t *testing.T) {
	t.Parallel()
	if localtest.OnKafkaCluster() {
		t.Skip("TestKillingBrokersAndIngestLosesNothingAndStoresNothingTwice kills ingest there, at any moment")
	}
	random := e2etest.Random(t)
	cfg := sample.Config{Seed: random.Uint64(), Runs: killRuns}
	kills := e2etest.Scale(5, 30)
	s := e2etest.NewSite(t)
	file := e2etest.SampleFile(t, cfg)
	if n := sample.Expect(cfg).Events; n < 200_000 {
		t.Fatalf("only %d events", n)
	}
	s.Env = append(s.Env, "INGEST_BATCH_ROWS=2000", "INGEST_BATCH_INTERVAL=100ms")
	// A killed member keeps its partitions until its session ends, after 10 s: as long as it lasts,
	// so long the events flow.
	replay := s.Env.Start(t, "replay", "--no-wait", "--rate", strconv.Itoa(sample.Expect(cfg).Events/(12*kills)), file)
	moves := newMoves(random, 2000*kills)
	publishRest := moves.publish(t, s)
	both := [2]*e2etest.Process{s.Env.Start(t, "ingest"), s.Env.Start(t, "ingest")}
	admin := kadm.NewClient(e2etest.KafkaClient(t, s.Kafka))
	for i := range kills {
		e2etest.Eventually(t, 2*time.Minute, func() string {
			if members := groupMembers(t, admin, s.Prefix+"ingest"); members != len(both) {
				return fmt.Sprintf("the group has %d members", members)
			}
			for _, ingest := range both {
				if _, metrics := e2etest.Get(t, ingest.Field(t, "ops")+"/metrics"); !strings.Contains(metrics,
					"\nmillrace_ingest_records_total ") || strings.Contains(metrics, "\nmillrace_ingest_records_total 0\n") {
					return "a process has stored nothing"
				}
			}
			return ""
		})
		wait(t, time.Duration(random.Int64N(int64(2*time.Second))))
		victims := [][]int{{0}, {1}, {0, 1}}[random.IntN(3)]
		for _, v := range victims {
			both[v].Kill()
		}
		t.Logf("kill %d, of processes %v, with %d rows stored", i+1, victims, storedRows(t, s))
		for _, v := range victims {
			both[v] = s.Env.Start(t, "ingest")
		}
	}
	publishRest()
	rows := e2etest.SampleRows(cfg)
	moves.add(rows)
	checkAllIngested(t, s, rows, replay, both[:]...)
	moves.check(t, s)
}

// checkAllIngested waits until the replay has ended, and holds the tables against queries and their counts: every
// row once, and no dead letter. Ingest then ends in time.
func checkAllIngested(t *testing.T, s *e2etest.Site, rows map[string]uint64, replay *e2etest.Process,
	ingest ...*e2etest.Process) {
	t.Helper()
	<-replay.Done
	if code := replay.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, replay.Log())
	}
	e2etest.WaitIngested(t, s)
	e2etest.WaitForCounts(t, s.Conn, time.Minute, rows)
	if letters := s.Env.Run(t, "dead-letters", "ls"); !strings.Contains(letters, "no dead letters") {
		t.Errorf("dead letters:\n%s", letters)
	}
	for _, p := range ingest {
		if code, took := p.Stop(t); code != 0 || took > 10*time.Second {
			t.Errorf("SIGTERM: exit code %d after %s", code, took)
		}
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
func storedRows(t *testing.T, s *e2etest.Site) uint64 {
	t.Helper()
	return e2etest.Count(t, s.Conn, "SELECT (SELECT count() FROM runs) + (SELECT count() FROM nodes) + (SELECT count() "+
		"FROM "+
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
	random := e2etest.Random(t)
	cfg := sample.Config{Seed: random.Uint64(), Runs: 8_000}
	kills := e2etest.Scale(3, 10)
	local, env := e2etest.StartLocal(t)
	conn := e2etest.Connect(t, local.DSN)
	file := e2etest.SampleFile(t, cfg)
	replay := env.Start(t, "replay", "--no-wait", "--rate", strconv.Itoa(sample.Expect(cfg).Events/(4*kills)), file)
	for i := range kills {
		wait(t, time.Duration(random.Int64N(int64(2*time.Second))))
		child := childOf(t, local.Cmd.Process.Pid)
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e2etest.Eventually(t, time.Minute, func() string {
			if n := childrenOf(t, local.Cmd.Process.Pid); len(n) != 1 || n[0] == child {
				return "no new ClickHouse"
			}
			return ""
		})
		e2etest.Eventually(t, time.Minute, func() string {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := conn.Ping(ctx); err != nil {
				return err.Error()
			}
			return ""
		})
		t.Logf("kill %d with %d runs stored", i+1, e2etest.Count(t, conn, "SELECT count() FROM runs"))
	}
	<-replay.Done
	if code := replay.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, replay.Log())
	}
	e2etest.WaitIngested(t, &e2etest.Site{Kafka: local.Kafka, Prefix: event.DefaultPrefix})
	e2etest.WaitForCounts(t, conn, 2*time.Minute, e2etest.SampleRows(cfg))
	child := childOf(t, local.Cmd.Process.Pid)
	if code, took := local.Stop(t); code != 0 || took > 10*time.Second {
		t.Errorf("SIGTERM: exit code %d after %s", code, took)
	}
	if err := syscall.Kill(child, 0); err == nil {
		t.Error("the ClickHouse child is still there")
	}
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
