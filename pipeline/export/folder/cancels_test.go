package folder

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/bucket"
)

func TestOnlyOldCancelsWithoutARequestAreRemoved(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, name := range []string{"orphan", "late", "gone"} {
		f.ID.ExportID = name
		for range 2 { // redelivered
			if _, err := f.CreateCancellation(t.Context(), &export.Cancellation{ID: f.ID}); err != nil {
				t.Fatal(err)
			}
			if err := f.AwaitRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Bucket.Delete(t.Context(), f.Key(export.CancelName)); err != nil { // a janitor that was killed
		t.Fatal(err)
	}
	f.ID.ExportID = "late"
	if _, err := f.CreatePlan(t.Context(), &export.Plan{ID: f.ID}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 0} {
		now := time.Now().Add([]time.Duration{23 * time.Hour, 25 * time.Hour, 25 * time.Hour}[i])
		if removed, err := RemoveOrphans(t.Context(), f.Bucket, now); removed != want || err != nil {
			t.Errorf("round %d removed %d, %v", i, removed, err)
		}
	}
	if got := left(t, f); !slices.Equal(got, []string{"cancel.json", "plan.json"}) {
		t.Errorf("of the export whose request came there is %v", got)
	}
	f.ID.ExportID = "orphan"
	if _, err := f.Cancellation(t.Context()); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("the orphan: %v", err)
	}
	if waiting, err := f.Bucket.List(t.Context(), waitingDir); len(waiting) > 0 || err != nil {
		t.Errorf("waiting are %v, %v", waiting, err)
	}
}
