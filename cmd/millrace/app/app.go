// Package app is what the commands of millrace share: configuration, input and output, log, exit
// codes, and the connection to Kafka.
package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/runs"
)

// Exit codes that scripts may rely on.
const (
	ExitFailed       = 1
	ExitUsage        = 2
	ExitExportFailed = 3
	ExitCancelled    = 4
	ExitNoRecords    = 5 // the export succeeded
	ExitWarnings     = 6 // doctor has warnings, and no errors
)

// App is passed to the Run method of every command.
type App struct {
	Config *Config
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Log    *slog.Logger
	Budget *budget.Budget // of the process's memory
}

// ExitError is an error that sets the exit code of the process.
type ExitError struct {
	Code int
	Err  error // nil: the command has already reported the failure
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Usage returns an error about a wrong command line. Its exit code is [ExitUsage].
func Usage(format string, args ...any) error {
	return &ExitError{ExitUsage, fmt.Errorf(format, args...)}
}

// AuthConfig returns how the HTTP server checks tokens.
func (a *App) AuthConfig() auth.Config {
	return auth.Config{
		JWKSFile: a.Config.AuthJWKSFile, JWKSURL: a.Config.AuthJWKSURL, HMACSecretFile: a.Config.AuthHMACSecretFile,
		Issuer: a.Config.AuthIssuer, Audience: a.Config.AuthAudience, MaxLifetime: a.Config.AuthMaxLifetime,
		DefaultWorkspace: a.Config.DefaultWorkspace, Log: a.Log,
	}
}

// WorkspaceFlag is embedded in commands that work on one workspace.
type WorkspaceFlag struct {
	Workspace string `help:"The workspace; default MILLRACE_DEFAULT_WORKSPACE."`
}

// WorkspaceID returns the workspace of the flag, or the configured one.
func (f WorkspaceFlag) WorkspaceID(c *Config) (string, error) {
	name := cmp.Or(f.Workspace, c.DefaultWorkspace)
	if !runs.ValidWorkspaceID(name) {
		return "", Usage("--workspace must match [a-z0-9][a-z0-9_-]{0,62}")
	}
	return name, nil
}

// Poll calls f ten times a second until f is done or fails, or ctx ends.
func Poll(ctx context.Context, f func() (done bool, err error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// PrintJSON prints a value as JSON, on one line to every reader of lines.
func (a *App) PrintJSON(value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	line := jsonscan.Line(new([]byte), bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	_, err := fmt.Fprintf(a.Stdout, "%s\n", line)
	return err
}
