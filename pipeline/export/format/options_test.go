package format_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

func TestOptionsOfAnExportDatasetAreCheckedByName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, format string
		options      map[string]any
		want         []string // in the error; none: no error
	}{
		{"none", fragment.Parquet, nil, nil},
		{"columns", fragment.Parquet, map[string]any{"columns": []any{"run_id", "id"}}, nil},
		{"no columns", fragment.JSONL, map[string]any{"columns": []any{}}, []string{`"columns"`, "trace_id"}},
		{"columns that are no list", fragment.JSONL, map[string]any{"columns": "id"}, []string{`"columns"`, "list"}},
		{"columns that are no names", fragment.JSONL, map[string]any{"columns": []any{"id", 1.0}},
			[]string{`"columns"`, "entry 1"}},
		{"an unknown column", fragment.CSV, map[string]any{"columns": []any{"id", "feedback_rating"}},
			[]string{`"feedback_rating"`, "feedback", "trace_id"}},
		{"a column twice", fragment.CSV, map[string]any{"columns": []any{"id", "id"}}, []string{`"id" twice`}},
		{"bom of jsonl", fragment.JSONL, map[string]any{"bom": true}, nil},
		{"bom of csv", fragment.CSV, map[string]any{"bom": true}, nil},
		{"bom of json", fragment.JSON, map[string]any{"bom": true}, []string{`"bom"`, "jsonl and csv", "json"}},
		{"bom of parquet", fragment.Parquet, map[string]any{"bom": true}, []string{`"bom"`, "parquet"}},
		{"no bom of parquet", fragment.Parquet, map[string]any{"bom": false}, nil},
		{"bom that is a text", fragment.CSV, map[string]any{"bom": "yes"}, []string{`"bom"`, "true or false"}},
		{"raw csv", fragment.CSV, map[string]any{"csv_raw": true}, nil},
		{"excel csv", fragment.CSV, map[string]any{"excel": true}, nil},
		{"excel jsonl", fragment.JSONL, map[string]any{"excel": true}, []string{`"excel"`, "csv"}},
		{"raw jsonl", fragment.JSONL, map[string]any{"csv_raw": true}, []string{`"csv_raw"`, "csv"}},
		{"an unknown option", fragment.CSV, map[string]any{"colunms": []any{"id"}},
			[]string{`"colunms"`, "bom, columns, csv_raw, excel"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, err := targets.NewEncoder(format.ExportDataset, record.Canonical, test.format, fragment.Zstd, test.options, nil)
			if (e == nil) == (err == nil) || (err == nil) != (test.want == nil) {
				t.Fatalf("encoder %v and error %v", e, err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %s", err, part)
				}
			}
		})
	}
}

func TestColumnsKeepsOnlyThoseAndTheirOrder(t *testing.T) {
	t.Parallel()
	options := map[string]any{"columns": []any{"metadata", "feedback", "run_id", "started_at", "cost_usd"}}
	f := formattest.NewRowFormatter(t, format.ExportDataset, record.Canonical, options)
	var names []string
	for _, c := range f.Columns() {
		names = append(names, c.Name)
	}
	if want := []string{"run_id", "started_at", "feedback", "cost_usd", "metadata"}; !slices.Equal(names, want) {
		t.Fatalf("columns %v", names)
	}
	all := formattest.NewRowFormatter(t, format.ExportDataset, record.Canonical, nil)
	for _, test := range formattest.CanonicalRows() {
		record, _, err := f.Append(nil, test.Row)
		if err != nil {
			t.Fatal(err)
		}
		if keys := formattest.KeysOf(t, record); !slices.Equal(keys, names) {
			t.Errorf("%s: keys %v", test.Name, keys)
		}
		whole, _, _ := all.Append(nil, test.Row)
		var got, want map[string]json.RawMessage
		if json.Unmarshal(record, &got) != nil || json.Unmarshal(whole, &want) != nil {
			t.Fatal("no JSON")
		}
		for name := range got {
			if !bytes.Equal(got[name], want[name]) {
				t.Errorf("%s: %s is %s, not %s", test.Name, name, got[name], want[name])
			}
		}
	}
	roundTripOptions(t, options)
}

// roundTripOptions writes one record in every format with the options, as an export would.
func roundTripOptions(t *testing.T, options map[string]any) {
	t.Helper()
	f := formattest.NewRowFormatter(t, format.ExportDataset, record.Canonical, options)
	rec := formattest.RecordsOf(t, f, []*record.Row{formattest.FullRow()})[0]
	for _, encoding := range []string{fragment.JSONL, fragment.JSON, fragment.CSV, fragment.Parquet} {
		e, err := targets.NewEncoder(format.ExportDataset, record.Canonical, encoding, fragment.Gzip, options, nil)
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := e.Open(&file); err != nil {
			t.Fatal(err)
		}
		if err := e.Append(rec); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := fragment.Count(encoding, fragment.Gzip, bytes.NewReader(file.Bytes()), int64(file.Len())); n != 1 ||
			err != nil {
			t.Errorf("%s: %d records, %v", encoding, n, err)
		}
	}
}
