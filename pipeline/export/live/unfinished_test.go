package live_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/live"
)

// Requests that are not planned yet count too, with whichever server they were filed.
func TestAWorkspaceWithTooManyExportsIsRefusedAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range export.MaxUnfinished - 2 {
		planned := folder.Folder{Bucket: w.bucket, ID: export.ID{WorkspaceID: "acme", ExportID: fmt.Sprint("planned-", i)}}
		if err := planned.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a, b := w.server(), w.server()
	w.mustFile(a, "e1")
	w.status(b, "e1", export.StatusAccepted)
	w.mustFile(b, "e2")
	if _, err := w.file(b, "e3", "n"); !errors.Is(err, live.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	w.mustFile(b, "e1") // the same again is no other export
	ended := folder.Folder{Bucket: w.bucket, ID: export.ID{WorkspaceID: "acme", ExportID: "planned-0"}}
	if err := ended.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustFile(b, "e3")
}
