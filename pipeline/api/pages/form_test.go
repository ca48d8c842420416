package pages

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/history"
)

// filled returns the form with fields, as the page of app helpdesk shows it.
func filled(fields url.Values) *formPage {
	page := formOf(fields, noon)
	page.App = &history.App{Source: "copilot", AppID: "helpdesk", AppName: "Help", LastRunAt: noon}
	page.fill()
	return page
}

func TestTheFormOffersWhatRequestsTake(t *testing.T) {
	t.Parallel()
	labels := []string{"Export Dataset", "Recipe Evaluation", "Node Evaluation", "Node Optimization", "Fine-tuning"}
	for i, p := range filled(url.Values{}).Purposes() {
		page := filled(url.Values{"purpose": {p.Value}, "form": {"1"}, "limit": {"1"}})
		if p.Label != labels[i] || p.About == "" || len(page.Targets()) != len(targets.Targets(p.Value)) {
			t.Errorf("purpose %+v", p)
		}
		for _, nodes := range []string{"", "n"} {
			page.Fields.Set("nodes", nodes)
			request := map[string]any{}
			if err := json.Unmarshal(page.Document(), &request); err != nil {
				t.Fatal(err)
			}
			if nodes != "" {
				request["nodes"] = []string{nodes}
			}
			request["export_id"], request["workspace_id"], request["app_id"] = "e", "w", "a"
			request["source"] = "copilot"
			document, err := json.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			_, err = export.ParseRequest(document)
			need := page.NodesNeed()
			if possible := need == "optional" || (nodes != "") == (need == "required"); possible != (err == nil) {
				t.Errorf("%s with nodes %q: the form says %q, requests say %v", p.Value, nodes, need, err)
			}
		}
	}
}

func TestTheFormNamesTheToolFirst(t *testing.T) {
	t.Parallel()
	for reader, want := range map[string][2]string{
		"[Ragas](https://x), `load`":               {"Ragas", "load"},
		"[OpenAI](https://x) and Azure OpenAI":     {"OpenAI", "and Azure OpenAI"},
		"any tool: [DuckDB](https://x), [p](q)":    {"Any tool", "DuckDB, p"},
		"clients of the Answer Insights analytics": {"Clients of the Answer Insights analytics", ""},
	} {
		if tool, rest := toolOf(reader); tool != want[0] || rest != want[1] {
			t.Errorf("%s: %q, %q", reader, tool, rest)
		}
	}
	for _, purpose := range format.Purposes {
		for _, target := range targets.Targets(purpose) {
			if tool, _ := toolOf(target.Reader); tool == "" || strings.ContainsAny(tool, "`[](") {
				t.Errorf("%s: %q", target.Name, tool)
			}
		}
	}
}

func TestTheFormHasThePagesFilters(t *testing.T) {
	t.Parallel()
	q, err := url.ParseQuery("source=copilot&app=helpdesk&status=failed&version=v1&feedback=thumbsUp&" +
		"from=2026-11-01&session=s&q=gate&" + moreQuery)
	if err != nil {
		t.Fatal(err)
	}
	page := filled(q)
	want := moreWanted
	want.AppVersions, want.Statuses, want.Rating = []string{"v1"}, []string{"failed"}, "thumbsUp"
	want.SessionID, want.Text = new("s"), "gate"
	if !reflect.DeepEqual(page.Filters, want) {
		t.Errorf("filters %+v", page.Filters)
	}
	r, mistakes := page.Check(export.ID{WorkspaceID: "w", ExportID: "e"}, page.Document())
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	window := r.Selection.Window
	if window == nil || stamp(window.From) != "2026-11-01T00:00:00Z" || !window.To.Equal(noon) ||
		r.Filters.Text != "gate" {
		t.Errorf("request %+v", r)
	}
	// A form that was sent has no range of its own.
	if page := filled(url.Values{"form": {"1"}, "source": {"copilot"}, "app": {"helpdesk"}}); !page.From.IsZero() {
		t.Errorf("from %v", page.From)
	}
	if page := filled(url.Values{"source": {"copilot"}, "app": {"helpdesk"}}); !page.From.Equal(noon.AddDate(0, 0, -14)) ||
		page.In.ToInput() != "2026-11-25T12:00" {
		t.Errorf("from %v until %s", page.From, page.In.ToInput())
	}
}

// tried is a site whose dry runs answer so.
func tried(t *testing.T, d *dryrun.DryRun) *site {
	s := newSite(t)
	s.try = func(context.Context, *export.Request) (*dryrun.DryRun, error) { return d, nil }
	return s
}

func TestThePreviewSaysWhatWouldBeExported(t *testing.T) {
	t.Parallel()
	s := tried(t, &dryrun.DryRun{Rows: 12_000, Read: 1000, Used: 940, Records: 940, Splits: map[string]int64{"train": 940},
		Dropped: map[string]int64{"no_assistant_message": 40, format.DuplicateInput: 20},
		Warnings: []export.Warning{{Code: format.ThumbsDown, Count: 414, Message: "414 records <b>teach</b>"},
			{Code: "version_not_found", Message: "no version"}},
		Shown: []json.RawMessage{[]byte(`{"messages":[{"role":"user","content":"<i>Hi</i>"},{"role":"assistant","content":"Yes"}]}`)}})
	form := url.Values{"form": {"1"}, "workspace": {"acme"}, "source": {"copilot"}, "purpose": {"fine_tuning"},
		"limit": {"12000"}, "app": {"a, b"}, "key": {"k"}, "option.dedupe": {""}, "version": {"v9"}}
	a := s.post("/history/export/preview", form)
	if a.Status != http.StatusOK {
		t.Fatal(a.Status, a.Text)
	}
	text := html.UnescapeString(a.Text)
	has(t, text, `12,000 runs → <b class="num">about 11,000 records</b>`, "estimated from the newest 1,000", `data-records="940"`,
		`data-label="duplicate_input"`, "414 records <b>teach</b>", `data-kind="chat"`, "<i>Hi</i>",
		`value="feedback=thumbsUp"`, `value="version="`, `value="option.dedupe=false"`,
		`--app=a`, `--app=b`, `"limit": 12000`)
	hasNot(t, a.Text, "<b>teach</b>", "<i>Hi</i>")

	form.Set("purpose", "recipe_evaluation")
	a = s.post("/history/export/preview", form)
	has(t, a.Text, "This cannot be exported yet", "Apps: It must be one id")
	hasNot(t, a.Text, "As JSON")
}

func TestAFormWithMistakesIsShownAgain(t *testing.T) {
	t.Parallel()
	form := url.Values{"form": {"1"}, "workspace": {"acme"}, "source": {"copilot"}, "purpose": {"node_evaluation"},
		"limit": {"many"}, "app": {"a,b"}, "name": {"Mine <x>"}, "min_score": {"high"}}
	a := newSite(t).post("/history/export", form)
	if a.Status != http.StatusUnprocessableEntity {
		t.Fatal(a.Status)
	}
	has(t, a.Text, `export-error-nodes`, `export-error-limit`, `export-error-app`, `export-error-min_score`, `value="Mine &lt;x&gt;"`,
		`value="many"`, "Give a number, such as 0.5.")
	form.Set("workspace", "other")
	if a := newSite(t).post("/history/export", form); a.Status != http.StatusConflict {
		t.Error(a.Status)
	}
}

func TestAProposalIsApplied(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	q := url.Values{"form": {"1"}, "source": {"copilot"}, "app": {"a,b"}, "purpose": {"fine_tuning"}, "version": {"v9"},
		"apply": {"version=&feedback=thumbsUp"}, "limit": {"7"}}
	text := s.page("/history/export?" + q.Encode())
	has(t, text, `<option value="thumbsUp" selected>`, `value="7"`)
	hasNot(t, text, "v9")
}

func TestAFormThatIsSentAgainIsTheSameExport(t *testing.T) {
	t.Parallel()
	c := &auth.Caller{Workspace: "acme"}
	first := filled(url.Values{"key": {"no key"}})
	again := filled(url.Values{"key": {first.Key}})
	id := first.exportID(c, []byte("{}"))
	if u, err := uuid.Parse(id); err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
		t.Errorf("%s is no UUIDv7: %v", id, err)
	}
	for what, other := range map[string]string{
		"another document":  first.exportID(c, []byte("[]")),
		"another form":      filled(url.Values{}).exportID(c, []byte("{}")),
		"another workspace": first.exportID(&auth.Caller{Workspace: "other"}, []byte("{}")),
	} {
		if other == id {
			t.Errorf("%s has the same id", what)
		}
	}
	if got := again.exportID(c, []byte("{}")); got != id {
		t.Errorf("sent again: %s, was %s", got, id)
	}
}
