package format

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// FileOptions are the options of files. All targets have them.
var FileOptions = []Option{
	{Name: "bom", Kind: Flag, Default: false, Formats: []string{fragment.JSONL, fragment.CSV},
		Text: "`true`: a byte order mark begins JSONL and CSV files, as Azure OpenAI wants it"},
	{Name: "csv_raw", Kind: Flag, Default: false, Formats: []string{fragment.CSV},
		Text: "changes nothing: cells of CSV are exact unless `excel` is on"},
	{Name: "excel", Kind: Flag, Default: false, Formats: []string{fragment.CSV},
		Text: "`true`: an apostrophe guards cells of CSV that a spreadsheet takes for a formula"},
}

// Options reads the options of a request. Values are as encoding/json reads them.
type Options struct {
	Values map[string]any
	err    error // the first mistake
}

// Fail reports a mistake in the options. Only the first mistake is kept.
func (o *Options) Fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

// Boolean returns an option that is true or false, or otherwise if it is not given.
func (o *Options) Boolean(name string, otherwise bool) bool {
	value, given := o.Values[name]
	if !given {
		return otherwise
	}
	on, ok := value.(bool)
	if !ok {
		o.Fail("option %q must be true or false", name)
	}
	return on
}

// Integer returns an option that is a whole number from least to most, or otherwise if it is not
// given.
func (o *Options) Integer(name string, otherwise, least, most int) int {
	value, given := o.Values[name]
	if !given {
		return otherwise
	}
	n, ok := value.(float64)
	if !ok || n != math.Trunc(n) || n < float64(least) || n > float64(most) {
		o.Fail("option %q must be a whole number from %d to %d", name, least, most)
		return otherwise
	}
	return int(n)
}

// Text returns an option that is a text, or otherwise if it is not given.
func (o *Options) Text(name, otherwise string) string {
	value, given := o.Values[name]
	if !given {
		return otherwise
	}
	s, ok := value.(string)
	if !ok || s == "" {
		o.Fail("option %q must be a text, and not an empty one", name)
	}
	return s
}

// Names returns an option that lists some of the possible names, each once. It returns nil if the
// option is not given.
func (o *Options) Names(name, what string, possible []string) (keep []string) {
	value, given := o.Values[name]
	if !given {
		return nil
	}
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		o.Fail("option %q must be a list of at least one of %s", name, strings.Join(possible, ", "))
		return nil
	}
	for i, entry := range list {
		text, ok := entry.(string)
		switch {
		case !ok:
			o.Fail("option %q must be a list of names: entry %d is none", name, i)
		case !slices.Contains(possible, text):
			o.Fail("option %q: there is no %s %.100q; there are %s", name, what, text, strings.Join(possible, ", "))
		case slices.Contains(keep, text):
			o.Fail("option %q has %q twice", name, text)
		}
		keep = append(keep, text)
	}
	return keep
}

// ColumnsOption is an option of targets whose records have columns, see [Kept].
var ColumnsOption = Option{Name: "columns", Kind: Names, Text: "a list of the columns to keep"}

// Kept returns the fields that option columns names, or all if it is not given. They stay in their usual order:
// two exports of the same columns have the same files, in whatever order the requests name the columns.
func Kept(o *Options, fields []record.Field[record.Row]) []record.Field[record.Row] {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	keep := o.Names(ColumnsOption.Name, "column", names)
	if keep == nil {
		return fields
	}
	return slices.DeleteFunc(fields, func(c record.Field[record.Row]) bool { return !slices.Contains(keep, c.Name) })
}

// known refuses options that are neither the target's nor FileOptions.
func (o *Options) known(purpose, target string, options []Option) {
	var names []string
	for _, option := range slices.Concat(options, FileOptions) {
		names = append(names, option.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Sorted(maps.Keys(o.Values)) {
		if !slices.Contains(names, name) {
			o.Fail("option %.100q is unknown to %s with target %s; it knows %s", name, purpose, target,
				strings.Join(names, ", "))
		}
	}
}

// file returns one of FileOptions. It may be true for its formats only.
func (o *Options) file(name, format string) bool {
	on := o.Boolean(name, false)
	formats := FileOptions[slices.IndexFunc(FileOptions, func(o Option) bool { return o.Name == name })].Formats
	if on && !slices.Contains(formats, format) {
		o.Fail("option %q is for format %s; leave it out for %s", name, strings.Join(formats, " and "), format)
	}
	return on
}
