package live_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/pipeline/event"
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
		if _, err := planned.Begin(t.Context(), ""); err != nil {
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

// After an upgrade from a release in which nothing was handed over, a server began at the first request that the
// topic holds, took all of them for exports that have not ended, and refused others.
func TestAServerBeginsWhereTheLanesAreThoughNothingWasHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.server()
	for i := range export.MaxUnfinished - 1 {
		w.mustFile(a, fmt.Sprint("e", i))
	}
	admin := kadm.NewClient(w.client)
	ends, err := admin.ListEndOffsets(t.Context(), event.DefaultPrefix+event.TopicExportRequests)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range export.PlanGroups() {
		if group == export.LargeGroup {
			continue
		}
		if err := admin.CommitAllOffsets(t.Context(), event.DefaultPrefix+group, ends.Offsets()); err != nil {
			t.Fatal(err)
		}
	}
	b := w.server()
	w.mustFile(b, "another")
	w.mustFile(b, "and-another")
}
