// Package pages serves the pages that people use: Copilots, Recipes, History and Dataset Exports.
package pages

import (
	"log/slog"
	"net/http"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/history"
	"github.com/millrace/millrace/pipeline/api/live"
)

// Config is what the pages show beside the data.
type Config struct {
	DefaultWorkspace string // without keys
	Log              *slog.Logger
}

// Pages are handlers of the pages. The middleware around them has put the caller into the context, see [auth.From]; nil is somebody who
// has to sign in.
type Pages struct{}

// New returns the pages.
func New(cfg Config, a *auth.Authenticator, h *history.Store, e *live.Exports) *Pages {
	return &Pages{}
}

// Register adds the pages, their assets, sign-in and the switcher of workspaces to a mux.
func (p *Pages) Register(mux *http.ServeMux) {}
