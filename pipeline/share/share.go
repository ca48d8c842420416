// Package share bounds how much is done at a time: in all, and for each workspace. One workspace never
// takes what is left for the others, however much it asks for.
package share

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limits are the limits of a [Share].
type Limits struct {
	What  string // what is limited, in the plural, such as dry runs
	Of    string // who has a share; "" is this workspace
	Total int    // at a time, of all workspaces
	Each  int    // at a time, of one workspace
	// Queue is how many of one workspace may wait for a place, and Wait is how long. Without them
	// nothing waits.
	Queue int
	Wait  time.Duration
}

// Busy is the error of what got no place.
type Busy struct {
	What, Of string
	// Own is true if the workspace itself has taken its share, and false if all workspaces together
	// have taken everything.
	Own bool
	// RetryAfter is when it is worth trying again.
	RetryAfter time.Duration
}

// Error implements error.
func (b *Busy) Error() string {
	if b.Own {
		return fmt.Sprintf("%s has too many %s at a time: wait for some to end, and try again", b.Of, b.What)
	}
	return fmt.Sprintf("the server has too many %s at a time: try again", b.What)
}

// Share hands out places. It is safe for concurrent use.
type Share struct {
	Limits

	mu      sync.Mutex
	used    int
	by      map[string]*usage // of the workspaces that have or want places
	waiters []*waiter         // the oldest first
}

type usage struct{ held, waiting int }

type waiter struct {
	workspace string
	granted   chan struct{} // closed when the waiter has its place
}

// New returns a share without anything in it.
func New(l Limits) *Share { return &Share{Limits: l, by: map[string]*usage{}} }

// Enter takes a place for a workspace. The caller calls leave once. The error is a *Busy, or that of
// ctx. A nil Share has no limits.
func (s *Share) Enter(ctx context.Context, workspace string) (leave func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	w, err := s.enter(workspace)
	if err != nil {
		return nil, err
	}
	leave = sync.OnceFunc(func() { s.leave(workspace) })
	if w == nil {
		return leave, nil
	}
	timer := time.NewTimer(s.Wait)
	defer timer.Stop()
	select {
	case <-w.granted:
		return leave, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
	}
	s.mu.Lock()
	i := slices.Index(s.waiters, w)
	if i < 0 { // it was granted meanwhile
		s.mu.Unlock()
		if err == nil {
			return leave, nil
		}
		leave()
		return nil, err
	}
	defer s.mu.Unlock()
	s.waiters = slices.Delete(s.waiters, i, i+1)
	u := s.by[workspace]
	u.waiting--
	s.forget(workspace, u)
	if err == nil {
		err = s.busy(u)
	}
	return nil, err
}

// enter takes a place that is free, or joins the queue.
func (s *Share) enter(workspace string) (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.by[workspace]
	if u == nil {
		u = &usage{}
	}
	switch {
	case s.used < s.Total && u.held < s.Each:
		s.used++
		u.held++
		s.by[workspace] = u
		return nil, nil
	case u.waiting >= s.Queue:
		return nil, s.busy(u)
	}
	w := &waiter{workspace, make(chan struct{})}
	s.waiters = append(s.waiters, w)
	u.waiting++
	s.by[workspace] = u
	return w, nil
}

// leave gives a place back, and hands free places to those that wait. Of these, the workspace that
// has the fewest places comes first, and then who has waited longest.
func (s *Share) leave(workspace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.by[workspace]
	s.used--
	u.held--
	s.forget(workspace, u)
	for s.used < s.Total {
		next := -1
		for i, w := range s.waiters {
			if held := s.by[w.workspace].held; held < s.Each &&
				(next < 0 || held < s.by[s.waiters[next].workspace].held) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		w := s.waiters[next]
		s.waiters = slices.Delete(s.waiters, next, next+1)
		s.used++
		s.by[w.workspace].held++
		s.by[w.workspace].waiting--
		close(w.granted)
	}
}

func (s *Share) forget(workspace string, u *usage) {
	if u.held == 0 && u.waiting == 0 {
		delete(s.by, workspace)
	}
}

func (s *Share) busy(u *usage) *Busy {
	return &Busy{What: s.What, Of: cmp.Or(s.Of, "this workspace"), Own: u.held >= s.Each,
		RetryAfter: max(time.Second, s.Wait/2)}
}
