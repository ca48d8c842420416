package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// joiner writes the fragments of a split as one file. Compressed ones are taken apart and
// compressed again as one stream: members could be concatenated, but there are readers that stop
// after the first of them without a word (zstandard for Python, and so pandas).
type joiner struct {
	compression string
	csv         bool
	w           io.WriteCloser
	header      []byte // of the first CSV fragment
	parts       int
}

func newJoiner(w io.Writer, format, compression string) (*joiner, error) {
	j := &joiner{compression: compression, csv: format == export.CSV}
	switch compression {
	case export.Gzip:
		j.w = gzip.NewWriter(w)
	case export.Zstd:
		encoder, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return nil, err
		}
		j.w = encoder
	default:
		j.w = nopCloser{w}
	}
	return j, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func (j *joiner) close() error { return j.w.Close() }

// add appends a fragment.
func (j *joiner) add(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := j.decompress(f)
	if err != nil {
		return err
	}
	defer plain.Close()
	r := bufio.NewReaderSize(plain, 64<<10)
	if err := j.start(r); err != nil {
		return err
	}
	j.parts++
	_, err = io.Copy(j.w, r)
	return err
}

func (j *joiner) decompress(r io.Reader) (io.ReadCloser, error) {
	switch j.compression {
	case export.Gzip:
		return gzip.NewReader(r)
	case export.Zstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// start takes off what a file has once, at its start: the byte order mark, and the header of CSV.
func (j *joiner) start(r *bufio.Reader) error {
	if j.csv {
		header, err := readHeader(r)
		if err != nil {
			return err
		}
		if j.parts == 0 {
			j.header = header
			_, err = j.w.Write(header)
			return err
		}
		if !bytes.Equal(header, j.header) {
			return errors.New("its columns are not those of the fragments before it")
		}
		return nil
	}
	if mark, _ := r.Peek(len(jsonscan.ByteOrderMark)); j.parts > 0 && string(mark) == jsonscan.ByteOrderMark {
		_, err := r.Discard(len(mark))
		return err
	}
	return nil
}

// maxWindow is the greatest window of zstd that is read, in bytes, as in package fragment.
const maxWindow = 8 << 20

// maxHeader bounds the header of CSV, in bytes.
const maxHeader = 1 << 20

// readHeader reads the first record of CSV, its line end included. A quoted name may have line
// breaks.
func readHeader(r io.ByteReader) ([]byte, error) {
	var header []byte
	for quoted := false; len(header) < maxHeader; {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return header, nil
		}
		if err != nil {
			return nil, err
		}
		header = append(header, c)
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\n' && !quoted:
			return header, nil
		}
	}
	return nil, fmt.Errorf("its header has more than %d bytes", maxHeader)
}
