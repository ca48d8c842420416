package clickhousetest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes connections on to a server, until a test breaks it.
type Proxy struct {
	Addr string // host:port to connect to

	target string
	mu     sync.Mutex
	mode   mode
	conns  map[net.Conn]struct{}
}

type mode int

const (
	passing mode = iota
	refusing
	silent
)

// NewProxy starts a proxy to a host:port; it ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener := listen(t)
	p := &Proxy{Addr: listener.Addr().String(), target: target, conns: map[net.Conn]struct{}{}}
	t.Cleanup(p.Refuse)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

// Pass lets connections through, as in the beginning.
func (p *Proxy) Pass() { p.set(passing) }

// Refuse closes all connections, and new ones at once, as if no server ran.
func (p *Proxy) Refuse() { p.set(refusing) }

// Silence keeps connections open and passes nothing on, like a network that drops packets.
func (p *Proxy) Silence() { p.set(silent) }

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.mode
	p.mode = m
	if m == refusing || before == silent { // they miss what was dropped
		for c := range p.conns {
			c.Close()
		}
	}
}

// enter registers connections, or closes them if the proxy refuses them, and returns false.
func (p *Proxy) enter(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.mode == refusing {
			c.Close()
		} else {
			p.conns[c] = struct{}{}
		}
	}
	return p.mode != refusing
}

func (p *Proxy) leave(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	if !p.enter(client, server) {
		return
	}
	defer p.leave(client, server)
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			io.Copy(valve{p, pair[1]}, pair[0]) //nolint:errcheck // either end may close the connection
			done <- struct{}{}
		}()
	}
	<-done
}

// valve writes to a connection, or drops the bytes while the proxy is silent.
type valve struct {
	p    *Proxy
	conn net.Conn
}

func (v valve) Write(b []byte) (int, error) {
	v.p.mu.Lock()
	m := v.p.mode
	v.p.mu.Unlock()
	if m == silent {
		return len(b), nil
	}
	return v.conn.Write(b)
}
