package fragment

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestARecordThatDoesNotFitItsColumnsIsRefusedByName(t *testing.T) {
	t.Parallel()
	number, text := Column{Type: Integer, Required: true}, Column{Required: true}
	columns := []Column{
		{Name: "run_id", Required: true}, {Name: "n", Type: Integer}, {Name: "x", Type: Float}, {Name: "ok", Type: Boolean},
		{Name: "at", Type: Time}, {Name: "doc", Type: Document},
		{Name: "node", Type: Struct, Fields: []Column{{Name: "id", Required: true}}},
		{Name: "list", Type: List, Element: &number}, {Name: "tags", Type: List, Element: &text},
	}
	for _, test := range []struct {
		record string
		want   []string // in the error of Parquet
		csv    bool     // CSV refuses it too
	}{
		{`{"run_id":"r-1","n":1.5}`, []string{"r-1", "column n", "integer"}, true},
		{`{"run_id":"r-1","n":1e2}`, []string{"column n"}, true},
		{`{"run_id":"r-1","n":"1"}`, []string{"column n", "integer"}, true},
		{`{"run_id":"r-1","n":9223372036854775808}`, []string{"column n", "64 bits"}, true},
		{`{"run_id":"r-1","n":-9223372036854775809}`, []string{"column n", "64 bits"}, true},
		{`{"run_id":"r-1","x":1e400}`, []string{"column x", "64 bits"}, true},
		{`{"run_id":"r-1","x":true}`, []string{"column x"}, true},
		{`{"run_id":"r-1","ok":"true"}`, []string{"column ok", "true or false"}, true},
		{`{"run_id":"r-1","at":"2026-11-01"}`, []string{"column at", "milliseconds"}, true},
		{`{"run_id":"r-1","at":"2026-02-30T00:00:00.000Z"}`, []string{"column at"}, true},
		{`{"run_id":"r-1","at":"2026-11-01T00:00:00.000+02:00"}`, []string{"column at"}, true},
		{`{"run_id":"r-1","node":[]}`, []string{"column node", "an object"}, true},
		{`{"run_id":"r-1","node":{}}`, []string{"column node.id", "missing"}, true},
		{`{"run_id":"r-1","node":{"id":null}}`, []string{"column node.id", "null"}, true},
		{`{"run_id":"r-1","node":{"id":"a","more":1}}`, []string{"column node", "unknown key"}, true},
		{`{"run_id":"r-1","list":{}}`, []string{"column list", "an array"}, true},
		{`{"run_id":"r-1","list":["a"]}`, []string{"column list"}, false},
		{`{"run_id":"r-1","list":[null]}`, []string{"column list", "null"}, false},
		{`{"run_id":"r-1","tags":["\ud800"]}`, []string{"column tags", "surrogate"}, false},
		{`{"run_id":"r-1","more":1}`, []string{"r-1", "unknown key"}, true},
		{`{"run_id":"r-1","n":1,"n":2}`, []string{"column n", "twice"}, true},
		{`{"n":1}`, []string{"column run_id", "missing"}, true},
		{`{"run_id":null}`, []string{"column run_id", "null"}, true},
		{`{"run_id":"\udc00x"}`, []string{"column run_id", "surrogate"}, true},
		{"{\"run_id\":\"\xff\"}", []string{"UTF-8"}, true},
		{"{\"run_id\":\"a\nb\"}", []string{"byte 12", "control character"}, true},
		{`{"run_id":"r-1","doc":{"a":01}}`, []string{"byte"}, true},
		{`{"run_id":"r-1","doc":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, []string{"nested deeper"},
			true},
		{`{"run_id":"r-1"`, []string{"the end"}, true},
		{`{"run_id":"r-1"}}`, []string{"byte 16"}, true},
		{`{"run_id":"r-1",}`, []string{"a key"}, true},
		{`{"run_id":"r-1" "n":1}`, []string{"a comma"}, true},
		{`[]`, []string{"an object"}, true},
		{``, []string{"an object"}, true},
		{`null`, []string{"an object"}, true},
	} {
		for _, format := range []string{Parquet, CSV} {
			if format == CSV && !test.csv {
				continue
			}
			e, err := NewEncoder(format, Uncompressed, Settings{Columns: columns})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Open(io.Discard); err != nil {
				t.Fatal(err)
			}
			e.SizeWith([]byte(test.record))
			err = e.Append([]byte(test.record))
			for _, part := range test.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%s, %.100s: error %v does not say %q", format, test.record, err, part)
				}
			}
		}
	}
}

func TestKeysMayComeInAnyOrderAndWithSpaces(t *testing.T) {
	t.Parallel()
	columns := []Column{{Name: "a", Type: Integer}, {Name: "b é"}, {Name: "c", Type: Struct,
		Fields: []Column{{Name: "d"}, {Name: "e"}}}, {Name: "f"}}
	record := lines(" { \"f\" : \"1\" ,\n\"c\" : { \"e\" : null , \"\\u0064\" : \"2\" } , \"b \\u00e9\" : \"3\" , \"a\" " +
		": 4 }\t")
	for format, want := range map[string]string{
		Parquet: `{"a":4,"b é":"3","c":{"d":"2","e":null},"f":"1"}`, CSV: `{"a":"4","b é":"3","c_d":"2","c_e":"","f":"1"}`,
	} {
		e, err := NewEncoder(format, Zstd, Settings{Columns: columns})
		if err != nil {
			t.Fatal(err)
		}
		readBack(t, format, Zstd, encode(t, e, record), lines(want))
	}
	e, _ := NewEncoder(Parquet, Zstd, Settings{Columns: columns})
	readBack(t, Parquet, Zstd, encode(t, e, lines(`{}`)), lines(`{"a":null,"b é":null,"c":null,"f":null}`))
}

func TestColumnsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		columns []Column
		want    string
	}{
		{nil, "no fields"},
		{[]Column{{}}, "without a name"},
		{[]Column{{Name: "a"}, {Name: "a"}}, `"a"`},
		{[]Column{{Name: "a", Type: Struct}}, `"a" has no fields`},
		{[]Column{{Name: "a", Type: List}}, `"a" is a list without an element type`},
	} {
		for _, format := range []string{CSV, Parquet} {
			if _, err := NewEncoder(format, Uncompressed, Settings{Columns: test.columns}); err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %v: %v", format, test.columns, err)
			}
		}
	}
	_, err := NewEncoder(CSV, Uncompressed, Settings{Columns: []Column{{Name: "a_b"},
		{Name: "a", Type: Struct, Fields: []Column{{Name: "b"}}}}})
	if err == nil || !strings.Contains(err.Error(), `"a_b"`) {
		t.Errorf("two columns of one name in CSV: %v", err)
	}
	if _, err := NewEncoder(Parquet, Zstd, Settings{Columns: []Column{{Name: "a"}},
		SortedBy: []string{"b"}}); err == nil || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("sorted by nothing: %v", err)
	}
}

// What must hold: no record makes an encoder panic. A record that it accepts is JSON in the shape
// of the columns, and reads back as encoding/json reads it, except that absent keys are null.
func FuzzRecordsReadBack(f *testing.F) {
	for _, record := range typeRecords() {
		f.Add(record)
	}
	f.Add([]byte(`{ "must":{"n":-0},"id":"\ud83d\ude00\u0000","scores":[],"float":-0.0,"doc":"\ud800"}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := NewEncoder(Parquet, Uncompressed, Settings{Columns: typeColumns()})
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := e.Open(&file); err != nil {
			t.Fatal(err)
		}
		if e.Append(record) != nil {
			return
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(Parquet, Uncompressed, bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		back, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(back, &got); err != nil {
			t.Fatalf("%v in %s", err, back)
		}
		if err := json.Unmarshal(record, &want); err != nil {
			if strings.Contains(err.Error(), "cannot unmarshal number") {
				return // 1E999 in a document: documents keep any number
			}
			t.Fatalf("taken, but %v", err)
		}
		if !reflect.DeepEqual(withNulls(typeColumns(), got), withNulls(typeColumns(), want)) {
			t.Fatalf("%s\nreads back as\n%s", record, back)
		}
		c, err := NewEncoder(CSV, Uncompressed, Settings{Columns: typeColumns()})
		if err != nil {
			t.Fatal(err)
		}
		checkCSV(t, typeColumns(), encode(t, c, [][]byte{record}), [][]byte{record})
	})
}

// withNulls adds the missing keys to an object, as null.
func withNulls(columns []Column, object map[string]any) map[string]any {
	for _, c := range columns {
		switch v := object[c.Name].(type) {
		case map[string]any:
			withNulls(c.Fields, v)
		case []any:
			for _, element := range v {
				if o, ok := element.(map[string]any); ok && c.Type == List {
					withNulls(c.Element.Fields, o)
				}
			}
		case nil:
			object[c.Name] = nil
		}
	}
	return object
}
