package fragment

import (
	"sync"
	"testing"
)

// An export process has 400 MB of memory, and works on four windows or more in parallel. Parquet
// needs the most memory, since it holds row groups.
func TestFourParquetEncodersOfFullFragmentsFitIntoTheProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has memory of its own")
	}
	const atOnce, limit = 4, 160 << 20
	records := runRecords(4096, 1100)
	used := heap(func() {
		var group sync.WaitGroup
		for range atOnce {
			group.Go(func() {
				e, err := NewEncoder(Parquet, Zstd, runSettings())
				if err != nil {
					t.Error(err)
					return
				}
				w := NewWriter(e, Limits{MaxBytes: 64 << 20}, func(int) (Destination, error) { return discard{}, nil })
				for i := range 50_000 { // more than a fragment
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
	t.Logf("%.1f MiB for %d", float64(used)/(1<<20), atOnce)
	if used > limit {
		t.Errorf("%d encoders need %d bytes of heap, more than %d", atOnce, used, limit)
	}
}
