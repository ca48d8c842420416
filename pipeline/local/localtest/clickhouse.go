// Package localtest gives tests the ClickHouse and Kafka of package local, without containers.
package localtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/local"
)

// Server is the test process's ClickHouse.
type Server struct {
	NativeAddr string // host:port of the native protocol
	HTTPURL    string // URL of the HTTP interface, with user and password, without a path

	clickhouse *local.ClickHouse
}

// server starts the one server of this process. The server ends when the process ends, and its data
// is removed then. So a test binary needs no TestMain.
var server = sync.OnceValues(start)

// ClickHouse returns the embedded ClickHouse server of this test process. The first call starts it,
// which takes about a second, or longer if the engine has to be fetched. Tests share the server and
// may run in parallel: each uses its own [Server.Database].
//
// If the engine is missing (see [local.FindLibrary]; MILLRACE_LIBCHDB is its Path), the test is
// skipped with the reason, or fails if CI=true.
func ClickHouse(t testing.TB) *Server {
	t.Helper()
	s, err := server()
	if err != nil {
		unavailable(t, err)
	}
	return s
}

// Config returns the configuration of a ClickHouse server that belongs to one test, which may kill
// it. The server is ephemeral and uses free ports. The test runs it with [local.NewClickHouse]. If
// the engine is missing, the test ends as with [ClickHouse].
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

// unavailable ends a test that lacks a service. The test is skipped, or fails if CI=true, where the
// service must exist.
func unavailable(t testing.TB, reason error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// Fetching may take minutes on a slow connection, so the only deadline is that of the process (go
// test -timeout).
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
	go c.Run(ctx) //nolint:errcheck // WaitReady returns the same error
	if err := c.WaitReady(ctx); err != nil {
		return nil, err
	}
	return &Server{NativeAddr: c.NativeAddr(), HTTPURL: c.HTTPURL(), clickhouse: c}, nil
}

// Database creates an empty database for the test and returns its name. The database is dropped
// when the test ends.
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

// DSN returns the address of a database for clickhouse.ParseDSN, with the native protocol.
func (s *Server) DSN(database string) string { return s.clickhouse.DSN(database) }

// DSNAt returns what DSN returns, with another address: that of a proxy in front of the server.
func (s *Server) DSNAt(addr, database string) string {
	return strings.Replace(s.DSN(database), "@"+s.NativeAddr, "@"+addr, 1)
}

// File copies a file to where the server may read it, and returns the path for ClickHouse's function file. The
// copy is removed when the test ends.
func (s *Server) File(t testing.TB, path string) string {
	t.Helper()
	files := filepath.Join(s.clickhouse.Dir(), "data", "user_files")
	if err := os.MkdirAll(files, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(files, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// exec runs a statement over HTTP, which needs no driver.
func (s *Server) exec(query string) error {
	client := http.Client{Timeout: 30 * time.Second}
	// If the server has died, it is running again within seconds.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.clickhouse.WaitReady(ctx); err != nil {
		return err
	}
	resp, err := client.Post(s.HTTPURL, "text/plain", strings.NewReader(query))
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s (%w)", query, resp.Status, body, err)
	}
	return nil
}
