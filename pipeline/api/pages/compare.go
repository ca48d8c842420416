package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/history"
)

// Numbers of pairs of runs: of a page, and of an export, which takes up to 10,000 runs.
const (
	pagePairs   = 25
	exportPairs = 5000
)

// outcomes are the lists of pairs.
var outcomes = []struct{ key, label string }{
	{history.Worse, "Regressions"}, {history.Better, "Improvements"}, {history.Same, "Same"},
	{history.Unjudged, "Not judged"},
}

// comparePage compares the versions of an app.
type comparePage struct {
	*history.Comparison
	Source, App string
	Name        string // of the app
	Parent      string // the section's title
	Section     string
	Filters     filters // the time range of the address
	Versions    []versionRow
	Spreads     []spreadTable
	Nodes       []nodeRow
	Tabs        []compareTab
	Show        string
	Pairs       []pairRow
	Shown       string // "1 to 25 of 76"
	Pager       pager
	ExportAll   bool // whether all pairs may be exported at once
}

// History is the address of the app's runs.
func (c comparePage) History() string { return historyOf(c.Source, c.App) }

func compareOf(source, app string) string {
	return address("/compare", url.Values{"source": {source}, "app": {app}})
}

// compareTab is a list of pairs, and how many it has.
type compareTab struct {
	Key, Label, Address string
	Count               int64
	On                  bool
}

// compareRequest is what the address of a comparison asks for.
type compareRequest struct {
	filters       filters
	base, version string
	show          string
	page          int // from 1
}

func parseCompare(q url.Values) compareRequest {
	// Of the filters a comparison has the time range alone.
	kept := url.Values{"source": q["source"], "app": q["app"], "from": q["from"], "to": q["to"]}
	c := compareRequest{filters: parseFilters(kept), base: q.Get("base"), version: q.Get("version"), page: 1}
	for _, o := range outcomes {
		if o.key == q.Get("show") {
			c.show = o.key
		}
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 1 && n <= history.MaxCompared {
		c.page = n
	}
	return c
}

// query returns the query for the store, for a list of pairs.
func (c compareRequest) query(workspace string) history.CompareQuery {
	return history.CompareQuery{
		Workspace: workspace, Source: c.filters.Source, AppID: c.filters.App, From: c.filters.From, To: c.filters.To,
		Base: c.base, Version: c.version, Outcome: c.show, Offset: (c.page - 1) * pagePairs, Limit: pagePairs,
		NodeRuns: true,
	}
}

// values returns the query of the address.
func (c compareRequest) values() url.Values {
	q := c.filters.values()
	for key, value := range map[string]string{"base": c.base, "version": c.version, "show": c.show} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return q
}

func (p *Pages) showCompare(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	request := parseCompare(r.URL.Query())
	f := request.filters
	if !f.validApp() {
		return noApp(c.Workspace, f.Source, f.App)
	}
	app, err := p.runs.App(r.Context(), c.Workspace, f.Source, f.App, 0)
	if errors.Is(err, history.ErrNotFound) {
		return noApp(c.Workspace, f.Source, f.App)
	}
	if err != nil {
		return err
	}
	found := &history.Comparison{}
	if len(f.Mistakes) == 0 {
		if request.show == "" {
			request.show = history.Worse
		}
		if found, err = p.runs.Compare(r.Context(), request.query(c.Workspace)); err != nil {
			return err
		}
	}
	return p.renderCompare(w, r, request, app, found)
}

func (p *Pages) renderCompare(w http.ResponseWriter, r *http.Request, request compareRequest, app *history.App,
	found *history.Comparison) error {
	request.base, request.version = found.Base, found.Version
	page := comparePage{
		Comparison: found, Source: request.filters.Source, App: request.filters.App, Name: appName(app),
		Section: sectionOf(request.filters.Source), Filters: request.filters, Show: request.show,
		Versions: newVersionRows(request, found), Spreads: newSpreads(found.Versions), Nodes: newNodeRows(found.Nodes),
	}
	_, page.Parent = historyTitle(page.Source)
	page.addPairs(request)
	status := http.StatusOK
	if len(page.Filters.Mistakes) > 0 {
		status = http.StatusBadRequest
	}
	return p.render(w, r, view{template: "compare.html", title: "Compare versions of " + page.Name, section: page.Section,
		status: status, data: page})
}

// addPairs adds the list of pairs with its tabs and links.
func (c *comparePage) addPairs(request compareRequest) {
	for _, v := range c.Comparison.Versions {
		if v.Version != c.Version {
			continue
		}
		for i, n := range []int64{v.Worse, v.Better, v.Same, v.Unjudged} {
			to := request
			to.show = outcomes[i].key
			c.Tabs = append(c.Tabs, compareTab{Key: to.show, Label: outcomes[i].label, Count: n, On: to.show == c.Show,
				Address: address("/compare", to.values()) + "#pairs"})
		}
	}
	for i := range c.Comparison.Pairs {
		c.Pairs = append(c.Pairs, newPairRow(&c.Comparison.Pairs[i]))
	}
	first := (request.page - 1) * pagePairs
	at := func(page int) string {
		q := request.values()
		if page > 1 {
			q.Set("page", strconv.Itoa(page))
		}
		return address("/compare", q) + "#pairs"
	}
	if n := len(c.Pairs); n > 0 {
		c.Shown = fmt.Sprintf("%s to %s of %s", number(int64(first+1)), number(int64(first+n)), number(c.Total))
	}
	if int64(first+pagePairs) < c.Total {
		c.Pager.Next = at(request.page + 1)
	}
	if request.page > 1 {
		c.Pager.Previous = at(request.page - 1)
	}
	c.ExportAll = c.Total > int64(len(c.Pairs)) && c.Total <= exportPairs
}

// exportCompared files a recipe evaluation of the runs of the form: those that it names, or with all
// those of every pair of the list.
func (p *Pages) exportCompared(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return badForm()
	}
	request := parseCompare(r.PostForm)
	f := request.filters
	if !f.validApp() || len(f.Mistakes) > 0 {
		return badForm()
	}
	ids := nonEmpty(r.PostForm["run"])
	if r.PostForm.Get("all") != "" {
		var err error
		if ids, err = p.runs.PairRuns(r.Context(), request.query(c.Workspace), exportPairs); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("%s: %s against %s, %s", f.App, request.version, request.base, request.show)
	return p.file(w, r, c, map[string]any{
		"name": jsonview.Short(200, name), "purpose": format.RecipeEvaluation, "source": f.Source, "app_id": f.App,
		"selection": map[string]any{"run_ids": ids},
	})
}
