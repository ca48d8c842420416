package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
)

// ExportsView is the command line of millrace exports view.
type ExportsView struct {
	ExportArg
	N    int  `short:"n" default:"20" help:"The first N records."`
	JSON bool `name:"json" help:"One record a line, as JSON, for every format of the export."`
}

// Run prints the first records of an export.
func (c ExportsView) Run(ctx context.Context, a *app.App) error {
	if c.N < 1 {
		return app.Usage("-n must be 1 or more")
	}
	return c.with(ctx, a, func(_ export.ID, d *files.Dataset) error {
		n := 0
		for record, err := range d.Records(ctx) {
			if err != nil {
				return err
			}
			if n == c.N {
				break
			}
			n++
			if err := c.write(a, n, d.Manifest.Totals.Records, record); err != nil {
				return err
			}
		}
		if n == 0 && !c.JSON {
			_, err := fmt.Fprintln(a.Stdout, "The export has no records.")
			return err
		}
		return nil
	})
}

func (c ExportsView) write(a *app.App, n int, of int64, record json.RawMessage) error {
	if c.JSON {
		return a.PrintJSON(record)
	}
	var b strings.Builder
	if n > 1 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "record %d of %d\n", n, of)
	if err := writeFields(&b, "  ", record); err != nil {
		return err
	}
	_, err := io.WriteString(a.Stdout, b.String())
	return err
}

// entry is a key of a JSON object.
type entry struct {
	key   string
	value json.RawMessage
}

// entries returns the keys and values of a JSON object, or the elements of an array with the key
// "-", in the document's order.
func entries(document json.RawMessage) ([]entry, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	opening, err := d.Token()
	if err != nil {
		return nil, err
	}
	var list []entry
	for d.More() {
		e := entry{key: "-"}
		if opening == json.Delim('{') {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			e.key = key.(string)
		}
		if err := d.Decode(&e.value); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// empty reports whether a value is null or an empty text, object or array.
func empty(value json.RawMessage) bool {
	switch string(value) {
	case "null", `""`, "{}", "[]":
		return true
	}
	return false
}

// writeFields writes each key with its value on a line. It leaves out empty values, and indents the
// fields of inner objects.
func writeFields(b *strings.Builder, indent string, document json.RawMessage) error {
	list, err := entries(document)
	if err != nil {
		return err
	}
	width := 0
	for i := range list {
		list[i].key = terminal.Shorten(printable(list[i].key), 30)
		if !empty(list[i].value) {
			width = max(width, utf8.RuneCountInString(list[i].key))
		}
	}
	for _, e := range list {
		if empty(e.value) {
			continue
		}
		if nested(e.value) {
			fmt.Fprintf(b, "%s%s\n", indent, e.key)
			if err := writeFields(b, indent+"  ", e.value); err != nil {
				return err
			}
			continue
		}
		value, err := flat(e.value)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "%s%-*s  %s\n", indent, width, e.key, strings.ReplaceAll(value, "\n", "\n"+indent+strings.Repeat(" ",
			width+2)))
	}
	return nil
}

// nested reports whether a value needs lines of its own: it is an object, or an array that has one.
func nested(value json.RawMessage) bool {
	switch value[0] {
	case '{':
		return true
	case '[':
		list, err := entries(value)
		if err != nil {
			return false
		}
		for _, e := range list {
			if e.value[0] == '{' || e.value[0] == '[' {
				return true
			}
		}
	}
	return false
}

// textShown is the largest number of characters shown of one text.
const textShown = 600

// flat returns the text of a value that is not nested.
func flat(value json.RawMessage) (string, error) {
	switch value[0] {
	case '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return "", err
		}
		return excerpt(text), nil
	case '[':
		list, err := entries(value)
		if err != nil {
			return "", err
		}
		parts := make([]string, len(list))
		for i, e := range list {
			if parts[i], err = flat(e.value); err != nil {
				return "", err
			}
		}
		return excerpt(strings.Join(parts, ", ")), nil
	}
	return string(value), nil
}

// excerpt returns the beginning of a text. It keeps line breaks and replaces all other characters
// that could move the cursor.
func excerpt(text string) string {
	more := ""
	if n := utf8.RuneCountInString(text); n > textShown {
		cut := 0
		for range textShown {
			_, size := utf8.DecodeRuneInString(text[cut:])
			cut += size
		}
		text, more = text[:cut], fmt.Sprintf("… (%d more characters; --json shows all)", n-textShown)
	}
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
	for i := range lines {
		lines[i] = printable(strings.ReplaceAll(lines[i], "\t", "    "))
	}
	return strings.Join(lines, "\n") + more
}
