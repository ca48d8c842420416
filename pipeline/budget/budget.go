// Package budget bounds the bytes that a process holds for its work, however wide the rows are.
//
// Everything whose size follows the data takes its bytes from the one budget of the process before it
// holds them, and gives them back after: batches of ingest, windows of exports, bodies and answers of
// HTTP. What does not fit waits for its turn, first in, first out. What is larger than the whole
// budget waits until it is alone.
//
// A goroutine that holds bytes must not wait for more: two of them would wait for each other.
package budget

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
)

// Patience is how long [Hold] waits for bytes: somebody waits for the answer.
const Patience = 20 * time.Second

// ErrBusy is the error of work for which there was no memory within [Patience].
var ErrBusy = errors.New("the process has too much in memory at a time: try again")

// Budget is a number of bytes that goroutines share. A nil Budget has no end. It is safe for
// concurrent use.
type Budget struct {
	size      int64
	semaphore *semaphore.Weighted
}

// New returns a budget of size bytes.
func New(size int64) *Budget { return &Budget{size, semaphore.NewWeighted(size)} }

// Acquire takes n bytes, and waits until they are free. The caller calls release once. The error is
// that of ctx.
func (b *Budget) Acquire(ctx context.Context, n int64) (release func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	n = min(n, b.size)
	if err := b.semaphore.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { b.semaphore.Release(n) }, nil
}

// TryAcquire takes n bytes if they are free. The caller calls release once if ok.
func (b *Budget) TryAcquire(n int64) (release func(), ok bool) {
	if b == nil {
		return func() {}, true
	}
	n = min(n, b.size)
	if !b.semaphore.TryAcquire(n) {
		return nil, false
	}
	return func() { b.semaphore.Release(n) }, true
}

type scopeKey struct{}

// scope is what the work of a context holds.
type scope struct {
	budget  *Budget
	release func()
}

// Scope returns a context for work that takes bytes with [Hold] once it knows how many, and a
// function that gives them back when the work has ended.
func (b *Budget) Scope(ctx context.Context) (_ context.Context, end func()) {
	s := &scope{b, func() {}}
	return context.WithValue(ctx, scopeKey{}, s), func() { s.release() }
}

// Hold takes n bytes for the rest of the [Budget.Scope] of ctx, in the place of those that it holds.
// Outside a scope it takes nothing. The error is that of ctx, or ErrBusy.
func Hold(ctx context.Context, n int64) error {
	s, ok := ctx.Value(scopeKey{}).(*scope)
	if !ok {
		return nil
	}
	s.release()
	s.release = func() {}
	patient, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	release, err := s.budget.Acquire(patient, n)
	switch {
	case err == nil:
		s.release = release
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return ErrBusy
}
