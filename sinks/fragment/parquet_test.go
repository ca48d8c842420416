package fragment

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

func openParquet(t *testing.T, file []byte) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParquetHasWhatItsReadersLookFor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("large files and no concurrency: it runs without -short")
	}
	records := runRecords(16_000, 1100)
	for compression, codec := range map[string]format.CompressionCodec{Uncompressed: format.Uncompressed,
		Gzip: format.Gzip, Zstd: format.Zstd} {
		e, err := NewEncoder(Parquet, compression, runSettings())
		if err != nil {
			t.Fatal(err)
		}
		file := encode(t, e, records)
		f := openParquet(t, file)
		m := f.Metadata()
		if m.CreatedBy != "millrace version 1.2.3 (build abc)" {
			t.Errorf("created by %q", m.CreatedBy)
		}
		if v, ok := f.Lookup("export_id"); !ok || v != "e-1" {
			t.Errorf("export_id is %q", v)
		}
		if len(m.RowGroups) < 2 {
			t.Fatalf("%d row groups", len(m.RowGroups))
		}
		for g, group := range m.RowGroups {
			if group.NumRows > 128_000 || group.TotalByteSize > 128<<20 {
				t.Errorf("row group %d has %d rows, %d bytes", g, group.NumRows, group.TotalByteSize)
			}
			if want := []string{"started_at", "run_id"}; !slices.Equal(sortedBy(&group), want) {
				t.Errorf("row group %d is sorted by %v", g, sortedBy(&group))
			}
			for _, chunk := range group.Columns {
				c := &chunk.MetaData
				path := strings.Join(c.PathInSchema, ".")
				if c.Codec != codec {
					t.Errorf("%s: %s", path, c.Codec)
				}
				if hasBloom := c.BloomFilterOffset > 0; hasBloom != (path == "id" || path == "run_id") {
					t.Errorf("%s: bloom filter %v", path, hasBloom)
				}
				if hasDictionary := slices.Contains(c.Encoding, format.RLEDictionary); hasDictionary != isFew(path) {
					t.Errorf("%s: dictionary %v", path, hasDictionary)
				}
				if chunk.ColumnIndexOffset == 0 || chunk.OffsetIndexOffset == 0 {
					t.Errorf("%s has no page index", path)
				}
				bounds := len(c.Statistics.MinValue) > 0 && len(c.Statistics.MaxValue) > 0
				if long := slices.Contains([]string{"question", "answer", "inputs", "outputs", "metadata"}, path); bounds == long &&
					c.Statistics.NullCount < c.NumValues {
					t.Errorf("%s has bounds: %v", path, bounds)
				}
				for _, page := range f.OffsetIndexes()[g*len(group.Columns)].PageLocations {
					if page.CompressedPageSize > 1<<20+batchBytes+1024 {
						t.Errorf("%s has a page of %d bytes", path, page.CompressedPageSize)
					}
				}
			}
		}
		found, err := f.RowGroups()[0].ColumnChunks()[1].BloomFilter().
			Check(parquet.ValueOf(between(records[3], `"run_id":"`, `"`)))
		if err != nil || !found {
			t.Errorf("the bloom filter does not know a run: %v", err)
		}
	}
}

func isFew(path string) bool {
	return slices.Contains([]string{"source", "app_id", "app_name", "app_version", "trigger", "status", "error.type",
		"files.list.element.direction", "feedback.rating", "model"}, path)
}

func sortedBy(group *format.RowGroup) (names []string) {
	for _, s := range group.SortingColumns {
		if !s.Descending {
			names = append(names, group.Columns[s.ColumnIdx].MetaData.PathInSchema[0])
		}
	}
	return names
}

func between(record []byte, before, after string) string {
	_, rest, _ := strings.Cut(string(record), before)
	value, _, _ := strings.Cut(rest, after)
	return value
}

func TestParquetTypesAreWhatReadersExpect(t *testing.T) {
	t.Parallel()
	e, err := NewEncoder(Parquet, Uncompressed, Settings{Columns: typeColumns()})
	if err != nil {
		t.Fatal(err)
	}
	got := openParquet(t, encode(t, e, nil)).Schema().String()
	for _, want := range []string{
		"required binary id (STRING)", "optional int64 whole", "optional double float", "optional boolean flag",
		"optional int64 at (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS))",
		"optional binary doc (JSON)", "optional group node {", "required group scores (LIST) {", "repeated group list {",
		"optional group element {", "required int64 element",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if id, doc := strings.Index(got, " id "), strings.Index(got, " doc "); id > doc {
		t.Error("the columns are not in their order")
	}
}

// The page index of the library stores empty bounds for a page without bounds. A reader that looks
// for a text would skip the page.
func TestThePageIndexOfProseKeepsReadersFromSkippingIt(t *testing.T) {
	t.Parallel()
	e, err := NewEncoder(Parquet, Zstd, Settings{Columns: []Column{{Name: "text", Long: true},
		{Name: "doc", Type: Document}}})
	if err != nil {
		t.Fatal(err)
	}
	f := openParquet(t, encode(t, e, lines(`{"text":"\udbff\udfff\udbff\udfff","doc":{}}`, `{"text":"","doc":[]}`,
		`{"text":null,"doc":null}`)))
	for i, index := range f.ColumnIndexes() {
		if len(index.MinValues) != 1 || string(index.MinValues[0]) != "" ||
			string(index.MaxValues[0]) <= "\U0010ffff\U0010ffff" || index.NullPages[0] || index.NullCounts[0] != 1 {
			t.Errorf("column %d: %+v", i, index)
		}
	}
	f = openParquet(t, encode(t, e, lines(`{"text":null,"doc":null}`)))
	if index := f.ColumnIndexes()[0]; !index.NullPages[0] {
		t.Errorf("a page of nulls: %+v", index)
	}
}

func TestAHugeTextIsNotInTheFooter(t *testing.T) {
	t.Parallel()
	e, err := NewEncoder(Parquet, Zstd, Settings{Columns: []Column{{Name: "text", Long: true},
		{Name: "doc", Type: Document}}})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 10<<20)
	file := encode(t, e, lines(`{"text":"`+text+`","doc":"`+text+`"}`))
	if footer := binary.LittleEndian.Uint32(file[len(file)-8:]); footer > 2000 {
		t.Errorf("the footer has %d bytes", footer)
	}
}

func TestRowGroupsEndAtTheirRowsToo(t *testing.T) {
	t.Parallel()
	e, err := NewEncoder(Parquet, Zstd, Settings{Columns: []Column{{Name: "n", Type: Integer}}})
	if err != nil {
		t.Fatal(err)
	}
	f := openParquet(t, encode(t, e, slices.Repeat(lines(`{"n":1}`), groupRows+1)))
	if groups := f.Metadata().RowGroups; len(groups) != 2 || groups[0].NumRows != groupRows || groups[1].NumRows != 1 {
		t.Errorf("%d row groups", len(groups))
	}
}
