package card

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

// columnsOf returns the columns of the records, nil where records have different keys.
func columnsOf(p *export.Plan) []fragment.Column {
	f, err := targets.New(p.Request.Purpose, p.Request.Target, p.Options)
	if err != nil {
		return nil
	}
	return f.Columns()
}

// features writes the columns as Hugging Face Datasets declares them
// (https://huggingface.co/docs/datasets/about_dataset_features). Cards of Parquet repeat the schema
// of the files. Cards of other formats declare no features: the library would cast free JSON, whose
// shape differs from run to run, to one type.
func features(b *strings.Builder, columns []fragment.Column, indent string) {
	for _, c := range columns {
		b.WriteString(indent + "- name: " + strconv.Quote(c.Name) + "\n")
		feature(b, c, indent+"  ")
	}
}

func feature(b *strings.Builder, c fragment.Column, indent string) {
	switch c.Type {
	case fragment.Struct:
		b.WriteString(indent + "struct:\n")
		features(b, c.Fields, indent)
	case fragment.List:
		switch c.Element.Type {
		case fragment.Struct:
			b.WriteString(indent + "list:\n")
			features(b, c.Element.Fields, indent)
		default:
			b.WriteString(indent + "sequence: " + dtype(c.Element.Type) + "\n")
		}
	default:
		b.WriteString(indent + "dtype: " + dtype(c.Type) + "\n")
	}
}

func dtype(t fragment.Type) string {
	switch t {
	case fragment.Integer:
		return "int64"
	case fragment.Float:
		return "float64"
	case fragment.Boolean:
		return "bool"
	case fragment.Time:
		return `"timestamp[ms, tz=UTC]"`
	}
	return "string" // also documents, which are JSON
}

// columnTable writes the columns as a table for people.
func (c *card) columnTable() {
	columns := columnsOf(c.plan)
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
