package share

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWorkspaceTakesItsShareAndLeavesTheRestToOthers(t *testing.T) {
	t.Parallel()
	s := New(Limits{What: "searches", Total: 3, Each: 2})
	enter := func(workspace string) (func(), *Busy) {
		leave, err := s.Enter(t.Context(), workspace)
		var busy *Busy
		if err != nil && !errors.As(err, &busy) {
			t.Fatal(err)
		}
		return leave, busy
	}
	first, _ := enter("hostile")
	enter("hostile")
	if _, busy := enter("hostile"); busy == nil || !busy.Own || busy.RetryAfter <= 0 {
		t.Errorf("beyond its share: %+v", busy)
	}
	if _, busy := enter("small"); busy != nil {
		t.Errorf("beside a hostile workspace: %v", busy)
	}
	if _, busy := enter("other"); busy == nil || busy.Own {
		t.Errorf("beyond the total: %+v", busy)
	}
	first()
	first() // once is enough
	if _, busy := enter("other"); busy != nil {
		t.Errorf("after one has left: %v", busy)
	}
	if _, busy := enter("hostile"); busy == nil {
		t.Error("a place was given back twice")
	}
}

func TestWhoHasTheFewestPlacesIsNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{Total: 2, Each: 2, Queue: 2, Wait: time.Minute})
		leave, _ := s.Enter(t.Context(), "hostile")
		s.Enter(t.Context(), "hostile")
		granted := make(chan string, 3)
		wait := func(workspace string) {
			go func() {
				if _, err := s.Enter(t.Context(), workspace); err == nil {
					granted <- workspace
				}
			}()
			synctest.Wait()
		}
		wait("hostile")
		wait("hostile")
		if _, err := s.Enter(t.Context(), "hostile"); err == nil {
			t.Error("a workspace queues without end")
		}
		wait("small")
		leave()
		if next := <-granted; next != "small" {
			t.Errorf("%s is next", next)
		}
	})
}

func TestTheQueueHasADeadlineAndForgetsWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{Total: 1, Each: 1, Queue: 2, Wait: 5 * time.Second})
		leave, _ := s.Enter(t.Context(), "a")
		began := time.Now()
		var busy *Busy
		if _, err := s.Enter(t.Context(), "b"); !errors.As(err, &busy) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Enter(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its client has left: %v", err)
		}
		leave()
		if len(s.by) != 0 || len(s.waiters) != 0 || s.used != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}
