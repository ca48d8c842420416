package fragment

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// bufferSize is the size of the buffer of a Writer in bytes. It is large enough for few system
// calls and small enough for many writers.
const bufferSize = 128 << 10

// Destination stores the bytes of one fragment. The Writer ends it with Commit or Abort.
type Destination interface {
	io.Writer
	// Commit makes the whole fragment visible. After an error the fragment is not visible.
	Commit() error
	// Abort removes what was written. After Commit or another Abort it does nothing.
	Abort()
}

// Limits are the limits of a fragment; 0 is no limit.
type Limits struct {
	MaxRecords int64
	MaxBytes   int64 // before compression; a larger record gets a fragment of its own
}

// Info describes a fragment.
type Info struct {
	Index                      int    // 0, 1, … in the order of the records
	Records                    int64  // never 0
	Bytes                      int64  // as stored
	SHA256                     string // of the bytes as stored, hexadecimal
	MinStartedAt, MaxStartedAt int64  // of its records, in milliseconds since 1970
}

// Writer writes records to fragments, one after the other. It opens a fragment with the first
// record, and commits it when it is full or when the Writer is closed. So no fragment is empty, and
// at most one is open.
//
// After an error the Writer aborts the open fragment, and every further call returns the same
// error. The fragments that were committed before stay. The caller has opened them and knows them.
//
// A Writer is not safe for concurrent use.
type Writer struct {
	encoder Encoder
	limits  Limits
	open    func(index int) (Destination, error)

	destination Destination // of the open fragment, or nil
	buffer      *bufio.Writer
	sum         hash.Hash
	info        Info   // of the open fragment
	done        []Info // the committed ones
	err         error  // final
}

// NewWriter returns a Writer that calls open for the destination of each fragment.
func NewWriter(encoder Encoder, limits Limits, open func(index int) (Destination, error)) *Writer {
	w := &Writer{encoder: encoder, limits: limits, open: open, sum: sha256.New()}
	w.buffer = bufio.NewWriterSize((*stored)(w), bufferSize)
	return w
}

// stored is the Writer as the io.Writer below the buffer: it hashes and counts the bytes that are
// stored.
type stored Writer

func (s *stored) Write(p []byte) (int, error) {
	s.sum.Write(p)
	n, err := s.destination.Write(p)
	s.info.Bytes += int64(n)
	return n, err
}

// Write adds a record. Its run started at startedAt, in milliseconds since 1970. Write does not
// keep the record.
func (w *Writer) Write(record []byte, startedAt int64) error {
	if w.err != nil {
		return w.err
	}
	if w.destination != nil && w.full(record) {
		if err := w.finish(); err != nil {
			return w.fail(err)
		}
	}
	if w.destination == nil {
		if err := w.start(startedAt); err != nil {
			return w.fail(err)
		}
	}
	if err := w.encoder.Append(record); err != nil {
		return w.fail(fmt.Errorf("write fragment %d: %w", w.info.Index, err))
	}
	w.info.Records++
	w.info.MinStartedAt = min(w.info.MinStartedAt, startedAt)
	w.info.MaxStartedAt = max(w.info.MaxStartedAt, startedAt)
	return nil
}

// Line returns the number of the last written record in its fragment, from 1. In JSON Lines it is
// the number of the line.
func (w *Writer) Line() int64 { return w.info.Records }

// full reports whether record does not fit into the open fragment, which has at least one record.
func (w *Writer) full(record []byte) bool {
	return w.limits.MaxRecords > 0 && w.info.Records >= w.limits.MaxRecords ||
		w.limits.MaxBytes > 0 && w.encoder.SizeWith(record) > w.limits.MaxBytes
}

func (w *Writer) start(startedAt int64) error {
	index := len(w.done)
	destination, err := w.open(index)
	if err != nil {
		return fmt.Errorf("open fragment %d: %w", index, err)
	}
	w.destination = destination
	w.info = Info{Index: index, MinStartedAt: startedAt, MaxStartedAt: startedAt}
	w.sum.Reset()
	w.buffer.Reset((*stored)(w))
	if err := w.encoder.Open(w.buffer); err != nil {
		return fmt.Errorf("open fragment %d: %w", index, err)
	}
	return nil
}

func (w *Writer) finish() error {
	err := w.encoder.Close()
	if err == nil {
		err = w.buffer.Flush()
	}
	if err != nil {
		return fmt.Errorf("write fragment %d: %w", w.info.Index, err)
	}
	if err := w.destination.Commit(); err != nil {
		return fmt.Errorf("commit fragment %d: %w", w.info.Index, err)
	}
	w.destination = nil
	w.info.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	w.done = append(w.done, w.info)
	return nil
}

func (w *Writer) fail(err error) error {
	if w.destination != nil {
		w.destination.Abort()
		w.destination = nil
	}
	w.err = err
	return err
}

var (
	errAborted = errors.New("the fragments were aborted")
	errClosed  = errors.New("the fragments are closed")
)

// Abort removes the open fragment. After Close it does nothing, so it may be deferred.
func (w *Writer) Abort() {
	if w.err == nil {
		_ = w.fail(errAborted)
	}
}

// Close commits the last fragment, and describes all fragments in order. Without any record there
// are none.
func (w *Writer) Close() ([]Info, error) {
	if w.err != nil {
		return nil, w.err
	}
	if w.destination != nil {
		if err := w.finish(); err != nil {
			return nil, w.fail(err)
		}
	}
	w.err = errClosed
	return w.done, nil
}
