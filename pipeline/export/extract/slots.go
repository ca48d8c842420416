package extract

import (
	"context"
	"sync"
)

// turns bounds how many windows are worked on at a time. Windows of small exports do not wait behind those of
// large ones.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting [2][]chan struct{} // of small exports, and of large ones; first come, first served
}

func newSlots(n int) *slots { return &slots{free: n} }

// take waits for a turn. The function it returns ends it.
func (t *slots) acquire(ctx context.Context, small bool) (done func(), err error) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return t.release, nil
	}
	queue := &t.waiting[1]
	if small {
		queue = &t.waiting[0]
	}
	turn := make(chan struct{}, 1)
	*queue = append(*queue, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return t.release, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range *queue {
		if c == turn {
			*queue = append((*queue)[:i], (*queue)[i+1:]...)
			return nil, context.Cause(ctx)
		}
	}
	t.pass() // it was given in this very moment
	return nil, context.Cause(ctx)
}

func (t *slots) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

// next passes a turn on.
func (t *slots) pass() {
	for i, queue := range t.waiting {
		if len(queue) > 0 {
			t.waiting[i] = queue[1:]
			queue[0] <- struct{}{}
			return
		}
	}
	t.free++
}
