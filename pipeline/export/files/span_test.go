package files

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
)

func TestASpanHasItsRecordsWhateverTheFormat(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, format, compression string) {
		d := writeExport(t, openBucket(t, "mem"), format, compression, part{"train", 25}, part{"validation", 10})
		if splits := d.Splits(); len(splits) != 2 || splits[0].Name != "train" || splits[0].Records != 25 ||
			splits[0].Files != 3 || splits[1].Records != 10 {
			t.Errorf("the splits are %+v", splits)
		}
		for _, c := range []struct {
			Span
			first, records int
			total          int64
		}{
			{Span{}, 0, 35, 35}, {Span{N: 10}, 0, 10, 35}, {Span{After: 7, N: 10}, 7, 10, 35}, {Span{After: 10, N: 1}, 10, 1, 35},
			{Span{After: 34, N: 5}, 34, 1, 35}, {Span{After: 35, N: 5}, 0, 0, 35}, {Span{Split: "train", After: 24, N: 5}, 24, 1, 25},
			{Span{Split: "validation", After: 3, N: 5}, 28, 5, 10},
		} {
			p, err := d.Preview(t.Context(), c.Span)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Records) != c.records || p.Total != c.total {
				t.Errorf("%+v has %d records of %d", c.Span, len(p.Records), p.Total)
			}
			for i, record := range p.Records {
				if got, want := value(t, record), wanted(t, format, c.first+i); !reflect.DeepEqual(got, want) {
					t.Errorf("record %d of %+v is %v, want %v", i, c.Span, got, want)
				}
			}
		}
	})
}

func TestASplitThatIsNotThereIsAnErrorThatNamesThoseThatAre(t *testing.T) {
	t.Parallel()
	b := openBucket(t, "mem")
	d := writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 25}, part{"validation", 10})
	var unknown *UnknownSplit
	if _, err := d.Preview(t.Context(), Span{Split: "test", N: 1}); !errors.As(err, &unknown) ||
		!strings.Contains(err.Error(), `no split "test": the export has train, validation`) {
		t.Errorf("%v", err)
	}
	if err := (&UnknownSplit{Split: "test"}); !strings.Contains(err.Error(), "has no records") {
		t.Errorf("%v", err)
	}
}

// A page at the end of an export takes as little memory as one at its start.
func TestTheLastRecordsOfALargeExportAreReadAtOnce(t *testing.T) {
	const files, each = 2667, 150 // 400,050 records
	b := openBucket(t, "mem")
	f := folder.Folder{Bucket: b, ID: exportID}
	plan := createPlan(t, f, &export.Request{ID: exportID, Format: export.JSONL, Compression: export.NoCompression})
	w := &export.WindowManifest{ID: exportID, Attempt: "abc", Rows: files * each, Records: files * each}
	for i := range files {
		var body bytes.Buffer
		for j := range each {
			fmt.Fprintf(&body, `{"n":%d,"text":"%0500d"}`+"\n", i*each+j, j)
		}
		key := export.DataName("train", 0, i, "abc", "jsonl")
		put(t, b, f.Key(key), body.Bytes())
		w.Files = append(w.Files, export.File{Key: key, Kind: export.Data, Split: "train", Records: each,
			Bytes: int64(body.Len())})
	}
	if _, err := f.CreateWindow(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	m := export.NewManifest(plan, export.StatusSucceeded, nil, []*export.WindowManifest{w}, "results/0/1", time.Now())
	if _, _, err := f.CreateManifest(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	look := func(after int64) (allocated uint64) {
		var before, since runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := open(t, b).Preview(t.Context(), Span{After: after, N: 20})
		runtime.ReadMemStats(&since)
		if err != nil || len(p.Records) != 20 || value(t, p.Records[0])["n"] != float64(after) {
			t.Fatalf("after %d: %v", after, err)
		}
		return since.TotalAlloc - before.TotalAlloc
	}
	if first, last := look(0), look(files*each-20); last > first+1<<20 {
		t.Errorf("the last records took %d bytes, and the first %d", last, first)
	}
}

func TestTheRowsOfRecordsAreFoundInTheLineage(t *testing.T) {
	t.Parallel()
	b := openBucket(t, "mem")
	d := writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 25}, part{"validation", 10})
	if got, _, err := d.Origins(t.Context(), Span{N: 10}); err != nil || got != nil || d.HasOrigins() {
		t.Errorf("without a lineage: %v, %v", got, err)
	}
	var lineage bytes.Buffer
	for line := range 10 { // the stages write them in the order of records, whatever their split
		for i, f := range d.data() {
			if int64(line) < f.Records {
				for _, run := range []string{"a", "b"} {
					fmt.Fprintf(&lineage, `{"file":%q,"line":%d,"id":"i","run_id":"r-%d-%d-%s","node_run_id":null,"app_version":"v1",`+
						`"score":0.5,"rating":null,"started_at":"2026-11-01T08:00:00.000Z","metadata":{"m":"%0100000d"}}`+"\n", f.Key,
						line+1, i, line, run, 7)
				}
			}
		}
	}
	const name = "__meta__/lineage-00000-abc.jsonl"
	put(t, b, exportID.Prefix()+name, lineage.Bytes())
	d.Manifest.Files = append(d.Manifest.Files, export.File{Key: name, Kind: export.Lineage, Bytes: int64(lineage.Len())})
	for _, c := range []struct {
		Span
		want []string
	}{
		{Span{After: 8, N: 3}, []string{"8 r-0-8-a", "8 r-0-8-b", "9 r-0-9-a", "9 r-0-9-b", "10 r-1-0-a", "10 r-1-0-b"}},
		{Span{Split: "validation", After: 9, N: 3}, []string{"9 r-3-9-a", "9 r-3-9-b"}}, {Span{After: 35, N: 3}, nil},
	} {
		found, more, err := d.Origins(t.Context(), c.Span)
		if err != nil || more {
			t.Fatal(more, err)
		}
		var got []string
		for _, o := range found {
			got = append(got, fmt.Sprint(o.Record, " ", o.RunID))
			if o.AppVersion != "v1" || o.NodeRunID != "" || *o.Score != 0.5 || o.StartedAt == nil {
				t.Errorf("a row is %+v", o)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v is of %v, want %v", c.Span, got, c.want)
		}
	}
	put(t, b, exportID.Prefix()+name, []byte(`{"file":"`+d.data()[0].Key+`","line":1,"id":`+"\n"))
	if _, _, err := d.Origins(t.Context(), Span{N: 1}); err == nil {
		t.Error("a damaged lineage is read")
	}
	for rows, more := range map[int]bool{MaxOrigins: false, MaxOrigins + 1: true} {
		line := fmt.Sprintf(`{"file":%q,"line":1,"run_id":"r","metadata":{}}`+"\n", d.data()[0].Key)
		put(t, b, exportID.Prefix()+name, []byte(strings.Repeat(line, rows)))
		found, got, err := d.Origins(t.Context(), Span{N: 1})
		if err != nil || len(found) != MaxOrigins || got != more {
			t.Errorf("%d rows of a record: %d are found, more: %t, %v", rows, len(found), got, err)
		}
	}
}
