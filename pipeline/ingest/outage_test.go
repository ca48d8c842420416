package ingest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/ingest"
)

// This test is not parallel: it measures the memory of the process.
func TestWhileClickHouseIsDownABacklogWaitsInKafka(t *testing.T) {
	w := newWorld(t)
	proxy := clickhousetest.NewProxy(t, w.server.NativeAddr)
	const batchRows, pollRecords = 2000, 5000
	s := w.start(ingest.Config{BatchRows: batchRows}, proxy.Addr)
	w.produce(runEvent("first", 0, ""))
	w.allCommitted()
	before, _ := w.committed()

	proxy.Refuse()
	const n, size = 30_000, 1_000
	var records []*kgo.Record
	for i := range n {
		r := runEvent(fmt.Sprint("r", i), i%12, fmt.Sprintf(`,"answer":"%d %s"`, i, strings.Repeat("lorem ipsum ", size/12)))
		records = append(records, r)
		if len(records) == 1000 {
			w.produce(records...)
			records = nil
		}
	}
	w.produce(bare("no JSON"))
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	// The stage is full when it polled nothing from one attempt to the next. A batch that is due by its
	// age may be small where records are produced slowly.
	var polled, tries float64
	w.eventually("polling to stop", func() bool {
		now, triesNow := float64(s.polled.Load()), s.metric("millrace_stage_errors_total", "class", "retry")
		if now != polled {
			polled, tries = now, triesNow
		}
		return polled > 1 && triesNow > tries+1
	})
	full := heap()
	w.eventually("another try", func() bool { return s.metric("millrace_stage_errors_total", "class", "retry") > tries+2 })
	if grown := heap() - full; grown > 8<<20 {
		t.Errorf("memory grew by %d MiB while nothing came in", grown>>20)
	}
	if polled > 3*(batchRows+pollRecords) { // two batches, each exceeded by one poll, and half as much to spare
		t.Errorf("%v of %d records were taken", polled, n)
	}
	if got := s.metric("clickhouse_up"); got != 0 {
		t.Errorf("clickhouse_up is %v", got)
	}
	if offsets, ends := w.committed(); offsets != before || ends != before+n+1 {
		t.Errorf("committed %d of %d, was %d", offsets, ends, before)
	}
	if got := len(w.letters()); got > 0 {
		t.Errorf("%d dead letters", got)
	}

	proxy.Pass()
	w.allCommitted()
	if got := w.one("SELECT concat(toString(count()), ' ', toString(uniqExact(run_id)), ' ', " +
		"toString(sum(length(answer) > 900))) FROM runs"); got != fmt.Sprintf("%d %d %d", n+1, n+1, n) {
		t.Errorf("stored %s", got)
	}
	if got := len(w.letters()); got != 1 {
		t.Errorf("%d dead letters, want 1", got)
	}
	if got := s.metric("clickhouse_up"); got != 1 {
		t.Errorf("clickhouse_up is %v", got)
	}
	s.stop()
	runtime.KeepAlive(w)
}

func TestTheStageWaitsForAClickHouseThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := clickhousetest.NewProxy(t, w.server.NativeAddr)
	proxy.Refuse()
	w.produce(runEvents("r", 10)...)
	s := w.start(ingest.Config{}, proxy.Addr)
	w.eventually("two tries", func() bool { return s.metric("millrace_stage_retries_total", "what", "check") >= 2 })
	select {
	case <-s.ready:
		t.Error("it is ready")
	default:
	}
	proxy.Pass()
	<-s.ready
	w.allCommitted()
	s.stop()
	if got := w.one("SELECT count() FROM runs_latest"); got != "10" {
		t.Errorf("%s rows, want 10", got)
	}
}

func TestAStopWhileClickHouseIsDownIsInTimeAndCommitsNothing(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*clickhousetest.Proxy){"refusing": (*clickhousetest.Proxy).Refuse,
		"silent": (*clickhousetest.Proxy).Silence} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			proxy := clickhousetest.NewProxy(t, w.server.NativeAddr)
			s := w.start(ingest.Config{BatchRows: 5, StopTimeout: 300 * time.Millisecond}, proxy.Addr)
			<-s.ready
			breakIt(proxy)
			w.produce(runEvents("r", 500)...)
			w.eventually("records polled", func() bool { return s.polled.Load() > 0 })
			began := time.Now()
			s.stop()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if offsets, _ := w.committed(); offsets != 0 {
				t.Errorf("committed %d", offsets)
			}
			proxy.Pass()
			again := w.start(ingest.Config{}, proxy.Addr)
			w.allCommitted()
			again.stop()
			if got := w.one("SELECT count() FROM runs_latest"); got != "500" {
				t.Errorf("%s rows, want 500", got)
			}
		})
	}
}

func TestAStopBeforeClickHouseOrKafkaAnsweredIsInOrder(t *testing.T) {
	t.Parallel()
	t.Run("ClickHouse", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s := w.start(ingest.Config{}, "127.0.0.1:1")
		w.eventually("a try", func() bool { return s.metric("millrace_stage_retries_total", "what", "check") >= 1 })
		s.stop()
	})
	t.Run("Kafka", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.kafka.Close()
		s := w.start(ingest.Config{}, "")
		w.eventually("ClickHouse checked", func() bool { return s.metric("clickhouse_up") == 1 })
		began := time.Now()
		s.stop()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAStopWhileKafkaIsDownIsInTime(t *testing.T) {
	t.Parallel()
	// silence makes Kafka take requests and never answer them.
	silence := func(t *testing.T, c *kfake.Cluster, keys ...kmsg.Key) {
		end := make(chan struct{})
		t.Cleanup(func() { close(end) })
		for _, key := range keys {
			c.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				c.SleepControl(func() { <-end })
				return nil, nil, false
			})
		}
	}
	for name, breakIt := range map[string]func(*testing.T, *kfake.Cluster){
		"closed":                    func(_ *testing.T, c *kfake.Cluster) { c.Close() },
		"silent about dead letters": func(t *testing.T, c *kfake.Cluster) { silence(t, c, kmsg.Produce) },
		"silent about commits":      func(t *testing.T, c *kfake.Cluster) { silence(t, c, kmsg.OffsetCommit) },
		"silent about leaving":      func(t *testing.T, c *kfake.Cluster) { silence(t, c, kmsg.LeaveGroup) },
		"silent about all of these": func(t *testing.T, c *kfake.Cluster) {
			silence(t, c, kmsg.Produce, kmsg.OffsetCommit,
				kmsg.LeaveGroup)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.produce(bare("no JSON"), runEvent("r", 1, ""))
			if name != "closed" {
				breakIt(t, w.kafka)
			}
			s := w.start(ingest.Config{StopTimeout: 300 * time.Millisecond}, "")
			w.eventually("records polled", func() bool { return s.polled.Load() > 0 })
			if name == "closed" {
				breakIt(t, w.kafka)
			}
			began := time.Now()
			s.stop()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestACommitThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*kerr.Error{
		"a rebalance":                   kerr.RebalanceInProgress,
		"a coordinator that moves":      kerr.NotCoordinator,
		"an unknown fault":              kerr.UnknownServerError,
		"a coordinator that is loading": kerr.CoordinatorLoadInProgress,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.start(ingest.Config{}, "")
			<-s.ready
			w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: fault, Count: 2})
			w.produce(runEvents("r", 24)...) // no later records follow, whose commit would include these
			w.allCommitted()
			s.stop()
		})
	}
}
