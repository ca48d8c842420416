package files

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/millrace/millrace/pipeline/export"
)

// An object is read in blocks of this size, and so many of them are kept: 16 MiB. A look at the
// first records of Parquet goes to a page of each column, and comes back.
const (
	blockSize  = 256 << 10
	blocksKept = 64
)

// object reads an object where it is asked to, as the readers of fragments need it, without a copy
// of it.
type object struct {
	ctx  context.Context //nolint:containedctx // io.ReaderAt has no place for it
	d    *Dataset
	file export.File

	mu     sync.Mutex
	blocks []block // the last one used is the last
}

type block struct {
	number int64
	bytes  []byte
}

// ReadAt reads what the manifest says is there.
func (o *object) ReadAt(p []byte, offset int64) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n < len(p) && offset+int64(n) < o.file.Bytes {
		at := offset + int64(n)
		b, err := o.block(at / blockSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b[at%blockSize:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (o *object) block(number int64) ([]byte, error) {
	if i := slices.IndexFunc(o.blocks, func(b block) bool { return b.number == number }); i >= 0 {
		b := o.blocks[i]
		o.blocks = append(slices.Delete(o.blocks, i, i+1), b)
		return b.bytes, nil
	}
	b := block{number, make([]byte, min(blockSize, o.file.Bytes-number*blockSize))}
	r, size, err := o.d.folder.Bucket.NewRangeReader(o.ctx, o.d.folder.Key(o.file.Key), number*blockSize,
		int64(len(b.bytes)))
	if err != nil {
		return nil, o.d.explain(o.ctx, err)
	}
	defer r.Close()
	if size != o.file.Bytes {
		return nil, fmt.Errorf("it has %d bytes, and the manifest says %d", size, o.file.Bytes)
	}
	if _, err := io.ReadFull(r, b.bytes); err != nil {
		return nil, err
	}
	if len(o.blocks) == blocksKept {
		o.blocks = slices.Delete(o.blocks, 0, 1)
	}
	o.blocks = append(o.blocks, b)
	return b.bytes, nil
}
