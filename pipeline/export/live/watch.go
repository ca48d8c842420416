package live

import (
	"context"
	"iter"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// Watch yields the state of an export, then each change, as long as its reader keeps up, and last how it ended; and nil each time that
// nothing has happened for so long. It ends with ErrNotFound, another error of Get, or that of ctx.
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
			if now == nil && last == nil { // only ClickHouse has it
				now = first
			}
			if now != nil && now != last {
				last = now
				if !yield(now, nil) || now.Status.Final() {
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

// completion is how an export ended as its completion event has it, from the bucket: ClickHouse does not keep all of it. Where the bucket
// does not answer it is what is known.
func (e *Exports) completion(ctx context.Context, known *export.State) (*export.State, error) {
	if d, err := e.Dataset(ctx, known.ID); err == nil && d.Manifest != nil {
		c, err := d.Completion()
		if err != nil {
			return nil, err
		}
		return &c.State, nil
	}
	return known, nil
}

// watch keeps an entry until the function it returns is called.
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

// look returns the state of a watched export, and what is closed when that changes.
func (b *board) look(id export.ID) (*export.State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.entries[id]
	if x.changed == nil {
		x.changed = make(chan struct{})
	}
	return x.state, x.changed
}
