package client

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// Formats is the command line of millrace formats.
type Formats struct {
	Purpose string `arg:"" optional:"" help:"Only this purpose."`
	JSON    bool   `name:"json" help:"One JSON object a target."`
}

// Run lists the purposes and targets of exports.
func (c Formats) Run(a *app.App) error {
	purposes := format.Purposes
	if c.Purpose != "" {
		if !slices.Contains(purposes, c.Purpose) {
			return app.Usage("there is no purpose %q; there are %s", c.Purpose, strings.Join(purposes, ", "))
		}
		purposes = []string{c.Purpose}
	}
	if c.JSON {
		return c.json(a, purposes)
	}
	_, err := fmt.Fprint(a.Stdout, targets.Describe(purposes))
	return err
}

func (c Formats) json(a *app.App, purposes []string) error {
	for _, purpose := range purposes {
		for i, t := range targets.Targets(purpose) {
			err := a.PrintJSON(map[string]any{
				"purpose": purpose, "target": t.Name, "default": i == 0, "reader": t.Reader, "shape": t.Shape,
				"rules":   nonNil(t.Rules),
				"formats": t.Formats, "options": optionTexts(t.Options), "dropped": dropTexts(t.Drops),
				"example": targets.Example(purpose, t.Name),
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
