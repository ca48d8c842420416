package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/api/pages/searchbox"
	"github.com/millrace/millrace/pipeline/history"
)

// pageRows is how many rows a page of a list has.
const pageRows = 50

// historyPage is the runs of one app.
type historyPage struct {
	Filters  filters
	App      *history.App
	Name     string // of the app
	Title    string // History or Webhook history
	Parent   string // the section's title
	Statuses []string
	Versions []string
	Runs     runTable
	Range    timeRange
	Charts   *charts
	Pager    pager
	Form     formData
}

// formData is what the script of the page needs to know of the form.
type formData struct {
	Workspace string `json:"workspace"`
	Source    string `json:"source"`
	App       string `json:"app"`
}

// Export is the address of the export form.
func (h historyPage) Export() string { return address(formAddress, h.Filters.values()) }

// Compare is the address of the comparison of the app's versions.
func (h historyPage) Compare() string { return compareOf(h.Filters.Source, h.Filters.App) }

// Keys are the keys of the search box, for its script.
func (h historyPage) Keys() []searchbox.Key { return searchbox.Keys }

// Exports is the address of the app's exports.
func (h historyPage) Exports() string { return exportsOf(h.Filters.Source, h.Filters.App) }

func historyTitle(source string) (title, parent string) {
	if source == "recipe" {
		return "Webhook history", "Recipes"
	}
	return "History", "Copilots"
}

func (p *Pages) showHistory(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	if q := r.URL.Query(); q.Get("app") == "" { // the apps are listed there
		http.Redirect(w, r, "/"+sectionOf(q.Get("source")), http.StatusSeeOther)
		return nil
	}
	if q, ok := searched(r.URL.Query()); ok {
		http.Redirect(w, r, address("/history", q), http.StatusSeeOther)
		return nil
	}
	began := time.Now()
	f, app, err := p.listed(r, c)
	if err != nil {
		return err
	}
	page := historyPage{Filters: f, App: app, Charts: &charts{}}
	page.Range = page.Filters.setRange(r.URL.Query(), p.now().UTC(), app.LastRunAt)
	var found *history.Page
	if len(f.Mistakes) == 0 {
		if found, err = p.runs.Runs(r.Context(), page.Filters.query(c.Workspace)); err != nil {
			return err
		}
		if page.Charts, err = p.patientCharts(r, c.Workspace, page.Filters, app.LastRunAt, began); err != nil {
			return err
		}
	}
	return p.renderHistory(w, r, c, page, found)
}

// showValues answers with values for the search box, as JSON.
func (p *Pages) showValues(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	q := r.URL.Query()
	values, err := p.runs.Values(r.Context(), c.Workspace, q.Get("source"), q.Get("app"), q.Get("key"), q.Get("name"),
		q.Get("part"))
	if err != nil && !errors.Is(err, history.ErrNotFound) {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(map[string][]string{"values": values})
}

// listed returns the filters and the app of an address.
func (p *Pages) listed(r *http.Request, c *auth.Caller) (filters, *history.App, error) {
	f := parseFilters(r.URL.Query())
	if !f.validApp() {
		return f, nil, noApp(c.Workspace, f.Source, f.App)
	}
	app, err := p.runs.App(r.Context(), c.Workspace, f.Source, f.App, 0)
	if errors.Is(err, history.ErrNotFound) {
		err = noApp(c.Workspace, f.Source, f.App)
	}
	return f, app, err
}

func noApp(workspace, source, app string) error {
	if !slices.Contains(sources, source) {
		source = "app"
	}
	return notFound(source, fmt.Sprintf("Workspace %s has no runs of the %s %q. It may be in another workspace.",
		workspace, source, jsonview.Short(128, app)))
}

// renderHistory shows the found runs of an app. Nothing is found if the filters have mistakes.
func (p *Pages) renderHistory(w http.ResponseWriter, r *http.Request, c *auth.Caller, page historyPage,
	found *history.Page) error {
	f, app := page.Filters, page.App
	page.Name, page.Statuses, page.Versions = appName(app), statuses, slices.Clone(app.Versions)
	page.Title, page.Parent = historyTitle(f.Source)
	for _, v := range f.Versions { // a version in the address gets a checkbox, however old it is
		if !slices.Contains(page.Versions, v) {
			page.Versions = append(page.Versions, v)
		}
	}
	page.Form = formData{c.Workspace, f.Source, f.App}
	status := http.StatusOK
	if found == nil {
		status = http.StatusBadRequest
	} else {
		page.Runs = newRunTable(r, f, found.Runs)
		page.Pager = newPager("/history", f.values(), f.Cursor, f.Previous, found.Next)
	}
	return p.render(w, r, view{
		template: "history.html", title: page.Title + " of " + page.Name, section: sectionOf(f.Source), status: status,
		data: page,
	})
}
