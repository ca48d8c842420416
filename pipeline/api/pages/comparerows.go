package pages

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/millrace/millrace/pipeline/history"
)

// barWidth is the width of bars of outcomes and of spreads, in units of their drawing.
const barWidth = 1000

// versionRow is how a version did.
type versionRow struct {
	history.VersionResult
	IsBase, On bool
	Address    string // of its list of pairs
	Parts      []part // of the bar of outcomes
	Chance     string // how likely chance alone would make such a difference; "" where there is none
	Up         int    // percent of the rated runs; -1 if none is
}

// part is a part of a bar.
type part struct {
	Kind     string // better, same, worse or unjudged
	X, Width int
}

func newVersionRows(request compareRequest, c *history.Comparison) (rows []versionRow) {
	for _, v := range c.Versions {
		to := request
		to.version, to.page = v.Version, 1
		row := versionRow{VersionResult: v, IsBase: v.Version == c.Base, On: v.Version == c.Version,
			Address: address("/compare", to.values()), Up: percent(v.ThumbsUp, v.ThumbsUp+v.ThumbsDown)}
		if !row.IsBase {
			row.Parts, row.Chance = outcomeParts(&v), chance(v.Better, v.Worse)
		}
		rows = append(rows, row)
	}
	return rows
}

func outcomeParts(v *history.VersionResult) (parts []part) {
	if v.Inputs == 0 {
		return nil
	}
	at, done := 0, int64(0)
	for _, p := range []struct {
		kind string
		n    int64
	}{{history.Better, v.Better}, {history.Same, v.Same}, {history.Unjudged, v.Unjudged}, {history.Worse, v.Worse}} {
		done += p.n
		end := int(done * barWidth / v.Inputs)
		if end > at {
			parts = append(parts, part{Kind: p.kind, X: at, Width: end - at})
		}
		at = end
	}
	return parts
}

// chance says how often chance alone would make wins and losses differ as much or more: the two-sided
// sign test.
func chance(better, worse int64) string {
	n, k := better+worse, max(better, worse)
	if n == 0 {
		return ""
	}
	log := func(x int64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	p := 0.0
	for i := k; i <= n; i++ {
		p += math.Exp(log(n) - log(i) - log(n-i) - float64(n)*math.Ln2)
	}
	switch p = min(1, 2*p); {
	case p < 0.001:
		return "p < 0.001"
	case p < 0.01:
		return fmt.Sprintf("p = %.3f", p)
	}
	return fmt.Sprintf("p = %.2f", p)
}

// spreadTable is how one number is distributed in each version, on one scale.
type spreadTable struct {
	Title  string
	Middle string // what Row.Middle is
	Rows   []spreadRow
}

// spreadRow is a box from the 25th to the 75th percentile on a line from the 5th to the 95th.
type spreadRow struct {
	Version                   string
	LineX, LineWidth          int
	BoxX, BoxWidth, MedianX   int
	Middle, P95, Range, Label string
}

func newSpreads(versions []history.VersionResult) (tables []spreadTable) {
	for _, t := range []struct {
		title, middle string
		of            func(v *history.VersionResult) *history.Spread
		text          func(float64) string
		mean          bool
	}{
		{"Score", "Mean", func(v *history.VersionResult) *history.Spread { return v.Score }, significant, true},
		{"Latency", "p50", func(v *history.VersionResult) *history.Spread { return v.LatencyMS }, millis, false},
		{"Cost of a run", "Mean", func(v *history.VersionResult) *history.Spread { return v.CostUSD }, cost, true},
		{"Tokens of a run", "p50", func(v *history.VersionResult) *history.Spread { return v.Tokens }, rounded, false},
	} {
		least, most := 0.0, 0.0
		for i := range versions {
			if s := t.of(&versions[i]); s != nil {
				least, most = min(least, s.P5), max(most, s.P95)
			}
		}
		at := func(x float64) int { return int(min(1, max(0, (x-least)/(most-least))) * barWidth) }
		table := spreadTable{Title: t.title, Middle: t.middle}
		for i := range versions {
			s := t.of(&versions[i])
			if s == nil {
				continue
			}
			row := spreadRow{Version: versions[i].Version, Middle: t.text(s.P50), P95: t.text(s.P95)}
			if t.mean {
				row.Middle = t.text(s.Mean)
			}
			row.Label = fmt.Sprintf("half of the runs from %s to %s, median %s", t.text(s.P25), t.text(s.P75), t.text(s.P50))
			if most > least {
				row.LineX, row.BoxX, row.MedianX = at(s.P5), at(s.P25), min(at(s.P50), barWidth-8)
				row.LineWidth, row.BoxWidth = max(4, at(s.P95)-row.LineX), max(4, at(s.P75)-row.BoxX)
			}
			table.Rows = append(table.Rows, row)
		}
		if table.Rows != nil {
			tables = append(tables, table)
		}
	}
	return tables
}

func significant(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }
func millis(x float64) string      { return span(time.Duration(x * float64(time.Millisecond))) }
func cost(x float64) string        { return dollars(&x) }
func rounded(x float64) string     { return number(int64(math.Round(x))) }

// nodeRow is a node in the base and in the version, as texts.
type nodeRow struct {
	ID, Label, Type string
	Cells           []nodeCell
}

// nodeCell is a number of a node in the base and in the version. Change is how much it changed.
type nodeCell struct {
	Label, Base, Version, Change string
	Kind                         string // good, bad or ""
}

func newNodeRows(nodes []history.NodeResult) (rows []nodeRow) {
	for _, n := range nodes {
		row := nodeRow{ID: n.NodeID, Label: n.NodeName, Type: n.NodeType}
		if row.Label == "" {
			row.Label = n.NodeID
		}
		runs, failed := float64(n.Base.NodeRuns), float64(n.Base.Failed)
		vRuns, vFailed := float64(n.Version.NodeRuns), float64(n.Version.Failed)
		row.Cells = []nodeCell{
			newNodeCell("Node runs", &runs, &vRuns, rounded, false),
			newNodeCell("Failed", &failed, &vFailed, rounded, true),
			newNodeCell("Latency p50", n.Base.P50, n.Version.P50, millis, true),
			newNodeCell("Latency p95", n.Base.P95, n.Version.P95, millis, true),
			newNodeCell("Tokens", n.Base.Tokens, n.Version.Tokens, rounded, true),
			newNodeCell("Cost", n.Base.CostUSD, n.Version.CostUSD, cost, true),
		}
		rows = append(rows, row)
	}
	return rows
}

// newNodeCell compares two numbers. A number of which less is better makes the change good or bad.
func newNodeCell(label string, base, version *float64, text func(float64) string, less bool) nodeCell {
	c := nodeCell{Label: label}
	if base != nil {
		c.Base = text(*base)
	}
	if version != nil {
		c.Version = text(*version)
	}
	if base == nil || version == nil || c.Base == c.Version {
		return c
	}
	if *base > 0 {
		c.Change = fmt.Sprintf("%+.0f%%", (*version / *base - 1)*100)
	}
	switch {
	case less && *version < *base:
		c.Kind = "good"
	case less:
		c.Kind = "bad"
	}
	return c
}
