package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"
)

// frameLimits are what the clients of the embedded Kafka may take from this process. kfake itself
// allocates the length that a client claims, and stops accepting connections at the first error.
type frameLimits struct {
	connections int           // open at a time; further ones are closed
	frame       int64         // bytes of a request; the connection of a larger one is closed
	budget      int64         // bytes of the requests of all connections together
	free        int64         // bytes of a request that are not counted, so that small ones never wait
	patience    time.Duration // how long a request may take to arrive, and may wait for the budget
}

var defaultFrameLimits = frameLimits{connections: 500, frame: 100 << 20, budget: 128 << 20, free: 64 << 10,
	patience: 30 * time.Second}

// frameListener is the listener of the embedded Kafka. Its connections pass a request on only when
// all of its bytes are here.
type frameListener struct {
	net.Listener
	limits frameLimits
	log    *slog.Logger
	budget *semaphore.Weighted
	slots  chan struct{}
}

func newFrameListener(l net.Listener, limits frameLimits, log *slog.Logger) *frameListener {
	return &frameListener{Listener: l, limits: limits, log: log, budget: semaphore.NewWeighted(limits.budget),
		slots: make(chan struct{}, limits.connections)}
}

// acceptPause is the pause after a connection that could not be accepted, as for want of file
// descriptors.
const acceptPause = 50 * time.Millisecond

// Accept returns the next connection. It returns an error only when the listener is closed.
func (l *frameListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			l.log.Warn("the embedded Kafka cannot accept a connection; trying again", "error", err)
			<-time.After(acceptPause)
			continue
		}
		select {
		case l.slots <- struct{}{}:
			ctx, cancel := context.WithCancel(context.Background())
			return &frameConn{Conn: conn, listener: l, closed: ctx, cancel: cancel}, nil
		default:
			l.log.Warn("the embedded Kafka has too many connections; closing another", "limit", l.limits.connections)
			conn.Close()
		}
	}
}

// frameConn reads requests whole. It is read by one goroutine.
type frameConn struct {
	net.Conn
	listener *frameListener
	closed   context.Context
	cancel   context.CancelFunc
	close    sync.Once

	chunks [][]byte // of the request at hand that were not passed on yet: its length, and its bytes
	held   int64    // of the budget
}

// minFrame is the size of the smallest request: its key, version and correlation id.
const minFrame = 8

// frameChunk is how much is allocated before its bytes are here.
const frameChunk = 64 << 10

// Read implements [net.Conn]. It returns bytes of one request.
func (c *frameConn) Read(p []byte) (int, error) {
	if len(c.chunks) == 0 {
		c.release() // the broker has taken the request before, and asks for the next
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.chunks[0])
	if c.chunks[0] = c.chunks[0][n:]; len(c.chunks[0]) == 0 {
		c.chunks = c.chunks[1:]
	}
	return n, nil
}

// receive reads the next request.
func (c *frameConn) receive() error {
	var length [4]byte
	if _, err := io.ReadFull(c.Conn, length[:]); err != nil {
		return err
	}
	limits := &c.listener.limits
	left := int64(int32(binary.BigEndian.Uint32(length[:])))
	if left < minFrame || left > limits.frame {
		return c.refuse(fmt.Errorf("a request of %d bytes, and %d to %d are allowed", left, minFrame, limits.frame))
	}
	chunks := [][]byte{length[:]}
	c.SetReadDeadline(time.Now().Add(limits.patience)) //nolint:errcheck // a closed connection fails to read too
	for read := int64(0); left > 0; {
		n := min(left, frameChunk)
		if read += n; read > limits.free {
			if err := c.hold(n); err != nil {
				return c.refuse(err)
			}
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(c.Conn, chunk); err != nil {
			c.release()
			return err
		}
		chunks, left = append(chunks, chunk), left-n
	}
	if key := int16(binary.BigEndian.Uint16(chunks[1])); kmsg.RequestForKey(key) == nil {
		return c.refuse(fmt.Errorf("a request with key %d, which Kafka does not have", key)) // kfake would panic
	}
	c.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	c.chunks = chunks
	return nil
}

// hold takes bytes from the budget, for which it may wait.
func (c *frameConn) hold(n int64) error {
	ctx, cancel := context.WithTimeout(c.closed, c.listener.limits.patience)
	defer cancel()
	if err := c.listener.budget.Acquire(ctx, n); err != nil {
		return fmt.Errorf("requests of %d bytes in all are being received", c.listener.limits.budget)
	}
	c.held += n
	return nil
}

func (c *frameConn) release() {
	c.listener.budget.Release(c.held)
	c.held = 0
}

func (c *frameConn) refuse(err error) error {
	c.release()
	c.listener.log.Warn("the embedded Kafka closes a connection", "client", c.RemoteAddr().String(), "error", err)
	return err
}

// Close implements [net.Conn].
func (c *frameConn) Close() error {
	c.close.Do(func() {
		c.cancel()
		<-c.listener.slots
	})
	return c.Conn.Close()
}
