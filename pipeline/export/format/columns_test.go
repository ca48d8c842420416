package format

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

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/sample"
	"github.com/millrace/millrace/sinks/fragment"
)

func TestColumnsAreWhatTheFormatterWrites(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.purpose+"/"+k.target, func(t *testing.T) {
			t.Parallel()
			f, err := New(k.purpose, k.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			records := recordsOf(t, f, append(sampleRows(t, 3000), rowsOf(canonicalRows())...))
			seen := map[string]bool{} // columns that had a value
			for _, record := range records {
				d := json.NewDecoder(bytes.NewReader(record))
				d.UseNumber()
				if err := checkObject(d, "", f.Columns(), seen); err != nil {
					t.Fatalf("%v in %.500s", err, record)
				}
			}
			for _, path := range paths("", f.Columns()) {
				if !seen[path] {
					t.Errorf("no record has a value of %s, so its type is not shown", path)
				}
			}
			roundTrip(t, k, records)
		})
	}
}

// roundTrip writes and reads the records in every format.
func roundTrip(t *testing.T, k kind, records [][]byte) {
	t.Helper()
	for _, format := range []string{fragment.JSONL, fragment.JSON, fragment.CSV, fragment.Parquet} {
		e, err := NewEncoder(k.purpose, k.target, format, fragment.Zstd, nil, map[string]string{"export_id": "e-1"})
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
			if err != nil || format != fragment.CSV && !bytes.Equal(back, record) {
				t.Fatalf("%s: %.500s reads back as %.500s, %v", format, record, back, err)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		r.Close()
	}
}

// checkObject holds an object against its columns: names, order and types.
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

// sampleRows are the rows of n sample runs, each with its feedback, ordered as they come.
func sampleRows(t *testing.T, n int) (rows []*Row) {
	t.Helper()
	g := sample.New(sample.Config{Seed: 1, Runs: n})
	byID := map[string]*Row{}
	var decoder runs.Decoder
	for {
		e, more := g.Next()
		if !more {
			return rows
		}
		if e.Type == sample.TypeNode {
			continue
		}
		event, err := decoder.Decode(e.Type, e.Data, "", e.Time)
		if err != nil {
			continue // some samples are refused
		}
		switch event := event.(type) {
		case *runs.Run:
			row := rowOf(event)
			if byID[event.RunID] == nil {
				byID[event.RunID] = row
				rows = append(rows, row)
			}
		case *runs.Feedback:
			if row := byID[event.RunID]; row != nil {
				row.HasFeedback, row.Feedback = true, Feedback{Rating: []byte(event.Rating), Score: null(event.Score), Comment: []byte(event.Comment), CorrectedAnswer: []byte(event.CorrectedAnswer)}
				for _, tag := range event.Tags {
					row.Feedback.Tags = append(row.Feedback.Tags, []byte(tag))
				}
			}
		}
	}
}

func rowOf(r *runs.Run) *Row {
	b := func(s string) []byte { return []byte(s) }
	row := &Row{
		WorkspaceID: b(r.WorkspaceID), RunID: b(r.RunID), RequestID: b(r.RequestID), Source: b(r.Source), AppID: b(r.AppID), AppName: b(r.AppName), AppVersion: b(r.AppVersion),
		SessionID: b(r.SessionID), UserID: b(r.UserID), Trigger: b(r.Trigger), Status: b(r.Status), StartedAt: r.StartedAt.UnixMilli(), UpdatedAt: r.UpdatedAt.UnixMilli(),
		EndedAt:  Null[int64]{r.EndedAt.UnixMilli(), !r.EndedAt.IsZero()},
		Question: b(r.Question), Inputs: b(r.Inputs), SystemInputs: b(r.SystemInputs), Messages: b(r.Messages), Tools: b(r.Tools), Answer: b(r.Answer), Outputs: b(r.Outputs), Reference: b(r.Reference),
		Model: b(r.Model), CostUSD: null(r.CostUSD), TraceID: b(r.TraceID),
	}
	if r.Error != nil {
		row.ErrorType, row.ErrorMessage = b(r.Error.Type), b(r.Error.Message)
	}
	for _, f := range r.Files {
		row.Files = append(row.Files, File{FileID: b(f.FileID), Name: b(f.Name), URI: b(f.URI), ContentType: b(f.ContentType), SizeBytes: null(f.SizeBytes), Direction: b(f.Direction)})
	}
	if r.Usage != nil {
		row.InputTokens, row.OutputTokens = null(r.Usage.InputTokens), null(r.Usage.OutputTokens)
	}
	for _, p := range r.Metadata {
		row.Metadata = append(row.Metadata, Pair{b(p.Key), b(p.Value)})
	}
	return row
}

func null[T any](p *T) (n Null[T]) {
	if p != nil {
		n = Null[T]{*p, true}
	}
	return n
}

func rowsOf(named []namedRow) (rows []*Row) {
	for _, n := range named {
		rows = append(rows, n.row)
	}
	return rows
}

func recordsOf(t *testing.T, f Formatter, rows []*Row) (records [][]byte) {
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
