package card

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

// columnsOf returns the columns of the records, or the keys that records may have. It returns nil
// where any key is possible.
func columnsOf(purpose, target string, options map[string]any) []fragment.Column {
	t, err := targets.Find(purpose, target)
	if err != nil {
		return nil
	}
	f, err := t.Formatter(purpose, options)
	if err != nil {
		return nil
	}
	if columns := f.Columns(); columns != nil {
		return columns
	}
	return t.Keys
}

func (c *card) columns() []fragment.Column {
	return columnsOf(c.plan.Request.Purpose, c.plan.Request.Target, c.plan.Options)
}

// features writes the columns as Hugging Face Datasets declares them
// (https://huggingface.co/docs/datasets/about_dataset_features). Without them the library infers
// types from the first file, and refuses a later file in which a column is not null for the first
// time.
//
//   - JSON and JSON Lines: free JSON has type json, since its shape differs from run to run.
//   - CSV: every column is a text, as the file has it.
//   - Parquet: the schema of the files, in which free JSON is a text.
func features(b *strings.Builder, format string, columns []fragment.Column) {
	f := featureWriter{b, "string"}
	switch format {
	case export.CSV:
		for _, name := range fragment.CSVColumns(columns) {
			f.name(name, "  ")
			b.WriteString("    dtype: string\n")
		}
		return
	case export.JSON, export.JSONL:
		f.document = "json"
	}
	f.fields(columns, "  ")
}

type featureWriter struct {
	*strings.Builder
	document string // dtype of free JSON
}

func (f *featureWriter) name(name, indent string) {
	f.WriteString(indent + "- name: " + strconv.Quote(name) + "\n")
}

func (f *featureWriter) fields(columns []fragment.Column, indent string) {
	for _, c := range columns {
		f.name(c.Name, indent)
		f.feature(c, indent+"  ")
	}
}

func (f *featureWriter) feature(c fragment.Column, indent string) {
	switch c.Type {
	case fragment.Struct:
		f.WriteString(indent + "struct:\n")
		f.fields(c.Fields, indent)
	case fragment.List:
		f.WriteString(indent + "list:")
		if c.Element.Type == fragment.Struct {
			f.WriteString("\n")
			f.fields(c.Element.Fields, indent)
			return
		}
		f.WriteString(" " + f.dtype(c.Element.Type) + "\n")
	default:
		f.WriteString(indent + "dtype: " + f.dtype(c.Type) + "\n")
	}
}

func (f *featureWriter) dtype(t fragment.Type) string {
	switch t {
	case fragment.Integer:
		return "int64"
	case fragment.Float:
		return "float64"
	case fragment.Boolean:
		return "bool"
	case fragment.Time:
		return `"timestamp[ms, tz=UTC]"`
	case fragment.Document:
		return f.document
	}
	return "string"
}

// columnTable writes the columns as a table for people.
func (c *card) columnTable() {
	columns := c.columns()
	if len(columns) == 0 {
		return
	}
	c.line("\n## Columns\n\n| Column | Type | |\n|---|---|---|")
	c.columnRows("", columns)
}

func (c *card) columnRows(above string, columns []fragment.Column) {
	for _, column := range columns {
		what, required := columnType(column), "may be null"
		if column.Required {
			required = ""
		}
		c.line("| %s | %s | %s |", codeSpan(above+column.Name), what, required)
		switch {
		case column.Type == fragment.Struct:
			c.columnRows(above+column.Name+".", column.Fields)
		case column.Type == fragment.List && column.Element.Type == fragment.Struct:
			c.columnRows(above+column.Name+"[].", column.Element.Fields)
		}
	}
}

func columnType(c fragment.Column) string {
	switch c.Type {
	case fragment.Text:
		return "text"
	case fragment.Integer:
		return "integer"
	case fragment.Float:
		return "number"
	case fragment.Boolean:
		return "true or false"
	case fragment.Time:
		return "time, UTC"
	case fragment.Document:
		return "JSON"
	case fragment.Struct:
		return "object"
	}
	return "list of " + columnType(*c.Element)
}
