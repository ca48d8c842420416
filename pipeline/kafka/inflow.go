package kafka

import (
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Inflow bounds what a client decompresses between two polls. Brokers bound a fetch by its bytes as
// sent, but texts that repeat themselves decompress to a thousand times their size. It is the
// client's [kgo.Decompressor].
type Inflow struct {
	decompressor kgo.Decompressor
	size         int64

	mu   sync.Mutex // batches are decompressed one by one, so that at most one exceeds the size
	left int64
}

// NewInflow returns an inflow of size bytes between two calls of Polled. One batch may exceed it.
func NewInflow(size int64) (*Inflow, error) {
	// The client bounds its default decompressor, but not one that it is given. So this takes the
	// decompressor of a client that is bounded and never connects.
	client, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(MaxDecompress))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	decompressor, ok := client.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	if !ok {
		return nil, errors.New("the Kafka client has no decompressor")
	}
	return &Inflow{decompressor: decompressor, size: size, left: size}, nil
}

// errInflow ends the reading of a fetch. The client returns the batches that it has decompressed
// and fetches the others again. A partition without any batch reports the error, see Faults.
var errInflow = errors.New("enough was decompressed for one poll")

// Decompress implements [kgo.Decompressor].
func (i *Inflow) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.left <= 0 {
		return nil, errInflow
	}
	out, err := i.decompressor.Decompress(src, codec)
	i.left -= int64(len(out))
	return out, err
}

// Polled allows the client to decompress more. Buffered is what the client holds still.
func (i *Inflow) Polled(buffered int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.left = i.size - buffered
}
