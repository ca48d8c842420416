package live

import (
	"context"
	"iter"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// Watch yields the state of an export, then each change, and last the final state. A slow reader
// misses changes in between, never the last. Watch yields nil when nothing has changed for the time
// idle. It ends with ErrNotFound, another error of Get, or the error of ctx.
func (e *Exports) Watch(ctx context.Context, id export.ID, idle time.Duration) iter.Seq2[*export.State, error] {
	return func(yield func(*export.State, error) bool) {
		first, err := e.get(ctx, id)
		if err != nil {
			yield(nil, err)
			return
		}
		defer e.board.watch(id)()
		if first.Status.Final() {
			yield(e.completion(ctx, first))
			return
		}
		var last *export.State
		tick := time.NewTicker(idle)
		defer tick.Stop()
		for {
			now, changed := e.board.look(id)
			if now == nil && last == nil { // the topics told nothing of it
				now = first
			}
			if now != nil && now != last {
				last = now
				if now.Status.Final() {
					yield(e.completion(ctx, now))
					return
				}
				if !yield(now, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-tick.C:
				if !yield(nil, nil) {
					return
				}
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// completion returns the final state of an export as its completion event has it. It comes from the
// bucket, because ClickHouse does not keep all fields. If the bucket does not answer, completion
// returns the known state.
func (e *Exports) completion(ctx context.Context, known *export.State) (*export.State, error) {
	if d, err := e.Dataset(ctx, known.ID); err == nil && d.Manifest != nil {
		c, err := d.Completion()
		if err != nil {
			return nil, err
		}
		return &c.State, nil
	}
	x := *known // of whose manifest the bucket knows nothing
	return &x, e.derive(ctx, &x)
}

// watch keeps an entry on the board until the function it returns is called.
func (b *board) watch(id export.ID) (end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.entry(id)
	x.watched++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		x.watched--
	}
}

// look returns the state of a watched export, and a channel that is closed at its next change.
func (b *board) look(id export.ID) (*export.State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.entries[id]
	x.state = x.state.Current(b.now()) // the same state as long as nothing is to hide
	if x.changed == nil {
		x.changed = make(chan struct{})
	}
	return x.state, x.changed
}
