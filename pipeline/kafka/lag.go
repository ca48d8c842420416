package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lagInterval is how often Lag asks Kafka for offsets: three small requests.
const lagInterval = 5 * time.Second

// Lag measures how far a consumer group is behind, in records and in seconds, on the partitions that
// this process owns: the sum over all processes is the lag of the group. Its methods are safe for
// concurrent use.
//
// The records of a partition are its offsets from the committed one to the end. They include the
// markers of transactions between its records, but not those after the last record.
//
// The seconds are the age of the oldest record that is not committed. Kafka cannot be asked for it.
// So Lag keeps marks, each an offset and a time before which the record at the offset was not there:
// the timestamps of records that were polled, and the ends of the partition when it was measured.
type Lag struct {
	cfg              *Config
	topics           []string
	measured         func(seconds float64) // the highest of the partitions, after each measurement; or nil
	records, seconds *prometheus.GaugeVec

	mu    sync.Mutex
	owned map[Partition]*progress
}

// progress is how far a partition was consumed.
type progress struct {
	owner    *kgo.Client
	data     int64 // the offset after the last record that was polled
	position int64 // the same, counting the markers of transactions
	marks    []mark
}

type mark struct {
	offset int64
	at     time.Time
}

// maxMarks bounds the marks of a partition. When a consumer has been stuck for long, every second
// mark is dropped.
const maxMarks = 128

// NewLag returns the lag of the consumer on topics, which are named without the prefix. After each
// measurement it calls measured, which may be nil, with the highest lag in seconds.
func (c *Config) NewLag(measured func(seconds float64), topics ...string) *Lag {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return Register(c.Metrics, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "millrace", Subsystem: "consumer", Name: name, Help: help,
		}, []string{"group", "topic", "partition"}))
	}
	l := &Lag{
		cfg: c, measured: measured, owned: map[Partition]*progress{},
		records: gauge("lag_records", "Records that the group has not committed, on the partitions of this process."),
		seconds: gauge("lag_seconds",
			"Seconds since the oldest record that the group has not committed, on the partitions of this process; 0 without "+
				"one."),
	}
	for _, topic := range topics {
		l.topics = append(l.topics, c.TopicName(topic))
	}
	return l
}

// Assign notes that a client of this process owns partitions.
func (l *Lag) Assign(owner *kgo.Client, partitions map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			l.owned[Partition{topic, id}] = &progress{owner: owner}
		}
	}
}

// Release notes that a client does not own partitions any more.
func (l *Lag) Release(owner *kgo.Client, partitions map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			if p := l.owned[Partition{topic, id}]; p != nil && p.owner == owner {
				l.forget(Partition{topic, id})
			}
		}
	}
}

// ReleaseAll notes that a client is closed.
func (l *Lag) ReleaseAll(owner *kgo.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, p := range l.owned {
		if p.owner == owner {
			l.forget(at)
		}
	}
}

func (l *Lag) forget(at Partition) {
	delete(l.owned, at)
	l.records.DeleteLabelValues(l.labels(at)...)
	l.seconds.DeleteLabelValues(l.labels(at)...)
}

func (l *Lag) labels(p Partition) []string {
	return []string{l.cfg.Group(), p.Topic, strconv.Itoa(int(p.ID))}
}

// Polled notes records of one partition, in order. They may include the markers of transactions,
// which a client returns with kgo.KeepControlRecords.
func (l *Lag) Polled(records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.owned[Partition{records[0].Topic, records[0].Partition}]
	if p == nil {
		return
	}
	p.position = records[len(records)-1].Offset + 1
	for _, r := range slices.Backward(records) {
		if !r.Attrs.IsControl() {
			p.data = r.Offset + 1
			break
		}
	}
	for _, r := range records {
		if !r.Attrs.IsControl() {
			p.mark(r.Offset, r.Timestamp)
			break
		}
	}
}

// mark adds a mark. Of two times for one offset, the later is nearer to the record.
func (p *progress) mark(offset int64, at time.Time) {
	i, found := slices.BinarySearchFunc(p.marks, offset, func(m mark, o int64) int { return cmp.Compare(m.offset, o) })
	if found {
		if at.After(p.marks[i].at) {
			p.marks[i].at = at
		}
		return
	}
	if len(p.marks) >= maxMarks {
		half := p.marks[:0]
		for j := 0; j < len(p.marks); j += 2 {
			half = append(half, p.marks[j])
		}
		p.marks = half
		p.mark(offset, at)
		return
	}
	p.marks = slices.Insert(p.marks, i, mark{offset, at})
}

// behind returns the lag of a partition whose first offset, committed offset and end are these, and
// marks its end.
func (p *progress) behind(start, committed, end int64, now time.Time) (records int64, age time.Duration) {
	consumed := max(start, committed)
	if consumed >= p.data { // all polled records are committed; markers after them need no commit
		consumed = max(consumed, p.position)
	}
	if records = end - consumed; records <= 0 {
		p.marks = append(p.marks[:0], mark{end, now})
		return 0, 0
	}
	for len(p.marks) > 1 && p.marks[1].offset <= consumed {
		p.marks = p.marks[1:]
	}
	if len(p.marks) > 0 {
		age = max(0, now.Sub(p.marks[0].at))
	}
	p.mark(end, now)
	return records, age
}

// Run measures until ctx is done. Without an answer of Kafka the metrics keep their values.
func (l *Lag) Run(ctx context.Context) error {
	client, err := kgo.NewClient(append([]kgo.Opt{l.cfg.Hooks()}, l.cfg.Options...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	ticker := time.NewTicker(lagInterval)
	defer ticker.Stop()
	for {
		if err := l.measure(ctx, kadm.NewClient(client)); err != nil && ctx.Err() == nil {
			l.cfg.Log.Debug("measuring the lag failed", "stage", l.cfg.Name, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (l *Lag) measure(ctx context.Context, admin *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 2*lagInterval)
	defer cancel()
	committed, err := admin.FetchOffsets(ctx, l.cfg.Group())
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return err
	}
	starts, err := admin.ListStartOffsets(ctx, l.topics...) // records that retention deleted do not count
	if err != nil {
		return err
	}
	ends, err := admin.ListCommittedOffsets(ctx, l.topics...) // records of open transactions do not count
	if err != nil {
		return err
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var highest time.Duration
	for at, p := range l.owned {
		end, ok := ends.Lookup(at.Topic, at.ID)
		start, _ := starts.Lookup(at.Topic, at.ID)
		if !ok || end.Err != nil {
			continue
		}
		next := int64(0)
		if o, ok := committed.Lookup(at.Topic, at.ID); ok && o.Err == nil {
			next = o.At
		}
		records, age := p.behind(start.Offset, next, end.Offset, now)
		highest = max(highest, age)
		l.records.WithLabelValues(l.labels(at)...).Set(float64(records))
		l.seconds.WithLabelValues(l.labels(at)...).Set(age.Seconds())
	}
	if l.measured != nil {
		l.measured(highest.Seconds())
	}
	return nil
}
