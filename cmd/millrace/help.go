package main

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace"
	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/cmd/millrace/terminal"
)

// groups are the groups of commands in the help. The tag in of a command names its group.
var groups = []struct{ key, title string }{
	{"try", "Try it"},
	{"data", "Work with data"},
	{"roles", "Run a role, and prepare what it needs"},
	{"debug", "Look at what is there"},
}

type helpCommand struct {
	Topic string `arg:"" optional:"" help:"The topic, as millrace help lists it, or a command."`
}

// Run prints the document of a topic, the help of a command, or the commands and topics.
func (c helpCommand) Run(a *app.App, k *kong.Context) error {
	if c.Topic == "" {
		_, err := fmt.Fprint(a.Stdout, commandList(k.Model.Node, helpWidth(a.Stdout))+documentList(helpWidth(a.Stdout)))
		return err
	}
	if d, ok := millrace.FindDocument(c.Topic); ok {
		_, err := fmt.Fprint(a.Stdout, d.Text())
		return err
	}
	for _, command := range k.Model.Children {
		if command.Name == c.Topic && !command.Hidden {
			_, err := k.Parse([]string{c.Topic, "--help"})
			return err
		}
	}
	return app.Usage("there is no topic or command %q; the topics are %s", c.Topic, strings.Join(topics(), ", "))
}

// printHelp prints the help of kong with the examples of the command, and of the program itself the
// list of commands.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	selected := ctx.Selected()
	if selected == nil {
		_, err := fmt.Fprint(ctx.Stdout, commandList(ctx.Model.Node, helpWidth(ctx.Stdout)))
		return err
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	var b strings.Builder
	for _, example := range examples(selected) {
		b.WriteString("  " + example + "\n")
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\nExample:\n%s", b.String())
	return err
}

// examples returns the examples of a command, or of all its commands.
func examples(command *kong.Node) (list []string) {
	for _, child := range command.Children {
		list = append(list, examples(child)...)
	}
	if len(command.Children) == 0 {
		list = strings.Split(command.Tag.Get("example"), " ; ")
	}
	return list
}

// commandList returns the commands in their groups, as they fit a screen.
func commandList(root *kong.Node, width int) string {
	const column = 14
	var b strings.Builder
	for _, line := range terminal.Wrap(root.Help, width) {
		b.WriteString(line + "\n")
	}
	b.WriteString("\nUsage: millrace COMMAND [flags]\n")
	for _, group := range groups {
		fmt.Fprintf(&b, "\n%s\n", group.title)
		for _, command := range root.Children {
			if command.Hidden || command.Tag.Get("in") != group.key {
				continue
			}
			for i, line := range terminal.Wrap(command.Help, width-column-2) {
				name := command.Name
				if i > 0 {
					name = ""
				}
				fmt.Fprintf(&b, "  %-*s%s\n", column, name, line)
			}
		}
	}
	b.WriteString(`
Start here
  millrace local                  in one terminal
  millrace sample --runs 2000     in another: runs to look at
  millrace help overview          what it is, and how to go on

millrace COMMAND --help has the flags of a command, and an example.
millrace --version prints the version.
`)
	return b.String()
}

// documentList returns the topics of help, as they fit a screen.
func documentList(width int) string {
	t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{}, {Min: 20}}}
	for _, d := range millrace.Documents {
		t.Add(d.Name, d.About)
	}
	return "\nDocuments: millrace help TOPIC prints one, and the pages show them under /docs\n" +
		t.On(terminal.Screen{Width: width})
}

func topics() (names []string) {
	for _, d := range millrace.Documents {
		names = append(names, d.Name)
	}
	return names
}

// notOneOf is the error of kong about a value that a flag cannot have.
var notOneOf = regexp.MustCompile(`^(\S+) must be one of (.*) but got "(.*)"$`)

// usageText returns the text of an error about the command line. It suggests the value that may be
// meant.
func usageText(err error) string {
	parts := notOneOf.FindStringSubmatch(err.Error())
	if parts == nil {
		return err.Error()
	}
	values := strings.Split(strings.TrimPrefix(strings.ReplaceAll(parts[2], `"`, ""), ","), ",")
	return fmt.Sprintf("%s %q is not one of %s%s", parts[1], parts[3], strings.Join(values, ", "),
		client.DidYouMean(parts[3], values))
}

// helpWidth returns the width of help on a writer.
func helpWidth(w io.Writer) int { return cmp.Or(terminal.Of(w).Width, 80) }
