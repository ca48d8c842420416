package card

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// describeSelection returns a selection in words.
func describeSelection(s *export.Selection, rows string, nodes int) string {
	var words string
	switch {
	case len(s.RunIDs) > 0:
		return withThousands(int64(len(s.RunIDs))) + " runs by their ids: " + codeSpans(s.RunIDs)
	case s.LimitRuns > 0:
		words = "the " + rows + " of the " + withThousands(s.LimitRuns) + " most recent runs"
	case s.Limit > 0 && nodes > 1:
		words = "the " + withThousands(s.Limit) + " most recent " + rows + " of each node"
	case s.Limit > 0:
		words = "the " + withThousands(s.Limit) + " most recent " + rows
	case s.Sample != nil:
		words = describeSample(s.Sample, rows)
	default:
		words = "all " + rows
	}
	if w := s.Window; w != nil {
		words += fmt.Sprintf(" whose %s is at or after %s and before %s", codeSpan(w.By),
			w.From.UTC().Format(time.RFC3339Nano), w.To.UTC().Format(time.RFC3339Nano))
	}
	return words
}

func describeSample(s *export.Sample, rows string) string {
	words := "a sample of " + withThousands(s.Size) + " runs"
	if rows != "runs" {
		words = "the " + rows + " of " + words
	}
	if s.By != "" {
		words += ", evenly by " + codeSpan(s.By)
	}
	return words + ", with seed " + strconv.FormatInt(s.Seed, 10)
}

// describeFilters returns filters in words.
func describeFilters(f *export.Filters) string {
	var all []string
	add := func(what, values string) { all = append(all, what+" "+values) }
	list := func(what string, values []string) {
		if len(values) > 0 {
			add(what, codeSpans(values))
		}
	}
	text := func(what string, value *string) {
		if value != nil {
			add(what, codeSpan(*value))
		}
	}
	number := func(what string, value *float64) {
		if value != nil {
			add(what, strconv.FormatFloat(*value, 'g', -1, 64))
		}
	}
	milliseconds := func(what string, value *int64) {
		if value != nil {
			add(what, withThousands(*value)+" ms")
		}
	}
	if f.Text != "" {
		add("question or answer with", codeSpan(f.Text))
	}
	list("app version", f.AppVersions)
	list("model", f.Models)
	list("trigger", f.Triggers)
	list("status", f.Statuses)
	list("error type", f.ErrorTypes)
	list("tag", f.Tags)
	if f.Rating != "" {
		add("rating", codeSpan(f.Rating))
	}
	number("score at least", f.MinScore)
	for _, name := range slices.Sorted(maps.Keys(f.Scores)) {
		add("score", codeSpan(name+" "+f.Scores[name].String()))
	}
	milliseconds("latency at least", f.MinLatencyMS)
	milliseconds("latency at most", f.MaxLatencyMS)
	number("cost in USD at least", f.MinCostUSD)
	number("cost in USD at most", f.MaxCostUSD)
	if f.HasFiles != nil && *f.HasFiles {
		all = append(all, "with files")
	} else if f.HasFiles != nil {
		all = append(all, "without files")
	}
	text("session", f.SessionID)
	text("user", f.UserID)
	if len(f.Metadata) > 0 {
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
			pairs = append(pairs, key+" = "+f.Metadata[key])
		}
		add("metadata", codeSpans(pairs))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, "; ")
}
