// Package api is Millrace over HTTP: the API of programs, the routes that clients of Answer Insights use, and around the
// pages of people.
//
//	api.go       New, Handler: what is where
//	guard.go     what stands before every handler
//	caller.go    who calls, and whether they may
//	problem.go   errors, as application/problem+json
//	exports.go   filing, reading, cancelling and deleting exports
//	events.go    the progress of an export, as server-sent events
//	files.go     preview, files, download
//	sign.go      URLs that work without a token, for a while
//	runs.go      what the History view shows
//	publish.go   run events, for producers without a Kafka client
//	insights.go  the Answer Insights analytics export
//	spec.go      the OpenAPI document and its readable form
//	ops.go       health and metrics
//
// It has no state but what package live follows: requests go to Kafka like anybody's, and any number of servers can run.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/sinks/bucket"
)

// Config of the server.
type Config struct {
	Version     string
	TopicPrefix string
	// PublicURL is what clients find the server under, for links in answers; "" = what the request was sent to.
	PublicURL string
	Producer  *kgo.Client
	Registry  *prometheus.Registry
	// Ready are closed when the server can answer.
	Ready []<-chan struct{}
	Log   *slog.Logger
}

// API is the server.
type API struct {
	cfg     Config
	auth    *auth.Authenticator
	exports *live.Exports
	history *history.Store
	dsn     *clickhouse.DSN
	sign    *signer
	metrics *metrics
	api     huma.API
	mux     *http.ServeMux // of the API alone
	pages   *http.ServeMux // everything else

	stopping context.Context //nolint:containedctx // of the server: done when it begins to end
	stop     context.CancelFunc
}

// Registrar adds its handlers to a mux.
type Registrar interface{ Register(mux *http.ServeMux) }

// humaOnce makes huma's errors ours, and its lists never null: its hooks for that are variables of the package.
var humaOnce sync.Once

// New returns a server that does not listen yet.
func New(cfg Config, a *auth.Authenticator, e *live.Exports, h *history.Store, dsn *clickhouse.DSN, b *bucket.Bucket, pages Registrar) *API {
	humaOnce.Do(func() { huma.NewError, huma.DefaultArrayNullable = ofHuma, false })
	s := &API{
		cfg: cfg, auth: a, exports: e, history: h, dsn: dsn, sign: &signer{bucket: b}, metrics: newMetrics(cfg.Registry),
		mux: http.NewServeMux(), pages: http.NewServeMux(),
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.api = humago.New(s.mux, s.spec())
	s.api.UseMiddleware(s.admit)
	s.registerExports()
	s.registerEvents()
	s.registerFiles()
	s.registerRuns()
	s.registerPublish()
	s.registerInsights()
	s.finishSpec()
	s.registerOps()
	pages.Register(s.pages)
	return s
}

// Handler returns the whole of it.
func (a *API) Handler() http.Handler {
	pages := a.withCaller(a.pages)
	inner := a.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := a.mux.Handler(r)
		switch {
		case pattern != "":
			a.mux.ServeHTTP(w, r) // again, since it sets what the path has
		case strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.URL.Path, "/api/"):
			notFound(w, r, handler)
		default:
			pages.ServeHTTP(w, r)
		}
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := newTimedWriter(w)
		t.control.SetWriteDeadline(time.Time{}) //nolint:errcheck // that of the request before; a test's writer has none
		defer a.metrics.begin(a, t, r)()
		inner.ServeHTTP(t, r)
	})
}

// notFound says as a problem what a mux says as text: there is no such route, or it has other methods.
func notFound(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	said := &discarded{header: http.Header{}}
	handler.ServeHTTP(said, r)
	if said.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", said.header.Get("Allow"))
		problem(said.status, "this route has the methods "+said.header.Get("Allow")).write(w)
		return
	}
	problem(http.StatusNotFound, "there is no such route; /docs/reference lists them").write(w)
}

// discarded is an answer of which only the head counts.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// shutdownTimeout is how long requests may take to end when the server ends. Streams of events end at once.
const shutdownTimeout = 8 * time.Second

// Serve answers on a listener until ctx is done, and closes it.
func (a *API) Serve(ctx context.Context, listener net.Listener) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler: a.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(requests, shutdownTimeout)
		defer cancel()
		a.stop()               // whoever watches, watches on with another server
		server.Shutdown(grace) //nolint:errcheck // then it is closed
		cut()
		server.Close()
	})()
	err := server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) {
		<-ended
		return nil
	}
	return err
}
