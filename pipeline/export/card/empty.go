package card

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/sinks/fragment"
)

// EmptyName is the name of the file that the card of an export without records lists: Hugging Face
// Datasets refuses a card without files, and without a card it reads plan.json as the data.
const EmptyName = export.MetaDir + "empty.parquet"

// Empty returns the text of EmptyName: Parquet of no rows, with the columns of the records. Records
// without fixed keys have the one column record. Empty returns nil where the export has data files.
func Empty(p *export.Plan, m *export.Manifest) ([]byte, error) {
	if len(splitsOf(m)) > 0 {
		return nil, nil
	}
	columns := columnsOf(p.Request.Purpose, p.Request.Target, p.Options)
	if m.Format == export.CSV {
		names := fragment.CSVColumns(columns)
		columns = make([]fragment.Column, len(names))
		for i, name := range names {
			columns[i] = fragment.Column{Name: name, Type: fragment.Text}
		}
	}
	if len(columns) == 0 {
		columns = []fragment.Column{{Name: "record", Type: fragment.Document}}
	}
	encoder, err := fragment.NewEncoder(fragment.Parquet, fragment.Uncompressed, fragment.Settings{Columns: columns})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", EmptyName, err)
	}
	var text bytes.Buffer
	if err = encoder.Open(&text); err == nil {
		err = encoder.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", EmptyName, err)
	}
	return text.Bytes(), nil
}

// emptySplits returns the splits of a request, with no records.
func emptySplits(r *export.Request) []*split {
	names := []string{format.Train}
	if r.Split != nil && r.Split.Validation > 0 {
		names = append(names, format.Validation)
	}
	if r.Split != nil && r.Split.Test > 0 {
		names = append(names, format.Test)
	}
	splits := make([]*split, len(names))
	for i, name := range names {
		splits[i] = &split{name: name, files: []export.File{{Key: EmptyName}}}
	}
	return splits
}

// loadingNothing writes commands that read no rows. Hugging Face Datasets 5.2 loads no split without
// rows from files, and only streams it.
func (c *card) loadingNothing() {
	c.line("\n## How to load it\n\nThe export has no records. %s has their columns and no rows, for programs that load "+
		"it as any other export. With [DuckDB](https://duckdb.org):\n\n```sh\nduckdb -c \"FROM read_parquet('%[2]s')\"\n```",
		codeSpan(EmptyName), EmptyName)
	c.line("\nwith [pandas](https://pandas.pydata.org):\n\n```python\nimport pandas\n\ndata = pandas.read_parquet(%s, "+
		"dtype_backend=\"pyarrow\")\n```", strconv.Quote(EmptyName))
	splits := make([]string, len(c.splits))
	for i, s := range c.splits {
		splits[i] = strconv.Quote(s.name) + ": datasets.Dataset(table)"
	}
	c.line("\nor with [Hugging Face Datasets](https://huggingface.co/docs/datasets), whose `load_dataset` needs "+
		"`streaming=True` for a data set without rows:\n\n```python\nimport datasets, pyarrow.parquet\n\n"+
		"table = pyarrow.parquet.read_table(%s)\ndata = datasets.DatasetDict({%s})\n```", strconv.Quote(EmptyName),
		strings.Join(splits, ", "))
	c.line("\n%s says what was asked for, and what was left out.", codeSpan(export.ManifestName))
}
