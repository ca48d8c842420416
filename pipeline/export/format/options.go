package format

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// encoderOptions are those of the files, which all purposes and targets have.
var encoderOptions = []Option{
	{"bom", "`true`: a byte order mark begins JSONL and CSV files, as Azure OpenAI wants it"},
	{"csv_raw", "`true`: cells of CSV that a spreadsheet takes for a formula stay as they are"},
}

// options reads the options of a request; its err is the first mistake.
type options struct {
	values map[string]any
	err    error
}

func (o *options) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

// boolean reads an option that is true or false.
func (o *options) boolean(name string, otherwise bool) bool {
	value, given := o.values[name]
	if !given {
		return otherwise
	}
	on, ok := value.(bool)
	if !ok {
		o.fail("option %q must be true or false", name)
	}
	return on
}

// integer reads an option that is a whole number.
func (o *options) integer(name string, otherwise, least, most int) int {
	value, given := o.values[name]
	if !given {
		return otherwise
	}
	n, ok := value.(float64)
	if !ok || n != math.Trunc(n) || n < float64(least) || n > float64(most) {
		o.fail("option %q must be a whole number from %d to %d", name, least, most)
		return otherwise
	}
	return int(n)
}

// text reads an option that is a text.
func (o *options) text(name, otherwise string) string {
	value, given := o.values[name]
	if !given {
		return otherwise
	}
	s, ok := value.(string)
	if !ok || s == "" {
		o.fail("option %q must be a text, and not an empty one", name)
	}
	return s
}

// names reads an option that is a list of some of the possible names, each once; nil where it is not given.
func (o *options) names(name, what string, possible []string) (keep []string) {
	value, given := o.values[name]
	if !given {
		return nil
	}
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		o.fail("option %q must be a list of at least one of %s", name, strings.Join(possible, ", "))
		return nil
	}
	for i, entry := range list {
		text, ok := entry.(string)
		switch {
		case !ok:
			o.fail("option %q must be a list of names: entry %d is none", name, i)
		case !slices.Contains(possible, text):
			o.fail("option %q: there is no %s %.100q; there are %s", name, what, text, strings.Join(possible, ", "))
		case slices.Contains(keep, text):
			o.fail("option %q has %q twice", name, text)
		}
		keep = append(keep, text)
	}
	return keep
}

// known refuses an option that neither the target nor the files have.
func (o *options) known(purpose, target string, options []Option) {
	var names []string
	for _, option := range slices.Concat(options, encoderOptions) {
		names = append(names, option.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Sorted(maps.Keys(o.values)) {
		if !slices.Contains(names, name) {
			o.fail("option %.100q is unknown to %s with target %s; it knows %s", name, purpose, target, strings.Join(names, ", "))
		}
	}
}

// onlyFor reads an option that is true or false, and may be true for some formats only.
func (o *options) onlyFor(name, format string, formats ...string) bool {
	on := o.boolean(name, false)
	if on && !slices.Contains(formats, format) {
		o.fail("option %q is for format %s; leave it out for %s", name, strings.Join(formats, " and "), format)
	}
	return on
}
