package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
)

// fileRows is how many files a page lists.
const fileRows = 100

// filesTab lists the files of an export.
type filesTab struct {
	Files       []listedFile
	First, Last int64
	Total       int64
	Pages       spanLinks
}

// listedFile is a file of an export.
type listedFile struct {
	export.File
	Link string
}

func newFilesTab(d *files.Dataset, q url.Values) *filesTab {
	all := append(slices.Clone(d.Manifest.Files), export.File{Key: export.ManifestName, Kind: export.Other,
		Bytes: int64(len(d.ManifestText())), SHA256: export.HashText(d.ManifestText())})
	t := &filesTab{Total: int64(len(all))}
	after := wantedFrom(q, t.Total)
	for _, f := range all[after:min(after+fileRows, t.Total)] {
		link := "/v1/exports/" + url.PathEscape(d.Manifest.ExportID) + "/files/" +
			(&url.URL{Path: f.Key}).EscapedPath()
		t.Files = append(t.Files, listedFile{f, link})
	}
	t.First, t.Last = after+1, after+int64(len(t.Files))
	t.Pages = newSpanLinks(exportAddress(d.Manifest.ExportID, ""), url.Values{"tab": {"files"}}, after, t.Last, fileRows,
		t.Total)
	return t
}

// wantedFrom returns how many of total items are before the first that an address asks for, which counts from 1.
func wantedFrom(q url.Values, total int64) int64 {
	from, err := strconv.ParseInt(q.Get("from"), 10, 64)
	if err != nil || from < 1 || total == 0 {
		return 0
	}
	return min(from, total) - 1
}

// spanLinks are links to other parts of a long list; "" where there is none.
type spanLinks struct{ First, Previous, Next, Last string }

// newSpanLinks returns the links of a page that has the items between two numbers of total.
func newSpanLinks(path string, q url.Values, after, end, each, total int64) (l spanLinks) {
	at := func(after int64) string {
		to := url.Values{}
		for key, values := range q {
			to[key] = values
		}
		to.Del("from")
		if after > 0 {
			to.Set("from", strconv.FormatInt(after+1, 10))
		}
		return address(path, to)
	}
	if after > 0 {
		l.First, l.Previous = at(0), at(max(0, after-each))
	}
	if end < total {
		l.Next, l.Last = at(end), at((total-1)/each*each)
	}
	return l
}

// maxCard is the largest card that a page shows, in bytes. Its head grows with the number of files.
const maxCard = 1 << 20

// cardTab is the dataset card.
type cardTab struct {
	Head string // YAML
	Body template.HTML
	Link string // of a card that is too large to be shown
}

func newCardTab(ctx context.Context, d *files.Dataset) (*cardTab, error) {
	i := slices.IndexFunc(d.Manifest.Files, func(f export.File) bool { return f.Kind == export.Card })
	if i < 0 {
		return &cardTab{}, nil
	}
	f := d.Manifest.Files[i]
	if f.Bytes > maxCard {
		return &cardTab{Link: "/v1/exports/" + url.PathEscape(d.Manifest.ExportID) + "/files/" + f.Key}, nil
	}
	var b bytes.Buffer
	if err := d.Copy(ctx, &b, f); err != nil {
		return nil, err
	}
	return renderCard(b.String()), nil
}

func unchanged(address string) string { return address }

// renderCard returns a card as HTML. It has texts of other people: the renderer escapes HTML, and drops addresses
// that run something.
func renderCard(text string) *cardTab {
	t := &cardTab{}
	if rest, ok := strings.CutPrefix(text, "---\n"); ok {
		if head, body, ok := strings.Cut(rest, "\n---\n"); ok {
			t.Head, text = jsonview.Pretty([]byte(head)).Text, body
		}
	}
	html, err := renderMarkdown([]byte(text), unchanged, unchanged, false)
	if err != nil {
		html = []byte("<pre>" + template.HTMLEscapeString(text) + "</pre>")
	}
	t.Body = template.HTML(html) //nolint:gosec // the renderer escapes what is not Markdown
	return t
}

// requestTab is what was asked for.
type requestTab struct {
	JSON      jsonview.Text // empty until the request is planned
	Watermark *time.Time
}

// ownFields are the fields of a request that belong to one export, and not to another of the same request.
var ownFields = []string{"export_id", "workspace_id", "requested_by", "on_behalf_of"}

func newRequestTab(p *exportPage) *requestTab {
	t := &requestTab{}
	if p.Plan == nil || p.Plan.Request == nil {
		return t
	}
	document, err := json.Marshal(p.Plan.Request)
	if err != nil {
		return t // it is shown without it
	}
	v, err := jsonview.Parse(document)
	if err != nil {
		t.JSON = jsonview.Pretty(document)
		return t
	}
	v.Items = slices.DeleteFunc(v.Items, func(item jsonview.Value) bool { return slices.Contains(ownFields, item.Key) })
	t.JSON = jsonview.Pretty([]byte(v.Compact()))
	if m := p.dataset.Manifest; m != nil && !m.Watermark.IsZero() {
		t.Watermark = &m.Watermark
	}
	return t
}

// fieldsOf returns a request as an object of JSON.
func fieldsOf(r *export.Request) (fields map[string]any) {
	document, err := json.Marshal(r)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(document))
		decoder.UseNumber()
		err = decoder.Decode(&fields)
	}
	if err != nil {
		panic(fmt.Errorf("request %s as JSON: %w", r.ID, err)) // it was read from JSON
	}
	return fields
}

// originsTab is the runs that the records of a page are made of.
type originsTab struct {
	spanPage
	Origins []origin
	Named   bool // by the records themselves
	More    int  // how many rows are listed where there are more of them, or 0
}

// origin is a row that a record is made of.
type origin struct {
	files.Origin
	Number int64 // of the record, from 1
}

func (p *Pages) fillOrigins(r *http.Request, c *auth.Caller, page *exportPage) error {
	at := newSpanPage(page, r.URL.Query())
	if !page.dataset.HasOrigins() {
		preview, err := page.dataset.Preview(r.Context(), at.span)
		if err != nil {
			return err
		}
		p.viewed(c, page.Export)
		page.Origins = newNamedOrigins(at, preview)
		return nil
	}
	found, more, err := page.dataset.Origins(r.Context(), at.span)
	if err != nil {
		return err
	}
	p.viewed(c, page.Export)
	at.end(min(int64(at.span.N), at.Total-at.span.After))
	page.Origins = &originsTab{spanPage: at}
	if more {
		page.Origins.More = files.MaxOrigins
	}
	for _, o := range found {
		page.Origins.Origins = append(page.Origins.Origins, origin{o, o.Record + 1})
	}
	return nil
}

// newNamedOrigins returns the runs that records name themselves.
func newNamedOrigins(at spanPage, preview *files.Preview) *originsTab {
	at.end(int64(len(preview.Records)))
	t := &originsTab{spanPage: at, Named: true}
	left := jsonview.MaxValues
	for i, record := range preview.Records {
		v := jsonview.TreeUpTo(record, &left)
		if run := runOf(v); run != "" {
			t.Origins = append(t.Origins, origin{files.Origin{RunID: run, NodeRunID: v.TextOf("node_run_id"),
				AppVersion: v.TextOf("app_version")}, at.span.After + int64(i) + 1})
		}
	}
	return t
}

// runPaths are where the records of targets name their run.
var runPaths = [][]string{{}, {"metadata"}, {"additional_metadata"}, {"tags"}, {"item", "metadata"}}

// runOf returns the run that a record names, or "".
func runOf(record jsonview.Value) string {
	for _, path := range runPaths {
		v, ok := record, true
		for _, key := range path {
			if v, ok = v.Get(key); !ok {
				break
			}
		}
		if run := v.TextOf("run_id"); ok && run != "" {
			return run
		}
	}
	return ""
}

// trailRows is how many entries a trail shows.
const trailRows = 200

// trailTab is the trail of an export.
type trailTab struct {
	Entries []trailEntry
	Limit   int // of entries; 0 where all are there
}

type trailEntry struct{ audit.Entry }

// What tells the action for people, such as "signed out".
func (e trailEntry) What() string {
	what := strings.ReplaceAll(e.Action, "_", " ")
	if e.File != "" {
		what += " " + e.File
	}
	return what
}

// How tells the outcome for people.
func (e trailEntry) How() string { return strings.ReplaceAll(e.Outcome, "_", " ") }

func (p *Pages) newTrailTab(ctx context.Context, id export.ID) (*trailTab, error) {
	entries, err := p.cfg.Audit.OfExport(ctx, id, trailRows)
	if err != nil {
		return nil, err
	}
	return newTrailTab(entries), nil
}

func newTrailTab(entries []audit.Entry) *trailTab {
	t := &trailTab{}
	for _, entry := range entries {
		t.Entries = append(t.Entries, trailEntry{entry})
	}
	if len(entries) == trailRows {
		t.Limit = trailRows
	}
	return t
}
