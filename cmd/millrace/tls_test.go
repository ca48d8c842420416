package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
)

// certificateFiles are the files of a certificate for 127.0.0.1.
type certificateFiles struct{ cert, key string }

func newCertificateFiles(t *testing.T) certificateFiles {
	t.Helper()
	dir := t.TempDir()
	return certificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// environment returns the variables of a port, HTTP or OPS.
func (f certificateFiles) environment(port string) []string {
	return []string{"MILLRACE_" + port + "_TLS_CERT_FILE=" + f.cert, "MILLRACE_" + port + "_TLS_KEY_FILE=" + f.key}
}

// write writes a certificate with a serial number, and its key.
func (f certificateFiles) write(t *testing.T, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		f.cert: {Type: "CERTIFICATE", Bytes: cert}, f.key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// browser asks over TLS, keeps no connection, and follows no redirect.
func browser() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reply is the answer to a request.
type reply struct {
	StatusCode int
	Header     http.Header
	Cookies    []*http.Cookie
	TLS        *tls.ConnectionState
}

func do(t *testing.T, method, address string, form url.Values) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return reply{resp.StatusCode, resp.Header, resp.Cookies(), resp.TLS}
}

// newApp returns an app with the variables of an environment. The log goes to the writer.
func newApp(t *testing.T, log io.Writer, environ ...string) *app.App {
	t.Helper()
	cfg, err := app.Load(append([]string{"MILLRACE_BUCKET_URL=mem://"}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	return &app.App{Config: cfg, Stdout: io.Discard, Stderr: io.Discard, Log: cfg.Logger(log)}
}

func TestServeSpeaksTLSWithTheNewestCertificate(t *testing.T) {
	t.Parallel()
	files := newCertificateFiles(t)
	files.write(t, 1)
	keys := authtest.New(t)
	environ := append(keys.Environment(), "MILLRACE_HTTP_ADDR=127.0.0.1:0")
	a := newApp(t, io.Discard, append(environ, files.environment("HTTP")...)...)
	o, err := newOps(a, "serve")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t.Context(), a, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.run[1](ctx) }() // the handlers
	t.Cleanup(func() {
		stop()
		<-served
		s.close()
		o.listener.Close()
		o.readiness.close()
	})
	if !strings.HasPrefix(s.url(), "https://127.0.0.1:") {
		t.Fatalf("the address is %s", s.url())
	}
	if got := do(t, "GET", s.url()+"/login", nil); got.StatusCode != http.StatusOK ||
		got.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("sign-in: %d %v", got.StatusCode, got.Header)
	}
	token := keys.Token("HS256", keys.Claims("acme", auth.RunsRead))
	if c := do(t, "POST", s.url()+"/login", url.Values{"token": {token}}).Cookies; len(c) != 1 || !c[0].Secure {
		t.Errorf("the cookies are %v", c)
	}
	if got := do(t, "GET", strings.Replace(s.url(), "https", "http", 1), nil); got.StatusCode != http.StatusBadRequest {
		t.Errorf("over plain HTTP: %d", got.StatusCode)
	}
	if _, err := tls.Dial("tcp", s.listener.Addr().String(), &tls.Config{InsecureSkipVerify: true,
		MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	serial := func() int64 {
		return do(t, "GET", s.url()+"/healthz", nil).TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("certificate %d", got)
	}
	if err := os.WriteFile(files.key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 1 {
		t.Errorf("with a broken key: certificate %d", got)
	}
	files.write(t, 2)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); serial() != 2; <-tick.C {
		if time.Since(began) > time.Minute {
			t.Fatal("the new certificate is not in use")
		}
	}
}

// opsOf runs the operators' endpoints with an environment until the test ends.
func opsOf(t *testing.T, log io.Writer, environ ...string) (o *ops, address string) {
	t.Helper()
	o, err := newOps(newApp(t, log, environ...), "ingest")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- o.run(ctx) }()
	t.Cleanup(func() { stop(); <-served })
	return o, strings.NewReplacer("[::]", "127.0.0.1", "0.0.0.0", "127.0.0.1").Replace(o.url())
}

func TestTheOperatorsPortSpeaksTLS(t *testing.T) {
	t.Parallel()
	files := newCertificateFiles(t)
	files.write(t, 7)
	_, address := opsOf(t, io.Discard, files.environment("OPS")...)
	for _, path := range []string{"/healthz", "/metrics", "/debug/pprof/"} {
		if got := do(t, "GET", address+path, nil); got.StatusCode != http.StatusOK ||
			got.TLS.PeerCertificates[0].SerialNumber.Int64() != 7 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	port := strings.TrimPrefix(address, "https://")
	a := newApp(t, io.Discard, append(files.environment("OPS"), "MILLRACE_OPS_ADDR="+port)...)
	if err := (healthcheckCommand{Live: true}).Run(t.Context(), a); err != nil {
		t.Errorf("the health check: %v", err)
	}
}

func TestProfilesAreServedBeyondLoopbackOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	profiles := []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline",
		"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1", "/debug/pprof/symbol"}
	for _, addr := range []string{"0.0.0.0:0", ":0"} {
		_, address := opsOf(t, io.Discard, "MILLRACE_OPS_ADDR="+addr)
		for _, path := range profiles {
			if got := do(t, "GET", address+path, nil); got.StatusCode != http.StatusForbidden {
				t.Errorf("%s%s: %d", addr, path, got.StatusCode)
			}
		}
		if got := do(t, "GET", address+"/metrics", nil); got.StatusCode != http.StatusOK {
			t.Errorf("%s: metrics: %d", addr, got.StatusCode)
		}
	}
	var log bytes.Buffer
	for _, environ := range [][]string{{"MILLRACE_OPS_ADDR=127.0.0.1:0"},
		{"MILLRACE_OPS_ADDR=0.0.0.0:0", "MILLRACE_OPS_PPROF=true"}} {
		_, address := opsOf(t, &log, environ...)
		if got := do(t, "GET", address+"/debug/pprof/heap", nil); got.StatusCode != http.StatusOK {
			t.Errorf("%v: %d", environ, got.StatusCode)
		}
	}
	if n := strings.Count(log.String(), "serves profiles in plain HTTP"); n != 1 {
		t.Errorf("%d warnings in\n%s", n, log.String())
	}
}

func TestPlainHTTPBeyondLoopbackIsWarnedOf(t *testing.T) {
	t.Parallel()
	files := newCertificateFiles(t)
	files.write(t, 1)
	const plain, public = "speaks plain HTTP", "MILLRACE_HTTP_URL is not set"
	for environ, want := range map[string][]string{
		"MILLRACE_HTTP_ADDR=0.0.0.0:0": {plain, public},
		"MILLRACE_HTTP_ADDR=:0":        {plain, public},
		"MILLRACE_HTTP_ADDR=0.0.0.0:0 MILLRACE_HTTP_URL=http://millrace.example":       {plain},
		"MILLRACE_HTTP_ADDR=0.0.0.0:0 MILLRACE_HTTP_URL=https://millrace.example":      nil,
		"MILLRACE_HTTP_ADDR=0.0.0.0:0 MILLRACE_HTTP_URL=http://127.0.0.1:8080":         nil,
		"MILLRACE_HTTP_ADDR=127.0.0.1:0":                                               nil,
		"MILLRACE_HTTP_ADDR=localhost:0":                                               nil,
		"MILLRACE_HTTP_ADDR=0.0.0.0:0 " + strings.Join(files.environment("HTTP"), " "): {public},
	} {
		var log bytes.Buffer
		a := newApp(t, &log, strings.Fields(environ)...)
		listener, err := listenHTTP(a)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if _, _, err := a.ListenHTTP(listener); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{plain, public} {
			if warned := strings.Contains(log.String(), text); warned != strings.Contains(strings.Join(want, " "), text) {
				t.Errorf("%s: warned that %s: %t\n%s", environ, text, warned, log.String())
			}
		}
	}
}

func TestACertificateThatCannotBeUsedStopsTheStart(t *testing.T) {
	t.Parallel()
	files, other := newCertificateFiles(t), newCertificateFiles(t)
	files.write(t, 1)
	other.write(t, 2)
	missing := filepath.Join(t.TempDir(), "hunter2")
	for want, f := range map[string]certificateFiles{
		"MILLRACE_OPS_TLS_CERT_FILE: ":  {missing, files.key},
		"MILLRACE_OPS_TLS_KEY_FILE: ":   {files.cert, missing},
		"private key does not match":    {files.cert, other.key},
		"MILLRACE_OPS_TLS_CERT_FILE an": {files.key, files.cert},
	} {
		_, err := newOps(newApp(t, io.Discard, f.environment("OPS")...), "ingest")
		if err == nil || !strings.Contains(err.Error(), want) ||
			f.key == missing && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v, want %q", f, err, want)
		}
	}
	for _, one := range files.environment("HTTP") {
		if _, err := app.Load([]string{one}); err == nil || !strings.Contains(err.Error(),
			"MILLRACE_HTTP_TLS_CERT_FILE: needs MILLRACE_HTTP_TLS_KEY_FILE") {
			t.Errorf("%s alone: %v", one, err)
		}
	}
}
