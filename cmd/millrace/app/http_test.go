package app

import (
	"strings"
	"testing"
)

func TestWithoutKeysTheServerListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for addr, good := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:0": true, "localhost:8080": true, "[::1]:8080": true,
		"[::ffff:127.0.0.1]:8080": true,
		":8080":                   false, "0.0.0.0:8080": false, "[::]:8080": false, "10.0.0.1:8080": false,
		"localhost.example:8080": false, "example:8080": false,
	} {
		cfg, err := Load([]string{"MILLRACE_HTTP_ADDR=" + addr})
		if err != nil {
			t.Errorf("%s fails commands without the HTTP server: %v", addr, err)
			continue
		}
		err = cfg.CheckHTTP()
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(),
			"\nMILLRACE_HTTP_ADDR: without AUTH_ keys the server listens on loopback only: ") {
			t.Errorf("%s: %v", addr, err)
		}
		for _, keys := range []string{"JWKS_FILE=a", "JWKS_URL=https://idp.example/", "HMAC_SECRET_FILE=a"} {
			cfg, err := Load([]string{"MILLRACE_HTTP_ADDR=" + addr, "MILLRACE_AUTH_" + keys, "MILLRACE_AUTH_ISSUER=i"})
			if err != nil || cfg.CheckHTTP() != nil {
				t.Errorf("%s, %s: %v", addr, keys, err)
			}
		}
	}
	cfg, err := Load([]string{"MILLRACE_AUTH_ISSUER=i"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.CheckHTTP(); err == nil || !strings.Contains(err.Error(), "MILLRACE_AUTH_ISSUER: ") {
		t.Errorf("an issuer without keys: %v", err)
	}
}
