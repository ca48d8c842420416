package local

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// httpRelay forwards the requests of the public HTTP port to the server. It refuses requests that a
// web page in the user's browser may have sent: the browser runs on this machine, so a page of any
// site can send requests to the port.
//
// Each request has a connection of its own to the server, which is closed in order, like the
// connections of relay. While there is no server, requests are answered with 503.
type httpRelay struct {
	listener *net.TCPListener
	http     *http.Server
	server   atomic.Pointer[net.TCPAddr] // nil while there is no server
}

func newHTTPRelay(l *net.TCPListener, log *slog.Logger) *httpRelay {
	r := &httpRelay{listener: l}
	proxy := &httputil.ReverseProxy{
		// The host is only a name: dial knows the address.
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: "clickhouse"}) },
		Transport:     &http.Transport{DialContext: r.dial, DisableKeepAlives: true, DisableCompression: true},
		FlushInterval: -1, // pass an answer on as it comes
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler:  explainFailure,
	}
	r.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if reason := refuse(req); reason != "" {
				http.Error(w, "The embedded ClickHouse refuses this request: "+reason, http.StatusForbidden)
				return
			}
			proxy.ServeHTTP(w, req)
		}),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return r
}

var errNoServer = errors.New("it is starting: try again")

func explainFailure(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusBadGateway
	if errors.Is(err, errNoServer) {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, "The embedded ClickHouse did not answer: "+err.Error(), status)
}

// refuse returns why a request may come from a web page of another site, or "".
//
//   - Host: if an attacker resolves the name of a page to 127.0.0.1 (DNS rebinding), the page has
//     the same origin as the port, but its requests name the attacker's host.
//   - Origin and Sec-Fetch-Site: by them a browser says which site a request comes from. Other
//     programs send neither.
func refuse(req *http.Request) string {
	if !loopbackHost(req.Host) {
		return "its Host is not a loopback address: use http://127.0.0.1 or http://localhost"
	}
	for _, origin := range req.Header.Values("Origin") {
		if origin != "http://"+req.Host {
			return "its Origin is another site"
		}
	}
	for _, site := range req.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return "it comes from a page of another site"
		}
	}
	return ""
}

// loopbackHost reports whether a Host header names the loopback of this machine.
func loopbackHost(host string) bool {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Host != host {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func (r *httpRelay) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	addr := r.server.Load()
	if addr == nil {
		return nil, errNoServer
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return &orderlyConn{TCPConn: conn.(*net.TCPConn)}, nil
}

// orderlyConn is a connection that its user never resets, whatever is unread.
type orderlyConn struct {
	*net.TCPConn
	once sync.Once
}

// Close ends this side of the connection at once. In the background, it reads the other side to
// its end.
func (c *orderlyConn) Close() error {
	c.once.Do(func() {
		_ = c.CloseWrite()
		go func() {
			_, _ = io.Copy(io.Discard, c.TCPConn)
			c.TCPConn.Close()
		}()
	})
	return nil
}

// Run serves requests until ctx is done. It does not wait for open requests: see hangUp.
func (r *httpRelay) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.listener.Close() })
	defer stop()
	if err := r.http.Serve(r.listener); ctx.Err() == nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// hangUp closes every connection of a client. The server sees an orderly end of each request.
func (r *httpRelay) hangUp() { r.http.Close() }
