package stage

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/pipeline/telemetry"
)

// trace begins the span of the work on a record. Its attributes are those of OpenTelemetry's conventions
// for messaging.
func (s *Stage) trace(ctx context.Context, r *kgo.Record) (spanned context.Context, end func(error)) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", r.Topic),
		attribute.Int64("messaging.kafka.offset", r.Offset),
		attribute.Int("messaging.destination.partition.id", int(r.Partition)))}
	parent := traceParent(r)
	if !s.cfg.OwnTraces {
		return telemetry.Start(telemetry.Under(ctx, parent), s.cfg.Name, options...)
	}
	ctx, beside := telemetry.Beside(ctx, parent)
	return telemetry.Start(ctx, s.cfg.Name, append(options, beside...)...)
}

// traceParent returns the trace context of a record, or "".
func traceParent(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == telemetry.Header {
			return string(h.Value)
		}
	}
	return ""
}

// carryTrace gives the trace context of a record to the resulting records that have none.
func carryTrace(r *kgo.Record, out []*kgo.Record) {
	parent := traceParent(r)
	if parent == "" {
		return
	}
	for _, o := range out {
		if traceParent(o) == "" {
			o.Headers = append(o.Headers, kgo.RecordHeader{Key: telemetry.Header, Value: []byte(parent)})
		}
	}
}
