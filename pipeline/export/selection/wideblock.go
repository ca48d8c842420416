package selection

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

// A block is in memory as a whole, and how many bytes its rows have is known only when it comes. So
// the reader stops where a block of several rows is too large, and its caller reads again with
// blocks of fewer rows. A block of one row always passes.

// ErrWide is the error of a reading query whose blocks are too large. The caller reads all rows again
// with [BlockRows.Fewer] rows in a block.
var ErrWide = errors.New("the rows are too wide for blocks of so many rows")

// maxBlockBytes bounds the texts of a block of several rows. In the order of the table a block has
// about 1 MB. But it may be the rest of a granule, which has 10 MiB, however few rows a block should have.
const maxBlockBytes = 16 << 20

// maxSpan bounds how many bytes are read at a time for lengths of texts that are still to come.
const maxSpan = 64 << 10

// BlockRows is the largest number of rows in a block of a reading query; 0 is maxReadBlock.
type BlockRows int

// Fewer returns the number of rows to try after ErrWide.
func (n BlockRows) Fewer() BlockRows { return max(1, n.rows()/4) }

// More returns the number of rows to try after a window whose blocks of n rows were small enough.
func (n BlockRows) More() BlockRows { return min(maxReadBlock, n.rows()*4) }

// Wide reports whether each row has a block of its own, since the rows are wide.
func (n BlockRows) Wide() bool { return n == 1 }

// Memory returns how many bytes a window that is read in such blocks has in memory: a block, the record
// that is made of a row, and the buffers of the encoders. A wide row may have 32 MiB, and each buffer
// that grows takes up to twice that.
func (n BlockRows) Memory() int64 {
	if n.Wide() {
		return 200 << 20
	}
	return 64 << 20
}

func (n BlockRows) rows() BlockRows {
	if n <= 0 {
		return maxReadBlock
	}
	return n
}

const maxBlockSize = "max_block_size" // a setting of ClickHouse

func (n BlockRows) setting() ch.Setting { return ch.SettingInt(maxBlockSize, int(n.rows())) }

// isWide reports whether the settings are those of [BlockRows.Wide].
func isWide(settings []ch.Setting) bool {
	for _, s := range settings {
		if s.Key == maxBlockSize {
			return s.Value == strconv.Itoa(1)
		}
	}
	return false
}

// room is what the texts of a block may have in bytes. They have used of it so far.
type room struct {
	used  int
	whole bool // a block has one row
}

// textColumn is a String column that ends a block of several rows with ErrWide when its texts are too
// large.
type textColumn struct {
	proto.ColStr
	room *room
}

// DecodeColumn implements [proto.ColResult]. Beside the room it is that of ColStr. But ch-go reads the length
// before each text a byte at a time, which is a twelfth of the processor time of an export. Here as many bytes are read
// at a time as the column must have at least: the texts that are still to come have a byte of length each. Of many
// texts it is maxSpan, so that a corrupt number of them does not take the memory.
func (c *textColumn) DecodeColumn(r *proto.Reader, rows int) error {
	c.Pos, c.Buf = c.Pos[:0], c.Buf[:0]
	end := 0 // of the texts so far
	for left := rows; left > 0; left-- {
		length, width := binary.Uvarint(c.Buf[end:])
		for width == 0 { // it goes on in the next byte
			if err := c.readTo(r, len(c.Buf)+min(left, maxSpan)); err != nil {
				return err
			}
			length, width = binary.Uvarint(c.Buf[end:])
		}
		if width < 0 || length > math.MaxInt32 {
			return fmt.Errorf("text %d of a column of %d has no length", rows-left, rows)
		}
		if c.room.used += int(length); c.room.used > maxBlockBytes && !c.room.whole {
			return ErrWide
		}
		start := end + width
		end = start + int(length)
		if end > len(c.Buf) {
			if err := c.readTo(r, end+min(left-1, maxSpan)); err != nil {
				return err
			}
		}
		c.Pos = append(c.Pos, proto.Position{Start: start, End: end})
	}
	return nil
}

// readTo reads until the buffer has a size.
func (c *textColumn) readTo(r *proto.Reader, size int) error {
	read := len(c.Buf)
	c.Buf = slices.Grow(c.Buf, size-read)[:size]
	return r.ReadFull(c.Buf[read:])
}
