// Package pages serves the pages that people use: Copilots, Recipes, History and Dataset Exports.
// They are rendered here. Package web has their templates and scripts. The scripts call the HTTP
// API for every change.
//
//	pages.go      Pages: what they need, and their routes
//	frame.go      rendering inside the frame; who may see what
//	errors.go     error pages
//	signin.go     sign-in, sign-out, the switcher of workspaces
//	assets.go     styles and scripts
//	apps.go       Copilots and Recipes, spark.go their drawings
//	history.go    History; filters.go the filters in its address, form.go the data of its export form
//	run.go        one run; timeline.go its node runs
//	exports.go    Dataset Exports; preview.go the records of one
//	docs.go       the documents of the repository, under /docs
//	document.go   JSON as a tree; chat.go as a conversation
//	text.go       numbers, times and sizes for people
package pages

import (
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
)

// Config is the configuration of the pages.
type Config struct {
	DefaultWorkspace string // without keys
	Log              *slog.Logger
}

// Pages are handlers of the pages. A handler show… reads what its page shows and calls render… with
// it. The middleware in front of them puts the caller into the
// context, see [auth.From]. A nil caller has to sign in.
type Pages struct {
	cfg       Config
	auth      *auth.Authenticator
	runs      *history.Store
	exports   *live.Exports
	assets    *assets
	templates map[string]*template.Template
	now       func() time.Time
}

// New returns the pages.
func New(cfg Config, a *auth.Authenticator, h *history.Store, e *live.Exports) *Pages {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pages{cfg: cfg, auth: a, runs: h, exports: e, assets: loadAssets(), now: time.Now}
	p.templates = parseTemplates(p.assets)
	return p
}

// Register adds to a mux the pages, their assets, sign-in, the switcher of workspaces, and the
// error page for a GET that has no other handler.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/copilots",
			http.StatusSeeOther)
	})
	mux.HandleFunc("GET /copilots", p.page(auth.RunsRead, p.showApps("copilot")))
	mux.HandleFunc("GET /recipes", p.page(auth.RunsRead, p.showApps("recipe")))
	mux.HandleFunc("GET /history", p.page(auth.RunsRead, p.showHistory))
	mux.HandleFunc("GET /history/run", p.page(auth.RunsRead, p.showRun))
	mux.HandleFunc("GET /exports", p.page(auth.ExportsRead, p.showExports))
	mux.HandleFunc("GET /exports/row", p.page(auth.ExportsRead, p.showExportRow))
	mux.HandleFunc("GET /exports/view", p.page(auth.ExportsRead, p.showPreview))
	p.registerDocuments(mux)
	mux.HandleFunc("GET /login", p.showLogin)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /logout", p.logout)
	mux.HandleFunc("POST /workspace", p.switchWorkspace)
	mux.Handle("GET "+assetsPath, p.assets)
	// Browsers ask for this icon on pages without our <head>, such as /docs/reference.
	mux.Handle("GET /favicon.ico", http.RedirectHandler(p.assets.path("icon.svg"), http.StatusSeeOther))
	mux.HandleFunc("GET /", p.notFoundPage)
}
