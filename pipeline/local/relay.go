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

// relay passes a public port's connections on to a server that must not see a
// client die. The engine aborts when a native client's connection is reset
// under it (within a dozen killed clients; a real server does not); through the
// relay it only ever sees connections that close in order, as a client that
// hangs up politely closes them. A client sees the server as it is.
//
// While there is no server, connections are closed at once, so that clients
// fail fast and try again.
type relay struct {
	listener *net.TCPListener
	log      *slog.Logger
	server   atomic.Pointer[net.TCPAddr] // nil: there is none now

	// admit, if set, has the first word with a client, and returns what the
	// client has sent meanwhile; or false for a client it has dealt with.
	admit func(client *net.TCPConn) (first []byte, ok bool)

	mu      sync.Mutex
	clients map[*net.TCPConn]struct{}
	hungUp  bool
	pairs   sync.WaitGroup
}

// lingerTime is how long a client may go on sending after the server has
// closed. Closing at once would answer what it sends with a reset, which may
// overtake the server's last words.
const lingerTime = time.Second

func newRelay(l *net.TCPListener, log *slog.Logger) *relay {
	return &relay{listener: l, log: log, clients: make(map[*net.TCPConn]struct{})}
}

// Run accepts until ctx is done, and then returns without waiting for the
// open connections: see hangUp and wait.
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
			// Out of descriptors, or a client gone already: not the end.
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
		return // it has just died
	}
	defer server.Close()
	if _, err := server.Write(first); err != nil {
		return
	}

	// Both copies are spliced by the kernel where it can.
	clientDone := make(chan struct{})
	go func() {
		defer close(clientDone)
		_, _ = io.Copy(server, client)
		// The client has finished, hung up or been cut off. Whichever it
		// was, the server is told that nothing more comes: an orderly end.
		_ = server.CloseWrite()
	}()

	if _, err := io.Copy(client, server); err != nil {
		// The client does not take the answer any more, or the server
		// broke off. Close the client's side, so that the copy above ends,
		// and go on reading: a socket closed with unread bytes is a reset.
		client.Close()
		_, _ = io.Copy(io.Discard, server)
	} else {
		// The server is through. The client reads the rest at its pace.
		_ = client.CloseWrite()
		_ = client.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, readerAfter{clientDone, client})
	}
	<-clientDone
}

// readerAfter reads r once done is closed: two readers of one connection would
// tear its stream apart.
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

// hangUp ends every connection in order, as if its client had closed it, so
// that the server cancels what it does for it.
func (r *relay) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hungUp = true
	for client := range r.clients {
		_ = client.SetReadDeadline(time.Now())
	}
}

// wait returns when every connection is closed. The server must be gone: then
// only a client that does not read can hold one open, and is cut off.
func (r *relay) wait() {
	r.mu.Lock()
	for client := range r.clients {
		client.Close()
	}
	r.mu.Unlock()
	r.pairs.Wait()
}
