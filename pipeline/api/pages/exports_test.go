package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/export/live"
)

func TestAnExportIsShownWithWhatCanBeDoneAboutIt(t *testing.T) {
	t.Parallel()
	buttons := []string{"row-view", "row-download", "row-cancel", "row-delete"}
	for name, c := range map[string]struct {
		change func(e *live.Export)
		offers []string
		says   []string
	}{
		"succeeded": {
			change: func(*live.Export) {}, offers: []string{"row-view", "row-download", "row-delete"},
			says: []string{"First &lt;script&gt;", "Fine-tuning", "412", "2.0 kB", "no_assistant_message", "3 rows left out",
				"too_few_records", "duckdb", "/v1/exports/e1/download"},
		},
		"running": {
			change: func(e *live.Export) { e.Status, e.PercentDone, e.RowsDone, e.RowsPlanned = "running", 41.9, 419, 1000 },
			offers: []string{"row-cancel"}, says: []string{`<progress max="100" value="41"`, ">41%<", "419 of 1,000 rows"},
		},
		"accepted": {
			change: func(e *live.Export) { e.Status = "accepted" }, offers: []string{"row-cancel"},
			says: []string{`value="0"`, "waiting"},
		},
		"failed": {
			change: func(e *live.Export) {
				e.Status, e.ErrorCode, e.ErrorMessage, e.ErrorPointer = "failed", "not_possible", "no node <b>", "/nodes/0"
			},
			says: []string{"no node &lt;b&gt;", "not_possible", "/nodes/0", "Why it failed",
				"<details data-testid=\"row-details\" open>"},
		},
		"cancelled": {change: func(e *live.Export) { e.Status = "cancelled" }, says: []string{"is-cancelled"}},
		"deleted": {change: func(e *live.Export) { e.DeletedAt = &noon }, says: []string{"is-deleted", "data-deleted",
			">deleted<"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c.change(&s.exports.Exports[0])
			for _, address := range []string{"/exports", "/exports/row?id=e1"} {
				text := s.page(address)
				has(t, text, append(c.says, `data-id="e1"`)...)
				for _, b := range buttons {
					if got, want := strings.Contains(text, `data-testid="`+b+`"`), slices.Contains(c.offers, b); got != want {
						t.Errorf("%s offers %s: %v, want %v", address, b, got, want)
					}
				}
			}
		})
	}
}

func TestARowForScriptsIsOneTableAndNoPage(t *testing.T) {
	t.Parallel()
	text := newSite(t).page("/exports/row?id=e1")
	if !strings.HasPrefix(text, "<table>") || strings.Count(text, "<tbody") != 1 {
		t.Errorf("the row is %s", text)
	}
}

func TestExportsAreFilteredByStatusAndAppInTheAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exports.Next = "c2"
	text := s.page("/exports?status=running&source=copilot&app=helpdesk&cursor=c1&previous=")
	q := newExportsPage("acme", url.Values{"status": {"running"}, "source": {"copilot"}, "app": {"helpdesk"},
		"cursor": {"c1"}}).query
	if !slices.Equal(q.Status, []string{"accepted", "running"}) || q.Source != "copilot" || q.AppID != "helpdesk" ||
		q.Cursor != "c1" || q.Workspace != "acme" || q.Limit != pageRows {
		t.Errorf("asked %+v", q)
	}
	has(t, text, `href="/exports?app=helpdesk&amp;source=copilot&amp;status=running" aria-current="page"`,
		`href="/exports?app=helpdesk&amp;source=copilot&amp;status=failed"`,
		`href="/exports?status=running" aria-label="Show the exports of all apps"`,
		`href="/exports?app=helpdesk&amp;cursor=c2&amp;previous=&amp;previous=c1&amp;source=copilot&amp;status=running" data-testid="page-next"`)
	if all := newExportsPage("acme", nil).query; all.Status != nil {
		t.Errorf("asked for statuses %v", all.Status)
	}
}

func TestNoExportsSaysHowToFileOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exports.Exports = nil
	has(t, s.page("/exports"), "No exports in workspace acme yet", "Action → Export dataset",
		"millrace request --workspace acme")
	has(t, s.page("/exports?status=failed"), "Choose another status")
}

func TestRecordsAreShownAsTheyAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		records []string
		kinds   []string // of each
		roles   []string
		says    []string
	}{
		"flat": {
			records: []string{`{"question":"a<b","ground_truth":"c"}`, `{"question":"d","extra":1.50}`},
			kinds:   []string{"table", "table"},
			says:    []string{`class="mono">question<`, `class="mono">extra<`, "a&lt;b", "1.50"},
		},
		"lists of texts": {records: []string{`{"user_input":"q","retrieved_contexts":["one","two"]}`},
			kinds: []string{"table"}, says: []string{"<li>one</li>"}},
		"much in a cell": {
			records: []string{`{"a":"` + strings.Repeat("word ", 50) + `","b":["1","2","3","4","5","6"]}`},
			kinds:   []string{"table"},
			says:    []string{`is-string tall" tabindex="0">word`, `list tall" tabindex="0">`},
		},
		"nested": {records: []string{`{"z":{"deep":[{"x":"y"}]},"a":null}`}, kinds: []string{"tree"},
			says: []string{`>z</span> <span class="dim">{1 key}`, `>y<`}},
		"messages": {
			records: []string{
				`{"messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"U"},{"type":"image_url"}]},{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"find","arguments":"{\"x\":1}"}}]},{"role":"tool","content":"T"}],"tools":[{"name":"find"}]}`},
			kinds: []string{"chat"}, roles: []string{"system", "user", "assistant", "tool"}, says: []string{"U\n[image_url]",
				"<b>find</b>", "{&#34;x&#34;:1}", "Other fields"},
		},
		"sharegpt": {
			records: []string{
				`{"conversations":[{"from":"human","value":"H"},{"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"a\":1}}"},{"from":"observation","value":"O"},{"from":"gpt","value":"G"}],"system":"S"}`},
			kinds: []string{"chat"}, roles: []string{"system", "user", "assistant", "tool", "assistant"},
			says: []string{"<b>f</b>", "{&#34;a&#34;:1}"},
		},
		"prompt and completion": {
			records: []string{
				`{"prompt":[{"role":"user","content":"P"}],"completion":[{"role":"assistant","content":"C"}],"label":true}`},
			kinds: []string{"chat"}, roles: []string{"user", "assistant"}, says: []string{">label<"},
		},
		"preferences": {
			records: []string{
				`{"input":{"messages":[{"role":"user","content":"P"}],"tools":[]},"preferred_output":[{"role":"assistant","content":"good"}],"non_preferred_output":[{"role":"assistant","content":"bad"}]}`},
			kinds: []string{"chat"}, roles: []string{"user", "assistant", "assistant"}, says: []string{"<h3>Preferred</h3>",
				"<h3>Not preferred</h3>"},
		},
		"Gemini's": {
			records: []string{
				`{"system_instruction":{"parts":[{"text":"S"}]},"contents":[{"role":"user","parts":[{"text":"U"}]}],"completions":[{"score":0,"completion":{"role":"model","parts":[{"text":"n"}]}},{"score":1.0,"completion":{"role":"model","parts":[{"text":"y"}]}}]}`},
			kinds: []string{"chat"}, roles: []string{"system", "user", "assistant", "assistant"},
			says: []string{"<h3>Preferred</h3>"},
		},
		"mixed": {records: []string{`{"messages":[{"role":"user","content":"U"}]}`,
			`{"messages":null,"x":{"y":1}}`}, kinds: []string{"chat", "tree"}, roles: []string{"user"}},
		"texts named as messages are": {records: []string{`{"prompt":"P","completion":"C"}`}, kinds: []string{"table"}},
		"what is no JSON": {records: []string{`{"broken`}, kinds: []string{"tree"},
			says: []string{"{&#34;broken"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.preview = c.records
			text := s.page("/exports/view?id=e1")
			if got := attributes(text, "record", "data-kind"); !slices.Equal(got, c.kinds) {
				t.Errorf("records are shown as %v, want %v", got, c.kinds)
			}
			if got := attributes(text, "turn", "data-role"); !slices.Equal(got, c.roles) {
				t.Errorf("turns are of %v, want %v", got, c.roles)
			}
			has(t, text, c.says...)
		})
	}
}

func TestADeletedExportHasNoDetailsButThoseThatAreLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := &s.exports.Exports[0]
	e.DeletedAt = &noon
	has(t, s.page("/exports"), "row-details", "too_few_records")
	e.Dropped, e.Warnings = nil, nil // what loads it is gone
	hasNot(t, s.page("/exports"), "row-details")
}

// attributes are the values of an attribute of all elements with a data-testid.
func attributes(text, testid, name string) (all []string) {
	for _, after := range strings.Split(text, `data-testid="`+testid+`"`)[1:] {
		tag, _, _ := strings.Cut(after, ">")
		_, value, _ := strings.Cut(tag, name+`="`)
		value, _, _ = strings.Cut(value, `"`)
		all = append(all, value)
	}
	return all
}

func TestEveryExampleOfFineTuningIsAChat(t *testing.T) {
	t.Parallel()
	for _, target := range targets.Targets(format.FineTuning) {
		v, err := parseValue([]byte(targets.Example(format.FineTuning, target.Name)))
		if err != nil {
			t.Fatalf("%s: %v", target.Name, err)
		}
		if c, ok := newConversation(v); !ok || len(c.Groups[0].Turns) < 2 {
			t.Errorf("%s is shown as %+v", target.Name, c)
		}
	}
}

func TestMoreRecordsAreShownWhenAskedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.preview = slices.Repeat([]string{`{"a":1}`}, 150)
	text := s.page("/exports/view?id=e1")
	has(t, text, "The first 20 records of 150", `href="/exports/view?id=e1&amp;n=100"`)
	text = s.page("/exports/view?id=e1&n=5000")
	has(t, text, "The first 100 records of 150")
	hasNot(t, text, "n=100")
	s.preview = nil
	has(t, s.page("/exports/view?id=e1"), "This data set is empty")
}

func TestAnExportWithoutRecordsSaysWhy(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		err    error
		status int
	}{
		"still running":      {fmt.Errorf("export: %w", files.ErrRunning), http.StatusConflict},
		"files were deleted": {fmt.Errorf("export: %w", files.ErrDeleted), http.StatusGone},
		"has no data":        {&files.NoData{Status: export.StatusFailed}, http.StatusConflict},
	} {
		s := newSite(t)
		s.err = c.err
		status, text := s.get("/exports/view?id=e1")
		if status != c.status {
			t.Errorf("%v: %d", c.err, status)
		}
		has(t, text, says)
	}
}
