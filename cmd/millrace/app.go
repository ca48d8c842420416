package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/runs"
)

// Exit codes of the contract.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitExportFailed = 3
	exitCancelled    = 4
)

// app is what every command gets.
type app struct {
	cfg    *config
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
}

// exitError ends the process with a code of the contract.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// authConfig is how the HTTP server checks tokens.
func (a *app) authConfig() auth.Config {
	return auth.Config{
		JWKSFile: a.cfg.AuthJWKSFile, JWKSURL: a.cfg.AuthJWKSURL, HMACSecretFile: a.cfg.AuthHMACSecretFile,
		Issuer: a.cfg.AuthIssuer, Audience: a.cfg.AuthAudience, DefaultWorkspace: a.cfg.DefaultWorkspace, Log: a.log,
	}
}

// workspaceFlag is part of the commands about one workspace.
type workspaceFlag struct {
	Workspace string `help:"The workspace; default MILLRACE_DEFAULT_WORKSPACE."`
}

func (f workspaceFlag) workspace(c *config) (string, error) {
	name := cmp.Or(f.Workspace, c.DefaultWorkspace)
	if !runs.ValidWorkspaceID(name) {
		return "", usage("--workspace must match [a-z0-9][a-z0-9_-]{0,62}")
	}
	return name, nil
}

// poll calls f until it says that it is done.
func poll(ctx context.Context, f func() (done bool, err error)) error {
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
