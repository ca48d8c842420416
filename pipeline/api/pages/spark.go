package pages

import (
	"fmt"

	"github.com/millrace/millrace/pipeline/history"
)

// spark is a small drawing of the runs a day: one bar each, in a box of Width by sparkHeight.
type spark struct {
	Bars  []bar
	Width int
	Label string // for those who do not see it
}

type bar struct {
	X, Y, Height int
	Title        string
}

const (
	sparkHeight = 28
	sparkStep   = 8 // a bar of 6 and a gap of 2
)

func newSpark(days []history.Day) spark {
	s := spark{Width: max(1, len(days)*sparkStep-2)}
	var most, last int64
	for _, d := range days {
		most, last = max(most, d.Runs), d.Runs
	}
	for i, d := range days {
		height := 1 // a day without runs is a line at the bottom
		if d.Runs > 0 {
			height = max(3, int(d.Runs*sparkHeight/most))
		}
		s.Bars = append(s.Bars, bar{X: i * sparkStep, Y: sparkHeight - height, Height: height,
			Title: d.Date + ": " + plural(d.Runs, "run", "runs")})
	}
	s.Label = fmt.Sprintf("Runs a day over %d days: at most %s, on the last day %s", len(days), number(most), number(last))
	return s
}
