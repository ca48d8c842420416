package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

const (
	testSecret = "the secret of a test, which is longer than 32 bytes"
	attacker   = "203.0.113.1:1"
	neighbour  = "203.0.113.2:1"
)

// tokenOf is a token of a workspace that has every scope for an hour.
func tokenOf(t *testing.T, workspace string) string {
	t.Helper()
	return tokenUntil(t, workspace, time.Now().Add(time.Hour))
}

func tokenUntil(t *testing.T, workspace string, expiry time.Time) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"workspace": workspace, "sub": "someone",
		"exp": expiry.Unix(), "scope": strings.Join(auth.Scopes, " ")}).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// inMemory is a server whose clients need no sockets, so that a test's clock runs as fast as it can.
type inMemory struct {
	api      *API
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (m *inMemory) Accept() (net.Conn, error) {
	select {
	case c := <-m.accepted:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *inMemory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *inMemory) Addr() net.Addr { return address("203.0.113.9:80") }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// from is a connection that comes from an address.
type from struct {
	net.Conn
	address address
}

func (f from) RemoteAddr() net.Addr { return f.address }

// attack runs a test against a server with keys, in a bubble with a clock of its own.
func attack(t *testing.T, f func(t *testing.T, m *inMemory)) {
	t.Helper()
	attackAll(t, 1, func(t *testing.T, servers []*inMemory) { f(t, servers[0]) })
}

// attackAll is attack with several servers that share a bucket. In it, each workspace has an export e that
// was planned.
func attackAll(t *testing.T, servers int, f func(t *testing.T, servers []*inMemory)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	for _, workspace := range []string{"small", "hostile"} {
		id := export.ID{WorkspaceID: workspace, ExportID: "e"}
		if _, err := (folder.Folder{Bucket: b, ID: id}).CreatePlan(t.Context(), &export.Plan{Version: export.PlanVersion,
			ID: id, Request: &export.Request{ID: id, Purpose: export.ExportDataset}}); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		list := make([]*inMemory, servers)
		for i := range list {
			authenticator, err := auth.New(ctx, auth.Config{HMACSecretFile: file})
			if err == nil {
				err = authenticator.LoadRevoked(ctx, b)
			}
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			exports := live.New(live.Config{Config: kafka.Config{Log: log}}, noClickHouse{}, b)
			m := &inMemory{accepted: make(chan net.Conn), closed: make(chan struct{})}
			m.api = New(Config{Registry: prometheus.NewRegistry(), Log: log, TopicPrefix: "millrace."},
				Deps{Auth: authenticator, Exports: exports, Pages: pages.New(pages.Config{Trail: noTrail{}}, authenticator, nil,
					exports)})
			for _, run := range []func() error{
				func() error { return m.api.Serve(ctx, m) }, func() error { return authenticator.WatchRevoked(ctx) },
			} {
				running.Go(func() {
					if err := run(); err != nil {
						t.Error(err)
					}
				})
			}
			list[i] = m
		}
		f(t, list)
	})
}

// noTrail is a trail that nobody reads.
type noTrail struct{}

func (noTrail) Note(audit.Entry)   {}
func (noTrail) Refuse(audit.Entry) {}

// noClickHouse is a ClickHouse that does not answer: what an export is, is read from the bucket.
type noClickHouse struct{ driver.Conn }

func (noClickHouse) Query(context.Context, string, ...any) (driver.Rows, error) {
	return nil, errors.New("no answer")
}

// dial connects, and sends the text of a request.
func (m *inMemory) dial(t *testing.T, remote, text string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	m.accepted <- from{server, address(remote)}
	go io.WriteString(client, text) // the server may close it
	return client
}

// answer is the answer to a request.
func answer(t *testing.T, c net.Conn) answered {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header, string(body)}
}

type answered struct {
	status int
	header http.Header
	body   string
}

func (m *inMemory) get(t *testing.T, remote, path string) answered {
	t.Helper()
	return answer(t, m.dial(t, remote, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

// post is a request of a workspace. Of its body only the first byte is sent.
func post(t *testing.T, workspace, path, contentType string) string {
	t.Helper()
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n"+
		"Content-Length: 1000\r\n\r\n{", path, tokenOf(t, workspace), contentType)
}

// reached fails the test unless a workspace's requests reach their handler.
func (m *inMemory) reached(t *testing.T, remote, workspace string) {
	t.Helper()
	got := answer(t, m.dial(t, remote, post(t, workspace, "/v1/exports", "text/plain")+strings.Repeat(" ", 999)))
	if got.status != http.StatusUnsupportedMediaType {
		t.Errorf("a request of workspace %s: %d %s", workspace, got.status, got.body)
	}
}

func TestVisitorsThatSendSlowlyKeepNobodyFromBeingAnswered(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"bodies":  "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nt",
		"headers": "GET / HTTP/1.1\r\nHost: x\r\nX: ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attack(t, func(t *testing.T, m *inMemory) {
				for range 1060 {
					m.dial(t, attacker, text)
				}
				synctest.Wait()
				for _, remote := range []string{attacker, neighbour} {
					for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
						if got := m.get(t, remote, path); got.status != http.StatusOK {
							t.Errorf("%s from %s: %d %s", path, remote, got.status, got.body)
						}
					}
					m.reached(t, remote, "small")
				}
				if got := m.get(t, neighbour, "/login"); got.status != http.StatusOK {
					t.Errorf("a visitor from another address: %d %s", got.status, got.body)
				}
			})
		})
	}
}

func TestAWorkspaceThatSendsSlowlyIsAskedToWaitAndOthersAreNot(t *testing.T) {
	t.Parallel()
	attack(t, func(t *testing.T, m *inMemory) {
		for range 500 {
			m.dial(t, attacker, post(t, "hostile", "/v1/exports", "application/json"))
		}
		synctest.Wait()
		got := answer(t, m.dial(t, attacker, post(t, "hostile", "/v1/exports", "application/json")))
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" ||
			got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("the hostile workspace: %d %v %s", got.status, got.header, got.body)
		}
		m.reached(t, neighbour, "small")
	})
}

// A client that sends a byte now and then holds its place for a while, and not for ever.
func TestABodyAndAnAnswerHaveAnEndHoweverSlowTheyAre(t *testing.T) {
	t.Parallel()
	attack(t, func(t *testing.T, m *inMemory) {
		began := time.Now()
		const slow = 16
		ended := make(chan time.Duration, slow+1)
		for range slow {
			c := m.dial(t, attacker, post(t, "hostile", "/v1/runs", "application/x-ndjson"))
			go io.Copy(io.Discard, c) // it is closed
			go func() {
				for {
					if _, err := c.Write([]byte(" ")); err != nil {
						ended <- time.Since(began)
						return
					}
					<-time.After(20 * time.Second)
				}
			}()
		}
		reader := m.dial(t, attacker, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
		go func() {
			for {
				if _, err := reader.Read(make([]byte, 1)); err != nil {
					ended <- time.Since(began)
					return
				}
				<-time.After(20 * time.Second)
			}
		}()
		<-time.After(time.Second)
		got := answer(t, m.dial(t, neighbour, post(t, "small", "/v1/runs", "application/x-ndjson")+
			strings.Repeat(" ", 999)))
		if got.status != http.StatusUnprocessableEntity { // its body has no event that is one
			t.Errorf("a small workspace posts run events: %d %s", got.status, got.body)
		}
		for range slow + 1 {
			select {
			case after := <-ended:
				if after > 3*time.Minute {
					t.Errorf("a transfer ended after %s", after)
				}
			case <-time.After(time.Hour):
				t.Fatal("a transfer does not end")
			}
		}
	})
}

func TestAnOldConnectionMakesRoomForANewOneOfItsAddress(t *testing.T) {
	t.Parallel()
	attack(t, func(t *testing.T, m *inMemory) {
		keep := m.dial(t, attacker, post(t, "small", "/v1/exports", "text/plain")+strings.Repeat(" ", 999))
		if got := answer(t, keep); got.status != http.StatusUnsupportedMediaType {
			t.Fatal(got.status)
		}
		first := m.dial(t, attacker, "")
		for range maxConnections {
			m.dial(t, attacker, "")
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the oldest connection: %v", err)
		}
		if _, err := io.WriteString(keep, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := answer(t, keep); got.status != http.StatusOK {
			t.Errorf("the connection of somebody who has signed in: %d", got.status)
		}
	})
}
