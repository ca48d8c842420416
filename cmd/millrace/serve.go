package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/demo"
	"github.com/millrace/millrace/pipeline/api"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
	"github.com/millrace/millrace/sinks/bucket"
)

// The role serve:
//
//	programs, browsers ──▶ api, pages ──▶ export-requests, runs, audit
//	                           ▲
//	                           ├── export-requests, export-progress, export-completions: live
//	                           ├── ClickHouse: live, history
//	                           └── bucket: previews, files, downloads
type serveCommand struct{}

// Run runs the role until it is told to stop.
func (serveCommand) Run(ctx context.Context, a *app.App) error {
	o, err := newOps(a, "serve")
	if err != nil {
		return err
	}
	s, err := newServer(ctx, a, o)
	if err != nil && ctx.Err() != nil {
		return nil // a signal came before the server started
	}
	if err != nil {
		return err
	}
	defer s.close()
	a.Log.Info("millrace serve", "version", version(), "http", s.url(), "ops", o.url(), "kafka", a.Config.KafkaBrokers,
		"clickhouse", a.Config.DSN.Addr(), "bucket", a.Config.BucketURL)
	fmt.Fprintf(a.Stdout, "http %s\nops %s\n", s.url(), o.url())
	return runAll(ctx, o, s.run...)
}

// auditTimeout is how long a download waits for its entry of the trail.
const auditTimeout = 5 * time.Second

// server is the role serve, ready to run.
type server struct {
	listener net.Listener
	scheme   string // of its URLs
	exports  *live.Exports
	run      []func(context.Context) error
	closing  []func()
}

func (s *server) url() string { return s.scheme + "://" + s.listener.Addr().String() }

// close releases the connections and the listener. Call it after the server has stopped.
func (s *server) close() {
	for _, f := range s.closing {
		f()
	}
}

// liveConnections is how many connections to ClickHouse the reads of exports use at a time.
const liveConnections = 32

// newServer listens on the HTTP address. The server answers only once it runs.
func newServer(ctx context.Context, a *app.App, o *ops) (_ *server, err error) {
	if err := a.Config.CheckHTTP(); err != nil {
		return nil, err
	}
	s := &server{} // no named result: the returns of errors would set it to nil before it is closed
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	authenticator, err := auth.New(ctx, a.AuthConfig())
	if err != nil {
		return nil, fmt.Errorf("MILLRACE_AUTH_%w", err)
	}
	if authenticator.Keyless() {
		a.Log.Info("no MILLRACE_AUTH_ keys are configured: the server listens on loopback only, and whoever reaches it may " +
			"do everything")
	} else {
		a.Log.Info("tokens are checked", "by", authenticator.Describe())
	}
	listener, err := listenHTTP(a)
	if err != nil {
		return nil, err
	}
	s.closing = append(s.closing, func() { listener.Close() })
	if s.listener, s.scheme, err = a.ListenHTTP(listener); err != nil {
		return nil, err
	}
	kafkaConfig, err := a.KafkaConfig(o.registry)
	if err != nil {
		return nil, err
	}
	// With cancellation, a caller gets an error when Kafka does not acknowledge, instead of waiting
	// for ever.
	producer, err := a.KafkaClient(append(kafka.ProducerOptions(), kgo.AllowIdempotentProduceCancellation(),
		kafka.ClientHooks(o.registry, "producer"))...)
	if err != nil {
		return nil, err
	}
	s.closing = append(s.closing, producer.Close)
	dsn := a.Config.DSN.Measured(o.clickhouse, "serve")
	dsn.Timer().Init(clickhouse.QueryBarrier, dryrun.Query, audit.Query)
	// Searches of runs have connections of their own, so that exports do not wait for them.
	conn, err := dsn.OpenPool(liveConnections)
	if err != nil {
		return nil, err
	}
	s.closing = append(s.closing, func() { conn.Close() })
	historyConn, err := dsn.OpenPool(history.Connections)
	if err != nil {
		return nil, err
	}
	s.closing = append(s.closing, func() { historyConn.Close() })
	b, err := bucket.Open(ctx, a.Config.BucketURL)
	if err != nil {
		return nil, fmt.Errorf("MILLRACE_BUCKET_URL: %w", err)
	}
	b = b.Measured(o.bucket)
	s.closing = append(s.closing, func() { b.Close() })
	if err := authenticator.LoadRevoked(ctx, b); err != nil {
		return nil, fmt.Errorf("MILLRACE_BUCKET_URL: %w", err)
	}
	s.exports = live.New(live.Config{Config: kafkaConfig, Producer: producer, Timer: dsn.Timer()}, conn, b)
	runs := history.New(historyConn, dsn.Timer())
	o.readiness.started = append(o.readiness.started, s.exports.Ready())
	if o.readiness.dependencies == nil { // in local, the export stages have set them
		if err := o.readiness.watch(a, o, b, event.TopicExportRequests, event.TopicExportProgress,
			event.TopicExportCompletions, event.TopicAudit); err != nil {
			return nil, err
		}
	}
	trail := audit.NewTrail(audit.Config{Producer: producer, TopicPrefix: a.Config.KafkaTopicPrefix,
		Source: "millrace/serve", Timeout: auditTimeout, Registry: o.registry, Log: a.Log})
	stored := audit.Stored{Conn: conn, Timer: dsn.Timer()}
	var fill func(context.Context, string) error
	if o.sample {
		fill = func(ctx context.Context, workspace string) error { return demo.Fill(ctx, a, workspace) }
	}
	handlers := api.New(api.Config{
		Version: version(), TopicPrefix: a.Config.KafkaTopicPrefix, PublicURL: a.Config.HTTPURL, Producer: producer,
		Registry: o.registry, Ready: o.readiness.ready, Log: a.Log, Limits: a.Config.EventLimits(), Budget: a.Budget,
		Trail: trail,
	}, api.Deps{
		Auth: authenticator, Exports: s.exports, History: runs, DSN: dsn, Bucket: b, Audit: stored,
		Pages: pages.New(pages.Config{DefaultWorkspace: a.Config.DefaultWorkspace, PublicURL: a.Config.HTTPURL, Trail: trail,
			Audit: stored, Log: a.Log, Sample: fill,
			Try: func(ctx context.Context, r *export.Request) (*dryrun.DryRun, error) { return api.Try(ctx, dsn, r) }},
			authenticator, runs, s.exports),
	})
	kafkaConfig.Name = "serve"
	s.run = []func(context.Context) error{
		s.exports.Run,
		func(ctx context.Context) error { return handlers.Serve(ctx, s.listener) },
		func(ctx context.Context) error {
			kafkaConfig.WarnSmallTopics(ctx, event.TopicRuns) // those that events are published to
			needed := rights.Of(rights.Serve, rights.Names{Topics: kafkaConfig.TopicPrefix})
			if err := kafkaConfig.RequireRights(ctx, needed); err != nil || ctx.Err() != nil {
				return err
			}
			return kafkaConfig.RequireTopics(ctx, event.TopicAudit)
		},
		authenticator.WatchRevoked,
	}
	return s, nil
}

// listenHTTP listens on the configured address. If no address is configured and another process
// uses the default port, it takes a free port.
func listenHTTP(a *app.App) (net.Listener, error) {
	listener, err := net.Listen("tcp", a.Config.HTTPAddr)
	if errors.Is(err, syscall.EADDRINUSE) && os.Getenv(app.EnvPrefix+"HTTP_ADDR") == "" {
		a.Log.Warn("another process uses the default HTTP address: taking a free port", "address", a.Config.HTTPAddr)
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("%sHTTP_ADDR: %w", app.EnvPrefix, err)
	}
	return listener, nil
}
