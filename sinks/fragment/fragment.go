// Package fragment writes records as the files of an export and reads them back. An [Encoder]
// writes a file format. A [Writer] starts the next fragment when one is full, and counts what each
// fragment holds. A [Reader] returns the records of a fragment. The package is pure: the caller's
// [Destination] stores the bytes.
package fragment

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Encoder turns records into the bytes of one fragment after another. The Writer owns the Encoder
// and calls Open, Append…, Close, and Open again. After an error the Writer calls only Open, which
// discards the open fragment. An Encoder is not safe for concurrent use.
//
// Encoders may write at any time. Their memory is bounded, whatever the size of a fragment: a
// buffer, or a row group. The same records give the same bytes.
type Encoder interface {
	// Extension returns the extension of the file's name without a dot, such as "jsonl" or
	// "csv.gz".
	Extension() string
	// Open starts a fragment, and writes it to w.
	Open(w io.Writer) error
	// Append adds a record, which is one JSON object. The Encoder neither keeps nor changes the
	// record.
	Append(record []byte) error
	// SizeWith returns the size that the fragment would have if record were appended and the
	// fragment were closed, in bytes before compression. For Parquet it returns the size of the
	// same records in JSON Lines, since the size of Parquet is known only after compression. The
	// next call is Append with the same record, or Close.
	SizeWith(record []byte) int64
	// Close writes the rest of the fragment, with the end of the format. It does not close w.
	Close() error
}

// Formats.
const (
	JSONL   = "jsonl"   // JSON Lines, one record a line
	JSON    = "json"    // an array of the records, one a line
	CSV     = "csv"     // RFC 4180, with a header row
	Parquet = "parquet" // the pages are compressed, not the file
)

// Compressions.
const (
	Uncompressed = "none"
	Gzip         = "gzip"
	Zstd         = "zstd"
)

// Settings of an Encoder.
type Settings struct {
	// Columns are the keys of every record, in their order. CSV and Parquet have exactly these
	// columns and refuse a record with another key. The other formats accept any record.
	Columns []Column
	// SortedBy names the columns by which the records ascend, the most significant first. Parquet
	// stores the names, and readers rely on the order.
	SortedBy []string
	// Metadata is the key-value metadata of Parquet.
	Metadata map[string]string
	// CreatedBy is the program and its version for Parquet: "millrace version 1.2.3 (build …)".
	CreatedBy string
	// ByteOrderMark starts each fragment of JSON Lines or CSV with a byte order mark, for readers
	// that need one.
	ByteOrderMark bool
	// Excel guards cells of CSV that a spreadsheet would read as a formula.
	Excel bool
}

var (
	formats      = []string{JSONL, JSON, CSV, Parquet}
	compressions = []string{Uncompressed, Gzip, Zstd}
)

// NewEncoder returns an encoder of a format and compression. The error lists what is available.
func NewEncoder(format, compression string, s Settings) (Encoder, error) {
	if err := check(format, compression); err != nil {
		return nil, err
	}
	var e Encoder
	var err error
	switch format {
	case JSONL:
		e = &jsonl{mark: mark(s.ByteOrderMark)}
	case JSON:
		e = &array{}
	case CSV:
		e, err = newCSV(s)
	case Parquet:
		return newParquet(compression, s)
	}
	if err != nil || compression == Uncompressed {
		return e, err
	}
	return newCompressed(e, compression), nil
}

func check(format, compression string) error {
	if !slices.Contains(formats, format) {
		return fmt.Errorf("format %q is not available; available are %s", format, strings.Join(formats, ", "))
	}
	if !slices.Contains(compressions, compression) {
		return fmt.Errorf("compression %q is not available; available are %s", compression, strings.Join(compressions, ", "))
	}
	return nil
}

func mark(wanted bool) string {
	if wanted {
		return jsonscan.ByteOrderMark
	}
	return ""
}
