package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"

// recorded returns the spans that f makes, under the sampler of these variables.
func recorded(t *testing.T, sampler, argument string, f func()) []sdktrace.ReadOnlySpan {
	t.Helper()
	chosen, err := samplerOf(sampler, argument)
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans),
		sdktrace.WithSampler(linked{chosen})))
	defer otel.SetTracerProvider(before)
	f()
	return spans.Ended()
}

//nolint:paralleltest // the provider of spans is the process's
func TestWorkBesideATraceIsLinkedAndSampledWithIt(t *testing.T) {
	for name, c := range map[string]struct {
		sampler, argument, parent string
		spans, links              int
	}{
		"by default":                     {"", "", caller + "01", 1, 1},
		"the caller is not sampled":      {"", "", caller + "00", 0, 0},
		"nobody calls":                   {"", "", "", 1, 0},
		"of few, that of the caller":     {"parentbased_traceidratio", "0", caller + "01", 1, 1},
		"of few, and nobody calls":       {"parentbased_traceidratio", "0", "", 0, 0},
		"no trace context, but any text": {"always_on", "", "somebody", 1, 0},
	} {
		got := recorded(t, c.sampler, c.argument, func() {
			ctx, options := Beside(t.Context(), c.parent)
			_, end := Start(ctx, "window", options...)
			end(nil)
		})
		if len(got) != c.spans {
			t.Errorf("%s: %d spans, want %d", name, len(got), c.spans)
			continue
		}
		for _, s := range got {
			if len(s.Links()) != c.links || s.Parent().IsValid() ||
				c.parent != "" && strings.Contains(c.parent, s.SpanContext().TraceID().String()) {
				t.Errorf("%s: %d links, parent %v, in trace %s", name, len(s.Links()), s.Parent().IsValid(),
					s.SpanContext().TraceID())
			}
		}
	}
}

//nolint:paralleltest // the provider of spans is the process's
func TestPartsAreInTheTraceOfTheirWork(t *testing.T) {
	var inside, outside string
	spans := recorded(t, "", "", func() {
		_, end := StartPart(t.Context(), "alone")
		end(nil)
		ctx, end := Start(Under(t.Context(), caller+"01"), "work")
		outside = TraceParent(ctx)
		part, endPart := StartPart(ctx, "part")
		inside = TraceParent(part)
		endPart(io.ErrUnexpectedEOF)
		end(nil)
	})
	if len(spans) != 2 || spans[0].Name() != "part" || spans[0].Parent().SpanID() != spans[1].SpanContext().SpanID() ||
		spans[0].Status().Description != io.ErrUnexpectedEOF.Error() {
		t.Errorf("spans %v", spans)
	}
	for _, text := range []string{inside, outside} {
		if !strings.HasPrefix(text, caller[:36]) || strings.HasPrefix(text, caller) {
			t.Errorf("trace context %q", text)
		}
	}
}

//nolint:paralleltest // the provider of spans is the process's
func TestWithoutACollectorTheContextOfTheCallerIsPassedOn(t *testing.T) {
	otel.SetTracerProvider(noop.NewTracerProvider())
	ctx, end := Start(Under(t.Context(), caller+"01"), "work")
	defer end(nil)
	if got := TraceParent(ctx); got != caller+"01" {
		t.Errorf("got %q", got)
	}
	if got := TraceParent(t.Context()); got != "" {
		t.Errorf("got %q without a caller", got)
	}
}

func TestSamplersAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "always_on", "always_off", "traceidratio", "parentbased_always_on",
		"parentbased_always_off", "parentbased_traceidratio"} {
		if _, err := samplerOf(name, "0.5"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range [][3]string{{"sometimes", "", "OTEL_TRACES_SAMPLER"},
		{"traceidratio", "2", "OTEL_TRACES_SAMPLER_ARG"}, {"parentbased_traceidratio", "half", "OTEL_TRACES_SAMPLER_ARG"}} {
		if _, err := samplerOf(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s %s: %v", c[0], c[1], err)
		}
	}
}

func TestLogLinesAndHistogramsNameTheirTrace(t *testing.T) {
	t.Parallel()
	id := caller[3:35]
	ctx := Under(t.Context(), caller+"01")
	var lines strings.Builder
	log := slog.New(WithContext(slog.NewTextHandler(&lines, nil))).With("stage", "plan")
	log.InfoContext(ctx, "within")
	log.InfoContext(t.Context(), "without")
	within, without, _ := strings.Cut(lines.String(), "\n")
	if !strings.Contains(within, "trace_id="+id) || strings.Contains(without, "trace_id") {
		t.Errorf("lines %q", lines.String())
	}
	registry := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{1}})
	registry.MustRegister(h)
	Observe(context.Background(), h, 0.5)
	Observe(trace.ContextWithRemoteSpanContext(context.Background(), trace.SpanContextFromContext(ctx)), h, 0.5)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := families[0].Metric[0].GetHistogram()
	if e := found.GetBucket()[0].GetExemplar(); found.GetSampleCount() != 2 || e.GetLabel()[0].GetValue() != id {
		t.Errorf("histogram %v", found)
	}
}

//nolint:paralleltest // the provider of spans is the process's
func TestASpanHasNoSecretOfItsError(t *testing.T) {
	before := redact
	defer func() { redact = before }()
	redact = func(text string) string { return strings.ReplaceAll(text, "hunter2", "***") }
	for _, s := range recorded(t, "always_on", "", func() {
		_, end := Start(t.Context(), "query")
		end(errors.New("no answer from tcp://u:hunter2@server"))
	}) {
		if got := s.Status().Description; got != "no answer from tcp://u:***@server" || len(s.Events()) > 0 {
			t.Errorf("the span says %q, and has %d events", got, len(s.Events()))
		}
	}
}

func TestALogLineSaysWhatItIsAbout(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	log := slog.New(WithContext(slog.NewTextHandler(&text, nil))).With("stage", "extract")
	ctx := Describe(t.Context(), Export("acme/e1"))
	log.InfoContext(Describe(ctx, Window(7)), "read")
	log.InfoContext(ctx, "planned")
	log.Info("idle")
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	for i, want := range []string{`msg=read stage=extract export_id=acme/e1 window=7`, `msg=planned stage=extract export_id=acme/e1`,
		`msg=idle stage=extract`} {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("%s, want %s", lines[i], want)
		}
	}
}
