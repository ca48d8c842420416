package flow_test

import (
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// wire is the network between clients and Kafka. It loses answers to finished requests by closing
// the connection, and resets all connections.
type wire struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	lose  map[kmsg.Key]int // answers to lose
	lost  int
}

func (w *wire) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &wireListener{l, w}, err
}

type wireListener struct {
	net.Listener
	wire *wire
}

func (l *wireListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	l.wire.conns[c] = struct{}{}
	return &wireConn{Conn: c, wire: l.wire, keys: map[uint32]kmsg.Key{}}, nil
}

// wireConn is the broker's end of a connection. A request starts with its size, key, version and
// correlation id, and an answer with its size and the same correlation id. kfake writes each answer
// with one call.
type wireConn struct {
	net.Conn
	wire *wire
	head []byte // of the current request, up to 12 bytes
	left int    // remaining bytes of the request

	mu   sync.Mutex
	keys map[uint32]kmsg.Key // of unanswered requests, by correlation id
}

func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for p := p[:n]; len(p) > 0; {
		if len(c.head) < 12 {
			c.head, p = append(c.head, p[0]), p[1:]
			if len(c.head) == 12 {
				c.left = int(binary.BigEndian.Uint32(c.head)) - 8
				c.mu.Lock()
				c.keys[binary.BigEndian.Uint32(c.head[8:])] = kmsg.Key(binary.BigEndian.Uint16(c.head[4:]))
				c.mu.Unlock()
			}
		} else {
			m := min(c.left, len(p))
			c.left, p = c.left-m, p[m:]
		}
		if len(c.head) == 12 && c.left == 0 {
			c.head = c.head[:0]
		}
	}
	return n, err
}

func (c *wireConn) Write(p []byte) (int, error) {
	id := binary.BigEndian.Uint32(p[4:])
	c.mu.Lock()
	key := c.keys[id]
	delete(c.keys, id)
	c.mu.Unlock()
	if c.wire.loses(key) {
		c.Close()
		return 0, errors.New("the answer is lost")
	}
	return c.Conn.Write(p)
}

func (c *wireConn) Close() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	delete(c.wire.conns, c.Conn)
	return c.Conn.Close()
}

func (w *wire) loses(key kmsg.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose[key] == 0 {
		return false
	}
	w.lose[key]--
	w.lost++
	return true
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
}

// loseOne loses the next answer to a request, and returns a function that reports whether it is
// lost.
func (w *wire) loseOne(key kmsg.Key) (lost func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose[key]++
	before := w.lost
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.lost > before
	}
}

func (w *wire) well() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.lose)
}

// onWire gives the flow three brokers of a version behind a wire.
func (f *faulty) onWire(version *kversion.Versions) *wire {
	f.t.Helper()
	w := &wire{conns: map[net.Conn]struct{}{}, lose: map[kmsg.Key]int{}}
	var topics []string
	for _, t := range event.Topics {
		topics = append(topics, topic(t.Name))
	}
	f.kafka = localtest.Kafka(f.t, kfake.NumBrokers(3), kfake.MaxVersions(version), kfake.ListenFn(w.listen),
		kfake.SeedTopics(1, topics...))
	f.client = f.newClient()
	f.events = f.newClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumeTopics(topic(event.TopicExportProgress), topic(event.TopicExportCompletions),
			topic(event.TopicDeadLetters)))
	return w
}

// ofStages excludes the test's own producer, which has no transactions.
func ofStages(r kmsg.Request) bool {
	p, ok := r.(*kmsg.ProduceRequest)
	return !ok || p.TransactionID != nil
}

// kafkaFaults are errors that a broker may answer. A request that times out has its effect, except
// for the end of a transaction.
var kafkaFaults = map[string]kfake.Fault{
	"produced, timed out":            {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut},
	"produced, too few replicas":     {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend},
	"not produced, another leader":   {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition},
	"not produced, unknown error":    {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.UnknownServerError},
	"offsets stored, timed out":      {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RequestTimedOut},
	"offsets stored late, timed out": {Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut},
	"offsets, another coordinator": {Keys: []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.OffsetCommit},
		Err: kerr.NotCoordinator},
	"offsets, unknown error": {Keys: []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.OffsetCommit},
		Err: kerr.UnknownServerError},
	"added, another coordinator": {Keys: []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn}, TopLevel: true,
		Err: kerr.NotCoordinator},
	"added, timed out": {Keys: []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn}, TopLevel: true,
		Err: kerr.RequestTimedOut},
	"not ended, timed out":           {Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.RequestTimedOut},
	"not ended, another coordinator": {Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.NotCoordinator},
	"not ended, fenced":              {Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced},
	"not ended, unknown error":       {Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.UnknownServerError},
	"coordinator is loading": {Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true,
		Err: kerr.CoordinatorLoadInProgress},
	"heartbeat, another coordinator": {Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.NotCoordinator},
	"fetch, another leader":          {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition},
}

// Requests whose answers are lost, most often the end of a transaction.
var lostAnswers = []kmsg.Key{
	kmsg.EndTxn, kmsg.EndTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.TxnOffsetCommit, kmsg.Produce, kmsg.Produce,
	kmsg.AddOffsetsToTxn, kmsg.AddPartitionsToTxn,
	kmsg.InitProducerID, kmsg.OffsetCommit, kmsg.Fetch, kmsg.JoinGroup, kmsg.SyncGroup,
}

// With faults between the stages and Kafka in any order, each export succeeds with one completion.
// Leaders do not move in this test: kfake would tell consumers that all records are lost, which
// Kafka does not.
func TestKafkaFaultsLoseNoExportAndEndNoneTwice(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]*kversion.Versions{
		"Kafka 4": kversion.V4_0_0(), "Kafka 3, where clients add partitions to transactions": kversion.V3_6_0(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t)
			w := f.onWire(version)
			f.insertRuns(faultRuns)
			f.start()
			actions := f.kafkaActions(w)
			f.random.Shuffle(len(actions), func(i, j int) { actions[i], actions[j] = actions[j], actions[i] })
			met := 0
			for i, a := range actions {
				if i%2 == 0 {
					f.ask()
				}
				if a() {
					met++
				}
				f.pause(50 * time.Millisecond)
			}
			w.well()
			t.Logf("%d of %d faults were met", met, len(actions))
			if met < len(actions)/3 {
				t.Error("too few to show anything")
			}
			if failed := f.check(); failed > 0 {
				t.Errorf("%d exports failed", failed)
			}
		})
	}
}

// kafkaActions are faults. Each reports whether a request met it in time.
func (f *faulty) kafkaActions(w *wire) (actions []func() bool) {
	soon := func(met func() bool) bool {
		for began := time.Now(); !met(); f.pause(10 * time.Millisecond) {
			if time.Since(began) > 500*time.Millisecond {
				return false
			}
		}
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(kafkaFaults)) {
		fault := kafkaFaults[name]
		fault.Count, fault.When = 1+f.random.IntN(2), ofStages
		actions = append(actions, func() bool {
			h := f.kafka.Fault(fault)
			defer h.Remove()
			return soon(func() bool { return h.Hits() > 0 })
		})
	}
	for _, key := range lostAnswers {
		actions = append(actions, func() bool { return soon(w.loseOne(key)) })
	}
	for range 3 {
		actions = append(actions, func() bool { w.reset(); return true },
			func() bool { f.kafka.RehashCoordinators(); return true })
	}
	return actions
}
