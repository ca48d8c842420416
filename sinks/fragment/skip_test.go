package fragment

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"testing"
)

func TestRecordsArePassedOverInEveryFormat(t *testing.T) {
	t.Parallel()
	all := runRecords(900, 10_000) // two groups of Parquet
	for _, format := range formats {
		for _, compression := range compressions {
			t.Run(format+"/"+compression, func(t *testing.T) {
				t.Parallel()
				e, err := NewEncoder(format, compression, runSettings())
				if err != nil {
					t.Fatal(err)
				}
				body := encode(t, e, all)
				for _, n := range []int{0, 1, 63, 64, 500, 899, 900} {
					r, err := NewReader(format, compression, bytes.NewReader(body), int64(len(body)))
					if err != nil {
						t.Fatal(err)
					}
					if err := r.Skip(int64(n)); err != nil {
						t.Fatalf("%d: %v", n, err)
					}
					record, err := r.Next()
					switch {
					case n == len(all):
						if !errors.Is(err, io.EOF) {
							t.Errorf("after the last record: %v", err)
						}
					case err != nil:
						t.Fatalf("%d: %v", n, err)
					default:
						if want := idOf(t, all[n]); idOf(t, record) != want {
							t.Errorf("after %d records is %s, want %s", n, idOf(t, record), want)
						}
					}
					r.Close()
				}
				r, err := NewReader(format, compression, bytes.NewReader(body), int64(len(body)))
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if err := r.Skip(901); !errors.Is(err, io.EOF) {
					t.Errorf("beyond the last record: %v", err)
				}
			})
		}
	}
}

var runID = regexp.MustCompile(`"run_id":"([^"]*)"`)

func idOf(t *testing.T, record []byte) string {
	t.Helper()
	found := runID.FindSubmatch(record)
	if found == nil {
		t.Fatalf("no run_id in %.100s", record)
	}
	return string(found[1])
}
