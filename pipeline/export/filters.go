package export

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// Filters are conditions on source rows, all of which must hold. The zero value of a field is no
// condition. Of a list, a row meets one entry.
type Filters struct {
	// Text is a part of the run's question or answer. Upper and lower case are the same.
	Text        string   `json:"text,omitempty"`
	AppVersions []string `json:"app_versions,omitempty"`
	Models      []string `json:"models,omitempty"`
	Triggers    []string `json:"triggers,omitempty"` // of the run
	Statuses    []string `json:"statuses,omitempty"`
	ErrorTypes  []string `json:"error_types,omitempty"`
	Tags        []string `json:"tags,omitempty"`   // of the feedback
	Rating      string   `json:"rating,omitempty"` // or Unrated or NotThumbsDown
	MinScore    *float64 `json:"min_score,omitempty"`
	// Scores are ranges of the feedback's scores by name, see ScoreName.
	Scores       map[string]ScoreRange `json:"scores,omitempty"`
	MinLatencyMS *int64                `json:"min_latency_ms,omitempty"` // from started_at to ended_at
	MaxLatencyMS *int64                `json:"max_latency_ms,omitempty"`
	MinCostUSD   *float64              `json:"min_cost_usd,omitempty"`
	MaxCostUSD   *float64              `json:"max_cost_usd,omitempty"`
	HasFiles     *bool                 `json:"has_files,omitempty"`
	SessionID    *string               `json:"session_id,omitempty"`
	UserID       *string               `json:"user_id,omitempty"`
	Metadata     map[string]string     `json:"metadata,omitempty"`
}

// ScoreRange is a range of scores with both ends; nil is no bound.
type ScoreRange struct {
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

// Narrow reports whether there is a condition on anything but the status.
func (f *Filters) Narrow() bool {
	others := *f
	others.Statuses = nil
	return !reflect.DeepEqual(others, Filters{})
}

// Check returns the mistakes of filters that are not from a request: a [Mistakes] with pointers as in
// one, or nil.
func (f *Filters) Check() error {
	data, err := json.Marshal(map[string]*Filters{"filters": f})
	if err != nil {
		return err
	}
	p, err := newParser(data)
	if err != nil {
		return err
	}
	p.object(func(string) bool {
		p.filters(&Filters{})
		return true
	})
	if len(p.mistakes) > 0 {
		return p.mistakes
	}
	return nil
}

// ParseScore reads a range of scores as commands and addresses have it: NAME=MIN..MAX, where one of
// the bounds may be missing, such as helpfulness=0.5.. or score=..0.2.
func ParseScore(text string) (name string, bounds ScoreRange, err error) {
	wrong := fmt.Errorf("%q is not NAME=MIN..MAX, such as helpfulness=0.5..1, helpfulness=0.5.. or helpfulness=..1", text)
	equals := strings.LastIndex(text, "=")
	least, most, ok := strings.Cut(text[equals+1:], "..")
	if equals < 1 || !ok || least == "" && most == "" {
		return "", ScoreRange{}, wrong
	}
	bound := func(text string) *float64 {
		if text == "" {
			return nil
		}
		x, e := strconv.ParseFloat(text, 64)
		if e != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			err = wrong
		}
		return &x
	}
	bounds = ScoreRange{Min: bound(least), Max: bound(most)}
	return text[:equals], bounds, err
}

// String returns the range as [ParseScore] reads it.
func (s ScoreRange) String() string {
	bound := func(x *float64) string {
		if x == nil {
			return ""
		}
		return strconv.FormatFloat(*x, 'g', -1, 64)
	}
	return bound(s.Min) + ".." + bound(s.Max)
}

func (p *parser) filters(f *Filters) {
	numbers := map[string]**float64{"min_score": &f.MinScore, "min_cost_usd": &f.MinCostUSD, "max_cost_usd": &f.MaxCostUSD}
	integers := map[string]**int64{"min_latency_ms": &f.MinLatencyMS, "max_latency_ms": &f.MaxLatencyMS}
	lists := map[string]*[]string{"app_versions": &f.AppVersions, "models": &f.Models, "triggers": &f.Triggers,
		"tags": &f.Tags, "error_types": &f.ErrorTypes}
	p.object(func(key string) bool {
		switch {
		case lists[key] != nil:
			p.texts(lists[key], maxList, p.text)
		case numbers[key] != nil:
			if x, ok := p.number(); ok {
				*numbers[key] = &x
			}
		case integers[key] != nil:
			if n, ok := p.integer(); ok {
				*integers[key] = &n
			}
		default:
			return p.filter(key, f)
		}
		return true
	})
	if f.MinLatencyMS != nil && f.MaxLatencyMS != nil {
		p.ordered("/filters/max_latency_ms", "min_latency_ms", *f.MinLatencyMS <= *f.MaxLatencyMS)
	}
	if f.MinCostUSD != nil && f.MaxCostUSD != nil {
		p.ordered("/filters/max_cost_usd", "min_cost_usd", *f.MinCostUSD <= *f.MaxCostUSD)
	}
}

// filter reads a filter that is of a kind by itself.
func (p *parser) filter(key string, f *Filters) bool {
	switch key {
	case "text":
		p.checked(&f.Text, strictjson.OutOfRange, fmt.Sprintf("must have at most %d characters", maxText),
			func(s string) bool { return utf8.RuneCountInString(s) <= maxText })
	case "statuses":
		p.texts(&f.Statuses, maxList, func(s *string) { p.enum(s, statuses) })
	case "rating":
		p.enum(&f.Rating, ratings)
	case "scores":
		f.Scores = map[string]ScoreRange{}
		p.entries(func(name string) {
			bounds := p.scoreRange(name)
			f.Scores[name] = bounds
		})
	case "has_files":
		if p.kind(strictjson.Bool) {
			has, _ := p.r.Boolean()
			f.HasFiles = &has
		}
	case "session_id":
		f.SessionID = new(string)
		p.text(f.SessionID)
	case "user_id":
		f.UserID = new(string)
		p.text(f.UserID)
	case "metadata":
		f.Metadata = map[string]string{}
		p.entries(func(label string) {
			var value string
			p.text(&value)
			f.Metadata[label] = value
		})
	default:
		return false
	}
	return true
}

// entries reads an object whose keys are the requester's, and calls read for each value.
func (p *parser) entries(read func(key string)) {
	pointer, n := p.r.Pointer(), 0
	p.object(func(key string) bool {
		if n++; n > maxMetadata {
			p.tooMany(n == maxMetadata+1, pointer, maxMetadata)
			p.r.Skip() //nolint:errcheck // checked by newParser
			return true
		}
		read(key)
		return true
	})
}

func (p *parser) scoreRange(name string) (s ScoreRange) {
	pointer, isObject := p.r.Pointer(), p.r.Kind() == strictjson.Object
	has := false
	p.object(func(key string) bool {
		bounds := map[string]**float64{"min": &s.Min, "max": &s.Max}
		if bounds[key] == nil {
			return false
		}
		has = true
		if x, ok := p.number(); ok {
			*bounds[key] = &x
		}
		return true
	})
	switch {
	case name == "" || name == "rating":
		p.add(strictjson.OutOfRange, pointer, "must be under the name of a score: "+ScoreName+
			" is the score without a name, and filters.rating is the rating")
	case isObject && !has:
		p.add(strictjson.MissingField, pointer, "needs min, max or both")
	case s.Min != nil && s.Max != nil:
		p.ordered(pointer+"/max", "min", *s.Min <= *s.Max)
	}
	return s
}

// ordered adds the mistake of a greatest value that is less than the least one.
func (p *parser) ordered(pointer, least string, holds bool) {
	if !holds {
		p.add(strictjson.OutOfRange, pointer, "must be "+least+" or more")
	}
}

func (f *Filters) normalise() {
	for _, list := range []*[]string{&f.AppVersions, &f.Models, &f.Triggers, &f.Tags, &f.ErrorTypes, &f.Statuses} {
		*list = set(*list)
	}
	if f.Statuses == nil {
		f.Statuses = finalStatuses
	}
	if len(f.Scores) == 0 {
		f.Scores = nil
	}
	if len(f.Metadata) == 0 {
		f.Metadata = nil
	}
}
