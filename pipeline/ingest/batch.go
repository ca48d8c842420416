package ingest

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// rows are decoded events of one table, and the records they came from.
type rows[E any] struct {
	events  []E
	records []*kgo.Record
}

func (r *rows[E]) add(e E, record *kgo.Record) {
	r.events = append(r.events, e)
	r.records = append(r.records, record)
}

func (r *rows[E]) addAll(other rows[E]) {
	r.events = append(r.events, other.events...)
	r.records = append(r.records, other.records...)
}

// letter is a record that cannot be taken, and why.
type letter struct {
	record *kgo.Record
	why    *strictjson.Refusal
}

// content is what some records came to.
type content struct {
	runs     rows[*runs.Run]
	nodes    rows[*runs.Node]
	feedback rows[*runs.Feedback]
	letters  []letter
	records  int
	bytes    int
	oldest   time.Time // timestamp of the oldest record
}

func (c *content) addAll(other *content) {
	c.runs.addAll(other.runs)
	c.nodes.addAll(other.nodes)
	c.feedback.addAll(other.feedback)
	c.letters = append(c.letters, other.letters...)
	c.records += other.records
	c.bytes += other.bytes
	if c.oldest.IsZero() || other.oldest.Before(c.oldest) {
		c.oldest = other.oldest
	}
}

// batch is what is stored and committed together.
type batch struct {
	content
	began time.Time // when its first record was polled
	ends  map[partition]end
}

type partition struct {
	topic string
	id    int32
}

// end is where a partition's next consumer starts once the batch is stored.
type end struct {
	offset     kgo.EpochOffset
	assignment uint64 // of the partition to this process, see owned
}

func newBatch() *batch { return &batch{ends: map[partition]end{}} }

func (b *batch) empty() bool { return len(b.ends) == 0 }

func (b *batch) full(cfg Config) bool {
	return b.records >= cfg.BatchRows || b.bytes >= cfg.BatchBytes || time.Since(b.began) >= cfg.BatchInterval
}

func (b *batch) reached(p partition, e end) {
	if b.empty() {
		b.began = time.Now()
	}
	b.ends[p] = e
}

// owned knows which partitions are this process's, and since which assignment, so that offsets are
// committed only by who owns the partition: a member of a group may commit any partition, and would set
// back the next owner's progress.
type owned struct {
	mu          sync.Mutex
	assignments uint64
	partitions  map[partition]uint64
	next        map[partition]int64 // the offset that is polled next, where it is known
	dropped     bool                // partitions were taken since resume
	epoch       int32               // of resume
}

func (o *owned) add(list map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.partitions == nil {
		o.partitions, o.next = map[partition]uint64{}, map[partition]int64{}
	}
	o.assignments++
	for topic, ids := range list {
		for _, id := range ids {
			o.partitions[partition{topic, id}] = o.assignments
		}
	}
}

func (o *owned) remove(list map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for topic, ids := range list {
		for _, id := range ids {
			delete(o.partitions, partition{topic, id})
			delete(o.next, partition{topic, id})
		}
	}
	o.dropped = true
}

// starts notes where the consumer starts.
func (o *owned) starts(at map[string]map[int32]kgo.Offset) {
	for topic, partitions := range at {
		for id, offset := range partitions {
			if next := offset.EpochOffset().Offset; next >= 0 {
				o.polled(partition{topic, id}, next)
			}
		}
	}
}

// polled notes that a partition was polled up to an offset, and returns its assignment, 0 where it is
// not owned.
func (o *owned) polled(p partition, next int64) (assignment uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if assignment = o.partitions[p]; assignment != 0 {
		o.next[p] = next
	}
	return assignment
}

// resume returns where all partitions are polled next, for the client's SetOffsets, where that is due:
// after partitions were taken, or as the caller says. The client then drops the fetches it has. One of
// these may have been an ErrDecompressTooLarge, which is never told again; only the partitions that are
// set are tried again. So all are set, with an epoch that nobody has, since the client would pass over
// an offset that is no news.
func (o *owned) resume(due bool) map[string]map[int32]kgo.EpochOffset {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !due && !o.dropped {
		return nil
	}
	o.dropped = false
	o.epoch = min(o.epoch, -1) - 1
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for p, next := range o.next {
		if offsets[p.topic] == nil {
			offsets[p.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.topic][p.id] = kgo.EpochOffset{Epoch: o.epoch, Offset: next}
	}
	return offsets
}

func (o *owned) assignment(p partition) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.partitions[p]
}

// commit calls f with the ends that are still this process's to commit. A rebalance waits for f.
func (o *owned) commit(ends map[partition]end, f func(map[string]map[int32]kgo.EpochOffset) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for p, e := range ends {
		if assignment, ok := o.partitions[p]; !ok || assignment != e.assignment {
			continue
		}
		if offsets[p.topic] == nil {
			offsets[p.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.topic][p.id] = e.offset
	}
	if len(offsets) == 0 {
		return nil
	}
	return f(offsets)
}
