package format

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/millrace/millrace/sinks/fragment"
)

// Encoder returns the encoder of the target's records in a file format. Formats that keep metadata
// get metadata, and the purpose and the target with it. Encoder reads FileOptions:
//
//   - bom: a byte order mark, for jsonl and csv. JSON must not have one (RFC 8259, section 8.1).
//   - excel: an apostrophe guards cells of csv that a spreadsheet would take for a formula.
//   - csv_raw: accepted from older requests; cells are exact unless excel is on.
//
// The error names the wrong option and the possible values.
func (t *Target) Encoder(purpose, format, compression string, values map[string]any,
	metadata map[string]string) (fragment.Encoder, error) {
	formatter, err := t.Formatter(purpose, values)
	if err != nil {
		return nil, err
	}
	s := fragment.Settings{Columns: formatter.Columns(), CreatedBy: createdBy(),
		Metadata: map[string]string{"purpose": purpose, "target": t.Name}}
	maps.Copy(s.Metadata, metadata)
	o := &Options{Values: values}
	s.ByteOrderMark = o.file("bom", format)
	s.Excel = o.file("excel", format)
	o.file("csv_raw", format)
	if o.err != nil {
		return nil, o.err
	}
	for _, name := range t.SortedBy {
		if !slices.ContainsFunc(s.Columns, func(c fragment.Column) bool { return c.Name == name }) {
			break // later columns ascend only within this one
		}
		s.SortedBy = append(s.SortedBy, name)
	}
	if s.Columns == nil && (format == fragment.CSV || format == fragment.Parquet) {
		return nil, fmt.Errorf("the records of purpose %s with target %s have no columns, so they cannot be written as %s",
			purpose, t.Name, format)
	}
	return fragment.NewEncoder(format, compression, s)
}

// createdBy is the writer that a Parquet file names, in the form that Parquet readers parse
// (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift,
// created_by).
var createdBy = sync.OnceValue(func() string {
	version, revision := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return fmt.Sprintf("millrace version %s (build %s)", version, revision)
})
