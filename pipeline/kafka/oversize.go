package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// Oversize returns the batches of a poll that decompress to more than MaxDecompress, which a
// consumer without a group steps over by Positions, and the first of the other errors after which
// the client does not go on by itself.
func Oversize(fetches kgo.Fetches) (batches []*kgo.ErrDecompressTooLarge, first error) {
	fetches.EachError(func(_ string, _ int32, err error) {
		var oversize *kgo.ErrDecompressTooLarge
		switch {
		case errors.As(err, &oversize):
			batches = append(batches, oversize)
		case first == nil && !errors.Is(err, errInflow):
			first = err
		}
	})
	return batches, first
}

// RefuseOversize returns a record in the place of a batch that decompresses to more than
// MaxDecompress, and why it is refused, for a dead letter. The record has no value: the records of
// the batch cannot be read.
func RefuseOversize(batch *kgo.ErrDecompressTooLarge) (*kgo.Record, *strictjson.Refusal) {
	r := &kgo.Record{Topic: batch.Topic, Partition: batch.Partition, Offset: batch.Offset, Timestamp: time.Now()}
	return r, &strictjson.Refusal{Code: strictjson.TooLarge, Rule: fmt.Sprintf(
		"offsets %d to %d are one compressed batch that decompresses to more than %d bytes; its records are not here: send "+
			"smaller batches",
		batch.Offset, batch.NextOffset-1, MaxDecompress)}
}

// SkipOversize commits the offset behind a batch for the client's group. The client has given the
// partition up, and does not consume it again: the next client of the group goes on behind the
// batch.
func SkipOversize(ctx context.Context, client *kgo.Client, batch *kgo.ErrDecompressTooLarge) error {
	return CommitOffsets(ctx, client, map[string]map[int32]kgo.EpochOffset{
		batch.Topic: {batch.Partition: {Epoch: batch.Epoch, Offset: batch.NextOffset}},
	})
}

// CommitOffsets commits offsets for the client's group, and returns the error of any partition.
func CommitOffsets(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) (
	failed error) {
	ctx, cancel := context.WithTimeout(ctx, SessionTimeout)
	defer cancel()
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest,
		resp *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = err
				}
			}
		}
	})
	return failed
}

// Positions are the offsets that a client polls next, by partition. They are not safe for
// concurrent use.
type Positions struct {
	next  map[Partition]int64
	epoch int32 // of the last Offsets
}

// Set notes the offset that is polled next.
func (p *Positions) Set(at Partition, next int64) {
	if p.next == nil {
		p.next = map[Partition]int64{}
	}
	p.next[at] = next
}

// Next returns the offset that is polled next, 0 where none is known.
func (p *Positions) Next(at Partition) int64 { return p.next[at] }

// Forget removes a partition.
func (p *Positions) Forget(at Partition) { delete(p.next, at) }

// Offsets returns all positions for the client's SetOffsets, which has to be called after a batch
// was stepped over. SetOffsets makes the client drop the fetches that it holds. One of these
// fetches may report another oversize batch, which the client then never reports again. The client
// also fetches only partitions that are set. Therefore Offsets returns all partitions. Their epoch
// is one that no broker has, because the client ignores an offset that it already knows.
func (p *Positions) Offsets() map[string]map[int32]kgo.EpochOffset {
	p.epoch = min(p.epoch, -1) - 1
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for at, next := range p.next {
		if offsets[at.Topic] == nil {
			offsets[at.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[at.Topic][at.ID] = kgo.EpochOffset{Epoch: p.epoch, Offset: next}
	}
	return offsets
}
