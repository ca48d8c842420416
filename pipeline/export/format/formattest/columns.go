package formattest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// CheckColumns checks records against their columns. Each column must have a value in some record.
// CheckColumns also writes and reads the records in every format.
func CheckColumns(t *testing.T, purpose string, target *format.Target, options map[string]any,
	columns []fragment.Column, records [][]byte) {
	t.Helper()
	seen := map[string]bool{} // columns that had a value
	for _, record := range records {
		d := json.NewDecoder(bytes.NewReader(record))
		d.UseNumber()
		if err := checkObject(d, "", columns, seen); err != nil {
			t.Fatalf("%v in %.500s", err, record)
		}
	}
	for _, path := range paths("", columns) {
		if !seen[path] {
			t.Errorf("no record has a value of %s, so its type is not shown", path)
		}
	}
	for _, format := range target.Formats {
		e, err := targets.NewEncoder(purpose, target.Name, format, fragment.Zstd, options,
			map[string]string{"export_id": "e-1"})
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := e.Open(&file); err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			if err := e.Append(record); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := fragment.NewReader(format, fragment.Zstd, bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			back, err := r.Next()
			same := bytes.Equal(jsonscan.Line(new([]byte), back), jsonscan.Line(new([]byte), record))
			if err != nil || format != fragment.CSV && !same {
				t.Fatalf("%s: %.500s reads back as %.500s, %v", format, record, back, err)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		r.Close()
	}
}

// checkObject checks an object against its columns: names, order and types.
func checkObject(d *json.Decoder, at string, columns []fragment.Column, seen map[string]bool) error {
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return fmt.Errorf("%s: %v is no object, %w", at, token, err)
	}
	for _, c := range columns {
		if key, err := d.Token(); err != nil || key != c.Name {
			return fmt.Errorf("%s has key %v, not %s", at, key, c.Name)
		}
		if err := checkValue(d, at+"/"+c.Name, c, seen); err != nil {
			return err
		}
	}
	if token, err := d.Token(); err != nil || token != json.Delim('}') {
		return fmt.Errorf("%s: %v after the last column", at, token)
	}
	return nil
}

func checkValue(d *json.Decoder, at string, c fragment.Column, seen map[string]bool) error {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return err
	}
	if string(raw) == "null" {
		if c.Required {
			return fmt.Errorf("%s is null", at)
		}
		return nil
	}
	seen[at] = true
	inner := json.NewDecoder(bytes.NewReader(raw))
	inner.UseNumber()
	ok := true
	switch c.Type {
	case fragment.Text:
		ok = raw[0] == '"'
	case fragment.Time:
		_, err := time.Parse(`"2006-01-02T15:04:05.000Z"`, string(raw))
		ok = err == nil
	case fragment.Integer:
		var n int64
		ok = json.Unmarshal(raw, &n) == nil
	case fragment.Float:
		var x float64
		ok = json.Unmarshal(raw, &x) == nil && strings.ContainsAny(string(raw), ".e")
	case fragment.Boolean:
		ok = raw[0] == 't' || raw[0] == 'f'
	case fragment.Struct:
		return checkObject(inner, at, c.Fields, seen)
	case fragment.List:
		if token, err := inner.Token(); err != nil || token != json.Delim('[') {
			return fmt.Errorf("%s is no array", at)
		}
		for inner.More() {
			if err := checkValue(inner, at+"/*", *c.Element, seen); err != nil {
				return err
			}
		}
	}
	if !ok {
		return fmt.Errorf("%s must be %s", at, c.Type)
	}
	return nil
}

func paths(at string, columns []fragment.Column) (all []string) {
	for _, c := range columns {
		for c.Type == fragment.List {
			all = append(all, at+"/"+c.Name)
			element := *c.Element
			element.Name = c.Name + "/*"
			c = element
		}
		all = append(all, at+"/"+c.Name)
		all = append(all, paths(at+"/"+c.Name, c.Fields)...)
	}
	return all
}

// NullOf returns the value that p points at, or no value where p is nil.
func NullOf[T any](p *T) (n record.Null[T]) {
	if p != nil {
		n = record.Null[T]{Value: *p, Valid: true}
	}
	return n
}

// RecordsOf returns the records of rows, without those of dropped rows.
func RecordsOf(t *testing.T, f format.RowFormatter, rows []*record.Row) (records [][]byte) {
	t.Helper()
	for _, row := range rows {
		record, drop, err := f.Append(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		if drop == "" {
			records = append(records, slices.Clip(record))
		}
	}
	return records
}
