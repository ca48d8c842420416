package fragment

import (
	"io"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// jsonl writes JSON Lines (https://jsonlines.org): UTF-8, one record a line, a line feed after
// every line.
type jsonl struct {
	oneLine
	mark string
	w    io.Writer
	size int64
}

var lineFeed = []byte("\n")

func (*jsonl) Extension() string { return JSONL }

func (e *jsonl) Open(w io.Writer) error {
	e.w, e.size, e.next = w, int64(len(e.mark)), nil
	_, err := io.WriteString(w, e.mark)
	return err
}

func (e *jsonl) SizeWith(record []byte) int64 { return e.size + int64(len(e.lineOf(record))) + 1 }

func (e *jsonl) Append(record []byte) error {
	line := e.take(record)
	e.size += int64(len(line)) + 1
	if _, err := e.w.Write(line); err != nil {
		return err
	}
	_, err := e.w.Write(lineFeed)
	return err
}

func (e *jsonl) Close() error { return nil }

// oneLine makes lines of records, once a record: an Encoder needs the line's length for SizeWith, and
// the line for the Append that follows with the same record.
type oneLine struct {
	next    []byte // the line that lineOf has made
	scratch []byte
}

func (l *oneLine) lineOf(record []byte) []byte {
	l.next = jsonscan.Line(&l.scratch, record)
	return l.next
}

func (l *oneLine) take(record []byte) []byte {
	line := l.next
	if line == nil {
		line = l.lineOf(record)
	}
	l.next = nil
	return line
}
