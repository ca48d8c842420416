package loaders

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// column is a column of the table in a card.
type column struct {
	name, kind string
	fields     []*column // of an object, or of the objects of a list
}

var columnRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|`]+) \\| (?:may be null)? ?\\|$")

// columnsOf reads the table of columns in the card of an export. The name of a field is its path:
// feedback.score, files[].name.
func columnsOf(t *testing.T, c *export.Completion) []*column {
	t.Helper()
	root := &column{}
	all := map[string]*column{}
	_, table, _ := strings.Cut(string(e2etest.ReadObject(t, c, export.CardName)), "## Columns")
	table, _, _ = strings.Cut(table, "## How to load it")
	for _, row := range columnRow.FindAllStringSubmatch(table, -1) {
		path := row[1]
		parent, at := root, strings.LastIndexByte(path, '.')
		if at >= 0 {
			parent = all[strings.TrimSuffix(path[:at], "[]")]
		}
		new := &column{name: path[at+1:], kind: row[2]}
		all[path], parent.fields = new, append(parent.fields, new)
	}
	if len(root.fields) == 0 {
		t.Fatalf("%s: no columns in the card", c.ExportID)
	}
	return root.fields
}

// compare compares what a reader has loaded with the records.
func compare(t *testing.T, d *dataSet, columns []*column, want []object, got *loaded) {
	t.Helper()
	if got.Error != "" {
		t.Errorf("%s: %s", d.id, got.Error)
		return
	}
	if len(got.Rows) != len(want) {
		t.Errorf("%s: %d rows, want %d", d.id, len(got.Rows), len(want))
		return
	}
	byID := map[any]object{}
	for _, row := range got.Rows {
		byID[row["id"]] = row
	}
	for i, record := range want {
		row := byID[record["id"]]
		if record["id"] == nil {
			row = got.Rows[i]
		}
		if row == nil {
			t.Errorf("%s: no row %v", d.id, record["id"])
			continue
		}
		for _, c := range columns {
			wrong := ""
			if d.format == "csv" {
				wrong = differsAsText(c, record[c.name], row, c.name)
			} else {
				wrong = differs(c, record[c.name], row[c.name])
			}
			if wrong != "" {
				t.Errorf("%s: row %d, %s, which is %s: %s", d.id, i, c.name, got.Columns[c.name], wrong)
			}
		}
	}
}

// differs says how a loaded value is another than that of the record, "" for the same.
func differs(c *column, want, got any) string {
	wrong := fmt.Sprintf("is %#v, want %#v", got, want)
	if want == nil || got == nil {
		if want == nil && got == nil {
			return ""
		}
		return wrong
	}
	switch c.kind {
	case "text", "true or false", "integer":
		if got == want {
			return ""
		}
	case "number":
		g, ok := got.(json.Number)
		if !ok || !strings.ContainsAny(string(g), ".e") {
			return wrong
		}
		a, err1 := g.Float64()
		b, err2 := want.(json.Number).Float64()
		if err1 == nil && err2 == nil && math.Float64bits(a) == math.Float64bits(b) {
			return ""
		}
	case "time, UTC":
		o, _ := got.(object)
		at, err := time.Parse(time.RFC3339Nano, want.(string))
		if err == nil && fmt.Sprint(o["time"]) == strconv.FormatInt(at.UnixMilli(), 10) {
			return ""
		}
	case "JSON":
		if text, ok := got.(string); ok {
			return sameJSONText(want, text)
		}
		return sameJSON(want, got)
	case "object":
		o, ok := got.(object)
		if !ok {
			return wrong
		}
		for _, f := range c.fields {
			if wrong := differs(f, want.(object)[f.name], o[f.name]); wrong != "" {
				return f.name + " " + wrong
			}
		}
		return ""
	default:
		element := &column{kind: strings.TrimPrefix(c.kind, "list of "), fields: c.fields}
		list, ok := got.([]any)
		if element.kind == c.kind || !ok || len(list) != len(want.([]any)) {
			return wrong
		}
		for i, value := range want.([]any) {
			if wrong := differs(element, value, list[i]); wrong != "" {
				return fmt.Sprintf("%d %s", i, wrong)
			}
		}
		return ""
	}
	return wrong
}

// differsAsText says how the cells of a row of CSV are others than the value of a record. An empty
// cell is a text without characters, or null.
func differsAsText(c *column, want any, row object, name string) string {
	if c.kind == "object" {
		of, _ := want.(object)
		for _, f := range c.fields {
			if wrong := differsAsText(f, of[f.name], row, name+"_"+f.name); wrong != "" {
				return f.name + " " + wrong
			}
		}
		return ""
	}
	cell, there := row[name]
	text, isText := cell.(string)
	switch {
	case !there || !isText && cell != nil:
		return fmt.Sprintf("is %#v, want %#v", cell, want)
	case want == nil && text == "":
		return ""
	case c.kind == "JSON" || strings.HasPrefix(c.kind, "list of "):
		return sameJSONText(want, text)
	case text != fmt.Sprint(want):
		return fmt.Sprintf("is %#v, want %#v", cell, want)
	}
	return ""
}

func sameJSONText(want any, text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var got any
	if err := d.Decode(&got); err != nil {
		return fmt.Sprintf("is %q: %v", text, err)
	}
	return sameJSON(want, got)
}

// sameJSON says how two documents differ. Numbers are compared as they are, not as floats.
func sameJSON(want, got any) string {
	wrong := fmt.Sprintf("is %#v, want %#v", got, want)
	switch w := want.(type) {
	case json.Number:
		g, ok := got.(json.Number)
		if !ok || !sameNumber(string(w), string(g)) {
			return wrong
		}
		return ""
	case object:
		g, ok := got.(object)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(w)), slices.Sorted(maps.Keys(g))) {
			return wrong
		}
		for key := range w {
			if wrong := sameJSON(w[key], g[key]); wrong != "" {
				return key + " " + wrong
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return wrong
		}
		for i := range w {
			if wrong := sameJSON(w[i], g[i]); wrong != "" {
				return fmt.Sprintf("%d %s", i, wrong)
			}
		}
		return ""
	}
	if want == got {
		return ""
	}
	return wrong
}

// sameNumber says whether two numbers are equal, and have the same sign where they are 0.
func sameNumber(a, b string) bool {
	x, ok1 := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok1 && ok2 && x.Cmp(y) == 0 && (x.Sign() != 0 || strings.HasPrefix(a, "-") == strings.HasPrefix(b, "-"))
}
