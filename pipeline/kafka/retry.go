package kafka

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

// Retrier repeats what failed, in place, with growing pauses. The zero value of a limit is no
// limit.
type Retrier struct {
	Attempts int           // maximum of attempts; attempts that failed as Unavailable do not count
	Within   time.Duration // no attempt begins later than this after the first
	Pause    time.Duration // after the first failure; grows fourfold up to MaxPause; each between half and all of it
	MaxPause time.Duration

	failed          func(Failure)
	log             *slog.Logger
	retries, errors *prometheus.CounterVec
}

// Retrier returns the retrier of a consumer, without limits: it repeats for ever, after pauses of
// 0.25 s to 30 s. What are the names of the work that Do is called for, whose counters begin at 0.
func (c *Config) Retrier(what ...string) Retrier {
	r := Retrier{
		Pause: 250 * time.Millisecond, MaxPause: 30 * time.Second,
		log: c.Log.With("stage", c.Name),
		retries: Register(c.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts(c.opts("stage", "retries_total",
			"Failed attempts that were or will be repeated, by what was tried.")), []string{"what"})),
		errors: Register(c.Metrics, c.errorCounter()),
	}
	r.errors.WithLabelValues(classRetry)
	for _, name := range append(what, listTopics) {
		r.retries.WithLabelValues(name)
	}
	return r
}

// Limited returns r with limits.
func (r Retrier) Limited(attempts int, within time.Duration) Retrier {
	r.Attempts, r.Within = attempts, within
	return r
}

// Failure is a failed attempt, after which Do waits and tries again.
type Failure struct {
	Err      error
	Since    time.Time // when the first attempt began
	Attempts int       // that have failed
}

// OnFailure returns r that also calls a function after each attempt that is repeated. The function
// must not block.
func (r Retrier) OnFailure(failed func(Failure)) Retrier {
	r.failed = failed
	return r
}

// permanent is an error that is not retried.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that a repetition cannot fix.
func Permanent(err error) error { return permanent{err} }

// unavailable is an error of a service, not of the work.
type unavailable struct{ error }

func (u unavailable) Unwrap() error { return u.error }

// Unavailable marks an error of a service that did not answer: Do does not count it as an attempt.
func Unavailable(err error) error { return unavailable{err} }

// IsMarked reports whether Permanent or Unavailable marked an error.
func IsMarked(err error) bool {
	return errors.As(err, new(permanent)) || errors.As(err, new(unavailable))
}

// Do calls try until it succeeds, fails as Permanent or with a *strictjson.Refusal, or reaches a
// limit. It returns the last error, without its mark, or the cause of ctx. what names the work in
// the log and the metrics; about names its object in the log.
func (r Retrier) Do(ctx context.Context, what, about string, try func() error) error {
	began, pause := time.Now(), r.Pause
	var logged time.Time
	for tries, attempts := 1, 0; ; tries++ {
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
		if !errors.As(err, new(unavailable)) {
			attempts++
		}
		wait := pause/2 + rand.N(pause/2+1)
		if r.Attempts > 0 && attempts == r.Attempts || r.Within > 0 && time.Since(began)+wait > r.Within {
			return fmt.Errorf("%s, tried for %s: %w", what, time.Since(began).Round(time.Second), err)
		}
		r.retries.WithLabelValues(what).Inc()
		r.errors.WithLabelValues(classRetry).Inc()
		if r.failed != nil {
			r.failed(Failure{Err: err, Since: began, Attempts: tries})
		}
		if time.Since(logged) >= logInterval {
			logged = time.Now()
			r.log.WarnContext(ctx, "failed; trying again", "what", what, "about", about, "tries", tries, "in",
				wait.Round(time.Millisecond), "error", err)
		}
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

// logInterval is how often a failure that lasts is logged.
const logInterval = 30 * time.Second
