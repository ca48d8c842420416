package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

type formatsCommand struct {
	Purpose string `arg:"" optional:"" help:"Only this purpose."`
	JSON    bool   `name:"json" help:"One JSON object a target."`
}

// Run lists what can be asked for.
func (c formatsCommand) Run(a *app) error {
	purposes := format.Purposes
	if c.Purpose != "" {
		if !slices.Contains(purposes, c.Purpose) {
			return usage("there is no purpose %q; there are %s", c.Purpose, strings.Join(purposes, ", "))
		}
		purposes = []string{c.Purpose}
	}
	if c.JSON {
		return c.json(a, purposes)
	}
	_, err := fmt.Fprint(a.stdout, targets.Describe(purposes))
	return err
}

func (c formatsCommand) json(a *app, purposes []string) error {
	out := json.NewEncoder(a.stdout)
	out.SetEscapeHTML(false)
	for _, purpose := range purposes {
		for i, t := range targets.Targets(purpose) {
			err := out.Encode(map[string]any{
				"purpose": purpose, "target": t.Name, "default": i == 0, "reader": t.Reader, "shape": t.Shape, "rules": nonNil(t.Rules),
				"formats": t.Formats, "options": optionTexts(t.Options), "dropped": dropTexts(t.Drops), "example": targets.Example(purpose, t.Name),
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func nonNil[T any](list []T) []T { return append([]T{}, list...) }

func optionTexts(options []format.Option) map[string]string {
	all := map[string]string{}
	for _, o := range options {
		all[o.Name] = o.Text
	}
	return all
}

func dropTexts(drops []format.Drop) map[string]string {
	all := map[string]string{}
	for _, d := range drops {
		all[d.Reason] = d.Text
	}
	return all
}
