// Package localtest gives tests a real ClickHouse and a Kafka without a
// container: the ones of package local.
package localtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/local"
)

// Server is the test process's ClickHouse.
type Server struct {
	NativeAddr string // host:port of the native protocol
	HTTPAddr   string // host:port of the HTTP interface

	clickhouse *local.ClickHouse
}

// server starts the one server of this process. It runs until the process
// ends, and ends with it, data and all: there is nothing to call for that,
// which a test binary without a TestMain could not.
var server = sync.OnceValues(start)

// ClickHouse returns this test process's embedded ClickHouse server, started
// by the first test that asks for it; that takes about a second, and longer
// once when the engine has to be fetched. Tests share it and may run in
// parallel: each works in its own [Server.Database].
//
// Where the engine cannot be had (see [local.FindLibrary]; MILLRACE_LIBCHDB is
// heeded) the test is skipped with the reason, and fails if CI=true.
func ClickHouse(t testing.TB) *Server {
	t.Helper()
	s, err := server()
	if err != nil {
		unavailable(t, err)
	}
	return s
}

// Config is the configuration of a ClickHouse server of the test's own, which
// it may kill: ephemeral, on free ports. The test runs it with
// [local.NewClickHouse]. Where the engine cannot be had, see [ClickHouse].
func Config(t testing.TB) local.ClickHouseConfig {
	t.Helper()
	cfg, err := config()
	if err != nil {
		unavailable(t, err)
	}
	cfg.Dir = t.TempDir()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	return cfg
}

// unavailable ends a test that lacks a service: a skip, or a failure where
// CI=true, since there the service must be had.
func unavailable(t testing.TB, reason error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// Fetching may take minutes on a slow line, so nothing here has a deadline
// but the process's own (go test -timeout).
func config() (local.ClickHouseConfig, error) {
	library, err := local.FindLibrary(context.Background(), local.LibraryConfig{
		Path:     os.Getenv("MILLRACE_LIBCHDB"),
		Progress: os.Stderr,
	})
	if err != nil {
		return local.ClickHouseConfig{}, err
	}
	command, err := Command()
	if err != nil {
		return local.ClickHouseConfig{}, err
	}
	return local.ClickHouseConfig{Library: library, Command: command, Ephemeral: true}, nil
}

func start() (*Server, error) {
	cfg, err := config()
	if err != nil {
		return nil, err
	}
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c, err := local.NewClickHouse(cfg)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	go c.Run(ctx) //nolint:errcheck // WaitReady returns what it returns
	if err := c.WaitReady(ctx); err != nil {
		return nil, err
	}
	return &Server{NativeAddr: c.NativeAddr(), HTTPAddr: c.HTTPAddr(), clickhouse: c}, nil
}

// Database creates an empty database for the test, to be dropped with all it
// holds when the test ends, and returns its name.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec("DROP DATABASE " + name + " SYNC"); err != nil {
			t.Error(err)
		}
	})
	return name
}

// DSN is the address of a database for clickhouse.ParseDSN, over the native
// protocol.
func (s *Server) DSN(database string) string {
	return "clickhouse://" + s.NativeAddr + "/" + database
}

// exec runs a statement over HTTP, which needs no driver.
func (s *Server) exec(query string) error {
	client := http.Client{Timeout: 30 * time.Second}
	// Should the server have died, it is back within seconds.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.clickhouse.WaitReady(ctx); err != nil {
		return err
	}
	resp, err := client.Post("http://"+s.HTTPAddr, "text/plain", strings.NewReader(query))
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s (%w)", query, resp.Status, body, err)
	}
	return nil
}
