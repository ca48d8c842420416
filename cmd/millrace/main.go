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
	Local  localCommand `cmd:"" in:"try" help:"Run everything on this machine, with an embedded Kafka and ClickHouse." example:"millrace local --data ./data"`
	Demo   demo.Command `cmd:"" in:"try" help:"Start the local stack, stream sample runs, export them and show the results; --keep leaves it up." example:"millrace demo --keep"`
	Sample demo.Sample  `cmd:"" in:"try" help:"Publish sample runs: --runs of the last 30 days, or without end as if people used the apps now." example:"millrace sample --runs 2000"`

	Apps        client.Apps        `cmd:"" in:"data" help:"List copilots and recipes."`
	Nodes       client.Nodes       `cmd:"" in:"data" help:"List the nodes of an app."`
	Runs        client.Runs        `cmd:"" in:"data" help:"List and show runs."`
	Request     client.Request     `cmd:"" in:"data" help:"Ask for an export." example:"millrace request --source copilot --app airline-helpdesk --purpose fine_tuning --limit 1000 --watch"`
	Exports     client.Exports     `cmd:"" in:"data" help:"List, show, view, download, verify, cancel and delete exports."`
	Formats     client.Formats     `cmd:"" in:"data" help:"List the purposes and targets of exports; with PURPOSE TARGET, the rules, options and an example of one." example:"millrace formats fine_tuning openai_chat"`
	Replay      client.Replay      `cmd:"" in:"data" help:"Publish run events from .jsonl, .jsonl.gz or .jsonl.zst files, or - for standard input." example:"millrace replay events.jsonl.gz"`
	DeadLetters client.DeadLetters `cmd:"" in:"data" help:"List, show and replay records that were refused."`

	Ingest  ingestCommand  `cmd:"" in:"roles" help:"Run the role that stores runs: Kafka to ClickHouse." example:"millrace ingest"`
	Export  exportCommand  `cmd:"" in:"roles" help:"Run the role that exports: plan, extract, seal and track." example:"millrace export"`
	Serve   serveCommand   `cmd:"" in:"roles" help:"Run the role that serves the HTTP API and the pages." example:"millrace serve"`
	Topics  topicsCommand  `cmd:"" in:"roles" help:"Prepare Kafka: create the topics." example:"millrace topics"`
	Migrate migrateCommand `cmd:"" in:"roles" help:"Prepare ClickHouse: create or upgrade the database." example:"millrace migrate"`
	Token   client.Token   `cmd:"" in:"roles" help:"Make a token of the HTTP API, for development." example:"millrace token --scope millrace.runs.read --ttl 8h"`

	Config      configCommand      `cmd:"" in:"debug" help:"Show the effective configuration, secrets masked." example:"millrace config"`
	Doctor      doctor.Command     `cmd:"" in:"debug" help:"Check a deployment: Kafka, ClickHouse, the bucket, keys and clocks; say what is wrong and what to do." example:"millrace doctor"`
	Healthcheck healthcheckCommand `cmd:"" in:"debug" help:"Ask the role on MILLRACE_OPS_ADDR whether it is ready; the exit code is the answer." example:"millrace healthcheck"`
	Bench       bench.Command      `cmd:"" in:"debug" help:"Measure this machine with repeatable benchmarks; see millrace help measurements."`
	Completion  completionCommand  `cmd:"" in:"debug" help:"Print the script that completes commands in a shell." example:"source <(millrace completion bash)"`
	Version     versionCommand     `cmd:"" in:"debug" help:"Show the version." example:"millrace version"`
	Help        helpCommand        `cmd:"" in:"debug" help:"List commands and documents, or print one." example:"millrace help events"`
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

// newParser returns the parser of the command line. It calls exit after it has printed help.
func newParser(stdout, stderr io.Writer, exit func(code int)) (*kong.Kong, error) {
	return kong.New(new(commands),
		kong.Name("millrace"),
		kong.Description("Millrace carries the runs of LLM applications from Kafka into ClickHouse, and exports them as "+
			"data sets."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.Help(printHelp),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
	)
}

// run parses the command line and the environment, runs the command and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exited := -1 // set by --help
	parser, err := newParser(stdout, stderr, func(code int) { exited = code })
	if err != nil {
		return fail(stderr, err)
	}
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "--version": // request has a flag of this name
		args[0] = "version"
	case args[0] == completeCommand:
		return fail(stderr, printCandidates(stdout, parser.Model.Node, args[1:]))
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "millrace: %s\nRun `millrace --help` for the commands and `millrace COMMAND --help` for their "+
			"flags.\n", usageText(err))
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
