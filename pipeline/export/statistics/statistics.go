// Package statistics describes the columns of an export's records, which are the fields of their JSON objects:
// types, nulls, lengths and the most frequent values. The package is pure.
//
// The statistics of a window are counted while its records are written. Those of the export are merged from
// them. Both are bounded, whatever the records are: see the limits below. Merging is exact for all numbers except
// the counts of frequent values. These are exact while a column has few different values, and are lower bounds
// with a known error after that.
//
//	statistics.go   Statistics: the document
//	counter.go      Counter: counts records, and merges documents
//	frequent.go     the most frequent values
//	number.go       the range of numbers
//	sample.go       Sample: which records are counted
package statistics

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Version is the version of the documents that this release writes.
const Version = 1

// Limits of a document.
const (
	MaxBytes   = 128 << 10 // of its JSON
	MaxColumns = 128
	maxName    = 128 // bytes of the name of a column
	maxText    = 96  // bytes of a frequent value; a longer one is cut
)

// Type is the type of a value.
type Type string

// The types of values. An integer is a number without fraction and exponent.
const (
	Null    Type = "null"
	Boolean Type = "boolean"
	Integer Type = "integer"
	Number  Type = "number"
	Text    Type = "text"
	List    Type = "list"
	Object  Type = "object"
)

// Types has all types, in the order in which they are shown.
var Types = [...]Type{Text, Integer, Number, Boolean, List, Object, Null}

// Statistics are the statistics of records.
type Statistics struct {
	Version int      `json:"columns_version"`
	Records int64    `json:"records"`
	Columns []Column `json:"columns"` // in the order in which records have them
	// OtherValues is the number of values of columns that are not listed: columns beyond MaxColumns, and those
	// with long names. Where it is not 0, the numbers of listed columns may be too low.
	OtherValues int64 `json:"other_values,omitempty"`
}

// Column are the statistics of one column.
type Column struct {
	Name   string `json:"name"`
	Place  int    `json:"place"`  // in a record, from 0: the greatest that it had
	Values int64  `json:"values"` // the records that have it, null included
	Bytes  int64  `json:"bytes"`  // of its values in JSON
	// Types has the number of values of each type.
	Types map[Type]int64 `json:"types"`
	// Lengths has the lengths of texts in characters, of lists in items, and of objects in fields.
	Lengths map[Type]*Lengths `json:"lengths,omitempty"`
	// Numbers is the range of the numbers, integers included.
	Numbers  *Range   `json:"numbers,omitempty"`
	Frequent Frequent `json:"frequent"`
}

// Lengths are the lengths of the values of one type.
type Lengths struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
	Sum int64 `json:"sum"`
	// Histogram has the number of values by length: first those of length 0, then of 1, 2 to 3, 4 to 7, and
	// so on.
	Histogram []int64 `json:"histogram"`
}

// Range has the smallest and the greatest number.
type Range struct {
	Min json.Number `json:"min"`
	Max json.Number `json:"max"`
}

// Frequent are the most frequent values of a column that are not null. A value came at least as often as its count,
// and at most Missing times more. A value that is not listed came at most Missing times.
type Frequent struct {
	Values  []Value `json:"values"` // the most frequent first
	Missing int64   `json:"missing,omitempty"`
}

// Value is a value and how often it came.
type Value struct {
	Type  Type   `json:"type"`
	Text  string `json:"text"` // of a text, its characters; of other values, JSON
	Cut   bool   `json:"cut,omitempty"`
	Count int64  `json:"count"`
	Hash  string `json:"hash"` // of the whole value
}

// Parse reads a document.
func Parse(text []byte) (*Statistics, error) {
	s := new(Statistics)
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("the statistics of columns have %d bytes, and %d is the most", len(text), MaxBytes)
	}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("the statistics of columns are not JSON of their kind: %w", err)
	}
	if s.Version != Version {
		return nil, fmt.Errorf("the statistics of columns have version %d, and this release reads %d", s.Version, Version)
	}
	return s, nil
}

// JSON returns the document, of at most MaxBytes. If it has too many bytes, it has fewer frequent values, and after
// that fewer columns. JSON changes s accordingly.
func (s *Statistics) JSON() []byte {
	for keep := maxDistinct / 2; ; keep /= 2 {
		text, err := json.Marshal(s)
		if err != nil {
			panic(err) // the types are plain
		}
		if len(text) < MaxBytes {
			return append(text, '\n')
		}
		for i := range s.Columns {
			s.Columns[i].Frequent.limit(keep)
		}
		if keep == 0 {
			last := len(s.Columns) - 1 - len(s.Columns)/8
			for _, c := range s.Columns[last:] {
				s.OtherValues += c.Values
			}
			s.Columns = s.Columns[:last]
		}
	}
}

// limit keeps the most frequent values, at most so many.
func (f *Frequent) limit(keep int) {
	if len(f.Values) <= keep {
		return
	}
	over := f.Values[keep].Count
	f.Missing += over
	for i := range f.Values {
		f.Values[i].Count -= over
	}
	f.Values = slices.DeleteFunc(f.Values, func(v Value) bool { return v.Count <= 0 })
}

func (f *Frequent) sort() {
	slices.SortFunc(f.Values, func(a, b Value) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Hash, b.Hash))
	})
}

// sort orders the columns as records have them.
func (s *Statistics) sort() {
	slices.SortFunc(s.Columns, func(a, b Column) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Name, b.Name))
	})
}
