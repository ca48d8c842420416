package files

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
)

// documents are the objects that stay after an export was deleted.
var documents = []string{"deleted.json", "manifest.json", "plan.json", "windows/00000.json"}

func TestDeletingLeavesTheDocumentsAndSaysWhoAndWhen(t *testing.T) {
	t.Parallel()
	b := openBucket(t, "file")
	d := writeExport(t, b, export.Parquet, export.Zstd, part{"train", 25}, part{"test", 5})
	put(t, b, exportID.Prefix()+"__meta__/lineage-00000-abc.jsonl", []byte("{}\n"))
	began := time.Now().Truncate(time.Millisecond)
	if err := d.Delete(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if left := names(t, b); !reflect.DeepEqual(left, documents) {
		t.Errorf("left are %v", left)
	}
	if err := open(t, b).Delete(t.Context(), "second"); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	got := open(t, b)
	if by := got.Deletion; by == nil || by.DeletedBy != "first" || by.ID != exportID || by.DeletedAt.Before(began) ||
		by.DeletedAt.After(time.Now()) {
		t.Errorf("deleted.json is %+v", by)
	}
	if c, err := got.Completion(); err != nil || c.Records != 30 {
		t.Errorf("the completion is %+v, %v", c, err)
	}
}

func TestDeletingAgainCompletesWhatACrashLeft(t *testing.T) {
	t.Parallel()
	b := openBucket(t, "mem")
	d := writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 25})
	first, err := d.folder.CreateDeletion(t.Context(), &export.Deletion{ID: exportID, DeletedBy: "who crashed"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), exportID.Prefix()+d.Manifest.Files[0].Key); err != nil {
		t.Fatal(err)
	}
	if err := open(t, b).Delete(t.Context(), "who came later"); err != nil {
		t.Fatal(err)
	}
	if left := names(t, b); !reflect.DeepEqual(left, documents) {
		t.Errorf("left are %v", left)
	}
	if by := open(t, b).Deletion; !reflect.DeepEqual(by, first) {
		t.Errorf("deleted.json is %+v, want %+v", by, first)
	}
}

func TestAnExportThatHasNotEndedIsNotDeleted(t *testing.T) {
	t.Parallel()
	f := folder.Folder{Bucket: openBucket(t, "mem"), ID: exportID}
	createPlan(t, f, &export.Request{ID: exportID})
	put(t, f.Bucket, f.Key("data/train-00000-00000-abc.jsonl"), []byte("{}\n"))
	if err := open(t, f.Bucket).Delete(t.Context(), ""); !errors.Is(err, ErrRunning) {
		t.Errorf("%v", err)
	}
	if left := names(t, f.Bucket); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
}

func TestAnExportThatFailedOrWasCancelledMayBeDeleted(t *testing.T) {
	t.Parallel()
	for _, status := range []export.Status{export.StatusFailed, export.StatusCancelled} {
		f := folder.Folder{Bucket: openBucket(t, "mem"), ID: exportID}
		seal(t, f, createPlan(t, f, &export.Request{ID: exportID}), status, nil)
		if err := open(t, f.Bucket).Delete(t.Context(), ""); err != nil {
			t.Errorf("%s: %v", status, err)
		}
		if err := open(t, f.Bucket).Readable(); !errors.Is(err, ErrDeleted) {
			t.Errorf("%s: %v", status, err)
		}
	}
}
