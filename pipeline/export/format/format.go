// Package format is the contract of targets: a target turns rows of the history into the records of
// a data set. The package is pure. It knows neither where rows come from nor where records go.
//
//	format.go     Formatter, RowFormatter, GroupFormatter: what writes the records of a target
//	target.go     Target: what users read about a target, and how its formatter is made
//	options.go    reads the options of a request
//	stream.go     Stream: the rows of a window in, its records out; splits, groups, counts
//	lineage.go    the rows that a record is made of
//	warnings.go   texts of warnings
//	encoder.go    the file encoder of a target
//
// The folders:
//
//	record/         rows, and what records are made of: documents, messages, texts, columns, ids
//	dataset/        the targets of export_dataset
//	evaluation/     the targets of recipe_evaluation and node_evaluation
//	optimization/   the targets of node_optimization
//	tuning/         the targets of fine_tuning
//	targets/        the list of all targets, and what `millrace formats` prints
//	formattest/     rows and checks that the tests of several folders share
//
// # Adding a target
//
// Write one file in the folder of the purpose, named after the target. It holds
//
//   - a Target: its name, its reader, its shape and rules in words, its options, formats and
//     limits;
//   - a formatter. If every record has the same keys, list the fields of a [record.Records].
//     Otherwise give a function to newFormatter of evaluation or tuning, which find the input and
//     the output of a row. Otherwise write a type of your own: a [RowFormatter], or a
//     [GroupFormatter] if a record is made of several rows.
//
// The formatter checks the rules of the reader on every record. A row that breaks a rule is dropped
// under a reason. It is never written in part.
//
// Add the Target to the list in targets/targets.go. `millrace formats`, the table of README.md, the
// check of requests and the stages all read that list. Test the rules in a table test beside the
// file, and run `make golden` for the example.
package format

import (
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// Formatter writes the records of a target with given options. It is a [RowFormatter] or a
// [GroupFormatter]. It is deterministic: the same rows give the same bytes. It is not safe for
// concurrent use.
type Formatter interface {
	// Columns returns the keys of every record, in order. It returns nil if records differ in
	// shape; such records can only be written as JSON and JSON Lines.
	Columns() []fragment.Column
	// Needs returns what rows must contain.
	Needs() record.Needs
}

// RowFormatter writes a record for each row.
type RowFormatter interface {
	Formatter
	// Append appends the record of row to dst, as one JSON object without a line break at its end,
	// and returns the extended dst. If the row breaks a rule of the target, out is dst unchanged
	// and drop is the reason under which the manifest counts the row, such as
	// "no_assistant_message". For a record, drop is "". An error means that the store holds a
	// malformed row: it names the run and ends the export. Append does not retain row.
	Append(dst []byte, row *record.Row) (out []byte, drop string, err error)
}

// GroupFormatter makes records of the rows of a group. It copies what it needs of each row.
type GroupFormatter interface {
	Formatter
	// Add takes a row of the group. A row that breaks a rule of the target is dropped as in
	// [RowFormatter.Append]. Flush uses or drops every other row.
	Add(row *record.Row) (drop string, err error)
	// Flush ends the group. It calls emit for each record with the rows that the record is made of,
	// drop for rows that are in no record, and before emit, warn for each warning about its record. The record and
	// the sources are valid until emit returns.
	Flush(emit func(record []byte, of ...Source) error, drop func(reason string, rows int), warn func(code string)) error
}

// Partitioned is a Formatter whose records must be divided into several files.
type Partitioned interface {
	// Partition returns the partition of the row's record. Records share a file only if their
	// partitions are equal. The result is valid until the next call.
	Partition(row *record.Row) []byte
}

// Warner is a RowFormatter that warns about its records.
type Warner interface {
	// Warnings returns the codes of the warnings about the last record, or about its row. See
	// [WarningText].
	Warnings(row *record.Row) []string
}

// Deduplicating is a RowFormatter that may keep only the best record of each group. Its Needs group
// by context.
type Deduplicating interface {
	// Deduplicates reports whether it does, which depends on the options.
	Deduplicates() bool
}

// Labelled is a RowFormatter whose records have labels. Its reader needs records of each of the
// target's Labels. Records of different labels are no duplicates.
type Labelled interface {
	// Label returns the label of the row's record.
	Label(row *record.Row) string
}

// Keyed is a Formatter whose records have keys that depend on the rows. The reader needs a list of
// these keys.
type Keyed interface {
	// Keys returns the keys of the last record that are inputs. They are valid until the next call.
	Keys() []string
}
