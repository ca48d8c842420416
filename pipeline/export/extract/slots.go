package extract

import (
	"context"
	"sync"
)

// slots limits how many windows are worked on concurrently. Windows of small exports do not wait
// behind windows of large exports.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting [2][]chan struct{} // small exports, then large ones; each first in, first out
}

func newSlots(n int) *slots { return &slots{free: n} }

// acquire waits for a slot, and returns the function that releases it.
func (s *slots) acquire(ctx context.Context, small bool) (release func(), err error) {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return s.release, nil
	}
	queue := &s.waiting[1]
	if small {
		queue = &s.waiting[0]
	}
	slot := make(chan struct{}, 1)
	*queue = append(*queue, slot)
	s.mu.Unlock()
	select {
	case <-slot:
		return s.release, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range *queue {
		if c == slot {
			*queue = append((*queue)[:i], (*queue)[i+1:]...)
			return nil, context.Cause(ctx)
		}
	}
	s.pass() // the slot was passed at the same moment
	return nil, context.Cause(ctx)
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass()
}

// pass gives a free slot to the next waiter.
func (s *slots) pass() {
	for i, queue := range s.waiting {
		if len(queue) > 0 {
			s.waiting[i] = queue[1:]
			queue[0] <- struct{}{}
			return
		}
	}
	s.free++
}
