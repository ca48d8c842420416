package flow_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
)

// combinations calls f with each format and compression, with -short with each at least once.
func combinations(f func(format, compression string)) {
	compressions := []string{export.NoCompression, export.Gzip, export.Zstd}
	for i, format := range []string{export.JSONL, export.JSON, export.CSV, export.Parquet} {
		for j, compression := range compressions {
			if !testing.Short() || i%len(compressions) == j {
				f(format, compression)
			}
		}
	}
}

// The data set is the same in every format: in windows, in order, each run once.
func TestEveryFormatHoldsTheSameRuns(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords = 100
	f.insertRuns(250)
	f.start()
	combinations(func(format, compression string) {
		f.send(request(format+"-"+compression,
			inWindows(240)+`,"format":"`+format+`","compression":"`+compression+`"`))
	})
	combinations(func(format, compression string) {
		id := format + "-" + compression
		f.poll("completion of "+id, func() bool { return len(f.completions(id)) > 0 })
		c := f.completions(id)[0]
		if got := describe(c); got != "succeeded 240 records" || c.Fragments != 24 {
			t.Errorf("%s: %s in %d fragments", id, got, c.Fragments)
			return
		}
		if got := f.runIDs(c); !slices.Equal(got, lastRuns(240, 250)) {
			t.Errorf("%s: %d runs, want 240, ascending", id, len(got))
		}
	})
}

// runIDs verifies an export and returns the run ids of its records, in any format.
func (f *flow) runIDs(c *export.Completion) (ids []string) {
	f.t.Helper()
	d, err := files.Open(f.t.Context(), f.bucket, c.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	report, err := d.Verify(f.t.Context(), nil)
	if err != nil || len(report.Problems) > 0 {
		f.t.Fatalf("%s: %+v, %v", c.ExportID, report, err)
	}
	for text, err := range d.Records(f.t.Context()) {
		var record struct {
			RunID string `json:"run_id"`
		}
		if err == nil {
			err = json.Unmarshal(text, &record)
		}
		if err != nil {
			f.t.Fatal(err)
		}
		ids = append(ids, record.RunID)
	}
	return ids
}
