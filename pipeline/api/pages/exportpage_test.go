package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/live"
)

// A page of documents that are nothing but values takes little more memory than the documents.
func TestDocumentsOfManyValuesAreShownAsText(t *testing.T) {
	document := []byte(`{"messages":[` + strings.Repeat("0,", 4<<20) + `0]}`)
	wide := []byte("{" + strings.Repeat(`"k":0,`, 10) + `"k":0}`)
	for i := range 2000 {
		wide = append(wide[:len(wide)-1], `,"k`+strings.Repeat("x", i)+`":0}`...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	page := newRecordsTab(spanPage{}, &files.Preview{Records: []json.RawMessage{document, []byte("{}")}}, "")
	turns := jsonview.Chat(document)
	many := make([]json.RawMessage, 100)
	for i := range many {
		many[i] = []byte("{}")
	}
	many[0] = wide
	table := newRecordsTab(spanPage{}, &files.Preview{Records: many}, "table")
	runtime.ReadMemStats(&after)
	if page.Kind != "chat" || page.Records[0].Tree.Text != string(document) || len(turns) != 1 ||
		turns[0].Text != string(document) || table.Kind != "chat" {
		t.Errorf("%s, %d turns, %s", page.Kind, len(turns), table.Kind)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 16*uint64(len(document)) {
		t.Errorf("%d MiB were allocated for %d MiB", took>>20, len(document)>>20)
	}
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
			text := s.page("/exports/e1")
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

func TestEveryPageOfTheRecordsHasAnAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 150 {
		s.preview = append(s.preview, fmt.Sprintf(`{"n":%d,"run_id":"r-%d"}`, i+1, i+1))
	}
	s.files = []export.File{{Kind: export.Data, Split: "train", Records: 140},
		{Kind: export.Data, Split: "test", Records: 10}}
	for address, says := range map[string][]string{
		"/exports/e1": {"Records 1 to 20 of 150", `href="/exports/e1?from=21" data-testid="page-next"`,
			`href="/exports/e1?from=141" data-testid="page-last"`, `data-number="20"`, `href="/exports/e1?from=1&amp;n=100"`,
			`href="/exports/e1?split=test"`, `href="/exports/e1?as=json"`},
		"/exports/e1?from=141": {"Records 141 to 150 of 150", `href="/exports/e1?from=121" data-testid="page-previous"`,
			`href="/exports/e1" data-testid="page-first"`, `href="/history/run?id=r-150"`, `>150</div>`},
		"/exports/e1?from=999999&n=100&as=table": {"Records 150 to 150 of 150", `name="as" value="table"`},
		"/exports/e1?from=x&n=5000":              {"Records 1 to 100 of 150", `data-number="100"`},
		"/exports/e1?split=test&as=json&n=3":     {"Records 1 to 3 of 10", `data-kind="json"`, `href="/exports/e1?as=json&amp;from=4&amp;n=3&amp;split=test"`},
		"/exports/e1?split=none":                 {"Records 1 to 20 of"}, // another split is all of them
	} {
		has(t, s.page(address), says...)
	}
	hasNot(t, s.page("/exports/e1?from=141"), "page-next", "page-last")
	hasNot(t, s.page("/exports/e1"), "page-first", "page-previous")
	s.caller.Scopes = []string{auth.ExportsRead}
	hasNot(t, s.page("/exports/e1"), "/history/run")
	s.preview = nil
	s.files = nil
	has(t, s.page("/exports/e1"), "This data set is empty")
}

func TestRecordsAreShownAsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.preview = []string{`{"messages":[{"role":"system","content":"Be <b>kind</b>.\nAlways."},{"role":"user","content":"U"}],"n":1}`}
	text := s.page("/exports/e1")
	has(t, text, `<details class="folded"><summary class="role">system <span class="cut">Be &lt;b&gt;kind&lt;/b&gt;.</span>`)
	if got := attributes(text, "turn", "data-role"); !slices.Equal(got, []string{"system", "user"}) {
		t.Errorf("turns %v", got)
	}
	has(t, s.page("/exports/e1?as=table"), `data-kind="table"`, `<th scope="col" class="mono">messages</th>`,
		`[{&#34;role&#34;:&#34;system&#34;`)
	has(t, s.page("/exports/e1?as=json"), `data-kind="json"`, "&#34;n&#34;: 1\n}")
	has(t, s.page("/exports/e1?as=nonsense"), `data-kind="chat"`)
}

func TestAnExportKeepsItsPageHoweverItEnded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(s *site, e *live.Export)
		phases []string // states
		tabs   []string
		says   []string
	}{
		"succeeded": {
			change: func(*site, *live.Export) {}, phases: []string{"done", "done", "done", "done"},
			tabs: []string{"records", "columns", "files", "card", "request", "lineage", "trail"},
			says: []string{"First &lt;script&gt;", "2.0 kB", "too_few_records", "duckdb", "/v1/exports/e1/download",
				"export-again",
				"export-delete", "after 41.0 s"},
		},
		"accepted": {
			change: func(s *site, e *live.Export) { e.Status, s.unplanned = "accepted", true },
			phases: []string{"done", "now", "wait", "wait"},
			tabs:   []string{"request", "trail"},
			says:   []string{"The request is here when it is planned", "waiting", "export-stop"},
		},
		"running": {
			change: func(_ *site, e *live.Export) {
				e.Status, e.PercentDone, e.RowsDone, e.RowsPlanned = "running", 41.9, 419, 1000
				e.UpdatedAt = noon.Add(11 * time.Second)
			}, phases: []string{"done", "done", "now", "wait"}, tabs: []string{"request", "trail"},
			says: []string{`value="41"`, "419 of 1,000 rows", ">41 rows/s<", "about 13.9 s left", "1,000 rows in 2 windows", "3 left out",
				"&#34;limit&#34;: 415"},
		},
		"just begun": {
			change: func(_ *site, e *live.Export) {
				e.Status, e.RowsDone, e.RowsPlanned, e.UpdatedAt = "running", 419, 1000, noon.Add(2*time.Second)
			}, phases: []string{"done", "done", "now", "wait"}, tabs: []string{"request", "trail"},
			says: []string{`data-testid="export-left"></span>`, `data-testid="export-rate"></span>`},
		},
		"sealing": {
			change: func(_ *site, e *live.Export) { e.Status, e.RowsDone, e.RowsPlanned = "running", 1000, 1000 },
			phases: []string{"done", "done", "done", "now"}, tabs: []string{"request", "trail"},
		},
		"cancelling and retrying": {
			change: func(_ *site, e *live.Export) {
				e.Status, e.Cancelling = "running", true
				e.Retrying = &export.Retrying{Stage: "extract", Message: "ClickHouse <is> away", Attempts: 3}
			}, phases: []string{"done", "done", "now", "wait"}, tabs: []string{"request", "trail"},
			says: []string{"cancelling; extract tries again, 3 failed so far: ClickHouse &lt;is&gt; away", `data-cancelling="true"`},
		},
		"failed": {
			change: func(_ *site, e *live.Export) {
				e.Status, e.ErrorCode, e.ErrorMessage, e.ErrorPointer = "failed", "not_possible", "no node <b>", "/nodes/0"
			}, phases: []string{"done", "done", "bad"}, tabs: []string{"request", "trail"},
			says: []string{"no node &lt;b&gt;", "not_possible", "/nodes/0", "Failed", "&#34;limit&#34;: 415", "export-again"},
		},
		"cancelled": {
			change: func(_ *site, e *live.Export) { e.Status = "cancelled" }, phases: []string{"done", "done", "bad"},
			tabs: []string{"request", "trail"}, says: []string{"Cancelled", "&#34;limit&#34;: 415"},
		},
		"deleted": {
			change: func(_ *site, e *live.Export) { e.DeletedAt, e.DeletedBy = &noon, "mia" },
			phases: []string{"done", "done", "done", "done"},
			tabs:   []string{"request", "trail"},
			says:   []string{"Its files were deleted by mia", "&#34;limit&#34;: 415", "funnel"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			e := &s.exports.Exports[0]
			ended := noon.Add(41 * time.Second)
			e.CompletedAt = &ended
			c.change(s, e)
			text := s.page("/exports/e1")
			has(t, text, c.says...)
			if got := attributes(text, "phase", "data-state"); !slices.Equal(got, c.phases) {
				t.Errorf("phases %v, want %v", got, c.phases)
			}
			var tabs []string
			for _, found := range regexp.MustCompile(`data-testid="tab-([a-z]+)"`).FindAllStringSubmatch(text, -1) {
				tabs = append(tabs, found[1])
			}
			if !slices.Equal(tabs, c.tabs) {
				t.Errorf("tabs %v, want %v", tabs, c.tabs)
			}
			s.page("/exports/e1?tab=files") // where it has none it is the first tab
		})
	}
}

func TestTheFunnelTellsWhatBecameOfEachRow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := &s.exports.Exports[0]
	e.RowsPlanned, e.RowsUsed, e.Records, e.Vanished = 1000, 590, 295, 7
	e.Dropped = map[string]int64{"no_assistant_message": 3, "duplicate": 400}
	s.files = []export.File{{Kind: export.Data, Split: "train", Records: 200}, {Kind: export.Lineage},
		{Kind: export.Data, Split: "validation", Records: 45}, {Kind: export.Data, Split: "train", Records: 50}}
	text := s.page("/exports/e1")
	kinds, labels := attributes(text, "funnel-step", "data-kind"), attributes(text, "funnel-step", "data-label")
	if !slices.Equal(kinds, []string{"rows", "drop", "drop", "drop", "used", "records", "split", "split"}) ||
		!slices.Equal(labels, []string{"rows selected", "duplicate", "no_assistant_message", "rows_vanished", "rows used",
			"records", "train", "validation"}) {
		t.Errorf("the funnel is %v %v", kinds, labels)
	}
	has(t, text, `x="600" width="400"`, `x="597" width="3"`, `x="590" width="7"`, `width="590"`, `x="847" width="152"`, "2 files")
}

func TestTheTabsOfAnExport(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.preview = []string{`{"run_id":"r1","node_run_id":"n1"}`, `{"item":{"metadata":{"run_id":"r2"}}}`, `{"inputs":{"run_id":"r3"}}`}
	has(t, s.page("/exports/e1?tab=files"), "data/train-00000-00000-abc.jsonl", "0a1b",
		`href="/v1/exports/e1/files/data/train-00000-00000-abc.jsonl"`, "manifest.json", "Files 1 to 2 of 2")
	text := s.page("/exports/e1?tab=card")
	has(t, text, "configs: []", `href="/runs"`)
	hasNot(t, text, "<script>alert", "javascript:", "<h1>Title")
	text = s.page("/exports/e1?tab=lineage")
	has(t, text, `href="/history/run?id=r1"`, ">n1<", `href="/history/run?id=r2"`)
	hasNot(t, text, "r3")
	has(t, s.page("/exports/e1?tab=trail"), "downloaded data/&lt;script&gt;.jsonl", "signed url", "192.0.2.7")
	text = s.page("/exports/e1?tab=request")
	has(t, text, "&#34;purpose&#34;: &#34;fine_tuning&#34;", "millrace request --workspace acme -f request.json --watch")
	hasNot(t, text, "&#34;export_id&#34;", "&#34;workspace_id&#34;", "export-newer")
	s.files = slices.Repeat([]export.File{{Key: "data/a b.jsonl", Kind: export.Data, Records: 1}}, 250)
	text = s.page("/exports/e1?tab=files&from=201")
	has(t, text, "Files 201 to 251 of 251", `href="/exports/e1?from=101&amp;tab=files" data-testid="page-previous"`,
		`/files/data/a%20b.jsonl"`)
}

func TestARequestIsFiledAgainWithoutWhatBelongsToTheFirst(t *testing.T) {
	t.Parallel()
	from, to := noon.Add(-48*time.Hour), noon.Add(-24*time.Hour)
	r := &export.Request{ID: export.ID{WorkspaceID: "acme", ExportID: "e1"}, Name: "n", RequestedBy: "mia",
		OnBehalfOf: "bob", Purpose: format.ExportDataset, Source: "copilot", AppID: export.Apps{"a"}, Target: "canonical",
		Format: "jsonl", Compression: "none",
		Fragment:  export.Fragment{MaxRecords: 150, MaxBytes: 1 << 20},
		Selection: export.Selection{Window: &export.TimeWindow{By: export.ByIngestedAt, From: from, To: to}}}
	d := &files.Dataset{Plan: &export.Plan{Request: r}, Manifest: &export.Manifest{Watermark: to.Add(-time.Minute)}}
	for newer, window := range map[bool][2]string{
		false: {"2026-11-23T12:00:00Z", "2026-11-24T12:00:00Z"}, true: {"2026-11-24T11:59:00Z", "2026-11-25T12:00:00Z"},
	} {
		fields := requestAgain(d, newer, noon)
		for _, own := range ownFields {
			if _, ok := fields[own]; ok {
				t.Errorf("the request keeps %s", own)
			}
		}
		fields["export_id"], fields["workspace_id"] = "e2", "acme"
		document, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		again, err := export.ParseRequest(document)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Selection.Window; got.From.Format(time.RFC3339) != window[0] ||
			got.To.Format(time.RFC3339) != window[1] || again.Name != "n" {
			t.Errorf("newer %v: %+v", newer, again)
		}
	}
	if !r.Selection.Window.From.Equal(from) {
		t.Error("the plan has changed")
	}
}

func TestALookAtRecordsIsWrittenToTheTrail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := New(Config{Trail: &s.trail}, nil, nil, nil)
	p.viewed(s.caller, &s.exports.Exports[0])
	if len(s.trail) != 1 || !strings.HasPrefix(s.trail[0], audit.Viewed) {
		t.Errorf("the trail is %v", s.trail)
	}
}

func TestOnlyWhoMayFilesAnExportAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.caller.Scopes = []string{auth.ExportsRead}
	hasNot(t, s.page("/exports/e1"), "export-again", "export-delete")
	if r := s.do(httptest.NewRequest(http.MethodPost, "/exports/e1/again", nil)); r.Status != http.StatusForbidden {
		t.Errorf("status %d", r.Status)
	}
}

func TestFilesThatAreGoneMeanwhileSayWhy(t *testing.T) {
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
		status, text := s.get("/exports/e1")
		if status != c.status {
			t.Errorf("%v: %d", c.err, status)
		}
		has(t, text, says)
	}
}
