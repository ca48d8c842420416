package extract

import (
	"sync"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
)

// widths remembers the exports whose rows are too wide for blocks of the usual number of rows, so
// that only the first of their windows finds it out.
type widths struct {
	mu    sync.Mutex
	known map[export.ID]selection.BlockRows
}

// maxKnown bounds the exports that are remembered.
const maxKnown = 1000

func (w *widths) of(id export.ID) selection.BlockRows {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known[id]
}

// fewer returns how many rows of the export a block has after it was too large with so many.
func (w *widths) fewer(id export.ID, rows selection.BlockRows) selection.BlockRows {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil || len(w.known) >= maxKnown {
		w.known = map[export.ID]selection.BlockRows{}
	}
	w.known[id] = rows.Fewer()
	return w.known[id]
}
