package extract

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

func TestSmallExportsTakeTheNextTurnInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newSlots(1)
		done, err := turns.acquire(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		var running sync.WaitGroup
		ask := func(name string, small bool) {
			running.Go(func() {
				done, err := turns.acquire(t.Context(), small)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name)
				done()
			})
			synctest.Wait()
		}
		ask("large 1", false)
		ask("large 2", false)
		ask("small 1", true)
		ask("small 2", true)
		done()
		running.Wait()
		if got := len(order); got != 4 || order[0] != "small 1" || order[1] != "small 2" || order[2] != "large 1" || order[3] != "large 2" {
			t.Errorf("%v", order)
		}
	})
}

func TestNoMoreTurnsAreTakenThanThereAre(t *testing.T) {
	t.Parallel()
	turns := newSlots(3)
	var mu sync.Mutex
	var running, most int
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 0 {
				cancel() // it may get a turn all the same
			}
			done, err := turns.acquire(ctx, i%2 == 0)
			if err != nil {
				return
			}
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			mu.Lock()
			running--
			mu.Unlock()
			done()
		})
	}
	group.Wait()
	if most > 3 || turns.free != 3 || len(turns.waiting[0])+len(turns.waiting[1]) != 0 {
		t.Errorf("%d at a time, %d left free, %d waiting", most, turns.free, len(turns.waiting[0])+len(turns.waiting[1]))
	}
}
