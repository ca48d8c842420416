package format

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Splits.
const (
	Train      = "train"
	Validation = "validation"
	Test       = "test"
)

// Splits has all splits, in the order in which they are shown.
var Splits = []string{Train, Validation, Test}

// Shares are the shares of the input groups that go to validation and to test. The rest is train.
type Shares struct {
	Validation, Test float64
	Seed             int64
}

// Of returns the split of an input group. It depends on the group and the seed alone, so all rows
// of a group have the same split: the same question is never in two splits, and a second export
// puts it into the same split again.
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

// Reasons to drop a row that all targets share.
const (
	GroupTooLarge  = "group_too_large"
	RecordTooLarge = "record_too_large"
	DuplicateInput = "duplicate_input"
)

// Record is a record of a Stream. It is valid until [Output.Record] returns.
type Record struct {
	JSON  []byte // one object on one line
	Split string
	// Records share a file only if their partitions are equal.
	Partition string
	Label     string // see [Labelled]
	StartedAt int64  // start of its first row, in milliseconds since 1970
	Rows      int64  // number of rows that it is made of
	// Lineage has a JSON object for each row, without the opening brace. [AppendLineage] adds the
	// brace and the place of the record.
	Lineage [][]byte
}

// Output receives the records of a Stream, and counts the rows that are in no record.
type Output interface {
	// Record takes a record. An error ends the stream.
	Record(r *Record) error
	// Drop counts rows that are dropped for a reason.
	Drop(reason string, rows int64)
	// Warn counts a warning about a record. Run is the id of the run that the warning names, valid
	// until Warn returns. See [WarningText].
	Warn(code string, run []byte)
}

// Stream turns the rows of a window into records. Every row is part of a record, or is dropped;
// Output receives both. A Stream is not safe for concurrent use.
type Stream struct {
	row     RowFormatter   // the target's formatter: this one,
	group   GroupFormatter // or this one
	out     Output
	shares  *Shares
	lineage *record.IDs // nil if records have no lineage

	partitioned Partitioned
	warner      Warner
	labelled    Labelled
	keyed       Keyed
	keys        map[string]bool

	grouped, dedupe bool
	current         []byte      // group
	open            bool        // the current group has rows
	best            []candidate // of the current group, one of each label
	candidates      int         // how many of best there are; the others are memory
	taken           int         // records that were candidates, ever
	warned          []string    // codes about the next record of the group

	buffer []byte
	split  []byte
	record Record
}

// Stream returns a stream of the target's records for one window. With nil shares, all records are
// in train. The error names a wrong option.
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
	s.labelled, _ = f.(Labelled)
	if s.keyed, _ = f.(Keyed); s.keyed != nil {
		s.keys = map[string]bool{}
	}
	s.grouped = f.Needs().Group != record.Ungrouped
	if d, ok := f.(Deduplicating); ok {
		s.dedupe = d.Deduplicates()
	}
	return s
}

// Row takes the next row. The rows of a group come one after another. Row does not retain row.
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

// Close ends the last group. After Close, every row has been counted.
func (s *Stream) Close() error {
	if !s.open {
		return nil
	}
	s.open = false
	if s.group != nil {
		err := s.group.Flush(s.emit, func(reason string, rows int) { s.out.Drop(reason, int64(rows)) },
			func(code string) { s.warned = append(s.warned, code) })
		s.warn(nil)
		return err
	}
	best := s.best[:s.candidates]
	s.candidates = 0
	slices.SortFunc(best, func(a, b candidate) int { return cmp.Compare(a.number, b.number) })
	for i := range best {
		for _, code := range best[i].warnings {
			s.out.Warn(code, best[i].runID)
		}
		s.warnOfNumbers(best[i].record.JSON, best[i].runID)
		if err := s.out.Record(&best[i].record); err != nil {
			return err
		}
	}
	return nil
}

// Keys returns the keys of [Keyed] records so far, sorted.
func (s *Stream) Keys() []string { return slices.Sorted(maps.Keys(s.keys)) }

// fill returns the record of a row. The text of the record is in the buffer.
func (s *Stream) fill(row *record.Row) *Record {
	r := &s.record
	r.JSON, r.Rows, r.StartedAt, r.Split = s.buffer, 1, row.Subject().StartedAt, s.shares.Of(row.InputGroup)
	r.Partition, r.Label = "", s.labelOf(row)
	if s.partitioned != nil {
		r.Partition = string(s.partitioned.Partition(row))
	}
	if s.lineage != nil {
		r.Lineage = append(r.Lineage[:0], appendLineage(nil, row, s.lineage))
	}
	return r
}

func (s *Stream) labelOf(row *record.Row) string {
	if s.labelled == nil {
		return ""
	}
	return s.labelled.Label(row)
}

func (s *Stream) write(row *record.Row) error {
	if s.warner != nil {
		for _, code := range s.warner.Warnings(row) {
			s.out.Warn(code, row.RunID)
		}
	}
	s.warnOfNumbers(s.buffer, row.RunID)
	s.rememberKeys()
	return s.out.Record(s.fill(row))
}

// MaxKeys is the largest number of keys that a Stream remembers: a reader of columns has no use for
// more.
const MaxKeys = 1000

// rememberKeys remembers the keys of the last record.
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

// warn passes on the warnings of a group about a record of a run.
func (s *Stream) warn(run []byte) {
	for _, code := range s.warned {
		s.out.Warn(code, run)
	}
	s.warned = s.warned[:0]
}

// warnOfNumbers warns about a record with a number that its readers cannot hold.
func (s *Stream) warnOfNumbers(record, run []byte) {
	if jsonscan.WideNumber(record) != nil {
		s.out.Warn(WideNumber, run)
	}
}

// emit writes a record of a group.
func (s *Stream) emit(record []byte, of ...Source) error {
	if len(of) == 0 {
		return errors.New("the formatter emitted a record without a source row")
	}
	s.warn(of[0].runID)
	s.warnOfNumbers(record, of[0].runID)
	s.rememberKeys()
	r := &s.record
	r.JSON, r.Rows, r.StartedAt, r.Split, r.Partition = record, int64(len(of)), of[0].startedAt,
		s.shares.Of(of[0].inputGroup), ""
	r.Label = ""
	r.Lineage = r.Lineage[:0]
	if s.lineage != nil {
		for i := range of {
			r.Lineage = append(r.Lineage, of[i].lineage)
		}
	}
	return s.out.Record(r)
}

// candidate is the best record of a label in the current group so far.
type candidate struct {
	record   Record
	number   int // grows with the order of the rows
	score    float64
	rating   int
	warnings []string
	runID    []byte
}

// keepBest keeps the better of two records: the record of row, which is in the buffer, or the
// candidate of its label.
func (s *Stream) keepBest(row *record.Row) error {
	score, rating := row.Verdict()
	best, rival := s.candidateOf(s.labelOf(row))
	if rival {
		s.out.Drop(DuplicateInput, 1)
		// Rows ascend by time: of equal rows, the later one is newer, and is kept.
		if score < best.score || score == best.score && rating < best.rating {
			return nil
		}
	}
	r := s.fill(row)
	text := append(best.record.JSON[:0], r.JSON...)
	lineage := append(best.record.Lineage[:0], r.Lineage...) // the texts belong to the rows
	best.record = *r
	best.record.JSON, best.record.Lineage = text, lineage
	s.taken++
	best.number, best.score, best.rating, best.warnings = s.taken, score, rating, nil
	best.runID = append(best.runID[:0], row.RunID...)
	if s.warner != nil {
		best.warnings = slices.Clone(s.warner.Warnings(row))
	}
	return nil
}

// candidateOf returns the candidate of a label, and whether it has a record.
func (s *Stream) candidateOf(label string) (c *candidate, found bool) {
	for i := range s.best[:s.candidates] {
		if s.best[i].record.Label == label {
			return &s.best[i], true
		}
	}
	if s.candidates == len(s.best) {
		s.best = append(s.best, candidate{})
	}
	s.candidates++
	return &s.best[s.candidates-1], false
}
