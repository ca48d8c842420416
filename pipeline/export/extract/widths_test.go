package extract

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
)

// One wide window makes those that follow it slow only until some have passed.
func TestLargerBlocksAreTriedAfterAWindowThatPassed(t *testing.T) {
	t.Parallel()
	wide, narrow := export.ID{WorkspaceID: "a", ExportID: "1"}, export.ID{WorkspaceID: "a", ExportID: "2"}
	w := &widths{}
	if got := w.of(wide); got != 0 {
		t.Errorf("an unknown export has blocks of %d rows", got)
	}
	w.passed(wide, 0)
	rows := selection.BlockRows(0)
	for _, want := range []selection.BlockRows{64, 16, 4, 1, 1} {
		if rows = w.fewer(wide, rows); rows != want {
			t.Fatalf("after blocks that were too large, they have %d rows, not %d", rows, want)
		}
	}
	w.passed(wide, 64) // of a window that began before
	for _, want := range []selection.BlockRows{1, 4, 16, 64, 256, 0} {
		if rows = w.of(wide); rows != want {
			t.Fatalf("after a window that passed, blocks have %d rows, not %d", rows, want)
		}
		w.passed(wide, rows)
	}
	if len(w.known) != 0 || w.of(narrow) != 0 {
		t.Errorf("remembered are %v", w.known)
	}
}
