package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/bucket"
	"github.com/millrace/millrace/sinks/fragment"
)

// Problem is something that is not as the manifest says.
type Problem struct {
	Key     string `json:"key"` // relative to the export's folder
	Code    string `json:"code"`
	Message string `json:"message"` // goes with the key: "has 12 bytes instead of 13"
}

func (p Problem) Error() string { return p.Key + " " + p.Message }

// Codes of problems.
const (
	Missing      = "missing"       // there is no such object
	Unreadable   = "unreadable"    // it cannot be read, or is not of its format
	WrongSize    = "wrong_size"    // bytes
	WrongHash    = "wrong_sha256"  //
	WrongRecords = "wrong_records" // their number
	WrongTotals  = "wrong_totals"  // manifest.json contradicts itself
)

// Report is what verifying found.
type Report struct {
	export.ID
	Objects  int       `json:"objects"`
	Records  int64     `json:"records"` // read from the data files
	Bytes    int64     `json:"bytes"`   // read from all objects
	Problems []Problem `json:"problems"`
}

// Verify reads every object of the manifest again and checks that it is there, and its size,
// SHA-256 and number of records (invariant 6). The report has everything that is wrong, in the
// order of the manifest. The error is that of [Dataset.Readable], or of verifying itself. Progress
// may be nil; it is called at once by several.
func (d *Dataset) Verify(ctx context.Context, progress func(bytes int64)) (*Report, error) {
	if err := d.Readable(); err != nil {
		return nil, err
	}
	// One object each is on disk while its records are counted.
	dir, err := os.MkdirTemp("", "millrace-verify-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files := d.Manifest.Files
	found := make([]finding, len(files))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(objectsAtOnce)
	for i, f := range files {
		group.Go(func() (err error) {
			found[i], err = d.verifyObject(inner, dir, f, progress)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	report := &Report{ID: d.folder.ID, Objects: len(files), Problems: d.contradictions()}
	for i, o := range found {
		report.Bytes += o.bytes
		if files[i].Kind == export.Data {
			report.Records += o.records
		}
		report.Problems = append(report.Problems, o.problems...)
	}
	return report, nil
}

// finding is what an object turned out to be.
type finding struct {
	measured
	records  int64
	problems []Problem
}

// verifyObject returns an error only where it is not the object's fault.
func (d *Dataset) verifyObject(ctx context.Context, dir string, f export.File, progress func(int64)) (o finding,
	err error) {
	file, err := os.CreateTemp(dir, "")
	if err != nil {
		return o, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	o.measured, err = d.copyTo(ctx, file, f, progress)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		o.problems = []Problem{{f.Key, Missing, "is missing"}}
		return o, nil
	case errors.Is(err, ErrDeleted), ctx.Err() != nil:
		return o, err
	case err != nil:
		o.problems = []Problem{{f.Key, Unreadable, "cannot be read: " + err.Error()}}
		return o, nil
	}
	o.problems = o.differences(f)
	format, compression, ok := d.encoding(f)
	if !ok {
		return o, nil
	}
	o.records, err = fragment.Count(format, compression, file, o.bytes)
	switch {
	case err != nil:
		o.problems = append(o.problems, Problem{f.Key, Unreadable, "is damaged: " + err.Error()})
	case o.records != f.Records:
		o.problems = append(o.problems, Problem{f.Key, WrongRecords, fmt.Sprintf("has %d records instead of %d", o.records,
			f.Records)})
	}
	return o, nil
}

// encoding says how the records of a file are written, if it has records: sidecars are plain.
func (d *Dataset) encoding(f export.File) (format, compression string, ok bool) {
	switch {
	case f.Kind == export.Data:
		return d.Manifest.Format, d.Manifest.Compression, true
	case strings.HasSuffix(f.Key, ".jsonl"):
		return export.JSONL, export.NoCompression, true
	}
	return "", "", false
}

// contradictions are what is wrong with the manifest alone.
func (d *Dataset) contradictions() []Problem {
	problems := []Problem{}
	add := func(what string, got, want int64) {
		if got != want {
			problems = append(problems, Problem{export.ManifestName, WrongTotals,
				fmt.Sprintf("has totals of %d %s, and lists files of %d", want, what, got)})
		}
	}
	var records, bytes, files int64
	listed := map[string]bool{}
	for _, f := range d.Manifest.Files {
		if listed[f.Key] {
			problems = append(problems, Problem{export.ManifestName, WrongTotals, "lists " + f.Key + " twice"})
		}
		listed[f.Key] = true
		if f.Kind == export.Data {
			records, bytes, files = records+f.Records, bytes+f.Bytes, files+1
		}
	}
	add("records", records, d.Manifest.Totals.Records)
	add("bytes", bytes, d.Manifest.Totals.Bytes)
	add("data files", files, d.Manifest.Totals.Files)
	return problems
}
