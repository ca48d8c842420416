package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/kafka"
)

// ErrNotWritten means that Kafka has not acknowledged an entry.
var ErrNotWritten = errors.New("the trail cannot be written")

// Config is the configuration of a Trail.
type Config struct {
	// Producer must give up a record whose context is done, see kgo.AllowIdempotentProduceCancellation.
	Producer    *kgo.Client
	TopicPrefix string
	Source      string        // the CloudEvents source
	Timeout     time.Duration // how long Kafka may take to acknowledge an entry
	Registry    prometheus.Registerer
	Log         *slog.Logger
}

// Trail writes entries to topic audit. It is safe for concurrent use.
type Trail struct {
	cfg      Config
	entries  *prometheus.CounterVec
	refusals Refusals
}

// NewTrail returns a trail.
func NewTrail(cfg Config) *Trail {
	t := &Trail{cfg: cfg, entries: kafka.Register(cfg.Registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "millrace", Subsystem: "audit", Name: "entries_total",
		Help: "Entries of the trail of the server, by outcome: written; lost, which Kafka did not acknowledge.",
	}, []string{"outcome"}))}
	for _, outcome := range []string{"written", "lost"} {
		t.entries.WithLabelValues(outcome)
	}
	return t
}

// Write writes an entry, and returns when Kafka has acknowledged it. It returns ErrNotWritten if
// Kafka does not.
func (t *Trail) Write(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	acknowledged := t.produce(ctx, e)
	select {
	case err := <-acknowledged:
		return err
	case <-ctx.Done(): // the client takes seconds to notice
		return fmt.Errorf("%w: %w", ErrNotWritten, ctx.Err())
	}
}

// Note writes an entry and does not wait. An entry that Kafka does not acknowledge is counted and
// logged.
func (t *Trail) Note(e Entry) {
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.Timeout)
	acknowledged := t.produce(ctx, e)
	go func() {
		defer cancel()
		<-acknowledged //nolint:errcheck // produce has logged it
	}()
}

// Refuse writes an entry about a refused call, if one of its address is due, and does not wait.
func (t *Trail) Refuse(e Entry) {
	e.Action, e.Count = Refused, t.refusals.Count(e.Address, e.At)
	if e.Count > 0 {
		t.Note(e)
	}
}

// produce returns a channel that gets the outcome.
func (t *Trail) produce(ctx context.Context, e Entry) <-chan error {
	acknowledged := make(chan error, 1)
	t.cfg.Producer.TryProduce(ctx, e.Record(t.cfg.TopicPrefix, t.cfg.Source), func(_ *kgo.Record, err error) {
		if err == nil {
			t.entries.WithLabelValues("written").Inc()
			acknowledged <- nil
			return
		}
		t.entries.WithLabelValues("lost").Inc()
		t.cfg.Log.Error("an entry of the trail was not written", "workspace", e.WorkspaceID, "action", e.Action,
			"export_id", e.ExportID, "run_id", e.RunID, "error", err)
		acknowledged <- fmt.Errorf("%w: %w", ErrNotWritten, err)
	})
	return acknowledged
}
