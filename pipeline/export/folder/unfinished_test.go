package folder

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

func TestExportsThatHaveNotEndedAreCountedByWorkspace(t *testing.T) {
	t.Parallel()
	f := open(t)
	of := func(workspace, id string) Folder {
		return Folder{Bucket: f.Bucket, ID: export.ID{WorkspaceID: workspace, ExportID: id}}
	}
	unfinished := func(workspace string, want ...string) {
		t.Helper()
		got, err := Unfinished(t.Context(), f.Bucket, workspace)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("%s: %v, %v; want %v", workspace, got, err, want)
		}
	}
	unfinished("acme")
	for _, begun := range []Folder{of("acme", "a"), of("acme", "a"), of("acme", "b"), of("acme-2", "c"),
		of("acme", "ended"), of("acme", "planned")} {
		if _, err := begun.Begin(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := of("acme", "a").End(t.Context()); err != nil {
		t.Fatal(err)
	}
	unfinished("acme", "b", "ended", "planned")
	unfinished("acme-2", "c")

	// what a paused process left behind
	ended := of("acme", "ended")
	if _, _, err := ended.CreateManifest(t.Context(), &export.Manifest{ID: ended.ID}); err != nil {
		t.Fatal(err)
	}
	planned := of("acme", "planned")
	if _, err := planned.CreatePlan(t.Context(), &export.Plan{ID: planned.ID}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 2, 0} {
		now := time.Now().Add([]time.Duration{0, 2 * time.Hour, 25 * time.Hour, 25 * time.Hour}[i])
		if removed, err := RemoveEnded(t.Context(), f.Bucket, now); removed != want || err != nil {
			t.Errorf("round %d removed %d, %v; want %d", i, removed, err, want)
		}
	}
	unfinished("acme", "planned")
}
