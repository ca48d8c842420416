package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/telemetry"
	"github.com/millrace/millrace/sinks/bucket"
)

// ops serves the operators' endpoints of a process: metrics, health and profiles.
type ops struct {
	registry   *prometheus.Registry
	clickhouse *clickhouse.Metrics
	bucket     *bucket.Metrics // nil: the role has no bucket
	listener   net.Listener
	scheme     string // of its URLs
	pprof      bool   // whether profiles are served
	readiness  readiness
	sample     bool // whether the pages may load sample data
	stopTraces func(context.Context)
}

// newOps listens on MILLRACE_OPS_ADDR. Role is that of the process, for its metrics.
func newOps(a *app.App, role string) (*ops, error) {
	app.CheckOpenFiles(a.Log)
	listener, err := net.Listen("tcp", a.Config.OpsAddr)
	if err != nil {
		return nil, fmt.Errorf("MILLRACE_OPS_ADDR: %w", err)
	}
	pprof := a.Config.OpsPprof || app.IsLoopback(a.Config.OpsAddr)
	serving, scheme, err := a.ListenOps(listener)
	if err != nil {
		listener.Close()
		return nil, err
	}
	stopTraces, err := telemetry.Setup(context.Background(), role, version(), a.Log, app.Redact)
	if err != nil {
		listener.Close()
		return nil, err
	}
	o := &ops{registry: prometheus.NewRegistry(), listener: serving, scheme: scheme, pprof: pprof,
		readiness: readiness{log: a.Log}, stopTraces: stopTraces}
	o.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newBuildInfo(role))
	o.clickhouse = clickhouse.NewMetrics(o.registry)
	if role != "ingest" {
		o.bucket = bucket.NewMetrics(o.registry)
	}
	return o, nil
}

// newBuildInfo returns the metric that tells which program runs.
func newBuildInfo(role string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "millrace", Name: "build_info", Help: "1; the labels tell which program runs, in which role.",
		ConstLabels: prometheus.Labels{"version": version(), "revision": revision(), "go_version": runtime.Version(),
			"role": role},
	})
	g.Set(1)
	return g
}

func (o *ops) url() string { return o.scheme + "://" + o.listener.Addr().String() }

// lastSpans is how long a process that ends may take to send its last spans.
const lastSpans = 3 * time.Second

// run serves until ctx is done, and then sends the last spans.
func (o *ops) run(ctx context.Context) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSpans)
		defer cancel()
		o.stopTraces(ctx)
	}()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{Registry: o.registry,
		EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", o.readyz)
	if o.pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	} else {
		mux.HandleFunc("GET /debug/pprof/", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "profiles are served on a loopback address alone: set MILLRACE_OPS_PPROF=true to serve them here",
				http.StatusForbidden)
		})
	}
	defer o.readiness.close()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (o *ops) readyz(w http.ResponseWriter, r *http.Request) {
	if err := o.readiness.ready(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
