package doctor

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"time"

	"github.com/millrace/millrace/pipeline/api"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/sinks/bucket"
)

// expiresSoon is how long before its end a certificate is warned of.
const expiresSoon = 30 * 24 * time.Hour

// keys checks the keys of tokens and the certificates.
func (e *examination) keys(ctx context.Context) {
	authenticator, err := auth.New(ctx, e.AuthConfig())
	switch {
	case err != nil:
		e.add(areaKeys, Error, "correct the MILLRACE_AUTH_ variables", "MILLRACE_AUTH_%v", err)
	case authenticator.Keyless():
		e.add(areaKeys, Note, "", "no MILLRACE_AUTH_ keys are set: `millrace serve` listens on loopback alone")
	default:
		e.ok(areaKeys, "tokens are checked by %s", authenticator.Describe())
	}
	for _, file := range []struct{ variable, path string }{
		{"MILLRACE_KAFKA_TLS_CA_FILE", e.Config.KafkaTLSCAFile}, {"MILLRACE_KAFKA_TLS_CERT_FILE", e.Config.KafkaTLSCertFile},
		{"MILLRACE_HTTP_TLS_CERT_FILE", e.Config.HTTPTLSCertFile}, {"MILLRACE_OPS_TLS_CERT_FILE", e.Config.OpsTLSCertFile},
	} {
		if file.path != "" {
			e.certificates(file.variable, file.path, time.Now())
		}
	}
}

// certificates checks when the certificates of a file expire.
func (e *examination) certificates(variable, path string, now time.Time) {
	text, err := os.ReadFile(path)
	if err != nil {
		e.add(areaKeys, Error, "correct "+variable, "%s: %v", variable, err)
		return
	}
	var first *x509.Certificate // to expire
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			e.add(areaKeys, Error, "correct "+variable, "%s: %v", variable, err)
			return
		}
		if first == nil || c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	if first == nil {
		e.add(areaKeys, Error, "correct "+variable, "%s: the file has no certificate", variable)
		return
	}
	at := first.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.After(first.NotAfter):
		e.add(areaKeys, Error, "replace it", "%s: the certificate of %s expired on %s", variable, first.Subject, at)
	case now.Before(first.NotBefore):
		e.add(areaKeys, Error, "replace it, or set the clock",
			"%s: the certificate of %s is not valid yet", variable, first.Subject)
	case now.Add(expiresSoon).After(first.NotAfter):
		e.add(areaKeys, Warning, "replace it", "%s: the certificate of %s expires on %s", variable, first.Subject, at)
	default:
		e.ok(areaKeys, "%s: valid until %s", variable, at)
	}
}

// signingKey checks the key of signed URLs, which the first server makes.
func (e *examination) signingKey(ctx context.Context, b *bucket.Bucket) {
	switch key, err := b.Read(ctx, api.SigningKey); {
	case errors.Is(err, bucket.ErrNotFound): // no URL was signed yet
	case err != nil:
		e.add(areaBucket, Error, "mend the object store", "%v", err)
	case len(key) < sha256.Size:
		e.add(areaBucket, Error, "delete the object and restart `millrace serve`, which makes another",
			"the key of signed URLs, object %s, has only %d bytes", api.SigningKey, len(key))
	}
}
