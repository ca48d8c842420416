package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// IsLoopback reports whether an address, host:port, can be reached from this machine alone.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopback(host)
}

// CheckHTTP returns the mistakes that matter only to commands that run the HTTP server. Without
// keys, everybody who reaches the server may do everything. So the server must then listen on a
// loopback address.
func (c *Config) CheckHTTP() error {
	if c.AuthJWKSFile+c.AuthJWKSURL+c.AuthHMACSecretFile != "" {
		return nil
	}
	const keys = "MILLRACE_AUTH_JWKS_FILE, MILLRACE_AUTH_JWKS_URL or MILLRACE_AUTH_HMAC_SECRET_FILE"
	var mistakes []error
	if host, _, err := net.SplitHostPort(c.HTTPAddr); err != nil || !loopback(host) {
		mistakes = append(mistakes, fmt.Errorf("MILLRACE_HTTP_ADDR: without AUTH_ keys the server listens on loopback only: "+
			"set %s, or an address such as 127.0.0.1:8080 instead of %q", keys, c.HTTPAddr))
	}
	for _, v := range [][2]string{{"ISSUER", c.AuthIssuer}, {"AUDIENCE", c.AuthAudience}} {
		if v[1] != "" {
			mistakes = append(mistakes, fmt.Errorf("MILLRACE_AUTH_%s: tokens are not checked without keys: set %s too", v[0],
				keys))
		}
	}
	if len(mistakes) > 0 {
		return &ExitError{ExitUsage, fmt.Errorf("the configuration has mistakes:\n%w", errors.Join(mistakes...))}
	}
	return nil
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// ListenHTTP makes a listener of HTTP_ADDR speak TLS, if it has a certificate. It warns of what may be
// read on the way. It returns the scheme of the listener's URLs.
func (a *App) ListenHTTP(listener net.Listener) (_ net.Listener, scheme string, err error) {
	c := a.Config
	if !IsLoopback(c.HTTPAddr) && c.HTTPURL == "" {
		a.Log.Warn("MILLRACE_HTTP_URL is not set: exports of Answer Insights are refused to callers from elsewhere, since " +
			"their URLs of files would name whatever host the caller wrote")
	}
	if c.HTTPTLSCertFile == "" {
		if !IsLoopback(c.HTTPAddr) && !protected(c.HTTPURL) {
			a.Log.Warn("MILLRACE_HTTP_ADDR speaks plain HTTP beyond this machine: tokens and data can be read on the way. "+
				"Set MILLRACE_HTTP_TLS_CERT_FILE and MILLRACE_HTTP_TLS_KEY_FILE; or put a proxy with TLS in front, and set "+
				"MILLRACE_HTTP_URL to its https:// URL", "address", c.HTTPAddr)
		}
		return listener, "http", nil
	}
	config, err := serverTLS(EnvPrefix+"HTTP_TLS_", c.HTTPTLSCertFile, c.HTTPTLSKeyFile, a.Log)
	if err != nil {
		return nil, "", err
	}
	return tls.NewListener(listener, config), "https", nil
}

// protected reports whether callers use HTTPS, or reach this machine alone.
func protected(publicURL string) bool {
	u, err := url.Parse(publicURL)
	return err == nil && (u.Scheme == "https" || u.Host != "" && loopback(strings.ToLower(u.Hostname())))
}

// ListenOps makes a listener of OPS_ADDR speak TLS, if it has a certificate. It returns the scheme of
// the listener's URLs.
func (a *App) ListenOps(listener net.Listener) (_ net.Listener, scheme string, err error) {
	c := a.Config
	if c.OpsTLSCertFile == "" {
		if c.OpsPprof && !IsLoopback(c.OpsAddr) {
			a.Log.Warn("MILLRACE_OPS_ADDR serves profiles in plain HTTP beyond this machine: whoever reaches it can read them, "+
				"and slow the process down", "address", c.OpsAddr)
		}
		return listener, "http", nil
	}
	config, err := serverTLS(EnvPrefix+"OPS_TLS_", c.OpsTLSCertFile, c.OpsTLSKeyFile, a.Log)
	if err != nil {
		return nil, "", err
	}
	return tls.NewListener(listener, config), "https", nil
}
