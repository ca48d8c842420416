// Package fragment writes records as the files of an export and reads them back: an [Encoder] knows a file
// format, a [Writer] rolls from one fragment to the next and knows what each of them holds, and a [Reader]
// gives the records of a fragment back. It is pure: where the bytes go is the caller's [Destination].
package fragment

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Encoder turns records into the bytes of one fragment after another. The Writer owns it and calls Open,
// Append…, Close, and again Open. After an error it calls nothing but Open, which forgets the fragment
// that was open. It is not safe for concurrent use.
//
// Encoders write what they have whenever it suits them and keep bounded memory, whatever a fragment's
// size: a buffer, or a row group. The same records give the same bytes.
type Encoder interface {
	// Extension is that of the file's name, without a dot in front: "jsonl", "csv.gz".
	Extension() string
	// Open starts a fragment, which is written to w.
	Open(w io.Writer) error
	// Append adds a record, one JSON object. The record is the caller's: it is not kept and not changed.
	Append(record []byte) error
	// SizeWith returns the size in bytes, before compression, of the fragment as it would be if record
	// were appended next and the fragment closed. For Parquet, whose size is known only once it is
	// compressed, it is the size of the same records in JSON Lines. If the fragment is not closed, the
	// record is what Append gets next.
	SizeWith(record []byte) int64
	// Close writes what is left and what the format has at its end. It does not close the destination.
	Close() error
}

// Formats.
const (
	JSONL   = "jsonl"   // JSON Lines, one record a line
	JSON    = "json"    // an array of the records, one a line
	CSV     = "csv"     // RFC 4180, with a header row
	Parquet = "parquet" // compression is that of its pages
)

// Compressions.
const (
	Uncompressed = "none"
	Gzip         = "gzip"
	Zstd         = "zstd"
)

// Settings of an Encoder.
type Settings struct {
	// Columns are the keys of every record, in their order. CSV and Parquet have no columns but these and
	// refuse a record with another key; the others take any record.
	Columns []Column
	// SortedBy names the columns by which the records ascend, the first one first. Parquet says so to its
	// readers, which rely on it.
	SortedBy []string
	// Metadata is the key-value metadata of Parquet.
	Metadata map[string]string
	// CreatedBy names the program and its version in Parquet: "millrace version 1.2.3 (build …)".
	CreatedBy string
	// ByteOrderMark begins a JSON Lines or CSV fragment with one, for the readers that want it.
	ByteOrderMark bool
	// RawCSV leaves cells of CSV as they are that a spreadsheet would take for a formula.
	RawCSV bool
}

var (
	formats      = []string{JSONL, JSON, CSV, Parquet}
	compressions = []string{Uncompressed, Gzip, Zstd}
)

// NewEncoder returns an encoder of a format and compression. The error says what is possible instead.
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

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\ufeff"

func mark(wanted bool) string {
	if wanted {
		return byteOrderMark
	}
	return ""
}
