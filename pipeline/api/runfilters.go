package api

import (
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/pipeline/export"
)

// RunFilters are the filters of a list of runs, as the query of an address has them. The name is
// exported for package huma, which leaves out embedded fields of another kind.
type RunFilters struct {
	Q         string            `query:"q" maxLength:"1000" doc:"Text in the question or the answer; upper and lower case are the same."`
	Status    []string          `query:"status" enum:"running,succeeded,failed,cancelled" doc:"One or several, with commas."`
	Version   []string          `query:"version" maxItems:"100" doc:"App versions, with commas."`
	Model     []string          `query:"model,explode" maxItems:"100" doc:"May be repeated."`
	Trigger   []string          `query:"trigger,explode" maxItems:"100" doc:"What started the run; may be repeated."`
	ErrorType []string          `query:"error_type,explode" maxItems:"100" doc:"May be repeated."`
	Tag       []string          `query:"tag,explode" maxItems:"100" doc:"Tags of the feedback, of which the run has one; may be repeated."`
	Rating    string            `query:"rating" enum:"thumbsUp,thumbsDown,none,notThumbsDown" doc:"Rating of the feedback on the whole run; none: no feedback; notThumbsDown: all but thumbsDown."`
	MinScore  optional[float64] `query:"min_score" doc:"Least score, of those without a name."`
	Score     []string          `query:"score,explode" maxItems:"20" doc:"NAME=MIN..MAX, where one of the bounds may be missing: the score of this name is in the range, such as helpfulness=0.5..1; may be repeated. The name score is the score without a name." example:"[\"helpfulness=0.5..\"]"`
	MinTime   optional[int64]   `query:"min_latency_ms" doc:"Least time from start to end."`
	MaxTime   optional[int64]   `query:"max_latency_ms" doc:"Greatest time from start to end."`
	MinCost   optional[float64] `query:"min_cost_usd"`
	MaxCost   optional[float64] `query:"max_cost_usd"`
	HasFiles  optional[bool]    `query:"has_files" doc:"Whether the run has files."`
	SessionID string            `query:"session_id" maxLength:"1000"`
	UserID    string            `query:"user_id" maxLength:"1000"`
	Metadata  []string          `query:"metadata,explode" maxItems:"20" doc:"KEY=VALUE, a label of the run; may be repeated, and the run has all of them."`
}

// optional is a parameter that may be absent.
type optional[T any] struct {
	Value T
	set   bool
}

// Schema implements huma.SchemaProvider.
func (optional[T]) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[T]())
}

// Receiver implements huma.ParamWrapper.
func (o *optional[T]) Receiver() reflect.Value { return reflect.ValueOf(o).Elem().Field(0) }

// OnParamSet implements huma.ParamReactor.
func (o *optional[T]) OnParamSet(set bool, _ any) { o.set = set }

func (o *optional[T]) pointer() *T {
	if !o.set {
		return nil
	}
	return &o.Value
}

// filters returns the filters. The error is a problem that names the parameters.
func (in *RunFilters) filters() (export.Filters, error) {
	f := export.Filters{
		Text: in.Q, AppVersions: in.Version, Models: in.Model, Triggers: in.Trigger, Statuses: in.Status,
		ErrorTypes: in.ErrorType, Tags: in.Tag, Rating: in.Rating, MinScore: in.MinScore.pointer(),
		MinLatencyMS: in.MinTime.pointer(), MaxLatencyMS: in.MaxTime.pointer(), MinCostUSD: in.MinCost.pointer(),
		MaxCostUSD: in.MaxCost.pointer(), HasFiles: in.HasFiles.pointer(),
	}
	if in.SessionID != "" {
		f.SessionID = &in.SessionID
	}
	if in.UserID != "" {
		f.UserID = &in.UserID
	}
	var wrong []Mistake
	add := func(parameter, detail string) { wrong = append(wrong, Mistake{Parameter: parameter, Detail: detail}) }
	for _, text := range in.Score {
		name, bounds, err := export.ParseScore(text)
		if err != nil {
			add("score", err.Error())
			continue
		}
		if f.Scores == nil {
			f.Scores = map[string]export.ScoreRange{}
		}
		f.Scores[name] = bounds
	}
	for _, text := range in.Metadata {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			add("metadata", "must be KEY=VALUE")
			continue
		}
		if f.Metadata == nil {
			f.Metadata = map[string]string{}
		}
		f.Metadata[key] = value
	}
	err := f.Check()
	var mistakes export.Mistakes
	if err != nil && !errors.As(err, &mistakes) { // a number that is none, or U+0000
		wrong = append(wrong, Mistake{Detail: err.Error()})
	}
	for _, m := range mistakes {
		field := strings.Split(m.Pointer, "/")[2]
		if field == "scores" {
			field = "score"
		}
		add(field, m.Message)
	}
	if wrong != nil {
		return f, problem(http.StatusUnprocessableEntity, "the filters are not valid", wrong...)
	}
	return f, nil
}
