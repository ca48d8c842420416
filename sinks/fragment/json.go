package fragment

import "io"

// array writes a JSON array of the records, one a line. A fragment is one JSON text, and people can
// still read it line by line. RFC 8259 forbids a byte order mark.
type array struct {
	oneLine
	w     io.Writer
	size  int64  // bytes written
	comma []byte // text before the next record
}

var (
	arrayStart = []byte("[")
	arrayFirst = []byte("\n")
	arrayComma = []byte(",\n")
	arrayEnd   = []byte("\n]\n")
)

func (*array) Extension() string { return JSON }

func (e *array) Open(w io.Writer) error {
	e.w, e.size, e.comma, e.next = w, int64(len(arrayStart)), arrayFirst, nil
	_, err := w.Write(arrayStart)
	return err
}

func (e *array) SizeWith(record []byte) int64 {
	return e.size + int64(len(e.comma)+len(e.lineOf(record))+len(arrayEnd))
}

func (e *array) Append(record []byte) error {
	if _, err := e.w.Write(e.comma); err != nil {
		return err
	}
	line := e.take(record)
	e.size += int64(len(e.comma) + len(line))
	e.comma = arrayComma
	_, err := e.w.Write(line)
	return err
}

func (e *array) Close() error {
	_, err := e.w.Write(arrayEnd)
	return err
}
