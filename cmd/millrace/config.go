package main

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
)

type configCommand struct{}

// Run prints each variable as NAME=value, secrets masked.
func (configCommand) Run(a *app.App) error {
	value := reflect.ValueOf(a.Config).Elem()
	for _, v := range app.Variables() {
		text := fmt.Sprint(value.FieldByIndex(v.Field.Index).Interface())
		if list, ok := value.FieldByIndex(v.Field.Index).Interface().([]string); ok {
			text = strings.Join(list, ",")
		}
		if _, err := fmt.Fprintf(a.Stdout, "%s=%s\n", v.Name, v.Mask(text)); err != nil {
			return err
		}
	}
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(a *app.App) error {
	_, err := fmt.Fprintf(a.Stdout, "millrace %s (%s %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// revision returns the commit that the program was built from, or unknown.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// release is the version of a release, which `make release` sets.
var release string

// version returns the version of the release or of the module, or (devel) if the build knows
// neither.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
