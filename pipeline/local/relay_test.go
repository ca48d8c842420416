package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

const relayDeadline = time.Minute

// startRelay runs a relay in front of serve. serve gets each connection as the server would see it.
func startRelay(t *testing.T, serve func(*net.TCPConn)) (*relay, string) {
	t.Helper()
	server, err := net.ListenTCP("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			conn, err := server.AcceptTCP()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()

	public, err := net.ListenTCP("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(public, slog.New(slog.NewTextHandler(t.Output(), nil)))
	r.server.Store(server.Addr().(*net.TCPAddr))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.hangUp()
		r.wait()
	})
	return r, public.Addr().String()
}

func dialRelay(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(relayDeadline)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func TestARelayPassesBothWaysAndHalfCloses(t *testing.T) {
	t.Parallel()
	_, addr := startRelay(t, func(conn *net.TCPConn) {
		defer conn.Close()
		body, _ := io.ReadAll(conn) // ends with the client's half
		_, _ = conn.Write(body)
	})
	client := dialRelay(t, addr)
	sent := make([]byte, 8<<20)
	_, _ = rand.Read(sent)
	go func() {
		_, _ = client.Write(sent)
		_ = client.CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes back (%v), want the %d sent", len(got), err, len(sent))
	}
}

// reset closes a connection as the kernel does for a killed process with unread input: the next
// read of the peer returns ECONNRESET.
func reset(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	if err := conn.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestAServerNeverSeesAReset(t *testing.T) {
	t.Parallel()
	const answer = 32 << 20 // more than every buffer between the two
	type seen struct {
		read, write error
	}
	for _, test := range []struct {
		name   string
		server func(*net.TCPConn) (read, write error)
		client func(*testing.T, *net.TCPConn)
	}{
		{
			"while it reads",
			func(conn *net.TCPConn) (error, error) {
				_, err := io.Copy(io.Discard, conn)
				return err, nil
			},
			func(t *testing.T, conn *net.TCPConn) {
				if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
					t.Error(err)
				}
			},
		},
		{
			"while it writes",
			func(conn *net.TCPConn) (error, error) {
				_, write := conn.Write(make([]byte, answer))
				_, read := io.Copy(io.Discard, conn)
				return read, write
			},
			func(t *testing.T, conn *net.TCPConn) {
				if _, err := io.ReadFull(conn, make([]byte, 1<<10)); err != nil {
					t.Error(err)
				}
			},
		},
		{
			"while it does both",
			func(conn *net.TCPConn) (error, error) {
				written := make(chan error)
				go func() {
					_, err := conn.Write(make([]byte, answer))
					written <- err
				}()
				_, read := io.Copy(io.Discard, conn)
				return read, <-written
			},
			func(t *testing.T, conn *net.TCPConn) {
				if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
					t.Error(err)
				}
			},
		},
		{
			"before it answers",
			func(conn *net.TCPConn) (error, error) {
				_, read := io.Copy(io.Discard, conn)
				_, write := conn.Write(make([]byte, answer))
				return read, write
			},
			func(*testing.T, *net.TCPConn) {},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			saw := make(chan seen, 1)
			_, addr := startRelay(t, func(conn *net.TCPConn) {
				defer conn.Close()
				read, write := test.server(conn)
				saw <- seen{read: read, write: write}
			})
			client := dialRelay(t, addr)
			test.client(t, client)
			reset(t, client)
			select {
			case s := <-saw:
				if s.read != nil || s.write != nil {
					t.Errorf("the server's read: %v, write: %v; want an orderly end", s.read, s.write)
				}
			case <-time.After(relayDeadline):
				t.Fatal("the server still waits for a client that is gone")
			}
		})
	}
}

func TestAnAnswerArrivesThoughTheServerStoppedReading(t *testing.T) {
	t.Parallel()
	const answer = "413 too large"
	_, addr := startRelay(t, func(conn *net.TCPConn) {
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1))
		_, _ = io.WriteString(conn, answer)
		_ = conn.CloseWrite()
		_, _ = io.CopyN(io.Discard, conn, 1<<20)
	})
	client := dialRelay(t, addr)
	go func() { _, _ = client.Write(make([]byte, 4<<20)) }()
	if got, err := io.ReadAll(client); err != nil || string(got) != answer {
		t.Errorf("%q, %v, want %q", got, err, answer)
	}
}

func TestARelayWithoutAServerClosesAtOnce(t *testing.T) {
	t.Parallel()
	r, addr := startRelay(t, func(conn *net.TCPConn) { conn.Close() })
	gone, err := net.ListenTCP("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, server := range map[string]*net.TCPAddr{"none": nil, "one that has just died": gone.Addr().(*net.TCPAddr)} {
		r.server.Store(server)
		_, err := dialRelay(t, addr).Read(make([]byte, 1))
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, want a closed connection", name, err)
		}
	}
}

func TestAHangUpIsOrderlyForTheServer(t *testing.T) {
	t.Parallel()
	saw := make(chan error, 1)
	r, addr := startRelay(t, func(conn *net.TCPConn) {
		defer conn.Close()
		_, _ = io.WriteString(conn, "hello")
		_, err := io.Copy(io.Discard, conn)
		saw <- err
	})
	client := dialRelay(t, addr)
	if _, err := io.ReadFull(client, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	r.hangUp()
	if err := <-saw; err != nil {
		t.Errorf("the server's read: %v, want an orderly end", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client's read: %v, want the end", err)
	}
	r.wait()
}

func TestAServersDeathIsSeenByItsClients(t *testing.T) {
	t.Parallel()
	_, addr := startRelay(t, func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_ = conn.SetLinger(0)
		conn.Close()
	})
	client := dialRelay(t, addr)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v, want the connection's end", err)
	}
}

func BenchmarkRelay(b *testing.B) {
	server, err := net.ListenTCP("tcp", loopback(0))
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			conn, err := server.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				block := make([]byte, 1<<20)
				for {
					if _, err := conn.Write(block); err != nil {
						if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
							b.Error(err)
						}
						return
					}
				}
			}()
		}
	}()
	public, err := net.ListenTCP("tcp", loopback(0))
	if err != nil {
		b.Fatal(err)
	}
	r := newRelay(public, slog.Default())
	r.server.Store(server.Addr().(*net.TCPAddr))
	go func() { _ = r.Run(b.Context()) }()

	for _, bench := range []struct {
		name string
		addr net.Addr
	}{{"direct", server.Addr()}, {"relayed", public.Addr()}} {
		b.Run(bench.name, func(b *testing.B) {
			conn, err := net.Dial("tcp", bench.addr.String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			buf := make([]byte, 1<<20)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := io.ReadFull(conn, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
