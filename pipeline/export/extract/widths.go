package extract

import (
	"sync"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
)

// widths remembers the exports whose rows are too wide for blocks of the usual number of rows, so
// that not each of their windows finds it out. The wide rows may all be in one window, and a window that is read row by
// row takes thirty times as long: so after each window that could be read, the next one tries larger blocks.
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

// passed says that a window of the export was read with so many rows in a block.
func (w *widths) passed(id export.ID, rows selection.BlockRows) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch known, ok := w.known[id]; {
	case !ok || known != rows: // another window has found out more
	case rows.More() == known:
		delete(w.known, id)
	default:
		w.known[id] = rows.More()
	}
}
