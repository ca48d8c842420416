package fragment

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// suite are the tests that every encoder must pass with every compression. A formatter writes such
// records.
var suite = []struct {
	name    string
	columns []Column
	records func() [][]byte
}{
	{"no records", runColumns(), func() [][]byte { return nil }},
	{"one record", runColumns(), func() [][]byte { return runRecords(1, 1100) }},
	{"runs", runColumns(), func() [][]byte { return runRecords(6000, 1100) }},
	{"every type", typeColumns(), typeRecords},
	{"one column", []Column{{Name: "text"}}, func() [][]byte {
		return lines(`{"text":null}`, `{"text":"a"}`,
			`{"text":null}`)
	}},
	{"hostile text", []Column{{Name: "text"}, {Name: "again", Long: true}, {Name: "few", Dictionary: true}},
		hostileRecords},
	{"many columns", manyColumns(), manyRecords},
	{"a huge record", []Column{{Name: "n", Type: Integer, Required: true}, {Name: "text", Long: true},
		{Name: "raw", Type: Document}}, hugeRecords},
}

func TestEveryEncoderIsReadBackByAnIndependentReader(t *testing.T) {
	for _, test := range suite {
		if testing.Short() && test.name != "every type" {
			continue
		}
		records := test.records()
		for _, format := range formats {
			for _, compression := range compressions {
				t.Run(test.name+"/"+format+"/"+compression, func(t *testing.T) {
					e, err := NewEncoder(format, compression, Settings{Columns: test.columns})
					if err != nil {
						t.Fatal(err)
					}
					first := encode(t, e, records)
					other, err := NewEncoder(format, compression, Settings{Columns: test.columns})
					if err != nil {
						t.Fatal(err)
					}
					encode(t, other, records[:min(len(records), 1)]) // must leave no trace in the next fragment
					if !bytes.Equal(first, encode(t, other, records)) {
						t.Error("the same records give other bytes")
					}
					readIndependently(t, format, compression, test.columns, first, records)
					readBack(t, format, compression, first, records)
				})
			}
		}
	}
}

// readIndependently reads a fragment with the standard library. The library has no Parquet: see
// interop_test.go.
func readIndependently(t *testing.T, format, compression string, columns []Column, file []byte, records [][]byte) {
	t.Helper()
	if format == Parquet {
		return
	}
	plain, closePlain, err := decompress(compression, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer closePlain()
	body, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	var got []json.RawMessage
	switch format {
	case CSV:
		checkCSV(t, columns, body, records)
		return
	case JSONL:
		for line := range bytes.Lines(body) {
			got = append(got, bytes.TrimSuffix(line, lineFeed))
		}
	case JSON:
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(body, lineFeed); n != len(records)+2 {
			t.Errorf("%d lines of %d records", n, len(records))
		}
	}
	if len(got) != len(records) {
		t.Fatalf("%d records of %d", len(got), len(records))
	}
	for i := range got {
		if !json.Valid(got[i]) || !bytes.Equal(got[i], jsonscan.Line(new([]byte), records[i])) {
			t.Fatalf("record %d is %.200s", i, got[i])
		}
	}
}

// readBack reads a fragment with a Reader.
func readBack(t *testing.T, format, compression string, file []byte, records [][]byte) {
	t.Helper()
	src := bytes.NewReader(file)
	if n, err := Count(format, compression, src, src.Size()); err != nil || n != int64(len(records)) {
		t.Errorf("counted %d of %d, %v", n, len(records), err)
	}
	r, err := NewReader(format, compression, src, src.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range records {
		got, err := r.Next()
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if format == JSONL || format == JSON {
			want = jsonscan.Line(new([]byte), want)
		}
		if format == CSV {
			if !json.Valid(got) || got[0] != '{' {
				t.Fatalf("record %d is no JSON: %.200s", i, got)
			}
		} else if !bytes.Equal(got, want) {
			t.Fatalf("record %d is %.300s, not %.300s", i, got, want)
		}
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last: %v", err)
		}
	}
}

// checkCSV compares a file with what encoding/json reads in the records.
func checkCSV(t *testing.T, columns []Column, body []byte, records [][]byte) {
	t.Helper()
	reader := csv.NewReader(bytes.NewReader(body)) // strict: bare quotes and rows of other lengths are errors
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(records)+1 {
		t.Fatalf("%d rows of %d records", len(rows), len(records))
	}
	if want := csvNames("", columns); !slices.Equal(rows[0], want) {
		t.Fatalf("header %q, want %q", rows[0], want)
	}
	for i, record := range records {
		d := json.NewDecoder(bytes.NewReader(record))
		d.UseNumber()
		var object map[string]any
		if err := d.Decode(&object); err != nil {
			t.Fatal(err)
		}
		want := csvCells(columns, object)
		for j, cell := range rows[i+1] {
			if !sameCell(cell, want[j]) {
				t.Fatalf("record %d, %s: cell %.200q, want %.200v", i, rows[0][j], cell, want[j])
			}
		}
	}
}

func csvNames(prefix string, columns []Column) (names []string) {
	for _, c := range columns {
		if c.Type == Struct {
			names = append(names, csvNames(prefix+c.Name+"_", c.Fields)...)
		} else {
			names = append(names, prefix+c.Name)
		}
	}
	return names
}

func csvCells(columns []Column, object map[string]any) (cells []any) {
	for _, c := range columns {
		v := object[c.Name]
		if c.Type == Document && v != nil {
			cells = append(cells, document{v})
			continue
		}
		switch v := v.(type) {
		case map[string]any:
			cells = append(cells, csvCells(c.Fields, v)...)
		case string:
			cells = append(cells, v)
		case nil:
			cells = append(cells, slices.Repeat([]any{""}, len(csvNames("", []Column{c})))...)
		case []any:
			cells = append(cells, document{v})
		default:
			cells = append(cells, v)
		}
	}
	return cells
}

// document is a cell that holds JSON.
type document struct{ value any }

// sameCell compares a cell with a value. encoding/csv returns CR LF as LF.
func sameCell(cell string, want any) bool {
	switch want := want.(type) {
	case string:
		return cell == strings.ReplaceAll(want, "\r\n", "\n")
	case document:
		var got any
		d := json.NewDecoder(strings.NewReader(cell))
		d.UseNumber()
		return d.Decode(&got) == nil && reflect.DeepEqual(got, want.value)
	}
	return cell == fmt.Sprint(want)
}

func lines(records ...string) (out [][]byte) {
	for _, r := range records {
		out = append(out, []byte(r))
	}
	return out
}

// typeColumns have every type: at the top, in a struct and in a list. They also have lists in
// lists.
func typeColumns() []Column {
	text, number := Column{}, Column{Type: Integer, Required: true}
	numbers := Column{Type: List, Element: &number}
	score := Column{Type: Struct, Fields: []Column{{Name: "name", Required: true}, {Name: "value", Type: Float},
		{Name: "tags", Type: List, Element: &text}}}
	return []Column{
		{Name: "id", Required: true, Bloom: true},
		{Name: "whole", Type: Integer}, {Name: "float", Type: Float}, {Name: "flag", Type: Boolean}, {Name: "at", Type: Time},
		{Name: "doc", Type: Document},
		{Name: "few", Dictionary: true}, {Name: "long", Long: true},
		{Name: "node", Type: Struct, Fields: []Column{
			{Name: "id"}, {Name: "n", Type: Integer}, {Name: "at", Type: Time},
			{Name: "inner", Type: Struct, Fields: []Column{{Name: "flag", Type: Boolean},
				{Name: "list", Type: List, Element: &text}}},
		}},
		{Name: "must", Type: Struct, Required: true, Fields: []Column{{Name: "n", Type: Integer, Required: true}}},
		{Name: "contexts", Type: List, Element: &text}, {Name: "scores", Type: List, Required: true, Element: &score},
		{Name: "matrix", Type: List, Element: &numbers},
	}
}

func typeRecords() [][]byte {
	return lines(
		`{"id":"nulls","whole":null,"float":null,"flag":null,"at":null,"doc":null,"few":null,"long":null,"node":null,"must":{"n":0},"contexts":null,"scores":[],"matrix":null}`,
		`{"id":"all","whole":-12,"float":-1.5,"flag":true,"at":"2026-11-01T00:00:00.001Z","doc":{"a":[1,2.50,{"b":null}],"n":-1E+2},"few":"x","long":"prose","node":{"id":"n-1","n":7,"at":"1970-01-01T00:00:00.000Z","inner":{"flag":false,"list":["a",null,""]}},"must":{"n":1},"contexts":["one","two"],"scores":[{"name":"a","value":0.25,"tags":["t"]},{"name":"b","value":null,"tags":[]},{"name":"c","value":1.0,"tags":null}],"matrix":[[1,2],[],null,[3]]}`,
		`{"id":"edges","whole":9223372036854775807,"float":1.7976931348623157e+308,"flag":false,"at":"2199-12-31T23:59:59.999Z","doc":"-text","few":"","long":"","node":{"id":null,"n":null,"at":null,"inner":null},"must":{"n":-9223372036854775808},"contexts":[],"scores":[null,{"name":"","value":5e-324,"tags":[null,"x"]}],"matrix":[]}`,
		`{"id":"more","whole":0,"float":0.0,"flag":null,"at":"1969-12-31T23:59:59.999Z","doc":-5,"few":"x","long":null,"node":{"id":"=cmd","n":-5,"at":null,"inner":{"flag":null,"list":null}},"must":{"n":2},"contexts":[null],"scores":[{"name":"-1","value":-0.5,"tags":[]}],"matrix":[null]}`,
		`{"id":"documents","whole":1,"float":1e-07,"flag":true,"at":"2024-02-29T12:00:00.000Z","doc":[],"few":"y","long":"@","node":{"id":"","n":0,"at":"2000-01-01T00:00:00.000Z","inner":{"flag":true,"list":[]}},"must":{"n":3},"contexts":["\"",","],"scores":[],"matrix":[[-1]]}`,
	)
}

// hostileTexts are difficult for quoting, lines, spreadsheets and encodings.
func hostileTexts() []string {
	texts := []string{
		"", " ", "  padded  ", `"`, `""`, `a "quoted" word`, ",", ";", "|", "'", "\n", "\r", "\r\n", "a\nb", "a\rb", "a\r\nb",
		"\t", "a\tb", "\x01\x02\x1f", "\x7f", "\b\f",
		"\u2028\u2029\u0085", "\ufeff", "żółw 漢字 👩\u200d👩\u200d👧 🇵🇱", "\U0010ffff", "e\u0301", "\u202eabc", "null", "NULL",
		`\N`, `\`, `\\`, `\"`, `\n`, "true", "0", "007", "1e5", "NaN", "-", "-1.5", "+1", "=1+1", "@SUM(A1)",
		"=HYPERLINK(\"x\",\"y\")", "\t=1", "\r=1", "'=1", "{}", `{"a":1}`, "[1,2]", "# comment", "--", "${x}", "{{y}}",
		"</script>", "%00", "2026-11-01T00:00:00.000Z", "a,b\r\n\"c\"",
		strings.Repeat("ab\"c\n", 50_000),
	}
	return texts
}

func hostileRecords() (records [][]byte) {
	for _, text := range hostileTexts() {
		q := quote(text)
		records = append(records, fmt.Appendf(nil, `{"text":%s,"again":%s,"few":%s}`, q, q, q))
	}
	return records
}

func manyColumns() (columns []Column) {
	for i := range 600 {
		columns = append(columns, Column{Name: fmt.Sprintf("column %d, \"quoted\" é", i), Type: []Type{Text, Integer, Float,
			Document}[i%4]})
	}
	return columns
}

func manyRecords() (records [][]byte) {
	for n := range 20 {
		record := []byte{'{'}
		for i, c := range manyColumns() {
			if i > 0 {
				record = append(record, ',')
			}
			record = append(append(record, quote(c.Name)...), ':')
			switch {
			case (i+n)%5 == 0:
				record = append(record, "null"...)
			case c.Type == Text:
				record = append(record, quote(fmt.Sprint("text ", n*i))...)
			case c.Type == Float:
				record = jsonscan.AppendFloat(record, math.Sqrt(float64(n*i)))
			default:
				record = fmt.Append(record, n*i)
			}
		}
		records = append(records, append(record, '}'))
	}
	return records
}

// hugeRecords are small records around one of 70 MB, which is larger than every buffer.
func hugeRecords() [][]byte {
	text := strings.Repeat("a line of \\\"text\\\" that goes on, é\\n", 1_000_000)
	return lines(`{"n":1,"text":"small","raw":{}}`, `{"n":2,"text":"`+text+`","raw":["`+text+`"]}`,
		`{"n":3,"text":"small","raw":null}`)
}
