package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline/share"
)

// Operations that have limits of their own.
const (
	tryOperation      = "try-export"
	publishOperation  = "publish-runs"
	watchOperation    = "watch-export"
	previewOperation  = "preview-export"
	downloadOperation = "download-export"
)

// pageOperations are the operations whose work pages do, by the pattern of the page. Other pages do what
// only the limit of requests bounds in the API too, or what package history bounds for both.
var pageOperations = map[string]string{"GET /exports/{id}": previewOperation,
	"GET /history/run/exports":     previewOperation,
	"POST /history/export/preview": tryOperation}

// Limits of an address whose visitors have not signed in. Behind a proxy all visitors share one.
const (
	maxVisits      = 64   // requests at a time
	maxConnections = 1024 // at a time, that nobody has signed in over
)

// limits are how much the server does at a time. What is over gets 429 with Retry-After. Everything
// that a workspace takes it takes after the caller is known.
type limits struct {
	visits      *share.Share            // requests of visitors, by address
	requests    *share.Share            // of callers, with all that follows
	bodies      *share.Share            // of requests whose body is large and read as a whole
	of          map[string]*share.Share // operations, by their ids; nil: only requests is bounded
	connections connections
}

func newLimits() *limits {
	downloads := share.New(share.Limits{What: "downloads", Total: 128, Each: 32})
	return &limits{
		visits:   share.New(share.Limits{What: "requests without a token", Of: "this address", Total: 1024, Each: maxVisits}),
		requests: share.New(share.Limits{What: "requests", Total: 1024, Each: 384}),
		// each holds bytes of the budget until its body has come
		bodies: share.New(share.Limits{What: "requests with large bodies", Total: 8, Each: 2, Queue: 8,
			Wait: 10 * time.Second}),
		of: map[string]*share.Share{
			// each has ClickHouse count a selection
			tryOperation: share.New(share.Limits{What: "dry runs", Total: 8, Each: 2, Queue: 8, Wait: 10 * time.Second}),
			// each may hold several copies of the largest event
			publishOperation: share.New(share.Limits{What: "requests with run events", Total: 16, Each: 4, Queue: 8,
				Wait: 2 * time.Second}),
			// each holds some of the largest records
			previewOperation: share.New(share.Limits{What: "previews", Total: 16, Each: 4, Queue: 16,
				Wait: 5 * time.Second}),
			watchOperation: share.New(share.Limits{What: "streams of events", Total: 512, Each: 128}),
			fileOperation:  downloads, downloadOperation: downloads,
		},
		connections: connections{of: map[netip.Prefix][]net.Conn{}},
	}
}

// isOps reports whether a request is for health or metrics.
func isOps(r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz", "/readyz", "/metrics":
		return true
	}
	return false
}

type passKey struct{}

// pass is what a request takes of the limits.
type pass struct {
	limits *limits
	conn   net.Conn // nil in tests
	leave  func()
}

// pass returns the pass of a request, which takes nothing yet: whoever has a token does not wait for
// those at the same address that have none.
func (l *limits) pass(r *http.Request) *pass {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	return &pass{l, conn, func() {}}
}

// end gives back what the request took.
func (p *pass) end() { p.leave() }

// visit makes a request one of a visitor, who has not signed in.
func visit(r *http.Request) error {
	p, ok := r.Context().Value(passKey{}).(*pass)
	if !ok {
		return nil
	}
	leave, err := p.limits.visits.Enter(r.Context(), clientOf(r.RemoteAddr).String())
	if err == nil {
		p.leave = leave
	}
	return err
}

// signedIn makes a request one of a workspace.
func signedIn(ctx context.Context, workspace string) error {
	p, ok := ctx.Value(passKey{}).(*pass)
	if !ok {
		return nil
	}
	leave, err := p.limits.requests.Enter(ctx, workspace)
	if err != nil {
		return err
	}
	p.leave = leave
	p.limits.connections.signedIn(p.conn)
	return nil
}

// clientOf returns the network that a client is taken for: its address, or the /64 of IPv6, of which
// one client has every address.
func clientOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(address, bits).Masked()
}

type connKey struct{}

// withConn puts the connection into the context of its requests.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connections are those that nobody has signed in over, by client. A client that has too many loses
// the oldest: one that opens many and sends little does not keep a health check, or anybody else behind
// its address, from being answered.
type connections struct {
	mu sync.Mutex
	of map[netip.Prefix][]net.Conn
}

// state is the [http.Server.ConnState].
func (c *connections) state(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if oldest := c.add(conn); oldest != nil {
			oldest.Close()
		}
	case http.StateClosed, http.StateHijacked:
		c.signedIn(conn)
	}
}

func (c *connections) add(conn net.Conn) (oldest net.Conn) {
	client := clientOf(conn.RemoteAddr().String())
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.of[client]
	if len(list) >= maxConnections {
		oldest, list = list[0], slices.Delete(list, 0, 1)
	}
	c.of[client] = append(list, conn)
	return oldest
}

// signedIn forgets a connection.
func (c *connections) signedIn(conn net.Conn) {
	if conn == nil {
		return
	}
	client := clientOf(conn.RemoteAddr().String())
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.DeleteFunc(c.of[client], func(x net.Conn) bool { return x == conn })
	if len(list) == 0 {
		delete(c.of, client)
		return
	}
	c.of[client] = list
}
