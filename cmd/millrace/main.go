// Command millrace runs any part of Millrace, and is also its client. pipeline/doc.go explains how
// data flows. `millrace --help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/bench"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/cmd/millrace/demo"
	"github.com/millrace/millrace/cmd/millrace/doctor"
	"github.com/millrace/millrace/pipeline/local"
)

// commands is the command line. Each command has a file of its own.
type commands struct {
	Local       localCommand       `cmd:"" help:"Run everything on this machine, with an embedded Kafka and ClickHouse."`
	Demo        demo.Command       `cmd:"" help:"Start the local stack, stream sample runs, export them, show the results, and exit."`
	Ingest      ingestCommand      `cmd:"" help:"Run the role that stores runs: Kafka to ClickHouse."`
	Export      exportCommand      `cmd:"" help:"Run the role that exports: plan, extract, seal and track."`
	Serve       serveCommand       `cmd:"" help:"Run the role that serves the HTTP API and the pages."`
	Migrate     migrateCommand     `cmd:"" help:"Prepare ClickHouse: create or upgrade the database."`
	Topics      topicsCommand      `cmd:"" help:"Prepare Kafka: create the topics."`
	Config      configCommand      `cmd:"" help:"Show the effective configuration, secrets masked."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask the role on MILLRACE_OPS_ADDR whether it is ready; the exit code is the answer."`
	Doctor      doctor.Command     `cmd:"" help:"Check a deployment: Kafka, ClickHouse, the bucket, keys and clocks; say what is wrong and what to do."`
	Version     versionCommand     `cmd:"" help:"Show the version."`
	Replay      client.Replay      `cmd:"" help:"Publish run events from .jsonl, .jsonl.gz or .jsonl.zst files, or - for standard input."`
	Sample      demo.Sample        `cmd:"" help:"Publish sample runs, and request exports of them, until interrupted."`
	Request     client.Request     `cmd:"" help:"Ask for an export."`
	Exports     client.Exports     `cmd:"" help:"List, show, view, download, verify, cancel and delete exports."`
	Formats     client.Formats     `cmd:"" help:"List the purposes and their targets, with rules and an example of each target."`
	DeadLetters client.DeadLetters `cmd:"" help:"List, show and replay records that were refused."`
	Token       client.Token       `cmd:"" help:"Make a token of the HTTP API, for development."`
	Bench       bench.Command      `cmd:"" help:"Measure this machine with repeatable benchmarks; see millrace help measurements."`
	Help        helpCommand        `cmd:"" help:"List the documents, or print one."`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == local.ChildCommand {
		os.Exit(local.ChildMain(os.Args[2:]))
	}
	// The first signal asks for an orderly end. A later signal is not caught and ends the process.
	// But timeout(1) and similar programs signal the process and then its group, so signals within
	// one second of the first count as the same request.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run parses the command line and the environment, runs the command and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var cli commands
	exited := -1 // set by --help
	parser, err := kong.New(&cli,
		kong.Name("millrace"),
		kong.Description("Millrace carries the runs of LLM applications from Kafka into ClickHouse, and exports them as "+
			"data sets."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
	)
	if err != nil {
		return fail(stderr, err)
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "millrace: %v\nRun `millrace --help` for the commands and `millrace COMMAND --help` for their "+
			"flags.\n", err)
		return app.ExitUsage
	}
	cfg, err := app.Load(os.Environ())
	if err != nil {
		return fail(stderr, &app.ExitError{Code: app.ExitUsage, Err: err})
	}
	app.LimitMemory()
	a := &app.App{Config: cfg, Stdin: stdin, Stdout: stdout, Stderr: stderr, Log: cfg.Logger(stderr),
		Budget: cfg.MemoryBudget()}
	for _, name := range cfg.Unknown {
		a.Log.Warn("unknown environment variable ignored; `millrace config` lists the known ones", "name", name)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(a, demo.LocalStack(withRoles))
	return fail(stderr, parsed.Run())
}

func fail(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if text := app.ExplainAccess(err).Error(); text != "" {
		fmt.Fprintln(stderr, "millrace: "+app.Redact(text))
	}
	var exit *app.ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return app.ExitFailed
}
