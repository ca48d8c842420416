package pages

import (
	"fmt"
	"math/bits"
	"net/http"
	"net/url"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/statistics"
)

// columnsTab is the statistics of the columns of an export.
type columnsTab struct {
	Kept    bool  // there are statistics
	Total   int64 // records of the export
	Counted int64 // records that the statistics count
	Others  int64 // values of columns that are not listed
	Link    string
	Columns []columnCard
}

// columnCard is a column.
type columnCard struct {
	Name    string
	Types   []columnPart // of the values that are not null
	Nulls   columnPart
	Missing columnPart // records that do not have it
	Filled  int64      // values that are not null, in parts of 1,000 of the records
	Size    columnPart // its part of the bytes of all columns
	Lengths []columnLengths
	Numbers *statistics.Range
	Values  []columnValue
	More    []columnValue // after the first of them
	Note    string        // about the values
}

// columnPart is a part of a whole.
type columnPart struct {
	Label   string
	Count   int64
	Percent string
}

// columnLengths are the lengths of the values of a type.
type columnLengths struct {
	All       string // of all of them, if they are equal
	Min, Max  string
	Mean      string
	Bars      []chartBar
	Histogram []columnPart // the same as texts
}

// columnValue is a frequent value.
type columnValue struct {
	statistics.Value
	Percent string
	Width   int64 // of its bar, in parts of 1,000
}

// Numbers of values of a column: that are shown at once, and that are shown at all.
const (
	fewValues  = 5
	mostValues = 30
)

// typeLabels are what people call types.
var typeLabels = map[statistics.Type]string{statistics.Boolean: "true or false", statistics.Integer: "integer",
	statistics.Number: "number", statistics.Text: "text", statistics.List: "list", statistics.Object: "object"}

// lengthUnits are what the lengths of a type are counted in.
var lengthUnits = map[statistics.Type][2]string{statistics.Text: {"character", "characters"},
	statistics.List: {"item", "items"}, statistics.Object: {"field", "fields"}}

func (p *Pages) fillColumns(r *http.Request, c *auth.Caller, page *exportPage) error {
	s, err := page.dataset.Columns(r.Context())
	if err != nil {
		return err
	}
	if s != nil { // its frequent values are those of records
		p.viewed(c, page.Export)
	}
	page.Columns = newColumnsTab(page, s)
	return nil
}

func newColumnsTab(page *exportPage, s *statistics.Statistics) *columnsTab {
	t := &columnsTab{Total: page.dataset.Manifest.Totals.Records}
	if s == nil {
		return t
	}
	t.Kept, t.Counted, t.Others = true, s.Records, s.OtherValues
	t.Link = "/v1/exports/" + url.PathEscape(page.ExportID) + "/files/" + export.AllColumnsName
	size := int64(0)
	for i := range s.Columns {
		size += s.Columns[i].Bytes
	}
	for i := range s.Columns {
		t.Columns = append(t.Columns, newColumnCard(&s.Columns[i], s.Records, size))
	}
	return t
}

func newColumnCard(c *statistics.Column, records, size int64) columnCard {
	nulls := c.Types[statistics.Null]
	filled := c.Values - nulls
	card := columnCard{Name: c.Name, Numbers: c.Numbers, Filled: parts(filled, records),
		Nulls: newColumnPart("null", nulls, records), Missing: newColumnPart("missing", records-c.Values, records),
		Size: newColumnPart("", c.Bytes, size)}
	for _, kind := range statistics.Types {
		if n := c.Types[kind]; n > 0 && kind != statistics.Null {
			card.Types = append(card.Types, newColumnPart(typeLabels[kind], n, filled))
		}
		if l := c.Lengths[kind]; l != nil {
			card.Lengths = append(card.Lengths, newColumnLengths(l, lengthUnits[kind]))
		}
	}
	card.Note = noteOfValues(&c.Frequent, filled)
	listed := c.Frequent.Values[:min(len(c.Frequent.Values), mostValues)]
	frequent := filled == 1 || len(listed) > 0 && listed[0].Count > 1 // where all came once, none is
	for i, v := range listed {
		value := columnValue{Value: v, Percent: shareOf(v.Count, filled), Width: max(2, parts(v.Count, filled))}
		if frequent && i < fewValues {
			card.Values = append(card.Values, value)
		} else {
			card.More = append(card.More, value)
		}
	}
	return card
}

// noteOfValues tells how many different values there are, and how exact their counts are.
func noteOfValues(f *statistics.Frequent, filled int64) string {
	switch n := len(f.Values); {
	case filled == 0:
		return ""
	case f.Missing == 0 && n > 1 && f.Values[0].Count == 1:
		return fmt.Sprintf("All %s are different.", number(filled))
	case f.Missing == 0:
		return plural(n, "value", "different values") + "."
	case n == 0 && f.Missing == 1:
		return fmt.Sprintf("All %s are different.", number(filled))
	case n == 0:
		return fmt.Sprintf("No value is frequent: none came more than %s times.", number(f.Missing))
	}
	return fmt.Sprintf("There are more values. Each count is a lower bound: up to %s may be missing.", number(f.Missing))
}

func newColumnLengths(l *statistics.Lengths, unit [2]string) columnLengths {
	total, most := int64(0), int64(1)
	for _, n := range l.Histogram {
		total, most = total+n, max(most, n)
	}
	view := columnLengths{Min: number(l.Min), Max: number(l.Max)}
	if l.Min == l.Max {
		view.All = plural(l.Min, unit[0], unit[1])
	}
	if total > 0 {
		view.Mean = decimal(float64(l.Sum)/float64(total)) + " " + unit[1]
	}
	first := min(bits.Len64(uint64(l.Min)), len(l.Histogram))
	shown := l.Histogram[first:]
	for i, n := range shown {
		if n == 0 {
			continue
		}
		x, height := i*chartWidth/len(shown), max(2, int(n*chartHeight/most))
		view.Bars = append(view.Bars, chartBar{Kind: "part", X: x, Y: chartHeight - height,
			Width: max(1, (i+1)*chartWidth/len(shown)-x-8), Height: height})
		from, to := int64(0), int64(0)
		if bit := first + i; bit > 0 {
			from, to = int64(1)<<(bit-1), int64(1)<<bit-1
		}
		label := plural(to, unit[0], unit[1])
		if to > from {
			label = number(from) + " to " + label
		}
		view.Histogram = append(view.Histogram, newColumnPart(label, n, total))
	}
	return view
}

func newColumnPart(label string, n, of int64) columnPart {
	return columnPart{Label: label, Count: n, Percent: shareOf(n, of)}
}

// parts returns n in parts of 1,000 of a whole.
func parts(n, of int64) int64 {
	if of <= 0 {
		return 0
	}
	return int64(min(1000, float64(n)/float64(of)*1000))
}

// shareOf formats a part of a whole: 41%. Next to nothing is not nothing, and next to all is not all.
func shareOf(n, of int64) string {
	x := float64(n) / float64(max(of, 1)) * 100
	switch {
	case n > 0 && x < 0.1:
		return "<0.1%"
	case n < of && x > 99.9:
		return ">99.9%"
	}
	return decimal(x) + "%"
}

// decimal formats a number with one place if it is small and has places.
func decimal(x float64) string {
	if x >= 99.95 || x == float64(int64(x)) {
		return number(int64(x + 0.5))
	}
	return fmt.Sprintf("%.1f", x)
}
