package pages

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
)

// moreFilter is a filter behind "More filters". Its key is that of GET /v1/runs.
type moreFilter struct {
	Key, Label, Example string
	Choices             []choice // nil: any text
}

type choice struct{ Value, Label string }

var moreFilters = []moreFilter{
	{Key: "model", Label: "Model"}, {Key: "trigger", Label: "Trigger", Example: "webhook"},
	{Key: "error_type", Label: "Error type", Example: "timeout"}, {Key: "tag", Label: "Feedback tag"},
	{Key: "min_score", Label: "Score, at least", Example: "0.5"},
	{Key: "score", Label: "Score by name", Example: "helpfulness=0.5..1"},
	{Key: "min_latency_ms", Label: "Latency in ms, at least"}, {Key: "max_latency_ms", Label: "Latency in ms, at most"},
	{Key: "min_cost_usd", Label: "Cost in USD, at least"}, {Key: "max_cost_usd", Label: "Cost in USD, at most"},
	{Key: "has_files", Label: "Files", Choices: []choice{{"true", "With files"}, {"false", "Without files"}}},
	{Key: "user_id", Label: "User"}, {Key: "metadata", Label: "Label", Example: "region=eu"},
}

// moreField is the field of a filter in the form. Others are its values after the first.
type moreField struct {
	moreFilter
	Value   string
	Others  []string
	Mistake string
}

// Fields are the fields behind "More filters".
func (f filters) Fields() (all []moreField) {
	for _, m := range moreFilters {
		field := moreField{moreFilter: m, Mistake: f.Mistakes[m.Key]}
		if values := f.More[m.Key]; len(values) > 0 {
			field.Value, field.Others = values[0], values[1:]
		}
		all = append(all, field)
	}
	return all
}

// request returns the filters as a request has them. Values that are mistakes are left out.
func (f filters) request() export.Filters {
	r, _ := f.parse()
	return r
}

// parse returns the filters as a request has them, and the mistakes of moreFilters by key.
func (f filters) parse() (r export.Filters, mistakes map[string]string) {
	mistakes = map[string]string{}
	r = export.Filters{
		Text: f.Text, AppVersions: f.Versions, Statuses: f.Statuses, Rating: f.Rating, Models: f.More["model"],
		Triggers: f.More["trigger"], ErrorTypes: f.More["error_type"], Tags: f.More["tag"],
	}
	if f.Session != "" {
		r.SessionID = &f.Session
	}
	if user := f.More.Get("user_id"); user != "" {
		r.UserID = &user
	}
	number := func(key string) *float64 {
		x, err := strconv.ParseFloat(f.More.Get(key), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			if f.More.Has(key) {
				mistakes[key] = "Give a number, such as 0.5."
			}
			return nil
		}
		return &x
	}
	whole := func(key string) *int64 {
		n, err := strconv.ParseInt(f.More.Get(key), 10, 64)
		if err != nil {
			if f.More.Has(key) {
				mistakes[key] = "Give a whole number of milliseconds, such as 1500."
			}
			return nil
		}
		return &n
	}
	r.MinScore, r.MinCostUSD, r.MaxCostUSD = number("min_score"), number("min_cost_usd"), number("max_cost_usd")
	r.MinLatencyMS, r.MaxLatencyMS = whole("min_latency_ms"), whole("max_latency_ms")
	if text := f.More.Get("has_files"); text != "" {
		has := text == "true"
		if r.HasFiles = &has; !has && text != "false" {
			mistakes["has_files"] = "Choose true or false."
		}
	}
	for _, text := range f.More["score"] {
		name, bounds, err := export.ParseScore(text)
		if err != nil {
			mistakes["score"] = "Give NAME=MIN..MAX, such as helpfulness=0.5..1 or helpfulness=0.5..."
			continue
		}
		if r.Scores == nil {
			r.Scores = map[string]export.ScoreRange{}
		}
		r.Scores[name] = bounds
	}
	for _, text := range f.More["metadata"] {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			mistakes["metadata"] = "Give KEY=VALUE, such as region=eu."
			continue
		}
		if r.Metadata == nil {
			r.Metadata = map[string]string{}
		}
		r.Metadata[key] = value
	}
	return r, mistakes
}

// fieldKeys are the keys in the address of the filters whose field of a request has another name.
var fieldKeys = map[string]string{
	"text": "q", "app_versions": "version", "models": "model", "triggers": "trigger", "statuses": "status",
	"error_types": "error_type", "tags": "tag", "rating": "feedback", "scores": "score", "session_id": "session",
}

// check adds the mistakes that a request with these filters would have.
func (f *filters) check() {
	r, mistakes := f.parse()
	add := func(key, text string) {
		if f.Mistakes[key] == "" {
			f.Mistakes[key] = text
		}
	}
	for key, text := range mistakes {
		add(key, text)
	}
	var found export.Mistakes
	if err := r.Check(); err != nil && !errors.As(err, &found) {
		return // a text that no run can have
	}
	for _, m := range found {
		key := strings.Split(m.Pointer, "/")[2]
		if other := fieldKeys[key]; other != "" {
			key = other
		}
		add(key, "It "+m.Message+".")
	}
}
