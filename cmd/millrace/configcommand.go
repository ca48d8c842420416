package main

import (
	"fmt"
	"net/url"
	"reflect"
	"runtime/debug"
	"strings"
)

type configCommand struct{}

// Run prints each variable as NAME=value, secrets masked.
func (configCommand) Run(a *app) error {
	value := reflect.ValueOf(a.cfg).Elem()
	for _, v := range variables() {
		text := fmt.Sprint(value.FieldByIndex(v.field.Index).Interface())
		if list, ok := value.FieldByIndex(v.field.Index).Interface().([]string); ok {
			text = strings.Join(list, ",")
		}
		if _, err := fmt.Fprintf(a.stdout, "%s=%s\n", v.name, mask(v.secret, text)); err != nil {
			return err
		}
	}
	return nil
}

func mask(secret, text string) string {
	switch {
	case secret == "" || text == "":
		return text
	case secret == "dsn":
		u, err := url.Parse(text)
		if err != nil {
			return "***"
		}
		q := u.Query()
		if q.Has("password") {
			q.Set("password", "***")
			u.RawQuery = q.Encode()
		}
		return strings.ReplaceAll(u.Redacted(), "xxxxx", "***")
	}
	return "***"
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(a *app) error {
	_, err := fmt.Fprintln(a.stdout, "millrace", version())
	return err
}

// version is what the module was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
