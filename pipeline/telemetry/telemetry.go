// Package telemetry has Millrace's traces of itself: the spans of its work, and what ties them to Kafka
// records, metrics and log lines. The traces of the runs that Millrace stores are data, and not here.
//
//	telemetry.go  spans, and trace contexts of Kafka records
//	setup.go      Setup: where spans go, by the environment variables of OpenTelemetry
//	logs.go       log lines with the id of their trace, and what they are about
//
// A trace goes from the request of an export to its completion. Each window has a trace of its own,
// linked to that of the request: a billion rows have 33,000 windows, and no viewer shows so many in one
// trace.
package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is the name of the header with the trace context, in HTTP and in Kafka (W3C Trace Context,
// section 3.2).
const Header = "traceparent"

const tracer = "github.com/millrace/millrace"

// Start begins a span, as a child of the span of ctx. Call end with the error of the work.
func Start(ctx context.Context, name string, options ...trace.SpanStartOption) (
	spanned context.Context, end func(error),
) {
	spanned, span := otel.Tracer(tracer).Start(ctx, name, options...)
	return spanned, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, redact(err.Error()))
		}
		span.End()
	}
}

// StartPart begins a span if ctx has one. What happens outside of any trace, such as a check every few
// seconds, makes none.
func StartPart(ctx context.Context, name string, options ...trace.SpanStartOption) (
	spanned context.Context, end func(error),
) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, func(error) {}
	}
	return Start(ctx, name, options...)
}

// Describe adds attributes to the span of ctx, and to the log lines that are written with the returned context.
func Describe(ctx context.Context, attributes ...attribute.KeyValue) context.Context {
	trace.SpanFromContext(ctx).SetAttributes(attributes...)
	return describe(ctx, attributes)
}

// prefix begins the names of Millrace's own attributes of spans.
const prefix = "millrace."

// Export is the attribute with the workspace and id of an export.
func Export(id string) attribute.KeyValue { return attribute.String(prefix+"export_id", id) }

// Window is the attribute with the number of a window.
func Window(number int) attribute.KeyValue { return attribute.Int(prefix+"window", number) }

// Under returns ctx with the trace context of a caller: spans that begin under it are in the caller's
// trace. A text that is not a trace context is none.
func Under(ctx context.Context, traceParent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{Header: traceParent})
}

// Beside returns ctx for work with a trace of its own, and the options for its span: a link to the
// caller's trace. Where the caller's trace is not sampled, that of the work is not either.
func Beside(ctx context.Context, traceParent string) (context.Context, []trace.SpanStartOption) {
	caller := trace.SpanContextFromContext(Under(context.Background(), traceParent))
	switch {
	case !caller.IsValid():
		return ctx, []trace.SpanStartOption{trace.WithNewRoot()}
	case !caller.IsSampled():
		return trace.ContextWithRemoteSpanContext(ctx, caller), nil
	}
	return ctx, []trace.SpanStartOption{trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: caller})}
}

// TraceParent returns the trace context of the span of ctx, "" where nothing is traced.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[Header]
}

// Observe adds a value to a histogram, with the id of the trace as its exemplar where the trace is
// sampled.
func Observe(ctx context.Context, o prometheus.Observer, value float64) {
	span := trace.SpanContextFromContext(ctx)
	if e, ok := o.(prometheus.ExemplarObserver); ok && span.IsSampled() {
		e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": span.TraceID().String()})
		return
	}
	o.Observe(value)
}
