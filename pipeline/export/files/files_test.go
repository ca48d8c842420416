package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/sinks/bucket"
	"github.com/millrace/millrace/sinks/bucket/buckettest"
	"github.com/millrace/millrace/sinks/fragment"
)

var exportID = export.ID{WorkspaceID: "acme", ExportID: "e1"}

// openBucket opens a store of the test's own: "file", "mem" or "s3".
func openBucket(t *testing.T, kind string) *bucket.Bucket {
	t.Helper()
	url := map[string]string{"file": "file://" + t.TempDir(), "mem": "mem://"}[kind]
	if kind == "s3" {
		url, _ = buckettest.S3(t)
	}
	b, err := bucket.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// columns of the records that the tests write.
var columns = []fragment.Column{
	{Name: "id", Required: true}, {Name: "n", Type: fragment.Integer}, {Name: "text"},
	{Name: "inputs", Type: fragment.Document},
	{Name: "feedback", Type: fragment.Struct, Fields: []fragment.Column{{Name: "rating"},
		{Name: "score", Type: fragment.Float}}},
}

// testRecord is a record with texts that are difficult in some format: quotes, line breaks, the
// name of a column.
func testRecord(i int) []byte {
	return fmt.Appendf(nil,
		`{"id":"r-%04d","n":%d,"text":"id,\"n\"\nline %d\r\nمرحبا","inputs":{"k":[%d,"x\ny"]},"feedback":{"rating":"thumbsUp","score":0.5}}`, i, i, i, i)
}

// part is a split of the export that is to be written.
type part struct {
	split   string
	records int
}

// writeExport leaves an export in the bucket as the stages would: 10 records a fragment, and a
// card.
func writeExport(t *testing.T, b *bucket.Bucket, format, compression string, parts ...part) *Dataset {
	t.Helper()
	f := folder.Folder{Bucket: b, ID: exportID}
	request := &export.Request{
		ID: exportID, Name: "answers", Purpose: export.ExportDataset, Source: "recipe",
		AppID: export.Apps{"a"}, Target: export.Canonical,
		Format: format, Compression: compression, Selection: export.Selection{Limit: 1000},
	}
	plan := createPlan(t, f, request)
	w := &export.WindowManifest{ID: exportID, Attempt: "abc", CreatedAt: plan.RequestedAt}
	next := 0
	for _, p := range parts {
		w.Files = append(w.Files, writeSplit(t, f, format, compression, p, &next)...)
	}
	w.Rows, w.RowsUsed, w.Records = int64(next), int64(next), int64(next)
	if _, err := f.CreateWindow(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	m := export.NewManifest(plan, export.StatusSucceeded, nil, []*export.WindowManifest{w}, "results/0/1",
		plan.RequestedAt.Add(time.Second))
	readme := card.README(plan, m)
	put(t, b, f.Key(export.CardName), readme)
	m.Add(export.CardName, export.Card, readme)
	if _, _, err := f.CreateManifest(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return open(t, b)
}

func createPlan(t *testing.T, f folder.Folder, r *export.Request) *export.Plan {
	t.Helper()
	plan, err := f.CreatePlan(t.Context(), &export.Plan{
		Version: export.PlanVersion, ID: f.ID, Hash: r.Hash(), RequestedAt: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC),
		Request: r,
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func writeSplit(t *testing.T, f folder.Folder, format, compression string, p part, next *int) (files []export.File) {
	t.Helper()
	encoder, err := fragment.NewEncoder(format, compression, fragment.Settings{Columns: columns, CreatedBy: "test"})
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return export.DataName(p.split, 0, i, "abc", encoder.Extension()) }
	w := fragment.NewWriter(encoder, fragment.Limits{MaxRecords: 10}, func(i int) (fragment.Destination, error) {
		return f.Bucket.NewWriter(t.Context(), f.Key(name(i)))
	})
	defer w.Abort()
	for range p.records {
		if err := w.Write(testRecord(*next), 0); err != nil {
			t.Fatal(err)
		}
		*next++
	}
	done, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range done {
		files = append(files, export.File{Key: name(info.Index), Kind: export.Data, Split: p.split, Records: info.Records,
			Bytes: info.Bytes, SHA256: info.SHA256})
	}
	return files
}

func open(t *testing.T, b *bucket.Bucket) *Dataset {
	t.Helper()
	d, err := Open(t.Context(), b, exportID)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put replaces an object.
func put(t *testing.T, b *bucket.Bucket, key string, body []byte) {
	t.Helper()
	if err := b.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b *bucket.Bucket, key string) []byte {
	t.Helper()
	body, err := b.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// every runs a test for all formats and compressions.
func every(t *testing.T, f func(t *testing.T, format, compression string)) {
	for _, format := range []string{export.JSONL, export.JSON, export.CSV, export.Parquet} {
		for _, compression := range []string{export.NoCompression, export.Gzip, export.Zstd} {
			t.Run(format+"/"+compression, func(t *testing.T) {
				t.Parallel()
				f(t, format, compression)
			})
		}
	}
}

// value is a document without the order of its keys.
func value(t *testing.T, document []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(document, &v); err != nil {
		t.Fatalf("%v in %.200s", err, document)
	}
	return v
}

// wanted returns record i as it is read back. In CSV every value is a text, and line breaks change.
func wanted(t *testing.T, format string, i int) map[string]any {
	if format != export.CSV {
		return value(t, testRecord(i))
	}
	return map[string]any{
		"id": fmt.Sprintf("r-%04d", i), "n": fmt.Sprint(i), "text": fmt.Sprintf("id,\"n\"\nline %d\nمرحبا", i),
		"inputs": fmt.Sprintf(`{"k":[%d,"x\ny"]}`, i), "feedback_rating": "thumbsUp", "feedback_score": "0.5",
	}
}

func TestRecordsAreThoseThatWereWrittenWhateverTheFormat(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, format, compression string) {
		d := writeExport(t, openBucket(t, "mem"), format, compression, part{"train", 25}, part{"validation", 10})
		n := 0
		for record, err := range d.Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got, want := value(t, record), wanted(t, format, n); !reflect.DeepEqual(got, want) {
				t.Errorf("record %d is %v, want %v", n, got, want)
			}
			n++
		}
		if n != 35 {
			t.Errorf("%d records, want 35", n)
		}
		for record := range d.Records(t.Context()) { // a look at the first ends there
			if got := value(t, record)["id"]; got != "r-0000" {
				t.Errorf("the first record is %v", got)
			}
			break
		}
	})
}

func TestReadingSaysWhyThereIsNothingToRead(t *testing.T) {
	t.Parallel()
	reason := &export.Error{Code: "row_too_odd", Message: "a row is too odd", Pointer: "/filters"}
	for name, c := range map[string]struct {
		end  func(t *testing.T, f folder.Folder, p *export.Plan)
		want func(error) bool
		says string
	}{
		"still running": {
			end:  func(*testing.T, folder.Folder, *export.Plan) {},
			want: func(err error) bool { return errors.Is(err, ErrRunning) }, says: "acme/e1",
		},
		"failed": {
			end: func(t *testing.T, f folder.Folder, p *export.Plan) { seal(t, f, p, export.StatusFailed, reason) },
			want: func(err error) bool {
				var none *NoData
				return errors.As(err, &none) && none.Status == export.StatusFailed
			}, says: "/filters: row_too_odd: a row is too odd",
		},
		"cancelled": {
			end: func(t *testing.T, f folder.Folder, p *export.Plan) { seal(t, f, p, export.StatusCancelled, nil) },
			want: func(err error) bool {
				var none *NoData
				return errors.As(err, &none) && none.Status == export.StatusCancelled
			}, says: "cancelled",
		},
		"deleted": {
			end: func(t *testing.T, f folder.Folder, p *export.Plan) {
				seal(t, f, p, export.StatusSucceeded, nil)
				if err := open(t, f.Bucket).Delete(t.Context(), "someone"); err != nil {
					t.Fatal(err)
				}
			},
			want: func(err error) bool { return errors.Is(err, ErrDeleted) }, says: `by "someone"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder.Folder{Bucket: openBucket(t, "mem"), ID: exportID}
			c.end(t, f, createPlan(t, f, &export.Request{ID: exportID, Format: export.JSONL, Compression: export.NoCompression}))
			d := open(t, f.Bucket)
			check := func(what string, err error) {
				if !c.want(err) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v", what, err)
				}
			}
			check("Readable", d.Readable())
			for _, err := range d.Records(t.Context()) {
				check("Records", err)
			}
			_, err := d.Verify(t.Context(), nil)
			check("Verify", err)
			_, err = d.Download(t.Context(), t.TempDir(), DownloadOptions{})
			check("Download", err)
		})
	}
}

func seal(t *testing.T, f folder.Folder, p *export.Plan, status export.Status, why *export.Error) {
	t.Helper()
	if _, _, err := f.CreateManifest(t.Context(), export.NewManifest(p, status, why, nil, "results/0/1",
		p.RequestedAt)); err != nil {
		t.Fatal(err)
	}
}

func TestNobodyFindsTheExportOfAnotherWorkspace(t *testing.T) {
	t.Parallel()
	b := openBucket(t, "mem")
	writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 5})
	for _, id := range []export.ID{{WorkspaceID: "other", ExportID: "e1"}, {WorkspaceID: "acme", ExportID: "e"},
		{WorkspaceID: "acme", ExportID: "e10"}} {
		if _, err := Open(t.Context(), b, id); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), id.String()) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// The life of an export's files is the same in every store.
func TestFilesAreLookedAtVerifiedDownloadedAndDeletedInEveryStore(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"file", "mem", "s3"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := openBucket(t, kind)
			d := writeExport(t, b, export.JSONL, export.Gzip, part{"train", 35})
			if n := len(collect(t, d)); n != 35 {
				t.Errorf("%d records", n)
			}
			report, err := d.Verify(t.Context(), nil)
			if err != nil || len(report.Problems) > 0 || report.Records != 35 || report.Objects != 5 {
				t.Errorf("verified %+v, %v", report, err)
			}
			files, err := d.Download(t.Context(), t.TempDir(), DownloadOptions{})
			if err != nil || len(files) != 3 || files[0].Records != 35 {
				t.Errorf("downloaded %+v, %v", files, err)
			}
			if err := d.Delete(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if left := names(t, b); !reflect.DeepEqual(left, []string{"deleted.json", "manifest.json", "plan.json",
				"windows/00000.json"}) {
				t.Errorf("left are %v", left)
			}
		})
	}
}

func collect(t *testing.T, d *Dataset) (records []string) {
	t.Helper()
	for record, err := range d.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, string(record))
	}
	return records
}

// names lists the objects of the export.
func names(t *testing.T, b *bucket.Bucket) (list []string) {
	t.Helper()
	objects, err := b.List(context.Background(), exportID.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		list = append(list, strings.TrimPrefix(o.Key, exportID.Prefix()))
	}
	return list
}
