package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/services"
	"github.com/millrace/millrace/pipeline/local"
)

// The role local runs everything in one process, except the ClickHouse engine:
//
//	embedded Kafka ◀──▶ ingest, plan, extract, seal, track, serve ◀──▶ embedded ClickHouse (child process)
//	                                     └──▶ DIR/bucket ◀─┘
type localCommand struct {
	Data      string `type:"path" placeholder:"DIR" help:"Folder that keeps everything; default $XDG_DATA_HOME/millrace."`
	Ephemeral bool   `help:"Keep nothing: use a temporary folder and remove it at the end."`

	NoPassword bool `help:"Also let everybody on this machine into ClickHouse, as user default without a password; for throw-away data."`
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
	cfg := services.Config{Dir: dir, NoPassword: c.NoPassword}
	return withStack(ctx, a, cfg, func(ctx context.Context, s *stack) error {
		fmt.Fprintf(a.Stdout, `millrace local is ready
  pages       %s
  kafka       %s
  clickhouse  %s
  sql         %s
  curl        %s
  bucket      %s
  ops         %s
  data        %s
`, s.server.url(), s.Kafka.Addr(), a.Config.ClickHouseDSN, playURL(s.ClickHouse, a.Config.DSN.Database),
			curlLine(s.ClickHouse, dir, a.Config.DSN.Database), a.Config.BucketURL, s.ops.url(), dir)
		<-ctx.Done()
		return nil
	})
}

// playURL returns the URL of ClickHouse's page for queries, which takes user and password from it.
func playURL(c *local.ClickHouse, database string) string {
	parameters := url.Values{"user": {local.User}, "password": {c.Password()}, "database": {database}}
	return "http://" + c.HTTPAddr() + "/play?" + parameters.Encode()
}

// curlLine returns a command that sends a query. It reads the password from its file, so that the
// history of the shell does not keep the password.
func curlLine(c *local.ClickHouse, dir, database string) string {
	file := "'" + strings.ReplaceAll(app.PasswordFile(dir), "'", `'\''`) + "'"
	return fmt.Sprintf(`curl -u "%s:$(cat %s)" 'http://%s/?database=%s' -d 'SHOW TABLES'`, local.User, file, c.HTTPAddr(),
		url.QueryEscape(database))
}

// stack is a running local stack.
type stack struct {
	*services.Services
	ops    *ops
	server *server
}

// withStack runs the embedded services, and all roles on the services. It
// calls f when everything answers. After f has returned, withStack stops first the roles and then
// the services.
func withStack(ctx context.Context, a *app.App, cfg services.Config, f func(context.Context, *stack) error) error {
	return services.Run(ctx, a, cfg, func(ctx context.Context, s *services.Services) error {
		return runRoles(ctx, a, &stack{Services: s}, f)
	})
}

// withRoles is withStack for callers that need only the services and the pages, while the roles run.
func withRoles(ctx context.Context, a *app.App, dir string, f func(ctx context.Context, s *services.Services,
	pages string) error) error {
	return withStack(ctx, a, services.Config{Dir: dir}, func(ctx context.Context, s *stack) error {
		return f(ctx, s.Services, s.server.url())
	})
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
	s.ops.sample = true
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
