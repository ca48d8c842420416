package budget_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/budget"
)

func TestWhatDoesNotFitWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		release, err := b.Acquire(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := b.TryAcquire(50); ok {
			t.Error("110 of 100 bytes were given")
		}
		var second func()
		go func() { second, _ = b.Acquire(t.Context(), 50) }()
		synctest.Wait()
		if second != nil {
			t.Fatal("110 of 100 bytes were given")
		}
		release()
		synctest.Wait()
		if second == nil {
			t.Fatal("50 of 100 bytes were not given")
		}
		second()
	})
}

func TestWhatIsLargerThanTheBudgetWaitsUntilItIsAlone(t *testing.T) {
	t.Parallel()
	b := budget.New(100)
	small, _ := b.TryAcquire(1)
	if _, ok := b.TryAcquire(1000); ok {
		t.Error("it is not alone")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Acquire(ctx, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	small()
	large, ok := b.TryAcquire(1000)
	if !ok {
		t.Fatal("it is alone, and does not fit")
	}
	large()
	if release, ok := b.TryAcquire(100); !ok {
		t.Error("the whole budget was not given back")
	} else {
		release()
	}
}

func TestANilBudgetHasNoEnd(t *testing.T) {
	t.Parallel()
	var b *budget.Budget
	release, err := b.Acquire(t.Context(), 1<<60)
	_, ok := b.TryAcquire(1 << 60)
	if err != nil || !ok {
		t.Error(err, ok)
	}
	release()
}

func TestAScopeHoldsOneAmountUntilItEnds(t *testing.T) {
	t.Parallel()
	b := budget.New(100)
	if err := budget.Hold(t.Context(), 1000); err != nil {
		t.Error("outside a scope:", err)
	}
	ctx, end := b.Scope(t.Context())
	for _, n := range []int64{80, 1000, 60} { // each in the place of the one before
		if err := budget.Hold(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	release, ok := b.TryAcquire(40)
	if _, more := b.TryAcquire(1); !ok || more {
		t.Error("the scope does not hold 60 of 100 bytes")
	}
	release()
	end()
	if _, ok := b.TryAcquire(100); !ok {
		t.Error("the end of the scope has not given its bytes back")
	}
}

func TestSomebodyWhoWaitsForAnAnswerHearsThatThereIsNoMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		release, err := b.Acquire(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := b.Scope(t.Context())
		began := time.Now()
		if err := budget.Hold(ctx, 50); !errors.Is(err, budget.ErrBusy) || time.Since(began) != budget.Patience {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := budget.Hold(gone, 50); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that has gone: %v", err)
		}
		release()
		if err := budget.Hold(ctx, 50); err != nil {
			t.Errorf("with memory: %v", err)
		}
		end()
	})
}
