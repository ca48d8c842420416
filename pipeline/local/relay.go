package local

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// relay forwards the connections of a public port to the server, and hides from the server that a
// client was killed. The engine aborts when the connection of a native client is reset (within a
// dozen killed clients; a real server does not abort). Through the relay, the engine sees only
// connections that are closed in order. Clients see the server unchanged.
//
// While there is no server, connections are closed at once, so that clients
// fail fast and try again.
type relay struct {
	listener *net.TCPListener
	log      *slog.Logger
	server   atomic.Pointer[net.TCPAddr] // nil while there is no server

	// admit, if set, checks each client first. It returns the bytes that the client has sent so
	// far, or false if it has refused the client.
	admit func(client *net.TCPConn) (first []byte, ok bool)

	mu      sync.Mutex
	clients map[*net.TCPConn]struct{}
	hungUp  bool
	pairs   sync.WaitGroup
}

// lingerTime is how long a client may continue to send after the server has closed the connection.
// If the relay closed at once, the client would get a reset, which may arrive before the server's
// last bytes.
const lingerTime = time.Second

func newRelay(l *net.TCPListener, log *slog.Logger) *relay {
	return &relay{listener: l, log: log, clients: make(map[*net.TCPConn]struct{})}
}

// Run accepts connections until ctx is done. It does not wait for open connections: see hangUp and
// wait.
func (r *relay) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.listener.Close() })
	defer stop()
	for {
		client, err := r.listener.AcceptTCP()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// The process has no free descriptors, or the client has already gone. Both are
			// temporary.
			r.log.Warn("accept a connection", "address", r.listener.Addr().String(), "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		addr := r.server.Load()
		if addr == nil {
			client.Close()
			continue
		}
		r.pairs.Add(1)
		go func() {
			defer r.pairs.Done()
			r.serve(client, addr)
		}()
	}
}

func (r *relay) serve(client *net.TCPConn, addr *net.TCPAddr) {
	defer client.Close()
	r.track(client)
	defer r.untrack(client)
	var first []byte
	if r.admit != nil {
		var ok bool
		if first, ok = r.admit(client); !ok {
			return
		}
		r.track(client) // again: admit has moved the read deadline
	}
	server, err := net.DialTCP("tcp", nil, addr)
	if err != nil {
		return // the server has just died
	}
	defer server.Close()
	if _, err := server.Write(first); err != nil {
		return
	}

	// The kernel splices both copies if it can.
	clientDone := make(chan struct{})
	go func() {
		defer close(clientDone)
		_, _ = io.Copy(server, client)
		// The client has finished, disconnected or been killed. In each case the server sees an
		// orderly end of the client's data.
		_ = server.CloseWrite()
	}()

	if _, err := io.Copy(client, server); err != nil {
		// The client no longer accepts the answer, or the server broke off. Close the client's
		// connection, so that the copy above ends, and continue to read from the server: closing a
		// socket with unread bytes would send a reset.
		client.Close()
		_, _ = io.Copy(io.Discard, server)
	} else {
		// The server has finished. The client reads the rest at its own pace.
		_ = client.CloseWrite()
		_ = client.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, readerAfter{clientDone, client})
	}
	<-clientDone
}

// readerAfter reads r once done is closed, so that two goroutines never read one connection at the
// same time.
type readerAfter struct {
	done <-chan struct{}
	r    io.Reader
}

func (r readerAfter) Read(p []byte) (int, error) {
	<-r.done
	return r.r.Read(p)
}

func (r *relay) track(client *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients[client] = struct{}{}
	if r.hungUp {
		_ = client.SetReadDeadline(time.Now())
	}
}

func (r *relay) untrack(client *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clients, client)
}

// hangUp ends every connection in order, as if its client had closed it. So the server cancels the
// clients' queries.
func (r *relay) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hungUp = true
	for client := range r.clients {
		_ = client.SetReadDeadline(time.Now())
	}
}

// wait waits until every connection is closed. Call it only after the server has ended: then only a
// client that does not read can keep its connection open, and wait closes it.
func (r *relay) wait() {
	r.mu.Lock()
	for client := range r.clients {
		client.Close()
	}
	r.mu.Unlock()
	r.pairs.Wait()
}
