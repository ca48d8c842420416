package history

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/runs"
)

type filters = export.Filters

// everyFilter has every filter, as those of runs_filters.sql.
var everyFilter = filters{
	Statuses: []string{"failed", "succeeded"}, AppVersions: []string{"v1"}, SessionID: new("s"), Text: "WHY",
	Models: []string{"m"}, Triggers: []string{"chat"}, ErrorTypes: []string{""}, UserID: new(""),
	MinLatencyMS: new(int64(0)), MaxLatencyMS: new(int64(10)), MinCostUSD: new(0.5), MaxCostUSD: new(0.5),
	HasFiles: new(true), Metadata: map[string]string{"region": "eu"}, Rating: "thumbsUp", MinScore: new(0.5),
	Tags:   []string{"kind", "true"},
	Scores: map[string]export.ScoreRange{"score": {Max: new(0.5)}, "fair": {Min: new(0.1), Max: new(0.2)}},
}

// eachFilter returns values of one filter each.
func eachFilter() []filters {
	scores := func(name string, least, most *float64) filters {
		return filters{Scores: map[string]export.ScoreRange{name: {Min: least, Max: most}}}
	}
	return []filters{
		{Models: []string{"m'1", "none"}}, {Models: []string{""}}, {Triggers: []string{"chat", "a,b"}},
		{ErrorTypes: []string{"timeout"}}, {ErrorTypes: []string{""}}, {Tags: []string{"a"}}, {Tags: []string{"b'", "none"}},
		{MinScore: new(0.5)}, {MinScore: new(1.5)}, scores("score", new(0.2), new(0.6)), scores("fair", new(0.5), nil),
		scores("it's", nil, new(0.5)), scores("none", new(0.0), nil), {MinLatencyMS: new(int64(1))},
		{MaxLatencyMS: new(int64(999))}, {MinLatencyMS: new(int64(-5)), MaxLatencyMS: new(int64(0))},
		{MinCostUSD: new(0.25)}, {MaxCostUSD: new(0.25)}, {HasFiles: new(true)}, {HasFiles: new(false)},
		{UserID: new("u'1")}, {UserID: new("")}, {Metadata: map[string]string{"region": "eu"}},
		{Rating: export.Unrated}, {Rating: export.NotThumbsDown},
		{Metadata: map[string]string{"region": "us", `k\`: "v"}},
	}
}

// drawFiltered gives a run what filters look at.
func drawFiltered(rng *rand.Rand, r *runs.Run) {
	r.Model, r.Trigger = pick(rng, []string{"", "m'1", "m2"}), pick(rng, []string{"", "chat", "a,b"})
	r.UserID = pick(rng, []string{"", "u'1"})
	r.Error = pick(rng, []*runs.Error{nil, {Type: "timeout"}, {Message: "m"}})
	r.CostUSD = pick(rng, []*float64{nil, new(0.0), new(0.25), new(2.5)})
	r.Files = pick(rng, [][]runs.File{nil, {{Name: "f"}}})
	r.Metadata = pick(rng, [][]runs.Pair{nil, {{Key: "region", Value: "eu"}},
		{{Key: "region", Value: "us"}, {Key: `k\`, Value: "v"}}})
	if r.Status != "running" {
		r.EndedAt = r.StartedAt.Add(pick(rng, []time.Duration{0, time.Millisecond, time.Second, -time.Millisecond}))
	}
}

// drawFilters draws one or none of the filters.
func drawFilters(rng *rand.Rand, f *filters) {
	if rng.IntN(3) > 0 {
		return
	}
	one := pick(rng, eachFilter())
	one.Statuses, one.AppVersions, one.Rating, one.Text, one.SessionID = f.Statuses, f.AppVersions, f.Rating, f.Text,
		f.SessionID
	*f = one
}

// runMeets is the reference for filters of runs.
func runMeets(f *filters, r *runs.Run) bool {
	in := func(list []string, value string) bool { return list == nil || slices.Contains(list, value) }
	is := func(want *string, value string) bool { return want == nil || *want == value }
	errorType := ""
	if r.Error != nil {
		errorType = r.Error.Type
	}
	for key, value := range f.Metadata {
		if !slices.Contains(r.Metadata, runs.Pair{Key: key, Value: value}) {
			return false
		}
	}
	var latency *float64
	if !r.EndedAt.IsZero() {
		latency = new(float64(r.EndedAt.Sub(r.StartedAt).Milliseconds()))
	}
	number := func(n *int64) *float64 {
		if n == nil {
			return nil
		}
		return new(float64(*n))
	}
	text := strings.ToLower(f.Text)
	return in(f.Statuses, r.Status) && in(f.AppVersions, r.AppVersion) && in(f.Models, r.Model) &&
		in(f.Triggers, r.Trigger) && in(f.ErrorTypes, errorType) && is(f.SessionID, r.SessionID) && is(f.UserID, r.UserID) &&
		within(latency, number(f.MinLatencyMS), number(f.MaxLatencyMS)) && within(r.CostUSD, f.MinCostUSD, f.MaxCostUSD) &&
		(f.HasFiles == nil || *f.HasFiles == (len(r.Files) > 0)) &&
		(strings.Contains(strings.ToLower(r.Question), text) || strings.Contains(strings.ToLower(r.Answer), text))
}

// feedbackMeets is the reference for filters of merged feedback.
func feedbackMeets(f *filters, v verdict, judged bool) bool {
	for name, bounds := range f.Scores {
		score := v.score
		if name != export.ScoreName {
			score = nil
			if x, ok := v.scores[name]; ok {
				score = &x
			}
		}
		if !within(score, bounds.Min, bounds.Max) {
			return false
		}
	}
	return (f.Rating == "" || f.Rating == export.NotThumbsDown && (!judged || v.rating != "thumbsDown") ||
		f.Rating == export.Unrated && !judged || judged && f.Rating == v.rating) &&
		within(v.score, f.MinScore, nil) &&
		(f.Tags == nil || slices.ContainsFunc(f.Tags, func(tag string) bool { return slices.Contains(v.tags, tag) }))
}

func within(x, least, most *float64) bool {
	return least == nil && most == nil || x != nil && (least == nil || *x >= *least) && (most == nil || *x <= *most)
}
