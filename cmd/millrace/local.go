package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

// Everything in one process, but for the ClickHouse engine:
//
//	embedded Kafka ◀──▶ ingest, plan, extract, seal, track, serve ◀──▶ embedded ClickHouse (child process)
//	                                     └──▶ DIR/bucket ◀─┘
type localCommand struct {
	Data      string `type:"path" placeholder:"DIR" help:"Folder that keeps everything; default $XDG_DATA_HOME/millrace."`
	Ephemeral bool   `help:"Keep nothing: use a temporary folder and remove it at the end."`
}

// Run runs the local stack until it is told to stop.
func (c localCommand) Run(ctx context.Context, a *app) error {
	if c.Ephemeral && c.Data != "" {
		return usage("--data and --ephemeral exclude each other")
	}
	dir := c.Data
	switch {
	case c.Ephemeral:
		var err error
		if dir, err = os.MkdirTemp("", "millrace-local-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	case dir == "":
		dir = defaultDataDir()
	}
	return a.withStack(ctx, dir, func(ctx context.Context, s *stack) error {
		fmt.Fprintf(a.stdout, `millrace local is ready
  pages       %s
  kafka       %s
  clickhouse  %s (native), http://%s
  database    %s
  bucket      %s
  ops         %s
  data        %s
`, s.server.url(), s.kafka.Addr(), s.clickhouse.NativeAddr(), s.clickhouse.HTTPAddr(), a.cfg.dsn.Database, a.cfg.BucketURL, s.ops.url(), dir)
		<-ctx.Done()
		return nil
	})
}

// stack is a running local stack.
type stack struct {
	kafka      *local.Kafka
	clickhouse *local.ClickHouse
	ops        *ops
	server     *server
}

// withStack starts the embedded services over dir and all roles, points the configuration at them, and
// calls f when everything answers. It stops all when f returns: first the roles, then the services.
func (a *app) withStack(ctx context.Context, dir string, f func(context.Context, *stack) error) error {
	library, err := local.FindLibrary(ctx, local.LibraryConfig{Path: a.cfg.Libchdb, Progress: a.stderr})
	if err != nil {
		return err
	}
	s := &stack{}
	s.kafka, err = local.NewKafka(local.KafkaConfig{Dir: filepath.Join(dir, "kafka"), Port: a.cfg.LocalKafkaPort, Log: a.log})
	if err != nil {
		return err
	}
	services, stopServices := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServices()
	group, failed := errgroup.WithContext(services)
	group.Go(func() error { return s.kafka.Run(failed) })
	err = func() error {
		s.clickhouse, err = local.NewClickHouse(local.ClickHouseConfig{
			Library: library, Dir: filepath.Join(dir, "clickhouse"),
			NativePort: a.cfg.LocalClickHousePort, HTTPPort: a.cfg.LocalClickHouseHTTPPort, Log: a.log,
		})
		if err != nil {
			return err
		}
		group.Go(func() error { return s.clickhouse.Run(failed) })
		roles, stopRoles := context.WithCancel(ctx)
		defer stopRoles()
		defer context.AfterFunc(failed, stopRoles)() // a service that fails takes the roles with it
		return a.runRoles(roles, dir, s, f)
	}()
	stopServices()
	return errors.Join(err, group.Wait())
}

// runRoles runs the roles on a stack whose services are starting, and f beside them.
func (a *app) runRoles(ctx context.Context, dir string, s *stack, f func(context.Context, *stack) error) (err error) {
	if err := a.prepare(ctx, dir, s); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if s.ops, err = newOps(a.cfg.OpsAddr); err != nil {
		return err
	}
	ingestStage, err := a.ingestStage(s.ops.registry)
	if err != nil {
		return err
	}
	s.ops.ready = append(s.ops.ready, ingestStage.Ready())
	exports, err := a.exportStages(ctx, s.ops)
	if err != nil {
		return err
	}
	if s.server, err = a.newServer(ctx, s.ops); err != nil {
		return err
	}
	defer s.server.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	inner := func(ctx context.Context) error {
		defer stop()
		for _, ready := range []<-chan struct{}{ingestStage.Ready(), s.server.exports.Ready()} {
			select {
			case <-ready:
			case <-ctx.Done():
				return nil
			}
		}
		return f(ctx, s)
	}
	return serving(ctx, s.ops, slices.Concat([]func(context.Context) error{ingestStage.Run, inner}, exports, s.server.run)...)
}

// prepare points the configuration at the stack, and creates the topics and tables.
func (a *app) prepare(ctx context.Context, dir string, s *stack) (err error) {
	a.cfg.KafkaBrokers = []string{s.kafka.Addr()}
	a.cfg.ClickHouseDSN = "clickhouse://" + s.clickhouse.NativeAddr() + "/" + a.cfg.dsn.Database
	if a.cfg.dsn, err = clickhouse.ParseDSN(a.cfg.ClickHouseDSN); err != nil {
		return err
	}
	if os.Getenv(envPrefix+"BUCKET_URL") == "" {
		a.cfg.BucketURL = bucketURL(dir)
	}
	client, err := a.kafkaClient()
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kafka.CreateTopics(ctx, client, a.cfg.KafkaTopicPrefix); err != nil {
		return err
	}
	if err := s.clickhouse.WaitReady(ctx); err != nil {
		return err
	}
	_, err = clickhouse.Migrate(ctx, a.cfg.dsn, schema.Migrations, "", a.log)
	return err
}
