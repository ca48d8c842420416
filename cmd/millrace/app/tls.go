package app

import (
	"crypto/tls"
	"fmt"
	"os"
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
