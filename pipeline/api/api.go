// Package api serves Millrace over HTTP: the API for programs, the routes of Answer Insights for
// its existing clients, and the pages of package pages.
//
//	api.go       New, Handler, Serve: the routes and the server
//	guard.go     what every request passes first: headers, hosts, origins, limits
//	limits.go    how many requests and connections there may be at a time
//	caller.go    authentication and scopes
//	problem.go   errors as application/problem+json
//	exports.go   filing, reading, cancelling and deleting exports; dry runs
//	events.go    the progress of an export as server-sent events
//	files.go     preview, files, download
//	sign.go      signed URLs, which need no token
//	audit.go     the trail: what is written to it, and that of an export
//	runs.go      runs, apps and nodes, as the History view shows them
//	publish.go   run events for producers without a Kafka client; values.go splits their bodies
//	insights.go  the analytics export of Answer Insights
//	spec.go      the OpenAPI document
//	reference.go the same for people, under /docs/reference
//	ops.go       health and metrics
//
// The server has no state but the board of package live. Requests go to Kafka like those of any
// producer, so any number of servers can run.
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
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/sinks/bucket"
)

// Config is the configuration of the server.
type Config struct {
	Version     string
	TopicPrefix string
	// PublicURL is the server's URL in links of answers; "": the host that the request was sent to, and no
	// signed URLs for hosts other than this machine.
	PublicURL string
	Producer  *kgo.Client
	Registry  *prometheus.Registry
	// Ready returns an error while the server, or what it depends on, is not ready. The answer of
	// /readyz shows the error to anybody. Nil: it is always ready.
	Ready func(context.Context) error
	Log   *slog.Logger
	// Limits are those of run events, and Budget has the bytes of large events, runs and records that
	// requests hold.
	Limits event.Limits
	Budget *budget.Budget
	Trail  *audit.Trail
}

// Deps are the parts that the server serves.
type Deps struct {
	Auth    *auth.Authenticator
	Exports *live.Exports
	History *history.Store
	DSN     *clickhouse.DSN // of dry runs
	Bucket  *bucket.Bucket  // of the key of signed URLs
	Audit   audit.Stored
	Pages   Registrar
}

// API is the server.
type API struct {
	cfg      Config
	auth     *auth.Authenticator
	exports  *live.Exports
	history  *history.Store
	dsn      *clickhouse.DSN
	sign     *signer
	audit    audit.Stored
	metrics  *metrics
	limits   *limits
	api      huma.API
	mux      routes // of the API alone
	pages    routes // everything else
	failPage func(w http.ResponseWriter, r *http.Request, err error)

	stopping context.Context //nolint:containedctx // done when the server begins to stop
	stop     context.CancelFunc
}

// Registrar has the pages.
type Registrar interface {
	// SetReference gives the pages what writes the reference of the API, in Markdown.
	SetReference(write func() string)
	// Register calls handle with the patterns of the pages and their handlers.
	Register(handle func(pattern string, handler func(http.ResponseWriter, *http.Request)))
	// Fail answers with a page about an error.
	Fail(w http.ResponseWriter, r *http.Request, err error)
}

// humaOnce sets the hooks of huma, which are variables of its package: errors are problems, and
// lists are never null.
var humaOnce sync.Once

// New returns a server that does not listen yet.
func New(cfg Config, d Deps) *API {
	humaOnce.Do(func() { huma.NewError, huma.DefaultArrayNullable = humaProblem, false })
	s := &API{
		cfg: cfg, auth: d.Auth, exports: d.Exports, history: d.History, dsn: d.DSN, sign: &signer{bucket: d.Bucket},
		audit:   d.Audit,
		metrics: newMetrics(cfg.Registry), limits: newLimits(),
	}
	s.mux, s.pages = routes{http.NewServeMux(), s.metrics}, routes{http.NewServeMux(), s.metrics}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.api = humago.New(s.mux, s.spec())
	s.api.UseMiddleware(s.admit)
	s.registerExports()
	s.registerEvents()
	s.registerFiles()
	s.registerAudit()
	s.registerRuns()
	s.registerPublish()
	s.registerInsights()
	s.finishSpec()
	s.registerOps()
	d.Pages.SetReference(func() string { return referenceOf(s.api.OpenAPI()) })
	d.Pages.Register(s.pages.HandleFunc)
	s.failPage = d.Pages.Fail
	return s
}

// Handler returns the handler of all routes.
func (a *API) Handler() http.Handler {
	pages := a.withCaller(a.pages)
	inner := a.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := a.mux.Handler(r)
		switch {
		case strings.HasPrefix(pattern, "GET /openapi.") || strings.HasPrefix(pattern, "GET /docs/"): // for everybody
			if err := visit(r); err != nil {
				a.toProblem(r.Context(), err).write(w)
				return
			}
			a.mux.ServeHTTP(w, r)
		case pattern != "":
			a.mux.ServeHTTP(w, r) // not handler: the mux sets the values of the path
		case strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.URL.Path, "/api/"):
			notFound(w, r, handler)
		default:
			pages.ServeHTTP(w, r)
		}
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := newTimedWriter(w)
		//nolint:errcheck // a writer of tests has no deadline; others lose that of the request before
		t.control.SetWriteDeadline(time.Time{})
		defer a.metrics.begin(a, t, r)()
		ctx, end := a.cfg.Budget.Scope(r.Context())
		defer end()
		inner.ServeHTTP(t, r.WithContext(ctx))
	})
}

// notFound answers with a problem where the mux would answer with text: the route does not exist,
// or has other methods.
func notFound(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	answer := &discarded{header: http.Header{}}
	handler.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", answer.header.Get("Allow"))
		problem(answer.status, "this route has the methods "+answer.header.Get("Allow")).write(w)
		return
	}
	problem(http.StatusNotFound, "there is no such route; /docs/reference lists them").write(w)
}

// discarded is a response writer that drops the body.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// shutdownTimeout is how long requests may take to end when the server stops. Streams of events end
// at once.
const shutdownTimeout = 8 * time.Second

// Serve answers on a listener until ctx is done, and closes it.
func (a *API) Serve(ctx context.Context, listener net.Listener) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler: a.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return requests },
		ConnContext: withConn, ConnState: a.limits.connections.state,
		ErrorLog: slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(requests, shutdownTimeout)
		defer cancel()
		a.stop()               // ends the streams; their clients connect to another server
		server.Shutdown(grace) //nolint:errcheck // it is closed below
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
