package ingest

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// rows are decoded events of one table, and the record of each.
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

// letter is a refused record.
type letter struct {
	record  *kgo.Record
	refusal *strictjson.Refusal
}

// content is the result of decoding some records.
type content struct {
	runs     rows[*runs.Run]
	nodes    rows[*runs.Node]
	feedback rows[*runs.Feedback]
	letters  []letter
	records  int       // decoded or refused
	bytes    int       // of these records
	oldest   time.Time // timestamp of the oldest of them
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

// batch is what the stage stores and commits together.
type batch struct {
	content
	began   time.Time // when its first record was polled
	ends    map[kafka.Partition]end
	release []func() // give its bytes back to the budget
}

// free gives the bytes of the batch back to the budget, and forgets its records.
func (b *batch) free() {
	for _, release := range b.release {
		release()
	}
	*b = batch{}
}

// end is the offset that the stage commits for a partition once the batch is stored.
type end struct {
	offset     kgo.EpochOffset
	assignment uint64 // of the partition to this process when it was polled, see owned
}

func newBatch() *batch { return &batch{ends: map[kafka.Partition]end{}} }

func (b *batch) empty() bool { return len(b.ends) == 0 }

func (b *batch) full(cfg Config) bool {
	return b.records >= cfg.BatchRows || b.bytes >= cfg.BatchBytes || time.Since(b.began) >= cfg.BatchInterval
}

// setEnd notes that the batch has the records of a partition up to e.
func (b *batch) setEnd(p kafka.Partition, e end) {
	if b.empty() {
		b.began = time.Now()
	}
	b.ends[p] = e
}

// owned are the partitions of this process, each with the number of its assignment. The stage
// commits an offset only if it owns the partition since before it polled it: Kafka lets a member of
// a group commit any partition, so a late commit would reset the progress of the partition's next
// owner.
type owned struct {
	mu          sync.Mutex
	assignments uint64
	partitions  map[kafka.Partition]uint64
	positions   kafka.Positions // of owned partitions
	removed     bool            // partitions were removed since resume
}

func (o *owned) add(list map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.partitions == nil {
		o.partitions = map[kafka.Partition]uint64{}
	}
	o.assignments++
	for topic, ids := range list {
		for _, id := range ids {
			o.partitions[kafka.Partition{Topic: topic, ID: id}] = o.assignments
		}
	}
}

func (o *owned) remove(list map[string][]int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for topic, ids := range list {
		for _, id := range ids {
			delete(o.partitions, kafka.Partition{Topic: topic, ID: id})
			o.positions.Forget(kafka.Partition{Topic: topic, ID: id})
		}
	}
	o.removed = true
}

// setStarts notes where the consumer starts.
func (o *owned) setStarts(starts map[string]map[int32]kgo.Offset) {
	for topic, partitions := range starts {
		for id, offset := range partitions {
			if next := offset.EpochOffset().Offset; next >= 0 {
				o.polled(kafka.Partition{Topic: topic, ID: id}, next)
			}
		}
	}
}

// polled notes the offset that is polled next, and returns the partition's assignment, 0 if it is
// not owned.
func (o *owned) polled(p kafka.Partition, next int64) (assignment uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if assignment = o.partitions[p]; assignment != 0 {
		o.positions.Set(p, next)
	}
	return assignment
}

// resume returns where all partitions are polled next, for the client's SetOffsets, or nil if that
// is not necessary. It is necessary after a batch was skipped, and after partitions were removed:
// the client then drops the fetches that it holds, see kafka.Positions.
func (o *owned) resume(skipped bool) map[string]map[int32]kgo.EpochOffset {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !skipped && !o.removed {
		return nil
	}
	o.removed = false
	return o.positions.Offsets()
}

func (o *owned) assignment(p kafka.Partition) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.partitions[p]
}

// commit calls f with the ends of partitions that this process has owned since they were polled. A
// rebalance waits for f.
func (o *owned) commit(ends map[kafka.Partition]end, f func(map[string]map[int32]kgo.EpochOffset) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for p, e := range ends {
		if assignment, ok := o.partitions[p]; !ok || assignment != e.assignment {
			continue
		}
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.Topic][p.ID] = e.offset
	}
	if len(offsets) == 0 {
		return nil
	}
	return f(offsets)
}
