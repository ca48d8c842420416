package loaders

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/sinks/fragment"
)

// compare compares what a reader has loaded with the records.
func compare(t *testing.T, d *dataSet, columns []fragment.Column, want []object, got *loaded) {
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
				wrong = differsAsText(c, record[c.Name], row, c.Name)
			} else {
				wrong = differs(c, record[c.Name], row[c.Name])
			}
			if wrong != "" {
				t.Errorf("%s: row %d, %s, which is %s: %s", d.id, i, c.Name, got.Columns[c.Name], wrong)
			}
		}
	}
}

// differs says how a loaded value is another than that of the record, "" for the same.
func differs(c fragment.Column, want, got any) string {
	wrong := fmt.Sprintf("is %#v, want %#v", got, want)
	if want == nil || got == nil {
		if want == nil && got == nil {
			return ""
		}
		return wrong
	}
	switch c.Type {
	case fragment.Text, fragment.Boolean, fragment.Integer:
		if got == want {
			return ""
		}
	case fragment.Float:
		g, ok := got.(json.Number)
		if !ok || !strings.ContainsAny(string(g), ".e") {
			return wrong
		}
		a, err1 := g.Float64()
		b, err2 := want.(json.Number).Float64()
		if err1 == nil && err2 == nil && math.Float64bits(a) == math.Float64bits(b) {
			return ""
		}
	case fragment.Time:
		o, _ := got.(object)
		at, err := time.Parse(time.RFC3339Nano, want.(string))
		if err == nil && fmt.Sprint(o["time"]) == strconv.FormatInt(at.UnixMilli(), 10) {
			return ""
		}
	case fragment.Document:
		if text, ok := got.(string); ok {
			return sameJSONText(want, text)
		}
		return sameJSON(want, got)
	case fragment.Struct:
		o, ok := got.(object)
		if !ok {
			return wrong
		}
		for _, f := range c.Fields {
			if wrong := differs(f, want.(object)[f.Name], o[f.Name]); wrong != "" {
				return f.Name + " " + wrong
			}
		}
		return ""
	case fragment.List:
		list, ok := got.([]any)
		if !ok || len(list) != len(want.([]any)) {
			return wrong
		}
		for i, element := range want.([]any) {
			if wrong := differs(*c.Element, element, list[i]); wrong != "" {
				return fmt.Sprintf("%d %s", i, wrong)
			}
		}
		return ""
	}
	return wrong
}

// differsAsText says how the cells of a row of CSV are others than the value of a record. An empty
// cell is a text without characters, or null.
func differsAsText(c fragment.Column, want any, row object, name string) string {
	if c.Type == fragment.Struct {
		of, _ := want.(object)
		for _, f := range c.Fields {
			if wrong := differsAsText(f, of[f.Name], row, name+"_"+f.Name); wrong != "" {
				return f.Name + " " + wrong
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
	case c.Type == fragment.List || c.Type == fragment.Document:
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
