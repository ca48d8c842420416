// Package pages serves the pages that people use: Copilots, Recipes, History and Dataset Exports.
// They are rendered here. Package web has their templates and scripts. The scripts call the HTTP
// API for every change.
//
//	pages.go      Pages: what they need, and their routes
//	frame.go      rendering inside the frame; who may see what
//	errors.go     error pages
//	signin.go     sign-in, sign-out, the switcher of workspaces; workspaces.go what it lists, sample data
//	assets.go     styles and scripts, and what is sent compressed
//	apps.go       Copilots and Recipes
//	history.go    History; filters.go the filters in its address, range.go its range of time, charts.go
//	              its charts, table.go its table and the run beside it
//	run.go        one run; timeline.go its node runs
//	compare.go    Compare versions; comparerows.go its numbers, difference.go its pairs of answers
//	form.go       the export form, whose fields exportform/ makes a request of; formpreview.go what the
//	              request would come to
//	file.go       files the requests of forms
//	exports.go    Dataset Exports
//	exportpage.go an export: its phases and its funnel; records.go its records, trail.go its trail,
//	              exporttabs.go the other tabs
//	docs.go       the documents of the repository, under /docs
//	text.go       numbers, times and sizes for people
//	searchbox/    the search box of History
//	jsonview/     JSON as a tree, as a conversation, as text
package pages

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
)

// Config is the configuration of the pages.
type Config struct {
	DefaultWorkspace string // without keys
	// PublicURL is the server's URL for visitors; "": the host that a page was asked of.
	PublicURL string
	Trail     Trail
	Audit     audit.Stored
	Log       *slog.Logger
	// Try finds out what a request would come to.
	Try func(context.Context, *export.Request) (*dryrun.DryRun, error)
	// Sample fills a workspace with generated runs, and returns when they can be read. Nil: the pages do
	// not offer it.
	Sample func(ctx context.Context, workspace string) error
}

// Trail takes what visitors do, see [audit.Trail].
type Trail interface {
	Note(audit.Entry)
	Refuse(audit.Entry)
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
	reference func() string // Markdown

	workspaces workspaces
}

// New returns the pages.
func New(cfg Config, a *auth.Authenticator, h *history.Store, e *live.Exports) *Pages {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pages{cfg: cfg, auth: a, runs: h, exports: e, assets: loadAssets(), now: time.Now,
		reference: func() string { return "" }}
	p.templates = parseTemplates(p.assets)
	return p
}

// SetReference sets what writes the page /docs/reference, as Markdown. Call it before Register.
func (p *Pages) SetReference(write func() string) { p.reference = write }

// Register calls handle with the patterns and handlers of the pages, their assets, sign-in, the
// switcher of workspaces, and the error page for a GET that has no other handler.
func (p *Pages) Register(handle func(pattern string, handler func(http.ResponseWriter, *http.Request))) {
	handle("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/copilots",
			http.StatusSeeOther)
	})
	handle("GET /copilots", p.page(auth.RunsRead, p.showApps("copilot")))
	handle("GET /recipes", p.page(auth.RunsRead, p.showApps("recipe")))
	handle("GET /history", p.page(auth.RunsRead, p.showHistory))
	handle("GET /history/charts", p.page(auth.RunsRead, p.showCharts))
	handle("GET /history/values", p.page(auth.RunsRead, p.showValues))
	handle("GET "+formAddress, p.page(auth.ExportsWrite, p.showForm))
	handle("POST "+formAddress, p.page(auth.ExportsWrite, p.sendForm))
	handle("POST "+previewAddress, p.page(auth.ExportsWrite, p.previewForm))
	handle("GET /history/panel", p.page(auth.RunsRead, p.showPanel))
	handle("POST /history/columns", p.chooseColumns)
	handle("GET /history/run", p.page(auth.RunsRead, p.showRun))
	handle("GET /history/run/exports", p.page(auth.RunsRead, p.showRunExports))
	handle("GET /compare", p.page(auth.RunsRead, p.showCompare))
	handle("POST /compare/export", p.page(auth.ExportsWrite, p.exportCompared))
	handle("GET /exports", p.page(auth.ExportsRead, p.showExports))
	handle("GET /exports/{id}", p.page(auth.ExportsRead, p.showExport))
	handle("GET /exports/{id}/row", p.page(auth.ExportsRead, p.showExportRow))
	handle("POST /exports/{id}/again", p.page(auth.ExportsWrite, p.fileAgain(false)))
	handle("POST /exports/{id}/newer", p.page(auth.ExportsWrite, p.fileAgain(true)))
	p.registerDocuments(handle)
	handle("GET /login", p.showLogin)
	handle("POST /login", p.login)
	handle("POST /logout", p.logout)
	handle("POST /workspace", p.switchWorkspace)
	handle("POST /sample", p.page(auth.RunsWrite, p.loadSample))
	handle("GET "+assetsPath, p.assets.ServeHTTP)
	// Browsers ask for this icon on what has no <head> of ours, such as a file.
	handle("GET /favicon.ico", http.RedirectHandler(p.assets.path("icon.svg"), http.StatusSeeOther).ServeHTTP)
	handle("GET /", p.notFoundPage)
}
