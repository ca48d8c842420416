package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace/millrace/dashboards/web"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/export/files"
)

// frame is the data of every template.
type frame struct {
	Title     string // of the page, before the product's name
	Section   string // of the navigation: copilots, recipes, exports
	Caller    *auth.Caller
	Keyless   bool
	Workspace string
	Others    []string // workspaces that the switcher lists
	CanSample bool     // load sample data
	CanExport bool     // file, cancel and delete exports
	SeeRuns   bool
	SeeExport bool
	Page      any
}

// view is a page to be rendered.
type view struct {
	template string
	title    string
	section  string
	status   int  // 0 = 200
	kept     bool // the browser may keep it, and ask whether it has changed
	data     any
}

// fragments are templates without a frame: scripts put them into a page.
var fragments = []string{fragment, "charts.html", "panel.html"}

// fragment is a row of the exports.
const fragment = "exportrow.html"

func parseTemplates(a *assets) map[string]*template.Template {
	base := template.Must(template.New("").Funcs(functions(a)).ParseFS(web.Templates(),
		append([]string{"frame.html", "parts.html", "json.html", "records.html"}, fragments...)...))
	names, err := fs.Glob(web.Templates(), "*.html")
	if err != nil {
		panic(err) // the pattern is valid
	}
	all := map[string]*template.Template{}
	for _, name := range fragments {
		all[name] = base
	}
	for _, name := range names {
		if base.Lookup(name) == nil {
			all[name] = template.Must(template.Must(base.Clone()).ParseFS(web.Templates(), name))
		}
	}
	return all
}

// handler serves a page to a caller who has the page's scope. Its error becomes an error page.
type handler func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error

// page serves a page to callers who have the scope.
func (p *Pages) page(scope string, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := auth.From(r.Context())
		switch {
		case c == nil && p.auth.Keyless():
			p.resetWorkspace(w, r)
		case c == nil:
			toLogin(w, r)
		case !c.Has(scope):
			p.Fail(w, r, forbidden(scope))
		default:
			if err := h(w, r, c); err != nil {
				p.Fail(w, r, err)
			}
		}
	}
}

// render answers with a page. It buffers the page, so that a template that fails leaves no half
// page.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, v view) error {
	f := frame{Title: v.title, Section: v.section, Keyless: p.auth.Keyless(), Caller: auth.From(r.Context()), Page: v.data}
	if c := f.Caller; c != nil {
		f.Workspace, f.CanExport = c.Workspace, c.Has(auth.ExportsWrite)
		f.SeeRuns, f.SeeExport = c.Has(auth.RunsRead), c.Has(auth.ExportsRead)
		f.CanSample = p.canLoadSample(c)
		if !slices.Contains(fragments, v.template) && v.status < http.StatusBadRequest {
			f.Others = p.workspaceList(r.Context(), c.Workspace)
		}
	}
	name := "frame.html"
	if slices.Contains(fragments, v.template) {
		name = v.template
	}
	var b bytes.Buffer
	if err := p.templates[v.template].ExecuteTemplate(&b, name, f); err != nil {
		return fmt.Errorf("render %s: %w", v.template, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // pages have data of the workspace
	body := b.Bytes()
	if v.kept && isUnchanged(h, r, body) {
		h.Add("Vary", "Accept-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if compressed := compress(h, r, body); compressed != nil {
		body = compressed
	}
	if v.status != 0 {
		w.WriteHeader(v.status)
	}
	_, err := w.Write(body)
	if err != nil {
		p.cfg.Log.DebugContext(r.Context(), "page not written", "path", r.URL.Path, "error", err)
	}
	return nil
}

// isUnchanged names a page that a browser may keep, and reports whether the browser has it. The name is weak: the
// same page may be compressed or not.
func isUnchanged(h http.Header, r *http.Request, body []byte) bool {
	sum := sha256.Sum256(body)
	tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, no-cache")
	return r.Header.Get("If-None-Match") == tag
}

// functions are the functions of templates.
func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset":    a.path,
		"number":   number,
		"size":     files.Size,
		"when":     when,
		"stamp":    stamp,
		"duration": duration,
		"dollars":  dollars,
		"plural":   plural,
		"short":    jsonview.Short,
		"long":     long,
		"label":    purposeLabel,
		"plain":    plain,
		"person":   person,
		"score":    score,
		"known":    known,
		"tree":     jsonview.Tree,
		"pretty":   jsonview.Pretty,
		"chat":     jsonview.Chat,
		"link":     link,
		"dict":     dict,
		"join":     strings.Join,
		"inc":      func(i int) int { return i + 1 },
	}
}

// dict makes one value of several for a template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict needs pairs, got %d values", len(pairs))
	}
	d := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		d[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return d, nil
}
