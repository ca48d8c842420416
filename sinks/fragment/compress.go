package fragment

import (
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressed compresses what another encoder writes, as one stream. A gzip header has neither time nor
// name, and zstd works on one core, so the same records give the same bytes.
type compressed struct {
	Encoder
	extension string
	stream    interface {
		io.WriteCloser
		Reset(io.Writer)
	}
}

// zstdWindow is how far back, in bytes, matches are looked for: that of the zstd tool. The library's own
// of 8 MiB costs four times the memory and gains a hundredth.
const zstdWindow = 2 << 20

func newCompressed(e Encoder, compression string) *compressed {
	c := &compressed{Encoder: e}
	if compression == Gzip {
		c.extension, c.stream = "gz", gzip.NewWriter(nil)
		return c
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow),
		zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
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
