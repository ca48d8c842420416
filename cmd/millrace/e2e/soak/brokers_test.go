package soak

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
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
func victim(t *testing.T, c *localtest.KafkaCluster, s *e2etest.Site, random *rand.Rand, kill int, group string) int {
	t.Helper()
	switch kill {
	case 0:
		return c.Controller(t)
	case 1:
		admin := kadm.NewClient(e2etest.KafkaClient(t, s.Kafka))
		coordinator := admin.FindGroupCoordinators(t.Context(), s.Prefix+group)[s.Prefix+group]
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
	random := e2etest.Random(t)
	kills := e2etest.Scale(2, 15)
	cfg := sample.Config{Seed: random.Uint64(), Runs: 4000 * kills}
	s := e2etest.NewSite(t)
	file := e2etest.SampleFile(t, cfg)
	s.Env = append(s.Env, "INGEST_BATCH_ROWS=500", "INGEST_BATCH_INTERVAL=100ms")
	replay := s.Env.Start(t, "replay", "--no-wait", "--rate", strconv.Itoa(sample.Expect(cfg).Events/(20*kills)), file)
	ingest := s.Env.Start(t, "ingest")
	for i := range kills {
		// Once in each round, at one of four moments.
		moment := random.IntN(4)
		killIngest := func(now int) {
			if partOf(t, random, maxQuiet); now == moment {
				ingest.Kill()
				ingest = s.Env.Start(t, "ingest")
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
	checkAllIngested(t, s, e2etest.SampleRows(cfg), replay, ingest)
}

func TestKillingBrokersCompletesEachExportOnce(t *testing.T) {
	cluster := localtest.ApacheKafka(t)
	random := e2etest.Random(t)
	load := newExportLoad(t, random)
	for i := range e2etest.Scale(2, 25) {
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
	random := e2etest.Random(t)
	load := newExportLoad(t, random)
	for range e2etest.Scale(1, 10) {
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
