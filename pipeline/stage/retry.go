package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// Retrier repeats what failed, in place, with growing pauses. The zero value of a limit is none.
type Retrier struct {
	Attempts int           // at most, not counting those that failed as Unavailable
	Within   time.Duration // no attempt begins later than this after the first
	Pause    time.Duration // after the first failure; grows fourfold up to MaxPause, each between half and all of it
	MaxPause time.Duration

	log     *slog.Logger
	retries *prometheus.CounterVec
}

// NewRetrier returns the retrier of a stage without limits: for ever, after pauses of 0.25 s to 30 s.
func NewRetrier(cfg *Config) Retrier {
	opts := prometheus.CounterOpts{
		Namespace: "millrace", Subsystem: "stage", Name: "retries_total", Help: "Failed attempts that were or will be repeated, by what was tried.",
		ConstLabels: prometheus.Labels{"stage": cfg.Name},
	}
	return Retrier{
		Pause: 250 * time.Millisecond, MaxPause: 30 * time.Second,
		log: cfg.Log.With("stage", cfg.Name), retries: Register(cfg.Metrics, prometheus.NewCounterVec(opts, []string{"what"})),
	}
}

// Limited is r with limits.
func (r Retrier) Limited(attempts int, within time.Duration) Retrier {
	r.Attempts, r.Within = attempts, within
	return r
}

// permanent is an error that is not retried.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that no repetition can mend; Do returns the error itself.
func Permanent(err error) error { return permanent{err} }

// unavailable is an error that says nothing about the work.
type unavailable struct{ error }

func (u unavailable) Unwrap() error { return u.error }

// Unavailable marks an error of a service that did not answer: it does not count as an attempt.
func Unavailable(err error) error { return unavailable{err} }

// Do calls try until it succeeds, fails for good, or a limit is reached, and returns its last error, or
// the cause of ctx. A *strictjson.Refusal is for good too. What names the work in logs and metrics, about the thing it is done for.
func (r Retrier) Do(ctx context.Context, what, about string, try func() error) error {
	began, pause := time.Now(), r.Pause
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var p permanent
		if errors.As(err, &p) {
			return p.error
		}
		if errors.As(err, new(*strictjson.Refusal)) {
			return err
		}
		if errors.As(err, new(unavailable)) {
			attempt--
		}
		wait := pause/2 + rand.N(pause/2+1)
		if r.Attempts > 0 && attempt == r.Attempts || r.Within > 0 && time.Since(began)+wait > r.Within {
			return fmt.Errorf("%s, tried for %s: %w", what, time.Since(began).Round(time.Second), err)
		}
		r.retries.WithLabelValues(what).Inc()
		r.log.Warn("will be tried again", "what", what, "about", about, "in", wait.Round(time.Millisecond), "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		pause = min(4*pause, r.MaxPause)
	}
}
