package fragment

import (
	"bytes"
	"io"
)

// jsonl writes JSON Lines (https://jsonlines.org): UTF-8, one record a line, a line feed after
// every line.
type jsonl struct {
	mark string
	w    io.Writer
	size int64
}

var lineFeed = []byte("\n")

func (*jsonl) Extension() string { return JSONL }

func (e *jsonl) Open(w io.Writer) error {
	e.w, e.size = w, int64(len(e.mark))
	_, err := io.WriteString(w, e.mark)
	return err
}

func (e *jsonl) SizeWith(record []byte) int64 { return e.size + int64(len(record)) + 1 }

func (e *jsonl) Append(record []byte) error {
	e.size = e.SizeWith(record)
	if err := writeLine(e.w, record); err != nil {
		return err
	}
	_, err := e.w.Write(lineFeed)
	return err
}

func (e *jsonl) Close() error { return nil }

// writeLine writes a record without its line breaks, LF and CR. In JSON a line break can only be
// white space between two tokens, in a document that did not come through ingest. A reader of lines
// would take it for the end of the record.
func writeLine(w io.Writer, record []byte) error {
	if bytes.IndexByte(record, '\n') >= 0 || bytes.IndexByte(record, '\r') >= 0 {
		record = bytes.Map(func(r rune) rune {
			if r == '\n' || r == '\r' {
				return ' '
			}
			return r
		}, record)
	}
	_, err := w.Write(record)
	return err
}
