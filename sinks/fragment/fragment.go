// Package fragment writes records as the files of an export: an [Encoder] knows a file format, and a
// [Writer] rolls from one fragment to the next and knows what each of them holds. It is pure: where the
// bytes go is the caller's [Destination].
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
// size: a buffer, or a row group.
type Encoder interface {
	// Extension is that of the file's name, without a dot in front: "jsonl", "csv.gz".
	Extension() string
	// Open starts a fragment, which is written to w.
	Open(w io.Writer) error
	// Append adds a record, one JSON object. The record is the caller's: it is not kept and not changed.
	Append(record []byte) error
	// SizeWith returns the size in bytes, before compression, of the fragment as it would be if record
	// were appended next and the fragment closed.
	SizeWith(record []byte) int64
	// Close writes what is left and what the format has at its end. It does not close the destination.
	Close() error
}

// JSONL is the format of JSON Lines, one record a line.
const JSONL = "jsonl"

// Uncompressed is the compression of a fragment that has none.
const Uncompressed = "none"

var encoders = []struct {
	format, compression string
	make                func() Encoder
}{
	{JSONL, Uncompressed, newJSONL},
}

// NewEncoder returns an encoder of a format and compression. The error says what is possible instead.
func NewEncoder(format, compression string) (Encoder, error) {
	var possible []string
	for _, e := range encoders {
		if e.format == format && e.compression == compression {
			return e.make(), nil
		}
		possible = append(possible, e.format+"/"+e.compression)
	}
	slices.Sort(possible)
	return nil, fmt.Errorf("format %q with compression %q is not available; available are %s",
		format, compression, strings.Join(possible, ", "))
}
