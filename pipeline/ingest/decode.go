package ingest

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// decode decodes the fetched records, the partitions in parallel, and adds them to the batch.
func (s *Stage) decode(fetches kgo.Fetches, b *batch) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		p := kafka.Partition{Topic: f.Topic, ID: f.Partition}
		last := f.Records[len(f.Records)-1]
		b.setEnd(p, end{
			offset:     kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1},
			assignment: s.owned.polled(p, last.Offset+1),
		})
		s.lag.Polled(f.Records)
		records := slices.DeleteFunc(f.Records, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
		if len(records) == 0 {
			return
		}
		group.Go(func() error {
			c := s.decodeRecords(records)
			mu.Lock()
			defer mu.Unlock()
			b.addAll(c)
			return nil
		})
	})
	group.Wait() //nolint:errcheck // the functions return none
}

func (s *Stage) decodeRecords(records []*kgo.Record) *content {
	c := &content{records: len(records)}
	// The records are kept until the batch is stored, for dead letters: so a text is in memory once.
	decoder := runs.Decoder{Unknown: s.metrics.unknownField, MaxString: s.cfg.Limits.String, Borrow: true,
		Latest: s.cfg.Limits.Latest(s.cfg.Now())}
	for _, r := range records {
		c.bytes += size(r)
		if c.oldest.IsZero() || r.Timestamp.Before(c.oldest) {
			c.oldest = r.Timestamp
		}
		decoded, err := s.decodeRecord(&decoder, r)
		if err != nil {
			c.letters = append(c.letters, letter{r, event.AsRefusal(err)})
			continue
		}
		switch e := decoded.(type) {
		case *runs.Run:
			c.runs.add(e, r)
		case *runs.Node:
			c.nodes.add(e, r)
		case *runs.Feedback:
			c.feedback.add(e, r)
		}
	}
	return c
}

// size returns about how many bytes of memory a record takes.
func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// decodeRecord decodes one record. If the decoder panics, the record becomes a dead letter, and the
// stage goes on (invariant 10).
func (s *Stage) decodeRecord(decoder *runs.Decoder, r *kgo.Record) (decoded runs.Event, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			s.log.Error("the decoder panicked; the record becomes a dead letter",
				"record", kafka.Position(r), "panic", fault, "stack", string(debug.Stack()))
			decoded, err = nil, &strictjson.Refusal{Code: strictjson.InvalidJSON,
				Rule: "the decoder failed on this record; please report it"}
		}
	}()
	e, err := s.cfg.Limits.Decode(r)
	if err != nil {
		return nil, err
	}
	if e.Type == "" {
		return nil, &strictjson.Refusal{Code: strictjson.MissingField, Pointer: "/type",
			Rule: "is required: the event's type, as the ce_type header or beside the data's keys"}
	}
	return decoder.Decode(e.Type, e.Data, e.Pointer, e.Time)
}

// checkFetches steps over batches that cannot be decompressed. It returns an error where the stage
// has to stop.
func (s *Stage) checkFetches(ctx context.Context, client *kgo.Client, fetches kgo.Fetches, b *batch) error {
	faults := s.cfg.Faults(ctx, client, fetches)
	for _, oversize := range faults.Oversize {
		s.skip(oversize, b)
	}
	client.SetOffsets(s.owned.resume(len(faults.Oversize) > 0))
	return faults.Permanent
}

// skip steps over a batch that decompresses to more than the client holds, and adds its dead
// letter.
func (s *Stage) skip(oversize *kgo.ErrDecompressTooLarge, b *batch) {
	p := kafka.Partition{Topic: oversize.Topic, ID: oversize.Partition}
	assignment := s.owned.polled(p, oversize.NextOffset)
	if assignment == 0 {
		return // the partition's new owner finds the batch too
	}
	b.setEnd(p, end{offset: kgo.EpochOffset{Epoch: oversize.Epoch, Offset: oversize.NextOffset}, assignment: assignment})
	record, refusal := kafka.RefuseOversize(oversize)
	b.letters = append(b.letters, letter{record, refusal})
}
