package kafka

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

var errFault = errors.New("fault")

func retrier() Retrier {
	return (&Config{Name: "test", Log: slog.New(slog.DiscardHandler)}).Retrier()
}

// do runs the retrier with try, and returns the number of attempts and the time that they took.
func do(ctx context.Context, r Retrier, try func(n int) error) (n int, took time.Duration, err error) {
	began := time.Now()
	err = r.Do(ctx, "what", "about", func() error {
		n++
		return try(n)
	})
	return n, time.Since(began), err
}

func TestRetriesGrowSlowerAndStopAtTheirLimits(t *testing.T) {
	t.Parallel()
	always := func(int) error { return errFault }
	for name, c := range map[string]struct {
		retrier  Retrier
		try      func(int) error
		n        int
		min, max time.Duration
		fails    bool
	}{
		"at once": {retrier(), func(int) error { return nil }, 1, 0, 0, false},
		"in the end": {retrier(), func(n int) error { return map[bool]error{true: errFault}[n < 20] }, 20, 4 * time.Minute,
			9 * time.Minute, false},
		"attempts":  {retrier().Limited(5, 0), always, 5, 10 * time.Second, 22 * time.Second, true},
		"time":      {retrier().Limited(0, 10*time.Minute), always, -1, 9 * time.Minute, 10 * time.Minute, true},
		"permanent": {retrier(), func(int) error { return Permanent(errFault) }, 1, 0, 0, true},
		"unavailable counts not as an attempt": {retrier().Limited(5, 10*time.Minute),
			func(int) error { return Unavailable(errFault) },
			-1, 9 * time.Minute, 10 * time.Minute, true},
		"unavailable and then failing": {retrier().Limited(2, 0), func(n int) error {
			if n < 10 {
				return Unavailable(errFault)
			}
			return errFault
		}, 11, time.Minute, 10 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, took, err := do(t.Context(), c.retrier, c.try)
				if c.n >= 0 && n != c.n || took < c.min || took > c.max {
					t.Errorf("%d attempts in %s, want %d in %s to %s", n, took, c.n, c.min, c.max)
				}
				if c.fails != errors.Is(err, errFault) || !c.fails && err != nil {
					t.Errorf("it returned %v", err)
				}
			})
		})
	}
}

func TestRetriesEndWithTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		_, took, err := do(ctx, retrier(), func(int) error { return errFault })
		if !errors.Is(err, cause) || took != time.Minute {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestEachFailureThatIsRepeatedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := &Config{Log: slog.New(slog.DiscardHandler)}
		began, tries := time.Now(), 0
		var told []Failure
		retrier := cfg.Retrier().Limited(3, 0).OnFailure(func(f Failure) { told = append(told, f) })
		failed := errors.New("failed")
		err := retrier.Do(t.Context(), "x", "y", func() error { tries++; return failed })
		if !errors.Is(err, failed) || tries != 3 || len(told) != 2 {
			t.Fatalf("%v after %d tries, told %v", err, tries, told)
		}
		for i, f := range told { // the last one is returned
			if f.Attempts != i+1 || !errors.Is(f.Err, failed) || !f.Since.Equal(began) {
				t.Errorf("told %+v", f)
			}
		}
	})
}
