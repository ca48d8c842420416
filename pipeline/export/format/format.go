// Package format turns rows of the history into the records of a data set: one file per purpose and
// target, named after them. It is pure: it knows neither where rows come from nor where records go.
package format

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/sinks/fragment"
)

// Formatter writes the records of one purpose and target. It is deterministic: the same row gives the
// same bytes. It is not safe for concurrent use.
type Formatter interface {
	// Columns are the keys of every record, in their order; nil where records differ in shape, which
	// leaves no format but JSON and JSON Lines.
	Columns() []fragment.Column
	// Append appends the record of row to dst, as one JSON object without a line break at its end, and
	// returns the extended dst. A row that the target's rules cannot take gives no record: then out is
	// dst as it was, and drop is the reason under which the manifest counts the row, such as
	// "no_assistant_message"; it is "" for a record. An error is a fault of the row's store, names the
	// run, and ends the export. Append keeps nothing of row.
	Append(dst []byte, row *Row) (out []byte, drop string, err error)
}

// ExportDataset is the purpose of exports that hold runs as they were.
const ExportDataset = "export_dataset"

// Canonical is the target of every purpose that keeps what the producer sent.
const Canonical = "canonical"

// kind is a purpose and a target.
type kind struct {
	purpose, target string
	options         []string // names that make understands
	sortedBy        []string // columns by which the records ascend
	make            func(options map[string]any) (Formatter, error)
}

var kinds = []kind{
	{ExportDataset, Canonical, []string{"columns"}, []string{"started_at", "run_id"}, newDatasetCanonical},
}

// New returns the formatter of a purpose and target. The error says what is possible instead. Options of
// the files, which [NewEncoder] reads, are passed over.
func New(purpose, target string, options map[string]any) (Formatter, error) {
	k, err := find(purpose, target)
	if err != nil {
		return nil, err
	}
	if err := checkNames(options, purpose, target, k.options); err != nil {
		return nil, err
	}
	return k.make(options)
}

func find(purpose, target string) (*kind, error) {
	var possible []string
	for i := range kinds {
		k := &kinds[i]
		if k.purpose == purpose && k.target == target {
			return k, nil
		}
		possible = append(possible, k.purpose+"/"+k.target)
	}
	return nil, fmt.Errorf("purpose %q with target %q is not available; available are %s", purpose, target, strings.Join(possible, ", "))
}
