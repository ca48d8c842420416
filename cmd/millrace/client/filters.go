package client

import (
	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
)

// FilterFlags are the flags that narrow a request.
type FilterFlags struct {
	Text       string            `help:"Only runs whose question or answer contains this text."`
	AppVersion []string          `name:"version" sep:"none" help:"Only runs of this app version; may be repeated."`
	Model      []string          `sep:"none" help:"Only runs of this model; may be repeated."`
	Trigger    []string          `sep:"none" help:"Only runs that were started by this, such as webhook; may be repeated."`
	Status     []string          `sep:"none" help:"Only runs with this status; may be repeated. Default: all but running."`
	ErrorType  []string          `name:"error-type" sep:"none" help:"Only runs with an error of this type; may be repeated."`
	Tag        []string          `sep:"none" help:"Only runs with this tag in their feedback; may be repeated."`
	Rating     string            `help:"Only runs with this rating: thumbsUp, thumbsDown, none for runs without feedback, or notThumbsDown for all but those of thumbsDown."`
	MinScore   *float64          `name:"min-score" help:"Only runs with at least this score."`
	Score      []string          `sep:"none" placeholder:"NAME=MIN..MAX" help:"Only runs whose score of this name is in the range, such as helpfulness=0.5..1 or helpfulness=0.5..; score is the score without a name. May be repeated."`
	MinLatency *int64            `name:"min-latency-ms" help:"Only runs that took at least so many milliseconds."`
	MaxLatency *int64            `name:"max-latency-ms" help:"Only runs that took at most so many milliseconds."`
	MinCost    *float64          `name:"min-cost-usd" help:"Only runs that cost at least so much."`
	MaxCost    *float64          `name:"max-cost-usd" help:"Only runs that cost at most so much."`
	HasFiles   *bool             `name:"has-files" negatable:"" help:"Only runs with files; with --no-has-files, only runs without."`
	Session    *string           `help:"Only runs of this session."`
	User       *string           `help:"Only runs of this user."`
	Metadata   map[string]string `mapsep:"none" help:"Only runs with this label, KEY=VALUE; may be repeated."`
}

// filters returns the filters of the flags, as a request has them.
func (f *FilterFlags) filters() (map[string]any, error) {
	filters := map[string]any{}
	for key, list := range map[string][]string{"app_versions": f.AppVersion, "models": f.Model, "triggers": f.Trigger,
		"statuses": f.Status, "error_types": f.ErrorType, "tags": f.Tag} {
		if len(list) > 0 {
			filters[key] = list
		}
	}
	for key, text := range map[string]string{"text": f.Text, "rating": f.Rating} {
		if text != "" {
			filters[key] = text
		}
	}
	setPointer(filters, "min_score", f.MinScore)
	setPointer(filters, "min_latency_ms", f.MinLatency)
	setPointer(filters, "max_latency_ms", f.MaxLatency)
	setPointer(filters, "min_cost_usd", f.MinCost)
	setPointer(filters, "max_cost_usd", f.MaxCost)
	setPointer(filters, "has_files", f.HasFiles)
	setPointer(filters, "session_id", f.Session)
	setPointer(filters, "user_id", f.User)
	if len(f.Metadata) > 0 {
		filters["metadata"] = f.Metadata
	}
	scores := map[string]export.ScoreRange{}
	for _, text := range f.Score {
		name, bounds, err := export.ParseScore(text)
		if err != nil {
			return nil, app.Usage("--score: %w", err)
		}
		scores[name] = bounds
	}
	if len(scores) > 0 {
		filters["scores"] = scores
	}
	return filters, nil
}

func setPointer[T any](fields map[string]any, key string, value *T) {
	if value != nil {
		fields[key] = *value
	}
}
