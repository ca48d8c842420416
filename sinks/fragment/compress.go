package fragment

import (
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressed compresses the output of another encoder as one stream. The gzip header has neither a
// time nor a name, and zstd uses one core, so the same records give the same bytes.
type compressed struct {
	Encoder
	extension string
	stream    interface {
		io.WriteCloser
		Reset(io.Writer)
	}
}

// zstdWindow is the distance in bytes over which zstd looks for matches: the default of the zstd
// tool. The default of the library, 8 MiB, needs four times the memory and makes files a hundredth
// smaller.
const zstdWindow = 2 << 20

func newCompressed(e Encoder, compression string) *compressed {
	c := &compressed{Encoder: e}
	if compression == Gzip {
		c.extension, c.stream = "gz", gzip.NewWriter(nil)
		return c
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err) // the options are constants
	}
	c.extension, c.stream = "zst", z
	return c
}

func (c *compressed) Extension() string { return c.Encoder.Extension() + "." + c.extension }

func (c *compressed) Open(w io.Writer) error {
	c.stream.Reset(w)
	return c.Encoder.Open(c.stream)
}

func (c *compressed) Close() error {
	if err := c.Encoder.Close(); err != nil {
		return err
	}
	return c.stream.Close()
}
