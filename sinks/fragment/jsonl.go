package fragment

import (
	"bytes"
	"io"
)

// jsonl writes JSON Lines (https://jsonlines.org): UTF-8 without a byte order mark, one record a line, a
// line feed after every line.
type jsonl struct {
	w    io.Writer
	size int64
}

func newJSONL() Encoder { return &jsonl{} }

var lineFeed = []byte("\n")

func (*jsonl) Extension() string { return "jsonl" }

func (e *jsonl) Open(w io.Writer) error {
	e.w, e.size = w, 0
	return nil
}

func (e *jsonl) SizeWith(record []byte) int64 { return e.size + int64(len(record)) + 1 }

func (e *jsonl) Append(record []byte) error {
	e.size = e.SizeWith(record)
	if bytes.IndexByte(record, '\n') >= 0 || bytes.IndexByte(record, '\r') >= 0 {
		record = joinLines(record)
	}
	if _, err := e.w.Write(record); err != nil {
		return err
	}
	_, err := e.w.Write(lineFeed)
	return err
}

func (e *jsonl) Close() error { return nil }

// joinLines returns a record with its line breaks as spaces. In JSON they can only be white space between
// two tokens, from a document that did not come through ingest; readers of lines take them, LF and CR,
// for the end of the record.
func joinLines(record []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, record)
}
