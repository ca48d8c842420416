package fragment

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// csvEncoder writes CSV (RFC 4180): CR LF after every row, a header row in every fragment, and
// quotes where a cell needs them. A struct becomes a column for each of its fields, named
// struct_field. Lists and documents are cells of JSON. null is an empty cell.
//
// Cells are exact. A spreadsheet, however, reads a text that starts with = + - @ TAB or CR as a
// formula. With Settings.Excel the encoder writes a ' before such a text, and doubles a ' at the
// start of any text, so that two texts never become the same cell. Numbers are not texts: -1.5 stays
// unchanged. Cells of JSON stay unchanged too: only JSON numbers start with one of these characters.
type csvEncoder struct {
	decoder decoder
	header  []byte // with byte order mark and line end
	excel   bool

	w      io.Writer
	size   int64
	row    []byte   // of the next record, or empty
	err    error    // of the next record
	tokens [][]byte // values of the next record, by leaf; nil is null
	text   []byte   // reused
}

// keptBytes is the size in bytes up to which a buffer is kept for the next record.
const keptBytes = 1 << 20

func newCSV(s Settings) (Encoder, error) {
	t, err := newTree(s.Columns, true)
	if err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	e := &csvEncoder{decoder: decoder{tree: t}, excel: s.Excel, tokens: make([][]byte, len(t.leaves))}
	e.header = []byte(mark(s.ByteOrderMark))
	names := map[string]bool{}
	for i, name := range t.names() {
		if names[name] {
			return nil, fmt.Errorf("csv: two columns have the name %q", name)
		}
		names[name] = true
		e.header = e.separate(e.header, i)
		e.header = e.appendCell(e.header, []byte(name))
	}
	e.header = append(e.header, "\r\n"...)
	return e, nil
}

// CSVColumns returns the columns of CSV with these columns of records, as its header has them.
func CSVColumns(columns []Column) []string {
	t, err := newTree(columns, true)
	if err != nil {
		return nil
	}
	return t.names()
}

// names returns the names of the leaves, which are columns of CSV.
func (t *tree) names() []string {
	names := make([]string, len(t.leaves))
	for i, leaf := range t.leaves {
		names[i] = strings.Join(leaf.path, "_")
	}
	return names
}

func (*csvEncoder) Extension() string { return CSV }

func (e *csvEncoder) Open(w io.Writer) error {
	e.w, e.size, e.row, e.err = w, int64(len(e.header)), e.row[:0], nil
	_, err := w.Write(e.header)
	return err
}

func (e *csvEncoder) SizeWith(record []byte) int64 {
	e.encode(record)
	return e.size + int64(len(e.row))
}

func (e *csvEncoder) Append(record []byte) error {
	if len(e.row) == 0 {
		e.encode(record)
	}
	if e.err != nil {
		return e.err
	}
	e.size += int64(len(e.row))
	_, err := e.w.Write(e.row)
	e.row, e.text = reusable(e.row, keptBytes), reusable(e.text, keptBytes)
	return err
}

func (e *csvEncoder) Close() error { return nil }

// encode encodes a record as e.row, or sets e.err.
func (e *csvEncoder) encode(record []byte) {
	e.row = e.row[:0]
	if e.err = e.decoder.decode(record, e); e.err != nil {
		return
	}
	for i, token := range e.tokens {
		e.row = e.separate(e.row, i)
		if len(token) == 0 {
			continue
		}
		switch leaf := e.decoder.tree.leaves[i]; leaf.Type {
		case Text:
			if e.err = e.appendText(token); e.err != nil {
				e.err = fmt.Errorf("column %s: %w", leaf.name(), e.err)
				return
			}
		case Time: // a time never needs quotes
			e.row = append(e.row, token[1:len(token)-1]...)
		case List, Document:
			e.row = e.appendCell(e.row, token)
		default:
			e.row = append(e.row, token...)
		}
	}
	if len(e.tokens) == 1 && len(e.row) == 0 {
		e.row = append(e.row, `""`...) // readers skip an empty row
	}
	e.row = append(e.row, "\r\n"...)
}

func (e *csvEncoder) separate(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

// cell checks the type of a value, and keeps the value until the whole record is read. The keys of
// a record may come in any order.
func (e *csvEncoder) cell(leaf *node, _, _ int, token []byte) error {
	ok := true
	switch {
	case token == nil:
	case leaf.Type == Integer:
		_, ok = integer(token)
	case leaf.Type == Float:
		_, ok = float(token)
	case leaf.Type == Time:
		_, ok = jsonscan.ParseTime(token)
	}
	if !ok {
		return leaf.wrong()
	}
	e.tokens[leaf.leaf] = token
	return nil
}

func (e *csvEncoder) appendText(token []byte) error {
	text := token[1 : len(token)-1]
	if !jsonscan.IsPlain(token) {
		var err error
		if e.text, err = jsonscan.AppendText(e.text[:0], token); err != nil {
			return err
		}
		text = e.text
	}
	if len(text) > 0 && e.excel && strings.IndexByte("=+-@\t\r'", text[0]) >= 0 {
		e.text = append(append(make([]byte, 0, len(text)+1), '\''), text...)
		text = e.text
	}
	e.row = e.appendCell(e.row, text)
	return nil
}

// appendCell appends a cell, in quotes if it contains a special character.
func (e *csvEncoder) appendCell(dst, cell []byte) []byte {
	if bytes.IndexByte(cell, '"') < 0 && bytes.IndexByte(cell, ',') < 0 && bytes.IndexByte(cell, '\n') < 0 &&
		bytes.IndexByte(cell, '\r') < 0 {
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	for {
		i := bytes.IndexByte(cell, '"')
		if i < 0 {
			dst = append(dst, cell...)
			return append(dst, '"')
		}
		dst = append(append(dst, cell[:i+1]...), '"')
		cell = cell[i+1:]
	}
}
