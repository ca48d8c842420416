// Package format turns rows of the history into the records of a data set: one file per purpose and
// target, named after them. It is pure: it knows neither where rows come from nor where records go.
package format

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Formatter writes the records of one purpose and target. It is deterministic: the same row gives the
// same bytes. It is not safe for concurrent use.
type Formatter interface {
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

var formatters = []struct {
	purpose, target string
	options         []string // names that make understands
	make            func(options map[string]any) (Formatter, error)
}{
	{ExportDataset, Canonical, nil, newDatasetCanonical},
}

// New returns the formatter of a purpose and target. The error says what is possible instead.
func New(purpose, target string, options map[string]any) (Formatter, error) {
	var possible []string
	for _, f := range formatters {
		if f.purpose != purpose || f.target != target {
			possible = append(possible, f.purpose+"/"+f.target)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(options)) {
			if !slices.Contains(f.options, name) {
				return nil, fmt.Errorf("option %q is unknown to %s with target %s; it knows %s",
					name, purpose, target, orNone(f.options))
			}
		}
		return f.make(options)
	}
	return nil, fmt.Errorf("purpose %q with target %q is not available; available are %s", purpose, target, orNone(possible))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
