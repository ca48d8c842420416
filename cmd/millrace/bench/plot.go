package bench

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// panel is a part of the plot: a figure for each size.
type panel struct {
	title string
	of    func(x growth) float64
}

// growthPanels are shown side by side. A system that does not mind the size has level lines; at the left is what
// an export costs whatever its size.
var growthPanels = []panel{
	{"processor seconds a million records", func(x growth) float64 { return x.each((x.process + x.server) * 1e6) }},
	{"rows ClickHouse reads for a record", func(x growth) float64 { return x.each(float64(x.readRows)) }},
	{"peak memory, MiB", func(x growth) float64 { return float64(x.memory) / (1 << 20) }},
	{"requests to the store for 1,000 records", func(x growth) float64 { return x.each(float64(x.requests) * 1000) }},
	{"records in Kafka for 1,000 records", func(x growth) float64 { return x.each(float64(x.records) * 1000) }},
	{"seconds a million records", func(x growth) float64 { return x.each(x.took.Seconds() * 1e6) }},
}

// each is a figure divided by the records.
func (x growth) each(all float64) float64 { return all / float64(x.rows) }

// growthPlot draws the panels as SVG: each from 0 up, over the logarithm of the size.
func growthPlot(sizes []growth) []byte {
	const width, height, left, top, column, row = 230.0, 110.0, 14.0, 36.0, 272.0, 186.0
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %v %v" font-family="sans-serif" font-size="11" `+
		`fill="#555">`+"\n", 3*column, 2*row)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	first, last := math.Log(float64(sizes[0].rows)), math.Log(float64(sizes[len(sizes)-1].rows))
	label := func(x, y float64, text string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x, y, text)
	}
	for i, p := range growthPanels {
		x0, y0 := left+column*float64(i%3), top+row*float64(i/3)
		highest := 0.0
		for _, s := range sizes {
			highest = max(highest, p.of(s))
		}
		fmt.Fprintf(&b, `<text x="%v" y="%v" font-size="12" fill="#111">%s</text>`+"\n", x0, y0-16, p.title)
		fmt.Fprintf(&b, `<path d="M%v %vh%v" stroke="#999"/>`+"\n", x0, y0+height, width)
		path := "M"
		for _, s := range sizes {
			x, y := x0+width/2, y0+height
			if last > first {
				x = x0 + width*(math.Log(float64(s.rows))-first)/(last-first)
			}
			if highest > 0 {
				y -= height * p.of(s) / highest
			}
			path += fmt.Sprintf("%.1f %.1f ", x, y)
			text := min(max(x, x0+12), x0+width-12)
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#2563eb"/>`+"\n", x, y)
			label(text, y-6, strconv.FormatFloat(p.of(s), 'g', 3, 64))
			label(text, y0+height+15, short(s.rows))
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#2563eb"/>`+"\n", path)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// short is a number of runs such as 10k or 3M.
func short(n int64) string {
	switch {
	case n >= 1e6 && n%1e5 == 0:
		return strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) + "M"
	case n >= 1000 && n%100 == 0:
		return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) + "k"
	}
	return strconv.FormatInt(n, 10)
}
