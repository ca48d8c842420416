package fragment

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Reader returns the records of a fragment in order, as JSON objects. It streams: it holds one
// record and the buffers of the format. It is not safe for concurrent use.
//
// Records of JSON Lines, JSON and Parquet are those that were written, except that absent keys are
// null in Parquet. Records of CSV have the names of the header as keys and the cells as strings,
// since CSV has neither types nor null. A CR LF inside a cell is read as LF.
type Reader struct {
	// MaxRecord is the largest record that is read, in bytes; NewReader sets it to twice the package's
	// MaxRecord, since escapes may have made it longer. It may be changed before the first Next.
	MaxRecord int

	records source
	format  string
	read    int64
	close   func()
}

// MaxRecord is the largest record that callers write, in bytes as JSON: few readers accept longer
// lines.
const MaxRecord = 64 << 20

// ErrRecordTooLarge is the error of a record that is larger than a Reader may read.
var ErrRecordTooLarge = errors.New("the next record is too large")

// source reads one format. next returns io.EOF at the end; every other error says where in the file
// the fault is. It returns ErrRecordTooLarge for a record of more than limit bytes, about, and reads
// little more of it. The record is valid until the next call.
type source interface {
	next(limit int) (json.RawMessage, error)
	close()
}

// NewReader returns a reader of a fragment of size bytes. Format and compression are those of
// [NewEncoder].
func NewReader(format, compression string, src io.ReaderAt, size int64) (*Reader, error) {
	if err := check(format, compression); err != nil {
		return nil, err
	}
	r := &Reader{MaxRecord: 2 * MaxRecord, format: format, close: func() {}}
	if format == Parquet {
		records, err := newParquetSource(src, size)
		if err != nil {
			return nil, fmt.Errorf("read the fragment: %w", err)
		}
		r.records = records
		return r, nil
	}
	plain, closePlain, err := decompress(compression, io.NewSectionReader(src, 0, size))
	if err != nil {
		return nil, fmt.Errorf("read the fragment: %w", err)
	}
	r.close = closePlain
	buffered := bufio.NewReaderSize(plain, bufferSize)
	if mark, _ := buffered.Peek(len(jsonscan.ByteOrderMark)); string(mark) == jsonscan.ByteOrderMark {
		_, _ = buffered.Discard(len(mark))
	}
	switch format {
	case JSONL:
		r.records = &lineSource{lines: buffered}
	case JSON:
		r.records = newArraySource(buffered)
	case CSV:
		r.records = newCSVSource(buffered)
	}
	return r, nil
}

// Next returns the next record, and io.EOF after the last. The record is valid until the next call.
// An error says where the fragment is damaged, and quotes nothing from it.
func (r *Reader) Next() (json.RawMessage, error) {
	record, err := r.records.next(r.MaxRecord)
	if err == io.EOF { //nolint:errorlint // sources return it unwrapped; a wrapped one is a fault
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("read the fragment after %d records: %w", r.read, err)
	}
	r.read++
	return record, nil
}

// skipper is a source that passes over records without reading each. It returns io.EOF where there are fewer.
type skipper interface {
	skip(n int64, limit int) error
}

// Skip passes over the first n records. It must be called before Next, and returns io.EOF where the fragment has
// fewer. It checks the records that it passes less than Next does.
func (r *Reader) Skip(n int64) error {
	var err error
	if s, ok := r.records.(skipper); ok {
		err = s.skip(n, r.MaxRecord)
		r.read = n
	} else {
		for ; err == nil && r.read < n; r.read++ {
			_, err = r.records.next(r.MaxRecord)
		}
	}
	if err != nil && err != io.EOF { //nolint:errorlint // sources return it unwrapped; a wrapped one is a fault
		return fmt.Errorf("pass over %d records of the fragment: %w", n, err)
	}
	return err
}

// Close releases what the reader holds. It does not close the file.
func (r *Reader) Close() error {
	r.records.close()
	r.close()
	return nil
}

// Count returns the number of records of a fragment. For Parquet it reads only the footer. For
// other formats it reads the whole fragment, and finds the same faults as [Reader.Next].
func Count(format, compression string, src io.ReaderAt, size int64) (int64, error) {
	r, err := NewReader(format, compression, src, size)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if p, ok := r.records.(*parquetSource); ok {
		return p.file.NumRows(), nil
	}
	for {
		if _, err := r.Next(); err == io.EOF { //nolint:errorlint // Next returns it unwrapped
			return r.read, nil
		} else if err != nil {
			return r.read, err
		}
	}
}

// maxWindow is the greatest window of zstd that is read, in bytes: the default of other writers. A frame
// of a few bytes may ask for a window of gigabytes.
const maxWindow = 8 << 20

func decompress(compression string, src io.Reader) (plain io.Reader, closePlain func(), err error) {
	switch compression {
	case Gzip:
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return z, func() { z.Close() }, nil
	case Zstd:
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	}
	return src, func() {}, nil
}

// lineSource reads JSON Lines.
type lineSource struct {
	lines *bufio.Reader
	line  []byte // reused
	scan  jsonscan.Scanner
}

func (s *lineSource) next(limit int) (json.RawMessage, error) {
	s.line = s.line[:0]
	for {
		part, err := s.lines.ReadSlice('\n')
		s.line = append(s.line, part...)
		if len(s.line) > limit+len("\r\n") {
			return nil, ErrRecordTooLarge
		}
		if err == nil {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == io.EOF && len(s.line) > 0 {
			return nil, errors.New("the last line has no end: the file is cut short")
		}
		return nil, err
	}
	record := bytes.TrimRight(s.line, "\r\n")
	if err := checkRecord(&s.scan, record); err != nil {
		return nil, err
	}
	return record, nil
}

// skip passes over lines.
func (s *lineSource) skip(n int64, _ int) error {
	for n > 0 {
		switch _, err := s.lines.ReadSlice('\n'); {
		case err == nil:
			n--
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	return nil
}

func (s *lineSource) close() {}

// checkRecord returns an error unless record is one JSON object.
func checkRecord(scan *jsonscan.Scanner, record []byte) error {
	scan.Reset(record)
	if scan.Peek() != '{' {
		return errors.New("the next line is not a JSON object")
	}
	if _, err := scan.Value(); err != nil {
		return err
	}
	return scan.End()
}

// metered counts what a decoder has read ahead of its records, and ends with ErrRecordTooLarge where
// that is more than the limit.
type metered struct {
	io.Reader
	read  int64
	at    func() int64 // where the last record ends
	limit int64
}

// readAhead is how much a decoder reads beyond its record at most.
const readAhead = 64 << 10

func (m *metered) Read(p []byte) (int, error) {
	if m.read-m.at() > m.limit+readAhead {
		return 0, ErrRecordTooLarge
	}
	n, err := m.Reader.Read(p[:min(len(p), readAhead)])
	m.read += int64(n)
	return n, err
}

// arraySource reads an array of JSON objects.
type arraySource struct {
	metered
	decoder *json.Decoder
	record  json.RawMessage // reused
	begun   bool
	ended   bool
}

func newArraySource(r io.Reader) *arraySource {
	s := &arraySource{metered: metered{Reader: r}}
	s.decoder = json.NewDecoder(&s.metered)
	s.at = s.decoder.InputOffset
	return s
}

func (s *arraySource) next(limit int) (json.RawMessage, error) {
	s.limit = int64(limit)
	if s.ended {
		return nil, io.EOF
	}
	if !s.begun {
		if t, err := s.decoder.Token(); err != nil || t != json.Delim('[') {
			return nil, s.fault("does not begin with [", err)
		}
		s.begun = true
	}
	if s.decoder.More() {
		s.record = s.record[:0]
		if err := s.decoder.Decode(&s.record); err != nil {
			return nil, s.fault("has no record", err)
		}
		if s.record[0] != '{' {
			return nil, s.fault("has a record that is not an object", nil)
		}
		return s.record, nil
	}
	if _, err := s.decoder.Token(); err != nil {
		return nil, s.fault("does not end with ]", err)
	}
	if _, err := s.decoder.Token(); err != io.EOF {
		return nil, s.fault("goes on after its ]", err)
	}
	s.ended = true
	return nil, io.EOF
}

func (s *arraySource) close() {}

// fault describes what is wrong at the position of the decoder. It wraps only errors of the stream:
// other errors of the decoder quote the text.
func (s *arraySource) fault(what string, err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == nil, errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the array %s at byte %d", what, s.decoder.InputOffset())
	}
	return fmt.Errorf("at byte %d: %w", s.decoder.InputOffset(), err)
}

// csvSource reads CSV with a header row.
type csvSource struct {
	metered
	rows   *csv.Reader
	keys   [][]byte // `"name":`
	record []byte   // reused
}

// maxCells is how many cells a row has at most. The parser takes many times the bytes of an empty one.
const maxCells = 100_000

var errManyCells = fmt.Errorf("a row has more than %d cells", maxCells)

// cellCounter ends with errManyCells in a row that has too many cells.
type cellCounter struct {
	io.Reader
	cells  int
	quoted bool
}

func (c *cellCounter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	for _, b := range p[:n] {
		switch {
		case b == '"':
			c.quoted = !c.quoted
		case c.quoted:
		case b == '\n':
			c.cells = 0
		case b == ',':
			if c.cells++; c.cells >= maxCells {
				return 0, errManyCells
			}
		}
	}
	return n, err
}

func newCSVSource(r io.Reader) *csvSource {
	s := &csvSource{metered: metered{Reader: &cellCounter{Reader: r}}}
	s.rows = csv.NewReader(bufio.NewReaderSize(&s.metered, readAhead))
	s.rows.ReuseRecord, s.at = true, s.rows.InputOffset
	return s
}

func (s *csvSource) next(limit int) (json.RawMessage, error) {
	s.limit = 2 * int64(limit) // quotes are doubled
	if s.keys == nil {
		header, err := s.rows.Read()
		if err == io.EOF {
			return nil, errors.New("the file has no header row")
		}
		if err != nil {
			return nil, err
		}
		for _, name := range header {
			s.keys = append(s.keys, append(jsonscan.AppendString(nil, []byte(name)), ':'))
		}
	}
	cells, err := s.rows.Read() // an error has the line number, and no text of the line
	if err != nil {
		return nil, err
	}
	s.record = append(s.record[:0], '{')
	for i, cell := range cells {
		if i > 0 {
			s.record = append(s.record, ',')
		}
		s.record = append(s.record, s.keys[i]...)
		s.record = jsonscan.AppendString(s.record, []byte(cell))
	}
	s.record = append(s.record, '}')
	return s.record, nil
}

func (s *csvSource) close() {}
