package searchbox

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/suggest"
)

// Key is a key of the box.
type Key struct {
	// Name is followed by the operator, and where it ends with a dot, by the name of a label or score.
	Name string `json:"name"`
	// Operators are "" for a colon, or ">" for a bound, which > and >= make the least value, and < and <= the
	// greatest.
	Operators string   `json:"operators,omitempty"`
	About     string   `json:"about"`
	Example   string   `json:"example"`
	Values    []string `json:"values,omitempty"` // all that there are
	Asked     bool     `json:"asked,omitempty"`  // the values, or the names after the dot, are those of the app's runs
	parameter string   // of the address
}

// Keys are the keys of the box, the usual ones first.
var Keys = []Key{
	{Name: "status", About: "how the run ended", Example: "failed", parameter: "status",
		Values: []string{"running", "succeeded", "failed", "cancelled"}},
	{Name: "version", About: "version of the app", Example: "v2", Asked: true, parameter: "version"},
	{Name: "rating", About: "feedback", Example: "thumbsDown", parameter: "feedback",
		Values: []string{"thumbsUp", "thumbsDown", export.Unrated, export.NotThumbsDown}},
	{Name: "latency", Operators: ">", About: "time from start to end", Example: "2s", parameter: "latency_ms"},
	{Name: "cost", Operators: ">", About: "cost in US dollars", Example: "0.05", parameter: "cost_usd"},
	{Name: "error_type", About: "kind of the error", Example: "timeout", Asked: true, parameter: "error_type"},
	{Name: "model", About: "language model", Example: "gpt-4o", Asked: true, parameter: "model"},
	{Name: "trigger", About: "what started the run", Example: "webhook", Asked: true, parameter: "trigger"},
	{Name: "tag", About: "tag of the feedback", Example: "wrong", Asked: true, parameter: "tag"},
	{Name: "score", Operators: ">", About: "score without a name", Example: "0.5", parameter: "score"},
	{Name: "score.", Operators: ">", About: "score of a name", Example: "0.5", Asked: true, parameter: "score"},
	{Name: "metadata.", About: "label of the run", Example: "eu", Asked: true, parameter: "metadata"},
	{Name: "files", About: "whether the run has files", Example: "yes", parameter: "has_files",
		Values: []string{"yes", "no"}},
	{Name: "session", About: "session of the run", Example: "ses-1", parameter: "session"},
	{Name: "user", About: "user of the run", Example: "user-1", parameter: "user_id"},
	{Name: "from", About: "started at this time or later", Example: "2026-11-25", parameter: "from"},
	{Name: "until", About: "started before this time", Example: "2026-11-26", parameter: "to"},
	{Name: "text", About: "in the question or answer, as words alone", Example: `"not found"`, parameter: "q"},
}

var (
	// lists are the parameters that may have several values.
	lists = []string{"status", "version", "model", "trigger", "error_type", "tag", "score", "metadata"}
	// named are those whose values are NAME=VALUE.
	named = []string{"score", "metadata"}
)

// find returns the key of a term, or nil.
func find(key string) *Key {
	name, part, dotted := strings.Cut(key, ".")
	if dotted {
		if part == "" {
			return nil
		}
		name += "."
	}
	i := slices.IndexFunc(Keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &Keys[i]
}

// names are the keys for people.
func names() (all []string) {
	for _, k := range Keys {
		name := k.Name
		if strings.HasSuffix(name, ".") {
			name += "NAME"
		}
		all = append(all, name)
	}
	return all
}

// example is a term of a key.
func example(key string) string {
	k := find(key)
	operator := ":"
	if k.Operators != "" {
		operator = k.Operators
	}
	return key + operator + k.Example
}

// others are words that people use for a key.
var others = map[string]string{"feedback": "rating", "q": "text", "label": "metadata.NAME", "metadata": "metadata.NAME",
	"type": "error_type", "duration": "latency", "to": "until", "since": "from", "has_files": "files", "price": "cost"}

// nearest returns the key that somebody may mean, or "".
func nearest(key string) string {
	name, _, dotted := strings.Cut(strings.ToLower(key), ".")
	if other := others[name]; other != "" {
		return other
	}
	var all []string
	for _, k := range Keys {
		all = append(all, strings.TrimSuffix(k.Name, "."))
	}
	near := suggest.Nearest(name, all)
	if (dotted || find(near) == nil) && find(near+".NAME") != nil {
		near += ".NAME"
	}
	return near
}

// add adds the filter to an address.
func (t term) add(q url.Values, scores scoreRanges) error {
	k := find(t.key)
	_, name, _ := strings.Cut(t.key, ".")
	bound := t.operator != ":"
	switch {
	case k.parameter == "score":
		return scores.take(t, name)
	case bound && k.Operators == "":
		return fmt.Errorf("%s takes a colon: %s", t.key, example(t.key))
	case !bound && k.Operators != "":
		return fmt.Errorf("%s takes a bound: %s or %s", t.key, example(t.key), strings.Replace(example(t.key), ">", "<", 1))
	case k.Values != nil && !slices.Contains(k.Values, t.value):
		return fmt.Errorf("%s is one of %s, not %.40q", t.key, strings.Join(k.Values, ", "), t.value)
	}
	switch k.Name {
	case "latency":
		ms, ok := milliseconds(t.value)
		if !ok {
			return fmt.Errorf("%s%s%.40s is not a time: write milliseconds, or a number with ms, s or m, such as %s", t.key,
				t.operator, t.value, example(t.key))
		}
		q.Set(t.end()+k.parameter, ms)
	case "cost":
		x, err := strconv.ParseFloat(strings.TrimPrefix(t.value, "$"), 64)
		if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			return fmt.Errorf("%s%s%.40s is not a number, such as %s", t.key, t.operator, t.value, example(t.key))
		}
		q.Set(t.end()+k.parameter, strconv.FormatFloat(x, 'g', -1, 64))
	case "files":
		q.Set(k.parameter, strconv.FormatBool(t.value == "yes"))
	case "metadata.":
		q[k.parameter] = slices.DeleteFunc(q[k.parameter], func(v string) bool { return strings.HasPrefix(v, name+"=") })
		q.Add(k.parameter, name+"="+t.value)
	default:
		if !slices.Contains(lists, k.parameter) {
			q.Del(k.parameter)
		}
		if !slices.Contains(q[k.parameter], t.value) {
			q.Add(k.parameter, t.value)
		}
	}
	return nil
}

// end is the beginning of the parameter of a bound.
func (t term) end() string {
	if strings.HasPrefix(t.operator, "<") {
		return "max_"
	}
	return "min_"
}

// milliseconds reads 1500, 1500ms, 1.5s or 2m.
func milliseconds(text string) (string, bool) {
	number, unit := text, time.Millisecond
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}} {
		if n, ok := strings.CutSuffix(text, u.suffix); ok {
			number, unit = n, u.unit
			break
		}
	}
	x, err := strconv.ParseFloat(number, 64)
	x *= float64(unit / time.Millisecond)
	if err != nil || !(math.Abs(x) < 1<<53) {
		return "", false
	}
	return strconv.FormatInt(int64(math.Round(x)), 10), true
}

// scoreRanges are the ranges of scores by name, in the order in which the box names them.
type scoreRanges map[string]*export.ScoreRange

// take adds a bound, or a range such as 0.5..1, to the range of a name; "" is the score without one.
func (s scoreRanges) take(t term, name string) error {
	wrong := fmt.Errorf("%s%s%.40s is not a score: write %s, %s or %s:0.5..1", t.key, t.operator, t.value, example(t.key),
		strings.Replace(example(t.key), ">", "<", 1), t.key)
	if name == "" {
		name = export.ScoreName
	}
	text := t.value
	switch {
	case t.operator == ":":
	case t.end() == "min_":
		text += ".."
	default:
		text = ".." + text
	}
	_, bounds, err := export.ParseScore(name + "=" + text)
	if err != nil || name == "rating" {
		return wrong
	}
	r := s[name]
	if r == nil {
		r = &export.ScoreRange{}
		s[name] = r
	}
	if bounds.Min != nil {
		r.Min = bounds.Min
	}
	if bounds.Max != nil {
		r.Max = bounds.Max
	}
	return nil
}

// add adds the ranges to an address, by name.
func (s scoreRanges) add(q url.Values) {
	for name, r := range s {
		q.Add("score", name+"="+r.String())
	}
	slices.Sort(q["score"])
}
