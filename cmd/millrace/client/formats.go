package client

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/suggest"
)

// Formats is the command line of millrace formats.
type Formats struct {
	Purpose string `arg:"" optional:"" help:"Only this purpose."`
	Target  string `arg:"" optional:"" help:"All about this target."`
	JSON    bool   `name:"json" help:"One JSON object a target, with everything."`
}

// Run lists the purposes and targets of exports, or describes one target.
func (c Formats) Run(a *app.App) error {
	purposes := format.Purposes
	if c.Purpose != "" {
		if !slices.Contains(purposes, c.Purpose) {
			return app.Usage("there is no purpose %q; there are %s%s", c.Purpose, strings.Join(purposes, ", "),
				DidYouMean(c.Purpose, purposes))
		}
		purposes = []string{c.Purpose}
	}
	if names := targetNames(c.Purpose); c.Target != "" && !slices.Contains(names, c.Target) {
		return app.Usage("%s has no target %q; it has %s%s", c.Purpose, c.Target, strings.Join(names, ", "),
			DidYouMean(c.Target, names))
	}
	switch {
	case c.JSON:
		return c.json(a, purposes)
	case c.Target != "":
		_, err := fmt.Fprint(a.Stdout, targets.Describe(c.Purpose, c.Target))
		return err
	}
	_, err := fmt.Fprint(a.Stdout, formatsSummary(purposes, terminal.Of(a.Stdout)))
	return err
}

// links are links of Markdown, of which a summary shows the text.
var links = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// formatsSummary returns the purposes with their targets, as they fit a screen.
func formatsSummary(purposes []string, s terminal.Screen) string {
	var b strings.Builder
	for _, purpose := range purposes {
		b.WriteString(s.Paint(terminal.Bold, purpose) + ": " + targets.About(purpose) + "\n")
		t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{}, {Min: 20}, {}}}
		for i, x := range targets.Targets(purpose) {
			name := x.Name
			if i == 0 {
				name += " (default)"
			}
			t.Add(name, links.ReplaceAllString(x.Reader, "$1"), strings.Join(x.Formats, ", "))
		}
		b.WriteString(t.On(s) + "\n")
	}
	b.WriteString("millrace formats PURPOSE TARGET has the rules, options and an example of one.\n")
	return b.String()
}

func (c Formats) json(a *app.App, purposes []string) error {
	for _, purpose := range purposes {
		for i, t := range targets.Targets(purpose) {
			if c.Target != "" && t.Name != c.Target {
				continue
			}
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

// DidYouMean returns a question about the value that is most like the given one, or "" if none is.
func DidYouMean(given string, values []string) string {
	if best := suggest.Nearest(given, values); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}
