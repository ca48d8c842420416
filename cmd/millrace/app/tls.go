package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// loadKeyPair reads a certificate and its key. The prefix is that of the variables that name the
// files. The error does not name the file of the key: somebody may have written the key itself.
func loadKeyPair(prefix, certFile, keyFile string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%sCERT_FILE: %w", prefix, err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%sKEY_FILE: read the file: %w", prefix, pathless(err))
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("%sCERT_FILE and %sKEY_FILE: %w", prefix, prefix, err)
	}
	return pair, nil
}

// certificateAge is how long a certificate is used before its files are looked at again.
const certificateAge = time.Second

// certificate is a certificate and its key, which are read again when their files change. Files that
// cannot be read, or do not fit each other yet, leave the certificate from before in use.
type certificate struct {
	prefix, certFile, keyFile string
	log                       *slog.Logger

	mu        sync.Mutex
	pair      *tls.Certificate
	seen      [2]os.FileInfo // of the pair
	looked    time.Time
	complaint string // the last logged error
}

// serverTLS returns the configuration of a server with a certificate. The prefix is that of the
// variables that name the files.
func serverTLS(prefix, certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{prefix: prefix, certFile: certFile, keyFile: keyFile, log: log, looked: time.Now()}
	if err := c.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil }}, nil
}

// read reads the files. It looks at them before, so that a change in between is seen the next time.
func (c *certificate) read() error {
	seen := c.look()
	pair, err := loadKeyPair(c.prefix, c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.seen = &pair, seen
	return nil
}

func (c *certificate) look() (seen [2]os.FileInfo) {
	for i, file := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(file); err == nil {
			seen[i] = info
		}
	}
	return seen
}

// current returns the certificate, after it has looked whether the files have changed.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificateAge {
		return c.pair
	}
	c.looked = time.Now()
	now := c.look()
	if unchanged(c.seen[0], now[0]) && unchanged(c.seen[1], now[1]) {
		return c.pair
	}
	if err := c.read(); err != nil {
		if text := err.Error(); text != c.complaint {
			c.complaint = text
			c.log.Error("the certificate from before stays in use", "error", err)
		}
		return c.pair
	}
	c.complaint = ""
	c.log.Info("the certificate has been read again", "file", c.certFile)
	return c.pair
}

func unchanged(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
