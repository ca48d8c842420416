package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
)

// check holds a token of the command against a server's configuration.
func check(t *testing.T, cfg auth.Config, got outcome) (*auth.Caller, time.Time) {
	t.Helper()
	if got.code != 0 || strings.Count(got.stdout, "\n") != 1 {
		t.Fatalf("exit code %d, %q, %s", got.code, got.stdout, got.stderr)
	}
	a, err := auth.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	caller, expires, err := a.Check(strings.TrimSpace(got.stdout))
	if err != nil {
		t.Fatal(err)
	}
	return caller, expires
}

func TestATokenOfTheSecretIsGoodForTheServer(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment{"AUTH_HMAC_SECRET_FILE=" + secret, "AUTH_ISSUER=me", "AUTH_AUDIENCE=it", "DEFAULT_WORKSPACE=home"}
	cfg := auth.Config{HMACSecretFile: secret, Issuer: "me", Audience: "it"}
	caller, expires := check(t, cfg, env.try(t, "", "token"))
	if caller.Workspace != "home" || caller.Subject == "" || !slices.Equal(caller.Scopes, auth.Scopes) {
		t.Errorf("%+v", caller)
	}
	if d := time.Until(expires); d < 58*time.Minute || d > time.Hour {
		t.Errorf("it is good for %s", d)
	}
	caller, expires = check(t, cfg, env.try(t, "", "token", "--workspace", "acme", "--scope", auth.RunsRead, "--scope",
		auth.RunsWrite,
		"--subject", "ci", "--ttl", "5m"))
	if caller.Workspace != "acme" || caller.Subject != "ci" || !slices.Equal(caller.Scopes,
		[]string{auth.RunsRead, auth.RunsWrite}) {
		t.Errorf("%+v", caller)
	}
	if d := time.Until(expires); d > 5*time.Minute {
		t.Errorf("it is good for %s", d)
	}
}

func TestATokenOfAGeneratedKeyIsGoodForTheServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	got := environment{}.try(t, "", "token", "--generate", dir)
	if got.code != 0 || !strings.Contains(got.stdout, "MILLRACE_AUTH_JWKS_FILE="+dir) {
		t.Fatalf("%d %s %s", got.code, got.stdout, got.stderr)
	}
	caller, _ := check(t, auth.Config{JWKSFile: filepath.Join(dir, "jwks.json")}, environment{}.try(t, "", "token",
		"--key", filepath.Join(dir, "private.jwk"), "--workspace", "acme"))
	if caller.Workspace != "acme" {
		t.Errorf("%+v", caller)
	}
	if got := (environment{}).try(t, "", "token", "--generate", dir); got.code != exitFailed ||
		!strings.Contains(got.stderr, "exists") {
		t.Errorf("a key was written over another: %d %s", got.code, got.stderr)
	}
}

func TestWithoutAKeyTheCommandSaysWhatToDo(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env  environment
		args []string
		code int
		want string
	}{
		{nil, nil, exitUsage, "--generate DIR"},
		{nil, []string{"--key", "/does/not/exist"}, exitFailed, "--key: open /does/not/exist"},
		{environment{"AUTH_HMAC_SECRET_FILE=" + short}, nil, exitFailed, "at least 32"},
		{nil, []string{"--scope", "everything"}, exitUsage, auth.RunsRead},
		{nil, []string{"--ttl", "-1h"}, exitUsage, "--ttl"},
		{nil, []string{"--workspace", "../x"}, exitUsage, "--workspace"},
		{nil, []string{"--generate", "d", "--key", "k"}, exitUsage, "--generate"},
	} {
		got := test.env.try(t, "", append([]string{"token"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.stderr, test.want) || got.stdout != "" {
			t.Errorf("%s: %d %q, want %d %s", test.args, got.code, got.stderr, test.code, test.want)
		}
		if strings.Contains(got.stderr, "hunter2") {
			t.Errorf("the secret is shown: %s", got.stderr)
		}
	}
}

func TestOnlyOneSourceOfKeysIsConfigured(t *testing.T) {
	t.Parallel()
	for variables, want := range map[string]string{
		"AUTH_JWKS_FILE=a AUTH_JWKS_URL=https://idp.example/": "\nMILLRACE_AUTH_JWKS_FILE: ",
		"AUTH_JWKS_URL=idp.example/jwks.json":                 "\nMILLRACE_AUTH_JWKS_URL: ",
		"AUTH_JWKS_URL=file:///etc/passwd":                    "\nMILLRACE_AUTH_JWKS_URL: ",
	} {
		if got := environment(strings.Fields(variables)).try(t, "", "config"); got.code != exitUsage ||
			!strings.Contains(got.stderr, want) {
			t.Errorf("%s: %d %s", variables, got.code, got.stderr)
		}
	}
}
