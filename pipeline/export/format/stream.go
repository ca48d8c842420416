package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Splits.
const (
	Train      = "train"
	Validation = "validation"
	Test       = "test"
)

// Splits are all of them, in their order.
var Splits = []string{Train, Validation, Test}

// Shares of the input groups that go to validation and to test; the rest is train.
type Shares struct {
	Validation, Test float64
	Seed             int64
}

// Of returns the split of an input group. All of a group's rows have one, and it depends on nothing but the
// group and the seed: the same question never sits in two splits, nor in another one the next time.
func (s *Shares) Of(group []byte) string {
	if s == nil {
		return Train
	}
	sum := sha256.Sum256(append(binary.LittleEndian.AppendUint64(make([]byte, 0, 64), uint64(s.Seed)), group...))
	switch at := float64(binary.LittleEndian.Uint64(sum[:])>>11) / (1 << 53); {
	case at < s.Test:
		return Test
	case at < s.Test+s.Validation:
		return Validation
	}
	return Train
}

// Reasons that any row may be dropped for.
const (
	GroupTooLarge  = "group_too_large"
	RecordTooLarge = "record_too_large"
	DuplicateInput = "duplicate_input"
)

// Record is a record of a Stream, valid until the output's method returns.
type Record struct {
	JSON  []byte // one object on one line
	Split string
	// Partition: records share a file only where it is the same.
	Partition string
	StartedAt int64 // of its first row, in milliseconds since 1970
	Rows      int64 // that it is made of
	// Lineage has an object for each row, without its opening brace: where the record is comes first.
	Lineage [][]byte
}

// Output takes what a Stream makes of its rows.
type Output interface {
	// Record takes a record. An error ends the stream.
	Record(r *Record) error
	// Drop counts rows that are in no record.
	Drop(reason string, rows int64)
	// Warn counts a warning, see [WarningText].
	Warn(code string)
}

// Stream turns the rows of a window into records: every row is part of a record that Output gets, or dropped.
// It is not safe for concurrent use.
type Stream struct {
	row     RowFormatter   // or else
	group   GroupFormatter // the target
	out     Output
	shares  *Shares
	lineage *record.IDs // of records that have one

	partitioned Partitioned
	warner      Warner
	keyed       Keyed
	keys        map[string]bool

	grouped, dedupe bool
	current         []byte // group
	open            bool   // rows of the current group were given
	best            candidate

	buffer []byte
	split  []byte
	record Record
}

// Stream returns a stream of the target's records for one window. Shares may be nil.
func (t *Target) Stream(purpose string, options map[string]any, shares *Shares, out Output) (*Stream, error) {
	f, err := t.Formatter(purpose, options)
	if err != nil {
		return nil, err
	}
	s := newStream(f, shares, out)
	if purpose == FineTuning {
		i := record.NewIDs(purpose, t.Name)
		s.lineage = &i
	}
	return s, nil
}

func newStream(f Formatter, shares *Shares, out Output) *Stream {
	s := &Stream{out: out, shares: shares}
	s.row, _ = f.(RowFormatter)
	s.group, _ = f.(GroupFormatter)
	s.partitioned, _ = f.(Partitioned)
	s.warner, _ = f.(Warner)
	if s.keyed, _ = f.(Keyed); s.keyed != nil {
		s.keys = map[string]bool{}
	}
	s.grouped = f.Needs().Group != record.Ungrouped
	if d, ok := f.(Deduplicating); ok {
		s.dedupe = d.Deduplicates()
	}
	return s
}

// Row takes the next row. It keeps nothing of it.
func (s *Stream) Row(row *record.Row) error {
	if row.TooLarge {
		s.out.Drop(RecordTooLarge, 1)
		return nil
	}
	if s.grouped {
		if len(row.Group) == 0 {
			s.out.Drop(GroupTooLarge, 1)
			return nil
		}
		if s.open && !bytes.Equal(s.current, row.Group) {
			if err := s.Close(); err != nil {
				return err
			}
		}
		s.current, s.open = append(s.current[:0], row.Group...), true
	}
	if s.group != nil {
		drop, err := s.group.Add(row)
		if drop != "" {
			s.out.Drop(drop, 1)
		}
		return err
	}
	row.Split = nil
	if s.shares != nil {
		s.split = append(s.split[:0], s.shares.Of(row.InputGroup)...)
		row.Split = s.split
	}
	record, drop, err := s.row.Append(s.buffer[:0], row)
	if err != nil {
		return err
	}
	s.buffer = record
	if drop != "" {
		s.out.Drop(drop, 1)
		return nil
	}
	if s.dedupe {
		return s.keepBest(row)
	}
	return s.write(row)
}

// Close ends the last group. Every row has been counted then.
func (s *Stream) Close() error {
	if !s.open {
		return nil
	}
	s.open = false
	switch {
	case s.group != nil:
		return s.group.Flush(s.emit, func(reason string, rows int) { s.out.Drop(reason, int64(rows)) }, s.out.Warn)
	case s.best.valid:
		s.best.valid = false
		for _, code := range s.best.warnings {
			s.out.Warn(code)
		}
		return s.out.Record(&s.best.record)
	}
	return nil
}

// Keys are what [Keyed] records had for keys so far, sorted.
func (s *Stream) Keys() []string { return slices.Sorted(maps.Keys(s.keys)) }

// fill makes the record of a row, which is in the buffer.
func (s *Stream) fill(row *record.Row) *Record {
	r := &s.record
	r.JSON, r.Rows, r.StartedAt, r.Split = s.buffer, 1, row.Subject().StartedAt, s.shares.Of(row.InputGroup)
	r.Partition = ""
	if s.partitioned != nil {
		r.Partition = string(s.partitioned.Partition(row))
	}
	if s.lineage != nil {
		r.Lineage = append(r.Lineage[:0], appendLineage(nil, row, s.lineage))
	}
	return r
}

func (s *Stream) write(row *record.Row) error {
	if s.warner != nil {
		for _, code := range s.warner.Warnings(row) {
			s.out.Warn(code)
		}
	}
	s.rememberKeys()
	return s.out.Record(s.fill(row))
}

// MaxKeys is how many keys of records are told of: a reader of columns has no use for more.
const MaxKeys = 1000

// rememberKeys remembers the keys of the record that was made last.
func (s *Stream) rememberKeys() {
	if s.keyed == nil {
		return
	}
	for _, key := range s.keyed.Keys() {
		if len(s.keys) < MaxKeys {
			s.keys[key] = true
		}
	}
}

// emit writes a record of a group.
func (s *Stream) emit(record []byte, of ...Source) error {
	if len(of) == 0 {
		return errors.New("a record of no row")
	}
	s.rememberKeys()
	r := &s.record
	r.JSON, r.Rows, r.StartedAt, r.Split, r.Partition = record, int64(len(of)), of[0].startedAt, s.shares.Of(of[0].inputGroup), ""
	r.Lineage = r.Lineage[:0]
	if s.lineage != nil {
		for i := range of {
			r.Lineage = append(r.Lineage, of[i].lineage)
		}
	}
	return s.out.Record(r)
}

// candidate is the best record of a group so far.
type candidate struct {
	valid    bool
	record   Record
	score    float64
	rating   int
	warnings []string
}

// keepBest keeps the record of a row, which is in the buffer, or the one that was kept before.
func (s *Stream) keepBest(row *record.Row) error {
	score, rating := row.Verdict()
	best := &s.best
	if best.valid {
		s.out.Drop(DuplicateInput, 1)
		// Rows ascend by time, so that of equals the later one is the newer.
		if score < best.score || score == best.score && rating < best.rating {
			return nil
		}
	}
	r := s.fill(row)
	text := append(best.record.JSON[:0], r.JSON...)
	lineage := append(best.record.Lineage[:0], r.Lineage...) // each is the row's own
	best.record = *r
	best.record.JSON, best.record.Lineage = text, lineage
	best.valid, best.score, best.rating, best.warnings = true, score, rating, nil
	if s.warner != nil {
		best.warnings = slices.Clone(s.warner.Warnings(row))
	}
	return nil
}
