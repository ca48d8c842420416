// Package files is what can be done with an export that has ended: look at its records, download
// them, verify and delete them. It reads the export's folder in the bucket and nothing else, so
// that it works the moment the completion is there, and with nothing but the bucket left.
//
//	dataset.go    Open: how the export is, and whether there is something to read
//	records.go    Records: its records as JSON, whatever the format
//	span.go       Span: some of the records; its splits
//	preview.go    Preview: the records of a span that fit a page
//	origin.go     Origins: the rows that the records of a span are made of
//	find.go       FindRun: the record of a run
//	ranges.go     an object, read where its format needs it
//	copy.go       an object, copied and held against the manifest
//	file.go       a file, for those who pass it on
//	verify.go     Verify: every object against the manifest
//	download.go   Download: into a folder, all or nothing
//	join.go       the fragments of a split as one file
//	delete.go     Delete
//	size.go       Size: a number of bytes for people
package files

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/bucket"
)

var (
	// ErrNotFound says that the workspace has no such export, or that it is not planned yet.
	ErrNotFound = errors.New("no such export")
	// ErrRunning says that the export has not ended.
	ErrRunning = errors.New("the export is still running")
	// ErrDeleted says that the export's files were deleted.
	ErrDeleted = errors.New("the export's files were deleted")
)

// NoData says that an export ended without files, since it did not succeed.
type NoData struct {
	Status export.Status // failed or cancelled
	Reason *export.Error // of a failed one
}

func (e *NoData) Error() string {
	switch {
	case e.Status == export.StatusCancelled:
		return "the export was cancelled and has no files"
	case e.Reason == nil:
		return "the export failed and has no files"
	case e.Reason.Pointer != "":
		return fmt.Sprintf("the export failed and has no files: %s: %v", e.Reason.Pointer, e.Reason)
	}
	return fmt.Sprintf("the export failed and has no files: %v", e.Reason)
}

// Dataset is an export as its folder tells.
type Dataset struct {
	Plan     *export.Plan
	Manifest *export.Manifest // nil while the export has not ended
	Deletion *export.Deletion // nil unless its files were deleted

	manifest []byte // the text of manifest.json
	folder   folder.Folder
}

// Open reads the documents of an export, whatever its state; see [Dataset.Readable]. ErrNotFound
// where there is none.
func Open(ctx context.Context, b *bucket.Bucket, id export.ID) (*Dataset, error) {
	if !runs.ValidWorkspaceID(id.WorkspaceID) || !runs.ValidID(id.ExportID) {
		return nil, fmt.Errorf("export %q: %w", id.String(), ErrNotFound)
	}
	d := &Dataset{folder: folder.Folder{Bucket: b, ID: id}}
	var err error
	if d.Plan, err = d.folder.Plan(ctx); err != nil {
		if errors.Is(err, bucket.ErrNotFound) {
			err = ErrNotFound
		}
		return nil, fmt.Errorf("export %s: %w", id, err)
	}
	if d.Manifest, d.manifest, err = d.folder.Manifest(ctx); err != nil && !errors.Is(err, bucket.ErrNotFound) {
		return nil, err
	}
	if d.Deletion, err = d.folder.Deletion(ctx); err != nil && !errors.Is(err, bucket.ErrNotFound) {
		return nil, err
	}
	return d, nil
}

// Readable returns nil if the export's files are there to be read. Otherwise the error wraps
// ErrRunning or ErrDeleted, or is a *NoData.
func (d *Dataset) Readable() error {
	switch {
	case d.Manifest == nil:
		return fmt.Errorf("export %s: %w", d.folder.ID, ErrRunning)
	case d.Deletion != nil:
		return deleted(d.Deletion)
	case d.Manifest.Status != export.StatusSucceeded:
		return &NoData{Status: d.Manifest.Status, Reason: d.Manifest.Error}
	}
	return nil
}

func deleted(by *export.Deletion) error {
	who := ""
	if by.DeletedBy != "" {
		who = fmt.Sprintf(" by %q", by.DeletedBy)
	}
	return fmt.Errorf("export %s: %w at %s%s", by.ID, ErrDeleted, by.DeletedAt.UTC().Format(time.DateTime), who)
}

// Completion returns the event that told how the export ended; nil while it has not.
func (d *Dataset) Completion() (*export.Completion, error) {
	if d.Manifest == nil {
		return nil, nil
	}
	return export.NewCompletion(d.Plan, d.manifest, d.folder.Bucket.URL(d.folder.Key(export.ManifestName)), card.LoadWith)
}

// Cancelling reports whether somebody asked to cancel the export, and it has not ended.
func (d *Dataset) Cancelling(ctx context.Context) bool {
	if d.Manifest != nil {
		return false
	}
	c, err := d.folder.Cancellation(ctx)
	return err == nil && c.Reaches(d.Plan.RequestedAt)
}

// data returns the data files, in the order of their records.
func (d *Dataset) data() []export.File {
	var files []export.File
	for _, f := range d.Manifest.Files {
		if f.Kind == export.Data {
			files = append(files, f)
		}
	}
	return files
}
