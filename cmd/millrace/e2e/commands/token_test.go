package commands

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/api/auth"
)

// check holds a token of the command against a server's configuration.
func check(t *testing.T, cfg auth.Config, got e2etest.Outcome) (*auth.Caller, time.Time) {
	t.Helper()
	if got.Code != 0 || strings.Count(got.Stdout, "\n") != 1 {
		t.Fatalf("exit code %d, %q, %s", got.Code, got.Stdout, got.Stderr)
	}
	a, err := auth.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	caller, expires, err := a.Check(strings.TrimSpace(got.Stdout))
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
	env := e2etest.Environment{"AUTH_HMAC_SECRET_FILE=" + secret, "AUTH_ISSUER=me", "AUTH_AUDIENCE=it",
		"DEFAULT_WORKSPACE=home"}
	cfg := auth.Config{HMACSecretFile: secret, Issuer: "me", Audience: "it"}
	caller, expires := check(t, cfg, env.Try(t, "", "token"))
	if caller.Workspace != "home" || caller.Subject == "" || !slices.Equal(caller.Scopes, auth.Scopes) {
		t.Errorf("%+v", caller)
	}
	if d := time.Until(expires); d < 58*time.Minute || d > time.Hour {
		t.Errorf("it is good for %s", d)
	}
	caller, expires = check(t, cfg, env.Try(t, "", "token", "--workspace", "acme", "--scope", auth.RunsRead, "--scope",
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
	got := e2etest.Environment{}.Try(t, "", "token", "--generate", dir)
	if got.Code != 0 || !strings.Contains(got.Stdout, "MILLRACE_AUTH_JWKS_FILE="+dir) {
		t.Fatalf("%d %s %s", got.Code, got.Stdout, got.Stderr)
	}
	caller, _ := check(t, auth.Config{JWKSFile: filepath.Join(dir, "jwks.json")}, e2etest.Environment{}.Try(t, "", "token",
		"--key", filepath.Join(dir, "private.jwk"), "--workspace", "acme"))
	if caller.Workspace != "acme" {
		t.Errorf("%+v", caller)
	}
	if got := (e2etest.Environment{}).Try(t, "", "token", "--generate", dir); got.Code != e2etest.ExitFailed ||
		!strings.Contains(got.Stderr, "exists") {
		t.Errorf("a key was written over another: %d %s", got.Code, got.Stderr)
	}
}

func TestWithoutAKeyTheCommandSaysWhatToDo(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env  e2etest.Environment
		args []string
		code int
		want string
	}{
		{nil, nil, e2etest.ExitUsage, "--generate DIR"},
		{nil, []string{"--key", "/does/not/exist"}, e2etest.ExitFailed, "--key: open /does/not/exist"},
		{e2etest.Environment{"AUTH_HMAC_SECRET_FILE=" + short}, nil, e2etest.ExitFailed, "at least 32"},
		{nil, []string{"--scope", "everything"}, e2etest.ExitUsage, auth.RunsRead},
		{nil, []string{"--ttl", "-1h"}, e2etest.ExitUsage, "--ttl"},
		{nil, []string{"--workspace", "../x"}, e2etest.ExitUsage, "--workspace"},
		{nil, []string{"--generate", "d", "--key", "k"}, e2etest.ExitUsage, "--generate"},
	} {
		got := test.env.Try(t, "", append([]string{"token"}, test.args...)...)
		if got.Code != test.code || !strings.Contains(got.Stderr, test.want) || got.Stdout != "" {
			t.Errorf("%s: %d %q, want %d %s", test.args, got.Code, got.Stderr, test.code, test.want)
		}
		if strings.Contains(got.Stderr, "hunter2") {
			t.Errorf("the secret is shown: %s", got.Stderr)
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
		if got := e2etest.Environment(strings.Fields(variables)).Try(t, "", "config"); got.Code != e2etest.ExitUsage ||
			!strings.Contains(got.Stderr, want) {
			t.Errorf("%s: %d %s", variables, got.Code, got.Stderr)
		}
	}
}
