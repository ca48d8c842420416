package local

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

// fullListener fails to accept some connections for want of file descriptors.
type fullListener struct {
	net.Listener
	failures int
}

func (l *fullListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func listenFrames(t *testing.T, limits frameLimits, failures int) *frameListener {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	return newFrameListener(&fullListener{inner, failures}, limits, slog.New(slog.DiscardHandler))
}

// frame is a request with a key of Kafka and so many bytes.
func frame(key int16, size int) []byte {
	f := make([]byte, 4+size)
	binary.BigEndian.PutUint32(f, uint32(size))
	binary.BigEndian.PutUint16(f[4:], uint16(key))
	for i := 6; i < len(f); i++ {
		f[i] = byte(i)
	}
	return f
}

// pair returns the two ends of a connection.
func pair(t *testing.T, l *frameListener) (client, server net.Conn) {
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

func send(t *testing.T, to net.Conn, text []byte) {
	t.Helper()
	if _, err := to.Write(text); err != nil {
		t.Fatal(err)
	}
}

// receives checks that the next request of a connection is this one.
func receives(t *testing.T, server net.Conn, want []byte) {
	t.Helper()
	if err := server.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(io.LimitReader(server, int64(len(want))), want); err != nil {
		t.Error(err)
	}
}

func TestAcceptGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	l := listenFrames(t, defaultFrameLimits, 3)
	client, server := pair(t, l)
	send(t, client, frame(18, 100))
	receives(t, server, frame(18, 100))
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	limits := defaultFrameLimits
	limits.connections = 2
	l := listenFrames(t, limits, 0)
	_, first := pair(t, l)
	pair(t, l)
	third, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			accepted <- conn
		}
	}()
	if n, err := third.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	first.Close()
	first.Close() // again: its place is free once
	fourth, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer fourth.Close()
	select {
	case conn := <-accepted:
		conn.Close()
	case <-time.After(20 * time.Second):
		t.Error("the place of a closed connection is not free")
	}
}

// A request is passed on when all of its bytes are here. What has arrived of requests that are not
// complete is bounded, and does not keep small requests waiting.
func TestWhatClientsSendIsBoundedTogether(t *testing.T) {
	t.Parallel()
	limits := frameLimits{connections: 10, frame: 1 << 20, budget: 1<<20 - frameChunk, free: frameChunk,
		patience: 30 * time.Second}
	l := listenFrames(t, limits, 0)
	whole := frame(0, 1<<20)
	slow, slowServer := pair(t, l)
	passed := make(chan int, 1)
	go func() {
		n, _ := slowServer.Read(make([]byte, 4))
		passed <- n
	}()
	send(t, slow, whole[:len(whole)-1])
	for l.budget.TryAcquire(frameChunk) { // until it has arrived
		l.budget.Release(frameChunk)
		<-time.After(time.Millisecond)
	}
	small, smallServer := pair(t, l)
	send(t, small, frame(18, 100))
	receives(t, smallServer, frame(18, 100))
	select {
	case n := <-passed:
		t.Errorf("%d bytes of an unfinished request were passed on", n)
	default:
	}
	large, largeServer := pair(t, l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		receives(t, largeServer, whole) // when the other has gone
	}()
	go large.Write(whole)
	slow.Close()
	if n := <-passed; n > 0 {
		t.Errorf("%d bytes of a request that was cut were passed on", n)
	}
	<-done
	largeServer.Close()
}

func TestRequestsThatKafkaDoesNotHaveEndTheirConnection(t *testing.T) {
	t.Parallel()
	limits := defaultFrameLimits
	limits.frame, limits.patience = 1000, 50*time.Millisecond
	l := listenFrames(t, limits, 0)
	for name, text := range map[string][]byte{
		"too large":        frame(0, 1001),
		"negative":         {0xff, 0xff, 0xff, 0xff, 0, 0},
		"empty":            {0, 0, 0, 0},
		"an unknown key":   frame(999, 100),
		"HTTP":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"not all of it":    frame(0, 100)[:50],
		"only its length":  frame(0, 100)[:4],
		"cut in the first": frame(0, 100)[:5],
	} {
		client, server := pair(t, l)
		send(t, client, text)
		if n, err := server.Read(make([]byte, 10)); n > 0 || err == nil {
			t.Errorf("%s: read %d bytes, %v", name, n, err)
		}
	}
	if !l.budget.TryAcquire(limits.budget) {
		t.Error("a connection that ended still holds bytes")
	}
}
