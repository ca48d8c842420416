package local_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/local"
)

// cutClient is a client whose connection the test can reset.
type cutClient struct {
	driver.Conn
	mu   sync.Mutex
	conn *net.TCPConn
}

func newCutClient(t *testing.T, dsn string) *cutClient {
	t.Helper()
	c := new(cutClient)
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxOpenConns = 1
	options.DialContext = func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conn = conn.(*net.TCPConn)
		}
		return conn, err
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	c.Conn = conn
	return c
}

// cut resets the connection, as the kernel does for a client that was killed.
func (c *cutClient) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Errors: the client may have given the connection up by itself.
	_ = c.conn.SetLinger(0)
	_ = c.conn.Close()
}

// clientWork is what a client may be doing when it is killed. Each function repeats its work until
// it fails or ctx is done.
var clientWork = []func(ctx context.Context, c *cutClient){
	func(ctx context.Context, c *cutClient) { // receives an answer of many blocks
		rows, err := c.Query(ctx, "SELECT number, repeat('x', 100) FROM numbers(100000000)")
		if err != nil {
			return
		}
		defer rows.Close()
		for rows.Next() {
		}
	},
	func(ctx context.Context, c *cutClient) { // sends an insert and never ends it
		batch, err := c.PrepareBatch(ctx, "INSERT INTO t")
		if err != nil {
			return
		}
		defer batch.Abort() // the connection is gone
		for n := uint64(0); ctx.Err() == nil; n++ {
			if batch.Append(n, "some text") != nil || n%2000 == 0 && batch.Flush() != nil {
				return
			}
		}
	},
	func(ctx context.Context, c *cutClient) { // runs a query that sends only progress
		_ = c.Exec(ctx, "SELECT sleepEachRow(0.01) FROM numbers(1000) SETTINGS max_block_size = 1, interactive_delay = 1000")
	},
	func(ctx context.Context, c *cutClient) { // receives an error
		for ctx.Err() == nil {
			_ = c.Exec(ctx, "SELECT throwIf(number = 100) FROM numbers(200)")
		}
	},
}

// Without the relay, the engine aborts in this test within a dozen clients.
func TestTheServerSurvivesKilledClients(t *testing.T) {
	t.Parallel()
	const workers = 4
	times := 100 // for each worker
	if testing.Short() || os.Getenv("CI") == "true" {
		times = 25
	}
	c, _ := run(t, realConfig(t))
	waitReady(t, c)
	pid := c.Pid()
	conn := connect(t, c)
	execute(t, conn, "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
	idle := count(t, conn, "system.processes") // the engine counts as one query: its own last one

	var killed atomic.Int64
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range times {
				client := newCutClient(t, c.DSN("default"))
				ctx, cancel := context.WithCancel(t.Context())
				if err := client.Ping(ctx); err != nil {
					t.Errorf("after %d killed clients: %v", killed.Load(), err)
					cancel()
					return
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					clientWork[(i+w)%len(clientWork)](ctx, client)
				}()
				// The client is killed at a random moment, since any moment may be the dangerous
				// one.
				<-time.After(rand.N(40 * time.Millisecond))
				client.cut()
				cancel()
				<-done
				client.Close()
				killed.Add(1)
			}
		})
	}
	all.Wait()

	// The server notices that each client is gone, and cancels its query.
	eventually(t, "no killed client's query runs", func() bool { return count(t, conn, "system.processes") == idle })
	if got := c.Pid(); got != pid || c.Restarts() != 0 {
		log, _ := os.ReadFile(c.Dir() + "/clickhouse.log")
		t.Errorf("of %d killed clients the server died %d times: %s", killed.Load(), c.Restarts(),
			strings.ToValidUTF8(string(log[max(0, len(log)-2000):]), "?"))
	}
}

// Without the doorkeeper, the engine would abort after each of these clients.
func TestTheServerSurvivesClientsThatItWouldRefuse(t *testing.T) {
	t.Parallel()
	c, _ := run(t, realConfig(t))
	waitReady(t, c)
	pid := c.Pid()
	conn := connect(t, c)

	for _, test := range []struct {
		auth clickhouse.Auth
		code int32
	}{
		{clickhouse.Auth{Username: "nobody"}, 516},
		{clickhouse.Auth{Username: "default"}, 516},
		{clickhouse.Auth{Username: local.User, Password: "wrong"}, 516},
		{clickhouse.Auth{Database: "missing", Username: local.User, Password: c.Password()}, 81},
	} {
		err := ping(t, c, test.auth)
		var exception *clickhouse.Exception
		if !errors.As(err, &exception) || exception.Code != test.code {
			t.Errorf("%+v: %v, want code %d", test.auth, err, test.code)
		}
	}
	const odd = "odd \\ \t '`name`"
	execute(t, conn, "CREATE DATABASE `"+strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(odd)+"`")
	for _, database := range []string{"", "default", odd} {
		if err := ping(t, c, clickhouse.Auth{Database: database, Username: local.User, Password: c.Password()}); err != nil {
			t.Errorf("database %q: %v", database, err)
		}
	}

	for _, addr := range []string{c.NativeAddr(), c.HTTPAddr()} {
		for _, text := range []string{"", "\x00", "\x00\xff\xff\xff\xff\x7f", "\x16\x03\x01\x00\xc8\x01",
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n"} {
			send(t, addr, text)
		}
	}
	for _, query := range []string{"?user=nobody", "?password=wrong", "?database=missing", "?query=SELECT+nonsense"} {
		resp, err := http.Post(c.HTTPURL()+"/"+query, "", strings.NewReader("SELECT 1"))
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", query, resp.Status)
		}
	}

	if n := count(t, conn, "numbers(3)"); n != 3 || c.Pid() != pid || c.Restarts() != 0 {
		t.Errorf("the server died %d times", c.Restarts())
	}
}

func ping(t *testing.T, c *local.ClickHouse, auth clickhouse.Auth) error {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.NativeAddr()}, Auth: auth})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.Ping(t.Context())
}

// send sends text, and waits until the other side has closed the connection.
func send(t *testing.T, addr, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte(text))
	_ = conn.(*net.TCPConn).CloseWrite()
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q: the connection is still open", text)
	}
}
