package format

import "github.com/millrace/millrace/pipeline/export/format/record"

// StreamOf returns a stream of a formatter that is no target's, with lineage or without.
func StreamOf(f Formatter, lineage bool, out Output) *Stream {
	s := newStream(f, nil, out)
	if i := record.NewIDs(FineTuning, "fake"); lineage {
		s.lineage = &i
	}
	return s
}

// AppendRowLineage appends the lineage of one row.
var AppendRowLineage = appendLineage
