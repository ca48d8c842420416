package fragment

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// maxFooter is the size of the largest footer that is read, in bytes. The library reads a footer as a
// whole, and makes many times its bytes of it.
const maxFooter = 8 << 20

// checkFooter returns an error if the footer of a file is too large.
func checkFooter(src io.ReaderAt, size int64) error {
	var end [8]byte
	if size < int64(len(end)) {
		return errors.New("not Parquet, or cut short: it is too small")
	}
	if _, err := src.ReadAt(end[:], size-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n := binary.LittleEndian.Uint32(end[:4]); n > maxFooter {
		return fmt.Errorf("not Parquet, or cut short: its footer has %d bytes, more than the %d that Millrace "+
			"writes at most", n, maxFooter)
	}
	return nil
}

var errPages = errors.New("the sizes of its pages are not those of its footer")

// checkPages returns an error if the pages of a row group say that they are larger than limit bytes
// together. The library allocates what a page says, whatever the footer says. A page of zstd has to say it
// twice: the library decompresses what is there.
func checkPages(src io.ReaderAt, size int64, group *format.RowGroup, limit int64) error {
	left := limit
	header := new(format.PageHeader)
	in := bufio.NewReaderSize(nil, 4<<10)
	for i := range group.Columns {
		m := &group.Columns[i].MetaData
		at := m.DataPageOffset
		if d := m.DictionaryPageOffset; d > 0 && d < at {
			at = d
		}
		end := at + m.TotalCompressedSize
		if at < 0 || m.TotalCompressedSize < 0 || end > size {
			return errPages
		}
		for at < end {
			section := io.NewSectionReader(src, at, end-at)
			in.Reset(section)
			*header = format.PageHeader{}
			if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(in)).Decode(header); err != nil {
				return fmt.Errorf("read the header of a page: %w", err)
			}
			read, err := section.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			at += read - int64(in.Buffered())
			plain, stored := int64(header.UncompressedPageSize), int64(header.CompressedPageSize)
			if left -= plain; plain < 0 || stored < 0 || left < 0 || at+stored > end {
				return errPages
			}
			if err := checkFrame(src, at, stored, header, m.Codec); err != nil {
				return err
			}
			at += stored
		}
	}
	return nil
}

// checkFrame returns an error if a page of zstd is something else than one frame that says a size of no
// more than the page's. A frame that says none is a small page, which is one block.
func checkFrame(src io.ReaderAt, at, stored int64, page *format.PageHeader, codec format.CompressionCodec) error {
	if v := page.DataPageHeaderV2; v.Valid { // its levels are not compressed
		levels := int64(v.V.RepetitionLevelsByteLength) + int64(v.V.DefinitionLevelsByteLength)
		if levels < 0 || levels > stored {
			return errPages
		}
		at, stored = at+levels, stored-levels
	}
	if codec != format.Zstd || stored == 0 {
		return nil
	}
	begin := make([]byte, min(stored, zstd.HeaderMaxSize))
	if _, err := src.ReadAt(begin, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var h zstd.Header
	if err := h.Decode(begin); err != nil || h.Skippable || h.HasFCS &&
		h.FrameContentSize > uint64(page.UncompressedPageSize) {
		return errPages
	}
	next := at + int64(h.HeaderSize)
	for last := false; !last; {
		var block [3]byte
		if n, _ := src.ReadAt(block[:], next); n < len(block) {
			return errPages
		}
		b := uint32(block[0]) | uint32(block[1])<<8 | uint32(block[2])<<16
		bytes := int64(b >> 3)
		if b>>1&3 == 1 { // one byte, repeated
			bytes = 1
		}
		last, next = b&1 == 1, next+int64(len(block))+bytes
		if !last && !h.HasFCS {
			return errPages
		}
	}
	if h.HasCheckSum {
		next += 4
	}
	if next != at+stored {
		return errPages
	}
	return nil
}
