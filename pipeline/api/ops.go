package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the metrics of the server.
type metrics struct {
	requests *prometheus.HistogramVec
	inFlight prometheus.Gauge
	streams  prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "millrace", Subsystem: "http", Name: "request_seconds",
			Help:    "Seconds to answer a request, by method, route and status; for a stream, its duration.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"method", "route", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "millrace", Subsystem: "http", Name: "requests_in_flight",
			Help: "Requests that are being answered, with streams.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "millrace", Name: "sse_subscribers",
			Help: "Clients that are sent the progress of an export as server-sent events.",
		}),
	}
	registry.MustRegister(m.requests, m.inFlight, m.streams)
	return m
}

// routes is a mux whose routes begin with metrics of 0.
type routes struct {
	*http.ServeMux
	metrics *metrics
}

// HandleFunc is Handle of a function.
func (m routes) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(handler))
}

// Handle adds a handler of a pattern that begins with a method. Of the statuses, only those begin
// with 0 that every route can have: a rate has to see the first error.
func (m routes) Handle(pattern string, handler http.Handler) {
	method, _, _ := strings.Cut(pattern, " ")
	for _, status := range []int{http.StatusOK, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		m.metrics.requests.WithLabelValues(method, pattern, strconv.Itoa(status))
	}
	m.ServeMux.Handle(pattern, handler)
}

// begin counts a request in flight. The returned function ends it.
func (m *metrics) begin(a *API, w *timedWriter, r *http.Request) func() {
	began := time.Now()
	m.inFlight.Inc()
	return func() {
		m.inFlight.Dec()
		status := w.status
		if status == 0 {
			status = http.StatusOK
		}
		m.requests.WithLabelValues(method(r.Method), a.route(r), strconv.Itoa(status)).Observe(time.Since(began).Seconds())
	}
}

// method returns a method as a label. Clients can send any text as the method.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodPut,
		http.MethodPatch:
		return m
	}
	return "other"
}

// route returns the pattern that matches a request.
func (a *API) route(r *http.Request) string {
	for _, mux := range []routes{a.mux, a.pages} {
		if _, pattern := mux.Handler(r); pattern != "" {
			return pattern
		}
	}
	return "none"
}

func (a *API) registerOps() {
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	a.mux.HandleFunc("GET /readyz", a.readyz)
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(a.cfg.Registry, promhttp.HandlerOpts{Registry: a.cfg.Registry,
		EnableOpenMetrics: true}))
}

func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	if a.stopping.Err() != nil {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	if a.cfg.Ready != nil {
		if err := a.cfg.Ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}
