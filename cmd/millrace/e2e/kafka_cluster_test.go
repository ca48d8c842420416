package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// The tests of this file need brokers to kill, see `make test-kafka`. The others share them, so
// these do not run in parallel with any.

// Of each kill, the longest that a broker is away, and that it is left alone after it has caught
// up. The others notice that it is gone after 9 s at most (broker.session.timeout.ms); some of its
// absences end before.
const (
	maxAway  = 12 * time.Second
	maxQuiet = 4 * time.Second
)

// victim picks the broker to kill: first the active controller, then the coordinator of a group,
// then any.
func victim(t *testing.T, c *localtest.KafkaCluster, s *site, random *rand.Rand, kill int, group string) int {
	t.Helper()
	switch kill {
	case 0:
		return c.Controller(t)
	case 1:
		admin := kadm.NewClient(kafkaClient(t, s.kafka))
		coordinator := admin.FindGroupCoordinators(t.Context(), s.prefix+group)[s.prefix+group]
		if coordinator.Err != nil {
			t.Fatal(coordinator.Err)
		}
		return int(coordinator.NodeID)
	}
	return random.IntN(localtest.Brokers)
}

// partOf waits for a random time up to d.
func partOf(t *testing.T, random *rand.Rand, d time.Duration) {
	t.Helper()
	wait(t, time.Duration(random.Int64N(int64(d))))
}

func TestKillingBrokersAndIngestLosesNothingAndStoresNothingTwice(t *testing.T) {
	cluster := localtest.ApacheKafka(t)
	random := dice(t)
	kills := scale(2, 15)
	cfg := sample.Config{Seed: random.Uint64(), Runs: 4000 * kills}
	s := newSite(t)
	file := sampleFile(t, cfg)
	s.env = append(s.env, "INGEST_BATCH_ROWS=500", "INGEST_BATCH_INTERVAL=100ms")
	replay := s.env.start(t, "replay", "--rate", strconv.Itoa(sample.Expect(cfg).Events/(20*kills)), file)
	ingest := s.env.start(t, "ingest")
	for i := range kills {
		// Once in each round, at one of four moments.
		moment := random.IntN(4)
		killIngest := func(now int) {
			if partOf(t, random, maxQuiet); now == moment {
				ingest.kill()
				ingest = s.env.start(t, "ingest")
			}
		}
		killIngest(0)
		broker := victim(t, cluster, s, random, i, "ingest")
		cluster.Kill(t, broker)
		t.Logf("kill %d, of broker %d, with %d rows stored; ingest is killed at moment %d", i+1, broker, storedRows(t, s),
			moment)
		killIngest(1)
		partOf(t, random, maxAway-maxQuiet)
		killIngest(2)
		cluster.Start(t, broker)
		killIngest(3)
		cluster.WaitInSync(t)
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

func TestKillingBrokersCompletesEachExportOnce(t *testing.T) {
	cluster := localtest.ApacheKafka(t)
	random := dice(t)
	load := newExportLoad(t, random)
	for i := range scale(2, 25) {
		partOf(t, random, maxQuiet)
		broker := victim(t, cluster, load.site, random, i, "extract")
		cluster.Kill(t, broker)
		t.Logf("kill %d, of broker %d", i+1, broker)
		partOf(t, random, maxAway)
		cluster.Start(t, broker)
		cluster.WaitInSync(t)
	}
	load.check(t)
}

func TestRestartingBrokersOneByOneCompletesEachExportOnce(t *testing.T) {
	cluster := localtest.ApacheKafka(t)
	random := dice(t)
	load := newExportLoad(t, random)
	for range scale(1, 10) {
		for broker := range localtest.Brokers {
			cluster.Stop(t, broker)
			partOf(t, random, time.Second)
			cluster.Start(t, broker)
			cluster.WaitInSync(t)
			partOf(t, random, time.Second)
		}
	}
	load.check(t)
}

// read reads what a topic holds, as a read_committed consumer, with the markers of transactions.
func (s *site) read(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	client := kafkaClient(t, s.kafka, kgo.ConsumeTopics(s.prefix+topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, s.prefix+topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	behind := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			behind[end.Partition] = end.Offset
		}
	})
	var records []*kgo.Record
	for len(behind) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s: not read up to %v in time", topic, behind)
		}
		for _, r := range fetches.Records() {
			records = append(records, r)
			if r.Offset+1 >= behind[r.Partition] {
				delete(behind, r.Partition)
			}
		}
	}
	return records
}

// consumed waits until a stage has committed all that a topic holds.
func consumed(t *testing.T, s *site, topic, stage string) {
	t.Helper()
	last := map[int32]int64{}
	for _, r := range s.read(t, topic) {
		if !r.Attrs.IsControl() {
			last[r.Partition] = max(last[r.Partition], r.Offset+1)
		}
	}
	admin := kadm.NewClient(kafkaClient(t, s.kafka))
	eventually(t, time.Minute, func() string {
		offsets, err := admin.FetchOffsets(t.Context(), s.prefix+stage)
		if err != nil {
			return err.Error()
		}
		for partition, end := range last {
			if at, _ := offsets.Lookup(s.prefix+topic, partition); at.At < end {
				return fmt.Sprintf("%s: partition %d of %s: offset %d of %d", stage, partition, topic, at.At, end)
			}
		}
		return ""
	})
}

var exportStages = []struct{ topic, stage string }{
	{event.TopicExportRequests, "plan"}, {event.TopicExportWindows, "extract"}, {event.TopicExportResults, "seal"},
}
