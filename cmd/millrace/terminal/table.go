package terminal

import (
	"slices"
	"strings"

	"github.com/rivo/uniseg"
)

// Column describes a column of a [Table].
type Column struct {
	Title string
	Right bool // numbers are aligned at their end
	Min   int  // the width that long texts of the column may be cut to; 0 = they are never cut
	// Optional is not 0 for a column that narrow screens leave out. The column with the greatest
	// number is the first that goes.
	Optional int
	Style    func(cell string) Style
}

// Table is rows of cells. It aligns them by their width on a terminal, which may differ from the
// number of their characters.
type Table struct {
	Columns []Column
	Rows    [][]string
	Indent  string // before each row
}

// gap is the space between two columns.
const gap = 2

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// String returns the table for a file.
func (t *Table) String() string { return t.On(Screen{}) }

// On returns the table as it fits a screen. Long texts are cut first, then optional columns are left
// out. There is no title line if no column has a title.
func (t *Table) On(s Screen) string {
	shown, widths := t.fit(s.Width)
	var b strings.Builder
	if slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Title != "" }) {
		titles := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			titles[i] = c.Title
		}
		t.line(&b, s, titles, shown, widths, func(Column, string) Style { return Bold })
	}
	for _, row := range t.Rows {
		t.line(&b, s, row, shown, widths, func(c Column, cell string) Style {
			if c.Style == nil {
				return Plain
			}
			return c.Style(cell)
		})
	}
	return b.String()
}

// fit returns which columns are shown, and the width of each column.
func (t *Table) fit(width int) (shown, widths []int) {
	shown = make([]int, len(t.Columns))
	for i := range shown {
		shown[i] = i
	}
	for {
		widths = t.widths()
		over := len(t.Indent) - gap
		for _, i := range shown {
			over += widths[i] + gap
		}
		over -= width
		if width == 0 || over <= 0 {
			return shown, widths
		}
		for ; over > 0; over-- { // from the widest text that may be cut
			widest := -1
			for _, i := range shown {
				if m := t.Columns[i].Min; m > 0 && widths[i] > m && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
		}
		if over <= 0 {
			return shown, widths
		}
		last := 0
		for k, i := range shown {
			if t.Columns[i].Optional > t.Columns[shown[last]].Optional {
				last = k
			}
		}
		if t.Columns[shown[last]].Optional == 0 {
			return shown, widths
		}
		shown = slices.Delete(shown, last, last+1)
	}
}

// widths returns the width of the widest cell of each column.
func (t *Table) widths() []int {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		widths[i] = Width(c.Title)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], Width(row[i]))
		}
	}
	return widths
}

func (t *Table) line(b *strings.Builder, s Screen, cells []string, shown, widths []int, style func(Column,
	string) Style) {
	line, space := t.Indent, ""
	for _, i := range shown {
		c, cell := t.Columns[i], Shorten(cells[i], widths[i])
		padding := strings.Repeat(" ", widths[i]-Width(cell))
		line += space
		if c.Right {
			line += padding
			padding = ""
		}
		line += s.Paint(style(c, cells[i]), cell)
		space = padding + strings.Repeat(" ", gap)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// Width returns the number of columns that a text takes on a terminal.
func Width(s string) int { return uniseg.StringWidth(s) }

// Shorten cuts a text so that it is at most width columns wide on a terminal.
func Shorten(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	var b strings.Builder
	used := 0
	for g := uniseg.NewGraphemes(s); g.Next() && used+g.Width() < width; used += g.Width() {
		b.WriteString(g.Str())
	}
	return b.String() + "…"
}

// Wrap breaks a text into lines of at most width columns, between words. A width of 0 is no limit.
func Wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && width > 0 && Width(line)+1+Width(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
