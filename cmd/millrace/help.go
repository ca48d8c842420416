package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace"
	"github.com/millrace/millrace/cmd/millrace/app"
)

type helpCommand struct {
	Topic string `arg:"" optional:"" help:"The topic, as millrace help lists it."`
}

// Run prints the document of a topic, or the list of topics.
func (c helpCommand) Run(a *app.App) error {
	if c.Topic == "" {
		return c.list(a)
	}
	d, ok := millrace.FindDocument(c.Topic)
	if !ok {
		return app.Usage("there is no topic %q; there are %s. `millrace COMMAND --help` explains a command", c.Topic,
			strings.Join(topics(), ", "))
	}
	_, err := fmt.Fprint(a.Stdout, d.Text())
	return err
}

func (helpCommand) list(a *app.App) error {
	fmt.Fprintf(a.Stdout, "millrace help TOPIC prints a document. The pages of millrace local and millrace serve show "+
		"the documents too, under /docs.\n\n")
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for _, d := range millrace.Documents {
		fmt.Fprintf(w, "  %s\t%s\n", d.Name, d.About)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "\nmillrace --help lists the commands, and millrace COMMAND --help their flags.\n")
	return err
}

func topics() (names []string) {
	for _, d := range millrace.Documents {
		names = append(names, d.Name)
	}
	return names
}
