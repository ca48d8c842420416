package fragment

import (
	"sync"
	"testing"
)

// An export process has 400 MB for all it does, and four windows or more at once.
func TestFourEncodersOfFullFragmentsFitIntoTheProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const atOnce, limit = 4, 160 << 20
	records := runRecords(4096, 1100)
	for _, format := range formats {
		used := heap(func() {
			var group sync.WaitGroup
			for range atOnce {
				group.Go(func() {
					e, err := NewEncoder(format, Zstd, runSettings())
					if err != nil {
						t.Error(err)
						return
					}
					w := NewWriter(e, Limits{MaxBytes: 64 << 20}, func(int) (Destination, error) { return discard{}, nil })
					for i := range 60_000 { // a fragment and some
						if err := w.Write(records[i%len(records)], 0); err != nil {
							t.Error(err)
							return
						}
					}
					if _, err := w.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		})
		t.Logf("%s: %.1f MiB for %d", format, float64(used)/(1<<20), atOnce)
		if used > limit {
			t.Errorf("%s: %d encoders need %d bytes of heap, more than %d", format, atOnce, used, limit)
		}
	}
}
