package fragment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
)

// A fragment that somebody else has written does not take more memory than the record that may be read.
func TestAHostileFragmentTakesBoundedMemory(t *testing.T) {
	const limit, bound = 4 << 20, 80 << 20
	bomb := func(begin, part string) []byte { // of 256 MiB
		var file bytes.Buffer
		z := gzip.NewWriter(&file)
		io.WriteString(z, begin)
		for range 256 {
			io.WriteString(z, strings.Repeat(part, 1<<20/len(part)))
		}
		z.Close()
		return file.Bytes()
	}
	var window bytes.Buffer
	z, err := zstd.NewWriter(&window, zstd.WithWindowSize(256<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		z.Write(bytes.Repeat([]byte(`{}`+"\n"), 1<<20/3))
	}
	z.Close()
	lies := parquetThatLies(t)
	for _, file := range []struct {
		name, format, compression string
		bytes                     []byte
	}{
		{"a line", JSONL, Gzip, bomb(`{"a":"`, "x")},
		{"a record of an array", JSON, Gzip, bomb(`[{"a":"`, "x")},
		{"a record of objects", JSON, Gzip, bomb(`[{"a":[`, "{},")},
		{"a cell", CSV, Gzip, bomb("a\n\"", "x")},
		{"a row of cells", CSV, Gzip, bomb("a\n", ",")},
		{"a header of cells", CSV, Gzip, bomb("a", ",")},
		{"a window", JSONL, Zstd, window.Bytes()},
		{"a footer", Parquet, Zstd, append(make([]byte, 100<<20), "\x00\x00\x00\x06PAR1"...)},
		{"a page", Parquet, Zstd, lies},
	} {
		t.Run(file.name, func(t *testing.T) {
			var err error
			grown := heap(func() {
				var r *Reader
				if r, err = NewReader(file.format, file.compression, bytes.NewReader(file.bytes),
					int64(len(file.bytes))); err != nil {
					return
				}
				defer r.Close()
				r.MaxRecord = limit
				for err == nil {
					_, err = r.Next()
				}
			})
			t.Logf("%d bytes took %d MiB", len(file.bytes), grown>>20)
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("it was read: %v", err)
			}
			if grown > bound {
				t.Errorf("%d bytes took %d MiB", len(file.bytes), grown>>20)
			}
		})
	}
}

// parquetThatLies is a file with a page of 128 MiB, whose footer says that it has 1 MiB.
func parquetThatLies(t *testing.T) []byte {
	t.Helper()
	var file bytes.Buffer
	type row struct {
		N int64 `parquet:"n,plain,zstd"`
	}
	w := parquet.NewGenericWriter[row](&file, parquet.PageBufferSize(256<<20))
	if _, err := w.Write(make([]row, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text := file.Bytes()
	f, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata()
	for i := range meta.RowGroups {
		meta.RowGroups[i].TotalByteSize = 1 << 20
	}
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), meta)
	if err != nil {
		t.Fatal(err)
	}
	old := int(binary.LittleEndian.Uint32(text[len(text)-8:]))
	text = append(text[:len(text)-8-old:len(text)-8-old], footer...)
	return append(binary.LittleEndian.AppendUint32(text, uint32(len(footer))), "PAR1"...)
}
