package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Setup sends the spans of this process to a collector, where the environment names one:
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. Without one, and with
// OTEL_SDK_DISABLED=true or OTEL_TRACES_EXPORTER=none, nothing is traced. OpenTelemetry's other variables
// hold as its specification has them: for the protocol (grpc, or http/protobuf, the default), headers,
// certificates, resource, sampler and batches.
//
// Errors are sent as redacted returns their texts, since they may have the URL of a server with its password.
//
// Call stop at the end of the process. It sends what is left, as long as its context lasts.
func Setup(ctx context.Context, role, version string, log *slog.Logger, redacted func(string) string) (
	stop func(context.Context), err error,
) {
	if !wanted() {
		return func(context.Context) {}, nil
	}
	sampler, err := samplerOf(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		return nil, err
	}
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "millrace"),
		attribute.String("service.version", version), attribute.String("millrace.role", role)),
		resource.WithTelemetrySDK(), resource.WithFromEnv()) // the last one wins
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about),
		sdktrace.WithSampler(linked{sampler}))
	redact = redacted
	otel.SetTracerProvider(provider)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("spans were not sent to the collector of OTEL_EXPORTER_OTLP_ENDPOINT", "error", err)
	}))
	return func(ctx context.Context) {
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last spans were not sent to the collector of OTEL_EXPORTER_OTLP_ENDPOINT", "error", err)
		}
	}, nil
}

// redact takes secrets out of the text of an error.
var redact = func(text string) string { return text }

func wanted() bool {
	if disabled, _ := strconv.ParseBool(os.Getenv("OTEL_SDK_DISABLED")); disabled ||
		os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	protocol := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	}
	return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%s: must be grpc or http/protobuf", protocol)
}

// samplerOf returns the sampler that the variables OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name.
// The SDK would read them by itself, but cannot hand over what it has read.
func samplerOf(name, argument string) (sdktrace.Sampler, error) {
	name, ofParent := strings.CutPrefix(name, "parentbased_")
	var sampler sdktrace.Sampler
	switch name {
	case "":
		return sdktrace.ParentBased(sdktrace.AlwaysSample()), nil
	case "always_on":
		sampler = sdktrace.AlwaysSample()
	case "always_off":
		sampler = sdktrace.NeverSample()
	case "traceidratio":
		ratio := 1.0
		if argument != "" {
			var err error
			if ratio, err = strconv.ParseFloat(argument, 64); err != nil || ratio < 0 || ratio > 1 {
				return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG=%s: must be a number from 0 to 1", argument)
			}
		}
		sampler = sdktrace.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER=%s: must be always_on, always_off or traceidratio, alone or after "+
			"parentbased_", os.Getenv("OTEL_TRACES_SAMPLER"))
	}
	if ofParent {
		sampler = sdktrace.ParentBased(sampler)
	}
	return sampler, nil
}

// linked samples a trace that is linked to a sampled one, and all others as the sampler says.
type linked struct{ sdktrace.Sampler }

// ShouldSample implements [sdktrace.Sampler].
func (s linked) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if !trace.SpanContextFromContext(p.ParentContext).IsValid() {
		for _, link := range p.Links {
			if link.SpanContext.IsSampled() {
				return sdktrace.AlwaysSample().ShouldSample(p)
			}
		}
	}
	return s.Sampler.ShouldSample(p)
}
