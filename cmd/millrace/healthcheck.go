package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
)

type healthcheckCommand struct {
	Live bool `help:"Ask only whether the process answers, and not whether its dependencies do."`
}

// healthcheckTimeout bounds the request. Docker's default timeout of a health check is 30 s.
const healthcheckTimeout = 4 * time.Second

// Run asks the role that listens on MILLRACE_OPS_ADDR whether it is ready. It prints nothing if it
// is, and fails if it is not.
func (c healthcheckCommand) Run(ctx context.Context, a *app.App) error {
	_, port, err := net.SplitHostPort(a.Config.OpsAddr)
	if err != nil {
		return fmt.Errorf("MILLRACE_OPS_ADDR: %w", err)
	}
	if port == "0" {
		return app.Usage("MILLRACE_OPS_ADDR is %s: set the port on which the role listens", a.Config.OpsAddr)
	}
	path := "/readyz"
	if c.Live {
		path = "/healthz"
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	scheme := "http"
	if a.Config.OpsTLSCertFile != "" {
		scheme = "https"
	}
	// To dial an unspecified address, such as 0.0.0.0, is to dial this machine.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+a.Config.OpsAddr+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("MILLRACE_OPS_ADDR: %w", err)
	}
	// Without a proxy of the environment. The certificate is for another name than that of the address,
	// and the answer has no secrets.
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no role answers on MILLRACE_OPS_ADDR: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: %s answered %d: %s", path, resp.StatusCode, strings.TrimSpace(string(text)))
	}
	return nil
}
