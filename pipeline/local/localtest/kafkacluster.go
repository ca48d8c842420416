package localtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// Brokers is the number of brokers of a [KafkaCluster].
const Brokers = 3

// KafkaCluster is a cluster of Apache Kafka: three nodes on loopback, each a broker and a
// controller of the KRaft quorum. Its settings are those of production: three replicas, and at
// least two in sync. Whoever comes without a password may do everything; users of
// [KafkaCluster.Secured] may do what they are granted.
type KafkaCluster struct {
	dir     string // has a folder for each broker; removed when the test process ends
	jars    string
	addrs   [Brokers]string // of the brokers; they stay the same over restarts
	quorum  [Brokers]string // of the controllers; they stay the same too
	secured [Brokers]string // of the brokers, for users with a password and TLS
	brokers [Brokers]*exec.Cmd

	lifeline *os.File // kept here because the garbage collector would close it; see removeWithProcess
}

// OnKafkaCluster reports whether tests use the [ApacheKafka] cluster instead of an in-memory
// [Kafka]. It reads MILLRACE_TEST_KAFKA, which `make test-kafka` sets to cluster.
func OnKafkaCluster() bool { return os.Getenv("MILLRACE_TEST_KAFKA") == "cluster" }

// ApacheKafka returns the cluster of this test process. The first call starts it, which takes some
// seconds. The cluster ends with the process. Tests share it, so each uses its own topics and
// groups. A test that kills brokers must not run in parallel with others.
func ApacheKafka(t testing.TB) *KafkaCluster {
	t.Helper()
	if !OnKafkaCluster() {
		t.Skip("needs Apache Kafka: run `make test-kafka`")
	}
	c, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var cluster = sync.OnceValues(startCluster)

func startCluster() (*KafkaCluster, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module that the tests are in: %w", err)
	}
	c := &KafkaCluster{jars: filepath.Join(strings.TrimSpace(string(root)), ".ci", "kafka", "target", "lib")}
	if _, err := os.Stat(c.jars); err != nil {
		return nil, fmt.Errorf("the jars of Apache Kafka are missing: run `make test-kafka`: %w", err)
	}
	if c.dir, err = os.MkdirTemp("", "millrace-kafka-"); err != nil {
		return nil, err
	}
	if err := c.removeWithProcess(); err != nil {
		return nil, err
	}
	if err := c.pickAddrs(); err != nil {
		return nil, err
	}
	if err := c.makeCertificates(); err != nil {
		return nil, err
	}
	var formatted errgroup.Group
	for i := range Brokers {
		if err := c.configure(i); err != nil {
			return nil, err
		}
		formatted.Go(func() error {
			out, err := c.java("kafka.tools.StorageTool", "format", "-t", "millracetestcluster001", "-c", c.config(i)).
				CombinedOutput()
			if err != nil {
				return fmt.Errorf("format the folder of broker %d: %w\n%s", i, err, out)
			}
			return nil
		})
	}
	if err := formatted.Wait(); err != nil {
		return nil, err
	}
	for i := range Brokers {
		if err := c.start(i); err != nil {
			return nil, err
		}
	}
	return c, c.waitInSync(context.Background())
}

// removeWithProcess starts a process that waits for the end of this one, even by a kill. It then
// kills the brokers and removes their folder.
func (c *KafkaCluster) removeWithProcess() error {
	read, write, err := os.Pipe() // write is never closed
	if err != nil {
		return err
	}
	defer read.Close()
	const script = `cat; for f in "$0"/*/pid; do kill -9 "$(cat "$f")"; done 2>/dev/null; rm -rf "$0"`
	reaper := exec.Command("sh", "-c", script, c.dir)
	reaper.Stdin = read
	reaper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C must not end it
	if err := reaper.Start(); err != nil {
		return fmt.Errorf("start the process that removes the Kafka cluster: %w", err)
	}
	c.lifeline = write
	return nil
}

// pickAddrs picks free ports outside of the range that systems use for outgoing connections,
// because a broker needs the same port when it starts again.
func (c *KafkaCluster) pickAddrs() error {
	addrs := make([]string, 3*Brokers)
	for i := range addrs {
		for try := 0; ; try++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(20_000)))
			if err == nil {
				defer l.Close()
				addrs[i] = l.Addr().String()
				break
			}
			if try == 100 {
				return fmt.Errorf("find a free port: %w", err)
			}
		}
	}
	copy(c.addrs[:], addrs)
	copy(c.quorum[:], addrs[Brokers:])
	copy(c.secured[:], addrs[2*Brokers:])
	return nil
}

func (c *KafkaCluster) folder(i int) string { return filepath.Join(c.dir, fmt.Sprint(i)) }
func (c *KafkaCluster) config(i int) string { return filepath.Join(c.folder(i), "server.properties") }
func (c *KafkaCluster) pid(i int) string    { return filepath.Join(c.folder(i), "pid") }
func (c *KafkaCluster) log(i int) string    { return filepath.Join(c.folder(i), "log") }

// configure writes the configuration of a broker. Other settings, above all the timeouts, keep
// Kafka's defaults.
func (c *KafkaCluster) configure(i int) error {
	if err := os.MkdirAll(c.folder(i), 0o700); err != nil {
		return err
	}
	voters := make([]string, Brokers)
	for v := range voters {
		voters[v] = fmt.Sprintf("%d@%s", v, c.quorum[v])
	}
	return os.WriteFile(c.config(i), []byte(strings.Join(append(c.security(), []string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", i),
		"listeners=PLAINTEXT://" + c.addrs[i] + ",CONTROLLER://" + c.quorum[i] + ",SECURED://" + c.secured[i],
		"controller.listener.names=CONTROLLER",
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"log.dirs=" + filepath.Join(c.folder(i), "data"),
		"auto.create.topics.enable=false",
		"default.replication.factor=3", "min.insync.replicas=2",
		"offsets.topic.replication.factor=3", "offsets.topic.num.partitions=6",
		"transaction.state.log.replication.factor=3", "transaction.state.log.min.isr=2",
		"transaction.state.log.num.partitions=6",
		"share.coordinator.state.topic.replication.factor=3",
		"group.initial.rebalance.delay.ms=0", // by default a new group waits for more members
		"log.cleaner.dedupe.buffer.size=4194304",
	}...), "\n")+"\n"), 0o600)
}

// java returns a command of Kafka. It limits the JIT compiler, which would take too much of a small
// machine.
func (c *KafkaCluster) java(args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{
		"-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-cp", filepath.Join(c.jars, "*"),
	}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (c *KafkaCluster) start(i int) error {
	log, err := os.OpenFile(c.log(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := c.java("kafka.Kafka", c.config(i))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start broker %d: %w", i, err)
	}
	c.brokers[i] = cmd
	return os.WriteFile(c.pid(i), []byte(fmt.Sprint(cmd.Process.Pid)), 0o600)
}

// Addrs returns the host:port of each broker. They stay the same over restarts.
func (c *KafkaCluster) Addrs() []string { return c.addrs[:] }

// Kill kills a node, which is a broker and a controller.
func (c *KafkaCluster) Kill(t testing.TB, i int) { t.Helper(); c.end(t, i, syscall.SIGKILL) }

// Stop stops a node in order: it first hands over its partitions.
func (c *KafkaCluster) Stop(t testing.TB, i int) { t.Helper(); c.end(t, i, syscall.SIGTERM) }

func (c *KafkaCluster) end(t testing.TB, i int, signal syscall.Signal) {
	t.Helper()
	os.Remove(c.pid(i)) // another process may soon have this process id
	if err := c.brokers[i].Process.Signal(signal); err != nil {
		t.Fatalf("end broker %d: %v\n%s", i, err, c.tail(i))
	}
	c.brokers[i].Wait() //nolint:errcheck // the process was killed or stopped on purpose
}

// Start starts a node that was killed or stopped. The broker is in sync some seconds later: see
// [KafkaCluster.WaitInSync].
func (c *KafkaCluster) Start(t testing.TB, i int) {
	t.Helper()
	if err := c.start(i); err != nil {
		t.Fatal(err)
	}
}

// Controller returns the index of the node that leads the quorum of controllers.
func (c *KafkaCluster) Controller(t testing.TB) int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs[:]...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req, topic := kmsg.NewPtrDescribeQuorumRequest(), kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), client)
	if err == nil && (len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1) {
		err = errors.New("no answer about " + topic.Topic)
	}
	if err != nil {
		t.Fatal(err)
	}
	return int(resp.Topics[0].Partitions[0].LeaderID)
}

// WaitInSync waits until every partition has all of its replicas in sync.
func (c *KafkaCluster) WaitInSync(t testing.TB) {
	t.Helper()
	if err := c.waitInSync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (c *KafkaCluster) waitInSync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for i, addr := range c.addrs {
		// Ask each broker itself, because the others take a killed broker for alive for some
		// seconds.
		client, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			return err
		}
		defer client.Close()
		admin := kadm.NewClient(client)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for err = inSync(ctx, admin); err != nil; err = inSync(ctx, admin) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("broker %d: not in sync: %w\n%s", i, err, c.tail(i))
			}
		}
	}
	return nil
}

func inSync(ctx context.Context, admin *kadm.Client) error {
	metadata, err := admin.Metadata(ctx)
	if err != nil {
		return err
	}
	if len(metadata.Brokers) != Brokers {
		return fmt.Errorf("%d brokers", len(metadata.Brokers))
	}
	var behind []error
	metadata.Topics.EachPartition(func(p kadm.PartitionDetail) {
		if len(p.ISR) != len(p.Replicas) || p.Leader < 0 {
			behind = append(behind, fmt.Errorf("%s/%d: leader %d, in sync %v of %v", p.Topic, p.Partition, p.Leader, p.ISR,
				p.Replicas))
		}
	})
	return errors.Join(behind...)
}

// tail returns the end of a broker's log.
func (c *KafkaCluster) tail(i int) string {
	text, err := os.ReadFile(c.log(i))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
