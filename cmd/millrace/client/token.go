package client

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/api/auth"
)

// Token is the command line of millrace token. It makes tokens for development, where no identity
// provider does.
type Token struct {
	Scope    []string      `placeholder:"S" help:"A scope; may be repeated. Default: all scopes."`
	Subject  string        `help:"Subject of the token. Default: $USER."`
	TTL      time.Duration `name:"ttl" default:"1h" help:"How long the token is valid."`
	Key      string        `placeholder:"FILE" help:"Private key to sign with: PKCS #8 in PEM, or a JWK. Default: the secret of MILLRACE_AUTH_HMAC_SECRET_FILE."`
	Generate string        `placeholder:"DIR" help:"Make a key instead: private.jwk for --key, and jwks.json for MILLRACE_AUTH_JWKS_FILE."`
	app.WorkspaceFlag
}

// Validate checks the flags.
func (c *Token) Validate() error {
	if c.TTL < time.Second {
		return errors.New("--ttl must be at least a second")
	}
	for _, scope := range c.Scope {
		if !slices.Contains(auth.Scopes, scope) {
			return fmt.Errorf("--scope %q is not one of %s", scope, strings.Join(auth.Scopes, ", "))
		}
	}
	if c.Generate != "" && (c.Key != "" || c.Workspace != "" || c.Subject != "" || len(c.Scope) > 0) {
		return errors.New("--generate makes a key and no token: give it without other flags")
	}
	return nil
}

// Run prints a token and nothing else, so that a command can use it in a header: -H "Authorization:
// Bearer $(millrace token)".
func (c *Token) Run(a *app.App) error {
	if c.Generate != "" {
		return c.generate(a)
	}
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	cfg := a.AuthConfig()
	if c.TTL > cfg.MaxLifetime {
		return app.Usage("--ttl must be at most %s: servers refuse tokens that expire later, see "+
			"MILLRACE_AUTH_MAX_LIFETIME", cfg.MaxLifetime)
	}
	signer, err := c.signer(cfg)
	if err != nil {
		return err
	}
	scopes := c.Scope
	if len(scopes) == 0 {
		scopes = auth.Scopes
	}
	now := time.Now()
	claims := map[string]any{
		"workspace": workspace, "scope": strings.Join(scopes, " "), "sub": cmp.Or(c.Subject, os.Getenv("USER"), "developer"),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(c.TTL).Unix(),
	}
	for name, value := range map[string]string{"iss": cfg.Issuer, "aud": cfg.Audience} {
		if value != "" {
			claims[name] = value
		}
	}
	token, err := signer.Sign(claims)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout, token)
	return err
}

func (c *Token) signer(cfg auth.Config) (*auth.Signer, error) {
	switch {
	case c.Key != "":
		signer, err := auth.KeySigner(c.Key)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		return signer, nil
	case cfg.HMACSecretFile != "":
		signer, err := auth.SecretSigner(cfg.HMACSecretFile)
		if err != nil {
			return nil, fmt.Errorf("MILLRACE_AUTH_%w", err)
		}
		return signer, nil
	}
	return nil, app.Usage("there is no key to sign with: set MILLRACE_AUTH_HMAC_SECRET_FILE, or give --key FILE; " +
		"--generate DIR makes a key")
}

func (c *Token) generate(a *app.App) error {
	if err := auth.GenerateKey(c.Generate); err != nil {
		return fmt.Errorf("--generate: %w", err)
	}
	private, public := filepath.Join(c.Generate, auth.PrivateKeyFile), filepath.Join(c.Generate, auth.PublicKeysFile)
	_, err := fmt.Fprintf(a.Stdout, "wrote %s and %s\nserver: MILLRACE_AUTH_JWKS_FILE=%s\ntokens: millrace token --key "+
		"%s\n", private, public, public, private)
	return err
}
