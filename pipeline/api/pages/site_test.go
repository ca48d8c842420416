package pages

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/export/statistics"
	"github.com/millrace/millrace/pipeline/history"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// secret signs the tokens of a site with keys.
var secret = []byte(strings.Repeat("s", 32))

// token returns a token of workspace acme.
func token(expiry time.Time) string {
	claims := map[string]any{"workspace": "acme", "sub": "mia", "scope": strings.Join(auth.Scopes, " "),
		"exp": expiry.Unix()}
	return authtest.Forge(map[string]any{"alg": "HS256", "typ": "JWT"}, claims, "HS256", secret)
}

// stored is what the pages show.
type stored struct {
	apps     []history.App
	runs     history.Page
	run      history.Detail
	in       *runExports
	exports  live.Page
	compared history.Comparison
	charts   history.Charts
	preview  []string // the records of every export
	// Of the first export.
	request   export.Request
	files     []export.File
	watermark time.Time
	columns   *statistics.Statistics
	card      string
	unplanned bool
	entries   []audit.Entry
	err       error // instead of all that
}

func (s *stored) appsOf(source string) (found []history.App) {
	for _, a := range s.apps {
		if a.Source == source {
			found = append(found, a)
		}
	}
	return found
}

// spanOf returns the records of a page of the export.
func (s *stored) spanOf(at files.Span) *files.Preview {
	p := &files.Preview{Total: int64(len(s.preview))}
	for i := int(at.After); i < min(int(at.After)+at.N, len(s.preview)); i++ {
		p.Records = append(p.Records, json.RawMessage(s.preview[i]))
	}
	return p
}

// dataset is the export's folder: all its records are in a file.
func (s *stored) dataset(e *live.Export) *files.Dataset {
	if s.unplanned {
		return nil
	}
	d := &files.Dataset{Plan: &export.Plan{ID: e.ID, Request: &s.request, RequestedAt: noon, Rows: e.RowsPlanned,
		AcceptedAt: noon.Add(time.Second), Windows: make([]export.PlannedWindow, 2)}}
	if e.Status.Final() {
		d.Manifest = &export.Manifest{Status: e.Status, ID: e.ID, Watermark: s.watermark, Files: s.files,
			Totals: export.Totals{Records: e.Records}}
	}
	if d.Manifest != nil && d.Manifest.Files == nil {
		d.Manifest.Files = []export.File{{Key: "data/train-00000-00000-abc.jsonl", Kind: export.Data, Split: "train",
			Records: int64(len(s.preview)), Bytes: 2048, SHA256: "0a1b"}}
	}
	return d
}

// showExport renders the page of the first export as [Pages.showExport] does, without its bucket.
func (s *stored) showExport(p *Pages, w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	e, q := &s.exports.Exports[0], r.URL.Query()
	page := newExportPage(e, s.dataset(e), c, q)
	switch page.Tab {
	case "records":
		at := newSpanPage(page, q)
		page.Data = newRecordsTab(at, s.spanOf(at.span), q.Get("as"))
	case "lineage":
		at := newSpanPage(page, q)
		page.Origins = newNamedOrigins(at, s.spanOf(at.span))
	case "columns":
		page.Columns = newColumnsTab(page, s.columns)
	case "files":
		page.Files = newFilesTab(page.dataset, q)
	case "card":
		page.Card = renderCard(s.card)
	case "request":
		page.Request = newRequestTab(page)
	case "trail":
		page.Trail = newTrailTab(s.entries)
	}
	return p.renderExport(w, r, page)
}

// register adds the pages that read a store, with what is stored here.
func (s *stored) register(p *Pages, mux *http.ServeMux) {
	show := func(pattern, scope string, render handler) {
		mux.HandleFunc(pattern, p.page(scope, func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
			if s.err != nil {
				return s.err
			}
			return render(w, r, c)
		}))
	}
	for path, source := range map[string]string{"/copilots": "copilot", "/recipes": "recipe"} {
		show("GET "+path, auth.RunsRead, func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
			return p.renderApps(w, r, c, source, s.appsOf(source))
		})
	}
	show("GET /history", auth.RunsRead, func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
		f := parseFilters(r.URL.Query())
		if !f.validApp() { // answers without a store
			return p.showHistory(w, r, c)
		}
		page := historyPage{Filters: f, App: &s.apps[0]}
		page.Range = page.Filters.setRange(r.URL.Query(), p.now(), s.apps[0].LastRunAt)
		page.Charts = newCharts(&s.charts, &page.Filters)
		found := &s.runs
		if len(f.Mistakes) > 0 {
			found = nil
		}
		return p.renderHistory(w, r, c, page, found)
	})
	show("GET /history/run", auth.RunsRead, func(w http.ResponseWriter, r *http.Request, _ *auth.Caller) error {
		return p.renderRun(w, r, &s.run, nil)
	})
	show("GET /history/run/exports", auth.RunsRead, func(w http.ResponseWriter, r *http.Request, _ *auth.Caller) error {
		return p.renderRun(w, r, &s.run, s.in)
	})
	show("GET /history/panel", auth.RunsRead, func(w http.ResponseWriter, r *http.Request, _ *auth.Caller) error {
		return p.renderPanel(w, r, &s.runs.Runs[0], []history.Run{{RunID: "r2", AppVersion: "v2", StartedAt: noon}})
	})
	show("GET /compare", auth.RunsRead, func(w http.ResponseWriter, r *http.Request, _ *auth.Caller) error {
		return p.renderCompare(w, r, parseCompare(r.URL.Query()), &s.apps[0], &s.compared)
	})
	show("GET /exports", auth.ExportsRead, func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
		return p.renderExports(w, r, c, newExportsPage(c.Workspace, r.URL.Query()), &s.exports)
	})
	show("GET /exports/{id}/row", auth.ExportsRead, func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
		return p.renderExportRow(w, r, c, &s.exports.Exports[0])
	})
	show("GET /exports/{id}", auth.ExportsRead, func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
		return s.showExport(p, w, r, c)
	})
}

// site is the pages for one caller.
type site struct {
	stored
	t      *testing.T
	keys   bool   // of tokens
	public string // URL
	now    func() time.Time
	caller *auth.Caller
	trail  trailOf
	try    func(context.Context, *export.Request) (*dryrun.DryRun, error)
}

// trailOf keeps what visitors did: action, outcome, subject and address.
type trailOf []string

func (t *trailOf) Note(e audit.Entry) {
	*t = append(*t, strings.Join([]string{e.Action, e.Outcome, e.Subject, e.Address}, " "))
}

func (t *trailOf) Refuse(e audit.Entry) { t.Note(e) }

// newSite is without keys, and has a copilot with a run, and an export.
func newSite(t *testing.T) *site {
	ended := noon.Add(3 * time.Second)
	run := history.Run{
		WorkspaceID: "acme", RunID: "r1", RequestID: "req-1", Source: "copilot", AppID: "helpdesk", AppVersion: "v1",
		Status: "failed", StartedAt: noon,
		EndedAt: &ended, Question: "Where is <script>alert(1)</script> gate?", Answer: "Gate & B12",
		Error: &history.Error{Type: "content_filter", Message: "withheld"}, Files: []history.File{{Name: "pass.pdf"}},
		Feedback: &history.Feedback{Rating: "thumbsDown"},
	}
	return &site{
		t: t, now: func() time.Time { return noon }, caller: &auth.Caller{Workspace: "acme", Scopes: auth.Scopes},
		stored: stored{
			apps: []history.App{{
				Source: "copilot", AppID: "helpdesk", AppName: "Help <b>desk</b>", Versions: []string{"v2", "v1"}, LastRunAt: noon,
				Days: []history.Day{{Date: "2026-11-24"}, {Date: "2026-11-25", Runs: 40}}, Runs: 1234, Succeeded: 1199, Failed: 1,
				ThumbsUp: 7, ThumbsDown: 2,
			}, {Source: "recipe", AppID: "summarize", LastRunAt: noon}},
			entries: []audit.Entry{{At: noon, Action: audit.Downloaded, Outcome: audit.SignedURL, File: "data/<script>.jsonl",
				Subject: "<script>alert(2)</script>", Address: "192.0.2.7", Via: "serve"}},
			runs: history.Page{Runs: []history.Run{run}},
			run: history.Detail{
				Run: run, Inputs: json.RawMessage(`{"text":"</pre><script>x</script>"}`), UpdatedAt: noon,
				Nodes: []history.NodeRun{{NodeRunID: "n1", NodeID: "answer", NodeType: "llm", Status: "succeeded",
					StartedAt: noon, EndedAt: &ended, PromptTemplate: "Say {{it}}"}},
				AllFeedback: []history.Feedback{{FeedbackID: "f1", Rating: "thumbsDown", Comment: "Wrong <i>gate</i>"}},
			},
			card: "---\nconfigs: []\n---\n\n# Title\n\n<script>alert(3)</script>\n\n[x](javascript:alert(4)) [y](/runs)\n",
			request: export.Request{ID: export.ID{WorkspaceID: "acme", ExportID: "e1"}, Name: "First <script>",
				Purpose: "fine_tuning", Source: "copilot", AppID: export.Apps{"helpdesk"}, Selection: export.Selection{Limit: 415}},
			exports: live.Page{Exports: []live.Export{{State: export.State{
				ID: export.ID{WorkspaceID: "acme", ExportID: "e1"}, Name: "First <script>", Purpose: "fine_tuning",
				Source: "copilot", AppID: "helpdesk", Target: "openai_chat",
				Format: "jsonl", RequestedAt: noon, Status: export.StatusSucceeded, Records: 412, Bytes: 2048,
				Dropped:  map[string]int64{"no_assistant_message": 3},
				LoadWith: "duckdb -c 'SELECT 1'", Warnings: []export.Warning{{Code: "too_few_records", Message: "few"}},
			}}}},
		},
	}
}

// answer is what a request got.
type answer struct {
	Status  int
	Header  http.Header
	Cookies []*http.Cookie
	Text    string
}

func (s *site) do(r *http.Request) answer {
	s.t.Helper()
	cfg := auth.Config{DefaultWorkspace: "acme"}
	if s.keys {
		cfg.HMACSecretFile = filepath.Join(s.t.TempDir(), "secret")
		if err := os.WriteFile(cfg.HMACSecretFile, secret, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	authenticator, err := auth.New(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	p := New(Config{DefaultWorkspace: "acme", PublicURL: s.public, Trail: &s.trail, Try: s.try}, authenticator, nil, nil)
	p.now = s.now
	others, mux := http.NewServeMux(), http.NewServeMux()
	p.Register(others.HandleFunc)
	s.register(p, mux)
	mux.Handle("/", others)
	if s.caller != nil {
		r = r.WithContext(auth.With(r.Context(), s.caller))
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	result := w.Result()
	defer result.Body.Close()
	return answer{Status: result.StatusCode, Header: result.Header, Cookies: result.Cookies(), Text: w.Body.String()}
}

// get returns the status and the text of a page.
func (s *site) get(address string) (int, string) {
	s.t.Helper()
	a := s.do(httptest.NewRequest(http.MethodGet, address, nil))
	return a.Status, a.Text
}

func (s *site) post(address string, form url.Values) answer {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(r)
}

// page returns the text of a page that is there.
func (s *site) page(address string) string {
	s.t.Helper()
	status, text := s.get(address)
	if status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", address, status, text)
	}
	return text
}

func has(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("the page has no %q", w)
		}
	}
}

func hasNot(t *testing.T, text string, unwanted ...string) {
	t.Helper()
	for _, u := range unwanted {
		if strings.Contains(text, u) {
			t.Errorf("the page has %q", u)
		}
	}
}
