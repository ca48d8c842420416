package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/services"
)

// The role local runs everything in one process, except the ClickHouse engine:
//
//	embedded Kafka ◀──▶ ingest, plan, extract, seal, track, serve ◀──▶ embedded ClickHouse (child process)
//	                                     └──▶ DIR/bucket ◀─┘
type localCommand struct {
	Data      string `type:"path" placeholder:"DIR" help:"Folder that keeps everything; default $XDG_DATA_HOME/millrace."`
	Ephemeral bool   `help:"Keep nothing: use a temporary folder and remove it at the end."`
}

// Run runs the local stack until it is told to stop.
func (c localCommand) Run(ctx context.Context, a *app.App) error {
	if c.Ephemeral && c.Data != "" {
		return app.Usage("--data and --ephemeral exclude each other")
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
		dir = app.DefaultDataDir()
	}
	return withStack(ctx, a, dir, func(ctx context.Context, s *stack) error {
		fmt.Fprintf(a.Stdout, `millrace local is ready
  pages       %s
  kafka       %s
  clickhouse  %s (native), http://%s
  database    %s
  bucket      %s
  ops         %s
  data        %s
`, s.server.url(), s.Kafka.Addr(), s.ClickHouse.NativeAddr(), s.ClickHouse.HTTPAddr(), a.Config.DSN.Database,
			a.Config.BucketURL, s.ops.url(), dir)
		<-ctx.Done()
		return nil
	})
}

// stack is a running local stack.
type stack struct {
	*services.Services
	ops    *ops
	server *server
}

// withStack runs the embedded services with their data in dir, and all roles on the services. It
// calls f when everything answers. After f has returned, withStack stops first the roles and then
// the services.
func withStack(ctx context.Context, a *app.App, dir string, f func(context.Context, *stack) error) error {
	return services.Run(ctx, a, dir, func(ctx context.Context, s *services.Services) error {
		return runRoles(ctx, a, &stack{Services: s}, f)
	})
}

// withRoles is withStack for callers that need only the services, while the roles run.
func withRoles(ctx context.Context, a *app.App, dir string, f func(context.Context, *services.Services) error) error {
	return withStack(ctx, a, dir, func(ctx context.Context, s *stack) error { return f(ctx, s.Services) })
}

// runRoles runs the roles on the stack's services, and calls f while they run.
func runRoles(ctx context.Context, a *app.App, s *stack, f func(context.Context, *stack) error) (err error) {
	if s.ops, err = newOps(a, "local"); err != nil {
		return err
	}
	ingestStage, err := newIngestStage(a, s.ops)
	if err != nil {
		return err
	}
	s.ops.readiness.started = append(s.ops.readiness.started, ingestStage.Ready())
	exports, err := newExportStages(ctx, a, s.ops)
	if err != nil {
		return err
	}
	if s.server, err = newServer(ctx, a, s.ops); err != nil {
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
	return runAll(ctx, s.ops, slices.Concat([]func(context.Context) error{ingestStage.Run, inner}, exports,
		s.server.run)...)
}
