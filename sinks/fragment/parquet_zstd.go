package fragment

import (
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// zstdCodec is the library's with an encoder that has no more than a page to look back at; the
// library's own keeps 8 MiB more. It is for one writer.
type zstdCodec struct {
	compress.Codec
	encoder *zstd.Encoder
}

func newZstdCodec() *zstdCodec {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(pageSize),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return &zstdCodec{&parquet.Zstd, encoder}
}

// Encode compresses a page.
func (c *zstdCodec) Encode(dst, src []byte) ([]byte, error) {
	return c.encoder.EncodeAll(src, dst[:0]), nil
}
