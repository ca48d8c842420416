// Package format turns rows of the history into the records of a data set: one file per purpose and
// target, named after them. It is pure: it knows neither where rows come from nor where records go.
//
// What a target is, and what is done with it:
//
//	row.go        Row: what a target is given; clone.go copies its node runs
//	format.go     Formatter, RowFormatter, GroupFormatter: what a target is
//	target.go     Target: what users are told of it, and describe.go how; the list of all targets
//	stream.go     Stream: the rows of a window in, its records out; splits, groups, counts
//	lineage.go    where a record comes from, and Source: what a group remembers of a row
//	warnings.go   what warnings say
//	options.go    reading the options of a request
//	encoder.go    the file encoder of a target
//
// What targets are made of:
//
//	reader.go     going over documents, and their one error
//	texts.go      the text of inputs, of outputs, of a prompt with its variables; passages
//	messages.go   chat messages, their content and calls
//	columns.go    records that are columns: each key once, with its type and what appends its value
//	parts.go      columns that several purposes have
//	json.go       values of a record that is written by hand
//	id.go         ids of records
//
// The targets, by purpose, each with what its own share:
//
//	dataset_*.go       export_dataset
//	evaluation_*.go    recipe_evaluation and node_evaluation; evaluation.go is the RowFormatter of all but canonical
//	optimization_*.go  node_optimization
//	tuning_*.go        fine_tuning; tuning.go has its own list
//
// # Adding a target
//
// Write one file, named after the purpose and the target. It holds
//
//   - a Target: its name, who reads it, its shape and rules in words, its options, formats and limits;
//   - what writes its records: fields for newRecords where every record has the same keys; else a function for
//     newEvaluation or newTuning, which find what goes in and what came out; else a type of its own that is a
//     [RowFormatter], or a [GroupFormatter] where a record is made of several rows. It checks the rules of its reader on
//     every record: a row that breaks one is dropped under a reason, and never written half-right.
//
// Add the Target to the list in target.go, which is all that `millrace formats`, the README's table, the check of
// requests and the stages look at. Put the rules as a table test beside it, and run `make golden` for its
// example.
package format

import (
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// Formatter is a target with its options. It is a [RowFormatter] or a [GroupFormatter]. It is deterministic:
// the same rows give the same bytes. It is not safe for concurrent use.
type Formatter interface {
	// Columns are the keys of every record, in their order; nil where records differ in shape, which
	// leaves no format but JSON and JSON Lines.
	Columns() []fragment.Column
	// Needs says what rows must bring along.
	Needs() record.Needs
}

// RowFormatter writes a record for each row.
type RowFormatter interface {
	Formatter
	// Append appends the record of row to dst, as one JSON object without a line break at its end, and
	// returns the extended dst. A row that the target's rules cannot take gives no record: then out is
	// dst as it was, and drop is the reason under which the manifest counts the row, such as
	// "no_assistant_message"; it is "" for a record. An error is a fault of the row's store, names the
	// run, and ends the export. Append keeps nothing of row.
	Append(dst []byte, row *record.Row) (out []byte, drop string, err error)
}

// GroupFormatter makes records of the rows of a group, of which it keeps what it needs.
type GroupFormatter interface {
	Formatter
	// Add takes a row of the group. A row that the target's rules cannot take is dropped as in
	// [RowFormatter.Append]; every other one is used or dropped by Flush.
	Add(row *record.Row) (drop string, err error)
	// Flush calls emit for each record of the group, with the rows that it is made of, drop for the rows that are
	// in none, and warn for each warning about a record. Then it forgets the group. What it gives emit is valid
	// until emit returns.
	Flush(emit func(record []byte, of ...Source) error, drop func(reason string, rows int), warn func(code string)) error
}

// Partitioned is a Formatter whose records must not all share a file.
type Partitioned interface {
	// Partition returns what the row's record shares a file with; it is valid until the next call.
	Partition(row *record.Row) []byte
}

// Warner is a RowFormatter that knows of things that the reader of its records should.
type Warner interface {
	// Warnings returns the codes of the warnings about the record that was appended last, or about its
	// row. See [WarningText].
	Warnings(row *record.Row) []string
}

// Deduplicating is a RowFormatter of which only the best record of each group is kept: its Needs group by input.
type Deduplicating interface {
	// Deduplicates says whether that is so with its options.
	Deduplicates() bool
}

// Keyed is a Formatter whose records have keys that depend on the rows, and whose reader has to be told.
type Keyed interface {
	// Keys returns the keys of the record appended last that are its inputs. They are valid until the next call.
	Keys() []string
}
