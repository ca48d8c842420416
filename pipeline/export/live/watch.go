package live

import (
	"context"
	"iter"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// Update is what happened to an export: one of the two, or nothing for a while.
type Update struct {
	Progress   *export.Progress
	Completion *export.Completion // nothing comes after it
}

// Watch yields how an export is, then each change, as long as its reader keeps up, and last how it ended; and an empty update each time that nothing
// has happened for so long. It ends with ErrNotFound, another error of Get, or that of ctx.
func (e *Exports) Watch(ctx context.Context, id export.ID, idle time.Duration) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		x, err := e.get(ctx, id)
		if err != nil {
			yield(Update{}, err)
			return
		}
		defer e.board.watch(id)()
		if x.Status.Final() {
			completion, err := e.completion(ctx, x)
			yield(Update{Completion: completion}, err)
			return
		}
		var last *export.Progress
		tick := time.NewTicker(idle)
		defer tick.Stop()
		for {
			now, changed := e.board.look(id)
			switch {
			case now.Completion != nil:
				yield(now, nil)
				return
			case now.Progress == nil && last == nil: // only ClickHouse has it
				now.Progress = toProgress(x)
				fallthrough
			case now.Progress != nil && now.Progress != last:
				last = now.Progress
				if !yield(now, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-tick.C:
				if !yield(Update{}, nil) {
					return
				}
			case <-ctx.Done():
				yield(Update{}, ctx.Err())
				return
			}
		}
	}
}

// completion is the event that told how an export ended.
func (e *Exports) completion(ctx context.Context, x *Export) (*export.Completion, error) {
	if d, err := e.Dataset(ctx, x.ID()); err == nil && d.Manifest != nil {
		return d.Completion()
	}
	return toCompletion(x), nil // the bucket does not answer; nearly the same
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

// look returns how a watched export is, and what is closed when that changes.
func (b *board) look(id export.ID) (Update, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.entries[id]
	if x.changed == nil {
		x.changed = make(chan struct{})
	}
	u := Update{Progress: x.progress, Completion: x.completion}
	if u.Progress == nil {
		u.Progress = x.filed
	}
	return u, x.changed
}

func toProgress(x *Export) *export.Progress {
	return &export.Progress{
		About: toCompletion(x).About, PercentDone: x.PercentDone, RowsDone: x.RowsDone, RowsPlanned: x.RowsPlanned, Records: x.Records,
		WindowsDone: int(x.WindowsDone), WindowsPlanned: int(x.WindowsPlanned), Fragments: x.Fragments, Bytes: x.Bytes, Dropped: x.Dropped, At: x.UpdatedAt,
	}
}
