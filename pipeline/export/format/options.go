package format

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// encoderOptions are those of the files, which all purposes and targets have.
var encoderOptions = []string{"bom", "csv_raw"}

// checkNames refuses an option that neither the target nor the files have.
func checkNames(options map[string]any, purpose, target string, known []string) error {
	known = slices.Sorted(slices.Values(slices.Concat(known, encoderOptions)))
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("option %.100q is unknown to %s with target %s; it knows %s", name, purpose, target, strings.Join(known, ", "))
		}
	}
	return nil
}

// boolean reads an option that is true or false, and false where it is not given. True is for some formats
// only.
func boolean(options map[string]any, name, format string, formats ...string) (bool, error) {
	option, given := options[name]
	if !given {
		return false, nil
	}
	on, ok := option.(bool)
	switch {
	case !ok:
		return false, fmt.Errorf("option %q must be true or false", name)
	case on && !slices.Contains(formats, format):
		return false, fmt.Errorf("option %q is for format %s; leave it out for %s", name, strings.Join(formats, " and "), format)
	}
	return on, nil
}
