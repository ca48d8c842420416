package files

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
)

// UnknownSplit says that an export has no such split.
type UnknownSplit struct {
	Split  string
	Splits []Split // that it has
}

// Error implements error.
func (e *UnknownSplit) Error() string {
	if len(e.Splits) == 0 {
		return fmt.Sprintf("there is no split %.64q: the export has no records", e.Split)
	}
	names := make([]string, len(e.Splits))
	for i, s := range e.Splits {
		names[i] = s.Name
	}
	return fmt.Sprintf("there is no split %.64q: the export has %s", e.Split, strings.Join(names, ", "))
}

// Span is some of the records of an export. The zero value is all of them.
type Span struct {
	Split string // "" is every split
	After int64  // records before the first
	N     int    // 0 is all that follow
}

// opened is a file of a span, and how many of its first records are not of the span.
type opened struct {
	file  export.File
	after int64
}

// parts returns the files from the first record of a span on.
func (d *Dataset) parts(s Span) (parts []opened) {
	after := s.After
	for _, f := range d.data() {
		switch {
		case s.Split != "" && f.Split != s.Split:
		case after >= f.Records:
			after -= f.Records
		default:
			parts = append(parts, opened{f, after})
			after = 0
		}
	}
	return parts
}

// Split is a split of an export.
type Split struct {
	Name           string
	Files, Records int64
	Bytes          int64
}

// Splits returns the splits of an export that has ended, in the order in which the manifest names them first.
func (d *Dataset) Splits() (splits []Split) {
	at := map[string]int{}
	for _, f := range d.Files() {
		i, ok := at[f.Split]
		if !ok {
			i = len(splits)
			at[f.Split], splits = i, append(splits, Split{Name: f.Split})
		}
		splits[i].Files++
		splits[i].Records += f.Records
		splits[i].Bytes += f.Bytes
	}
	return splits
}

// count returns how many records a split has, or the export for "". Its error is an [UnknownSplit].
func (d *Dataset) count(split string) (n int64, err error) {
	splits, found := d.Splits(), split == ""
	for _, s := range splits {
		if split == "" || s.Name == split {
			n, found = n+s.Records, true
		}
	}
	if !found {
		return 0, &UnknownSplit{split, splits}
	}
	return n, nil
}
