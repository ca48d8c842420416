package ingest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// decode decodes what was fetched, the partitions in parallel, and adds it to the batch.
func (s *Stage) decode(fetches kgo.Fetches, b *batch) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		p := partition{f.Topic, f.Partition}
		last := f.Records[len(f.Records)-1]
		b.reached(p, end{
			offset:     kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1},
			assignment: s.owned.polled(p, last.Offset+1),
		})
		group.Go(func() error {
			c := s.decodeRecords(f.Records)
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
	decoder := runs.Decoder{Unknown: s.metrics.unknownField}
	for _, r := range records {
		c.bytes += size(r)
		if c.oldest.IsZero() || r.Timestamp.Before(c.oldest) {
			c.oldest = r.Timestamp
		}
		decoded, err := decodeRecord(&decoder, r)
		if err != nil {
			c.letters = append(c.letters, letter{r, event.Refused(err)})
			continue
		}
		switch e := decoded.(type) {
		case *runs.Run:
			c.runs.add(e, r)
			s.checkImmutable(e.WorkspaceID, e.RunID, "", e.StartedAt.UnixMilli())
		case *runs.Node:
			c.nodes.add(e, r)
			s.checkImmutable(e.WorkspaceID, e.RunID, e.NodeRunID, e.StartedAt.UnixMilli())
		case *runs.Feedback:
			c.feedback.add(e, r)
		}
	}
	return c
}

// size is what a record takes in memory, nearly.
func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// decodeRecord decodes one record. A fault of the decoder on a record is that record's: it becomes a
// dead letter, and the stage goes on (invariant 10).
func decodeRecord(decoder *runs.Decoder, r *kgo.Record) (decoded runs.Event, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			decoded, err = nil, &strictjson.Refusal{Code: strictjson.InvalidJSON, Rule: "the decoder failed on this record; please report it"}
		}
	}()
	e, err := event.Decode(r)
	if err != nil {
		return nil, err
	}
	if e.Type == "" {
		return nil, &strictjson.Refusal{Code: strictjson.MissingField, Pointer: "/type", Rule: "is required: the event's type, as the ce_type header or beside the data's keys"}
	}
	return decoder.Decode(e.Type, e.Data, e.Pointer, e.Time)
}

// fetchErrors deals with what the client could not fetch. Most faults pass by themselves.
func (s *Stage) fetchErrors(client *kgo.Client, fetches kgo.Fetches, b *batch) (stop error) {
	skipped := false
	fetches.EachError(func(topic string, id int32, err error) {
		var bomb *kgo.ErrDecompressTooLarge
		if errors.As(err, &bomb) {
			s.skipBomb(bomb, b)
			skipped = true
		} else if hopeless := s.hopeless(topic, err); hopeless != nil {
			stop = hopeless
		} else if !kgo.IsRetryableBrokerErr(err) && !isContext(err) {
			s.log.Warn("fetch failed; trying again", "topic", topic, "partition", id, "error", err)
		}
	})
	client.SetOffsets(s.owned.resume(skipped))
	return stop
}

// skipBomb passes over a producer's batch that would decompress to more than maxDecompress: a dead letter
// says where it is, since its records cannot be had.
func (s *Stage) skipBomb(e *kgo.ErrDecompressTooLarge, b *batch) {
	p := partition{e.Topic, e.Partition}
	assignment := s.owned.polled(p, e.NextOffset)
	if assignment == 0 {
		return // its new owner finds it too
	}
	b.reached(p, end{offset: kgo.EpochOffset{Epoch: e.Epoch, Offset: e.NextOffset}, assignment: assignment})
	b.letters = append(b.letters, letter{
		record: &kgo.Record{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset},
		why: &strictjson.Refusal{Code: strictjson.TooLarge, Rule: fmt.Sprintf(
			"offsets %d to %d are one compressed batch that decompresses to more than %d bytes; its records are not here: send smaller batches",
			e.Offset, e.NextOffset-1, maxDecompress)},
	})
}
