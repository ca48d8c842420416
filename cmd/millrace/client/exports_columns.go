package client

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export/statistics"
)

// columnValues is how many frequent values of a column are shown.
const columnValues = 3

// columnTable describes the columns of an export; nil where no statistics were kept.
func columnTable(s *statistics.Statistics, screen terminal.Screen) string {
	if s == nil {
		return "\nno statistics of columns were kept\n"
	}
	t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{Title: "COLUMN", Min: 12}, {Title: "TYPES", Min: 8},
		{Title: "NULL", Right: true}, {Title: "LENGTH OR RANGE", Min: 8, Optional: 1}, {Title: "MOST FREQUENT", Min: 20}}}
	for i := range s.Columns {
		c := &s.Columns[i]
		var types, lengths, values []string
		for _, kind := range statistics.Types {
			if c.Types[kind] > 0 && kind != statistics.Null {
				types = append(types, string(kind))
			}
			if l := c.Lengths[kind]; l != nil {
				lengths = append(lengths, between(l.Min, l.Max))
			}
		}
		if r := c.Numbers; r != nil {
			lengths = append(lengths, between(r.Min, r.Max))
		}
		for _, v := range c.Frequent.Values[:min(len(c.Frequent.Values), columnValues)] {
			text := v.Text
			if v.Cut {
				text += "…"
			}
			if v.Type == statistics.Text && text == "" {
				text = `""`
			}
			values = append(values, fmt.Sprintf("%s (%d)", text, v.Count))
		}
		// A record that lacks the column is like one that has null.
		nulls := s.Records - c.Values + c.Types[statistics.Null]
		t.Add(printable(c.Name), cmp.Or(strings.Join(types, ", "), "null"), fmt.Sprint(nulls), strings.Join(lengths, ", "),
			printable(strings.Join(values, ", ")))
	}
	return fmt.Sprintf("\n%s, counted in %s\n", plural(int64(len(s.Columns)), "column"), plural(s.Records, "record")) +
		t.On(screen)
}

func between[T comparable](least, most T) string {
	if least == most {
		return fmt.Sprint(least)
	}
	return fmt.Sprint(least, "–", most)
}
