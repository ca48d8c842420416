package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// WithContext returns a handler that adds to log lines what their context knows: the trace_id of a trace, and
// the attributes of [Describe], such as export_id and window.
func WithContext(h slog.Handler) slog.Handler { return inContext{h} }

type inContext struct{ slog.Handler }

// described is the key of the attributes in a context.
type described struct{}

// describe returns ctx with attributes for the log lines that are written with it.
func describe(ctx context.Context, attributes []attribute.KeyValue) context.Context {
	all := slices.Clone(descriptions(ctx))
	for _, a := range attributes {
		all = append(all, slog.Any(strings.TrimPrefix(string(a.Key), prefix), a.Value.AsInterface()))
	}
	return context.WithValue(ctx, described{}, all)
}

func descriptions(ctx context.Context) []slog.Attr {
	all, _ := ctx.Value(described{}).([]slog.Attr)
	return all
}

// Handle implements [slog.Handler].
func (h inContext) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(descriptions(ctx)...)
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h inContext) WithAttrs(attrs []slog.Attr) slog.Handler {
	return inContext{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h inContext) WithGroup(name string) slog.Handler { return inContext{h.Handler.WithGroup(name)} }
