package extract

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

func TestSmallExportsGetTheNextSlotsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slots := newSlots(1)
		release, err := slots.acquire(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		var running sync.WaitGroup
		ask := func(name string, small bool) {
			running.Go(func() {
				release, err := slots.acquire(t.Context(), small)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name)
				release()
			})
			synctest.Wait()
		}
		ask("large 1", false)
		ask("large 2", false)
		ask("small 1", true)
		ask("small 2", true)
		release()
		running.Wait()
		if got := len(order); got != 4 || order[0] != "small 1" || order[1] != "small 2" || order[2] != "large 1" ||
			order[3] != "large 2" {
			t.Errorf("%v", order)
		}
	})
}

func TestNoMoreSlotsAreAcquiredThanExist(t *testing.T) {
	t.Parallel()
	slots := newSlots(3)
	var mu sync.Mutex
	var running, most int
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 0 {
				cancel() // acquire may succeed nevertheless
			}
			release, err := slots.acquire(ctx, i%2 == 0)
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
			release()
		})
	}
	group.Wait()
	if most > 3 || slots.free != 3 || len(slots.waiting[0])+len(slots.waiting[1]) != 0 {
		t.Errorf("%d at a time, %d left free, %d waiting", most, slots.free, len(slots.waiting[0])+len(slots.waiting[1]))
	}
}

// Large exports use all slots but one, which a small one gets at once; of one or two, they use all.
func TestLargeExportsLeaveASlot(t *testing.T) {
	t.Parallel()
	for n, large := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3} {
		synctest.Test(t, func(t *testing.T) {
			slots := newSlots(n)
			ctx, cancel := context.WithCancel(t.Context())
			var got, waited int
			var releases []func()
			var running sync.WaitGroup
			for range n + 1 {
				running.Go(func() {
					if release, err := slots.acquire(ctx, false); err == nil {
						got++
						releases = append(releases, release)
					} else {
						waited++
					}
				})
				synctest.Wait()
			}
			if got != large {
				t.Errorf("of %d slots, large exports have %d, want %d", n, got, large)
			}
			if n > large {
				release, err := slots.acquire(t.Context(), true)
				if err != nil {
					t.Fatal(err)
				}
				release()
				synctest.Wait()
				if got != large {
					t.Errorf("of %d slots, large exports got that of a small one", n)
				}
			}
			releases[0]()
			synctest.Wait()
			if got != large+1 {
				t.Errorf("of %d slots, a large export did not get the one that was released", n)
			}
			cancel()
			running.Wait()
			for _, release := range releases[1:] {
				release()
			}
			if slots.free != n || got+waited != n+1 {
				t.Errorf("%d slots of %d are free", slots.free, n)
			}
		})
	}
}
