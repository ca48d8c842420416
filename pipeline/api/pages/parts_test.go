package pages

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/statistics"
	"github.com/millrace/millrace/pipeline/history"
)

// moreQuery has every filter behind "More filters", and moreWanted is what it asks for.
const moreQuery = "model=m1&model=m2&trigger=chat&error_type=timeout&tag=kind&min_score=0.25&score=fair=0.5..1&" +
	"score=score=..2&min_latency_ms=-1&max_latency_ms=1000&min_cost_usd=0&max_cost_usd=1e-2&has_files=false&user_id=u&" +
	"metadata=region=e=u"

var moreWanted = export.Filters{
	Models: []string{"m1", "m2"}, Triggers: []string{"chat"}, ErrorTypes: []string{"timeout"}, Tags: []string{"kind"},
	MinScore: new(0.25), MinLatencyMS: new(int64(-1)), MaxLatencyMS: new(int64(1000)), MinCostUSD: new(0.0),
	MaxCostUSD: new(0.01), HasFiles: new(false), UserID: new("u"), Metadata: map[string]string{"region": "e=u"},
	Scores: map[string]export.ScoreRange{"fair": {Min: new(0.5), Max: new(1.0)}, "score": {Max: new(2.0)}},
}

func TestMistakesOfFiltersAreShownAtTheirField(t *testing.T) {
	t.Parallel()
	for query, key := range map[string]string{
		"min_score=x": "min_score", "min_cost_usd=NaN": "min_cost_usd", "max_cost_usd=1e999": "max_cost_usd",
		"min_latency_ms=1.5": "min_latency_ms", "max_latency_ms=": "", "has_files=maybe": "has_files",
		"score=fair": "score", "score=fair=2..1": "score", "score=rating=1..": "score", "metadata=region": "metadata",
		"min_latency_ms=5&max_latency_ms=4": "max_latency_ms", "min_cost_usd=5&max_cost_usd=4": "max_cost_usd",
		"q=" + strings.Repeat("x", 1001): "q", "status=done": "status", "feedback=bad": "feedback",
		strings.Repeat("model=m&", 101): "", // values that are the same count once
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		f := parseFilters(q)
		if want := key != ""; len(f.Mistakes) > 1 || (f.Mistakes[key] != "") != want || want != (len(f.Mistakes) == 1) {
			t.Errorf("%.40s: mistakes %v, want one at %q", query, f.Mistakes, key)
		}
	}
}

func TestChipsTakeOneFilterAway(t *testing.T) {
	t.Parallel()
	q := url.Values{"source": {"copilot"}, "app": {"a"}, "status": {"failed", "running"}, "q": {"x"}, "cursor": {"c"},
		"previous": {""}}
	chips := parseFilters(q).Chips()
	want := []chip{
		{"Status: failed", "/history?app=a&q=x&source=copilot&status=running"},
		{"Status: running", "/history?app=a&q=x&source=copilot&status=failed"},
		{"Question or answer contains “x”", "/history?app=a&source=copilot&status=failed&status=running"},
	}
	if fmt.Sprint(chips) != fmt.Sprint(want) {
		t.Errorf("chips %v, want %v", chips, want)
	}
}

func TestTheSearchBoxBecomesFiltersOfTheAddress(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"app=a&q=plain": "",
		"app=a&search=": "/history?app=a",
		"app=a&version=v1&cursor=c&previous=&search=gate+version:v2+latency>2s": "/history?app=a&min_latency_ms=2000&" +
			"q=gate&version=v1&version=v2",
		"app=a&range=7d&search=stauts:x": "",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if to, ok := searched(q); ok {
			got = address("/history", to)
		}
		if got != want {
			t.Errorf("%s becomes %q, want %q", query, got, want)
		}
	}
	s := newSite(t)
	status, text := s.get("/history?source=copilot&app=helpdesk&search=stauts:x")
	if status != http.StatusBadRequest {
		t.Errorf("a mistake is answered with %d", status)
	}
	has(t, text, `value="stauts:x"`, `aria-invalid="true"`, "There is no filter &#34;stauts&#34;: do you mean status?")
	has(t, s.page("/history?source=copilot&app=helpdesk&q=Re:+it"), `value="&#34;Re: it&#34;"`)
}

// Whatever the query of an address, filters without a mistake are those of a request, and the address that the
// page writes of them is read as the same filters.
func TestTheAddressKeepsItsFilters(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	keys := []string{"status", "version", "feedback", "q", "from", "to", "session", "search", "sort"}
	for _, m := range moreFilters {
		keys = append(keys, m.Key)
	}
	values := []string{"", "failed", "none", "thumbsUp", "x", "1", "-0.5", "1e3", "fair=0..1", "fair=1..0", "a=b", "true",
		"2026-11-25", "9999-01-01", "status:failed", "status:ok", "a\x00", " b ", "a:\"b", "\xff"}
	for range 3000 {
		q := url.Values{}
		for range random.IntN(6) {
			q.Add(keys[random.IntN(len(keys))], values[random.IntN(len(values))])
		}
		read := parseFilters(q)
		request := read.request()
		var wrong export.Mistakes
		if err := request.Check(); len(read.Mistakes) == 0 && errors.As(err, &wrong) {
			t.Fatalf("%v has no mistake, but %v", q, wrong)
		}
		again := parseFilters(read.values())
		if !reflect.DeepEqual(again.request(), request) || !again.From.Equal(read.From) || !again.To.Equal(read.To) {
			t.Fatalf("%v is read as %+v, and written and read as %+v", q, request, again.request())
		}
	}
}

func TestATimelineHoldsWhateverProducersSend(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	end := func(ms int) *time.Time { x := at(ms); return &x }
	run := &history.Detail{Run: history.Run{StartedAt: at(0), EndedAt: end(1000)}, Nodes: []history.NodeRun{
		{NodeRunID: "a", StartedAt: at(0), EndedAt: end(500)},
		{NodeRunID: "b", ParentNodeRunID: "a", StartedAt: at(500), EndedAt: end(2000)}, // later than the run's end
		{NodeRunID: "c", ParentNodeRunID: "b", StartedAt: at(1999)},                    // still running
		{NodeRunID: "d", ParentNodeRunID: "d", StartedAt: at(2000), EndedAt: end(1900)},
		{NodeRunID: "e", ParentNodeRunID: "gone", StartedAt: at(1000), EndedAt: end(1000)},
	}}
	got := newTimeline(run)
	want := []struct{ x, width, depth int }{{0, 250, 0}, {250, 750, 1}, {996, 4, 2}, {996, 4, maxDepth}, {500, 4, 0}}
	for i, l := range got.Rows {
		if l.X != want[i].x || l.Width != want[i].width || l.Depth != want[i].depth || l.Open != (i == 2) {
			t.Errorf("row %d is at %d, %d wide, %d deep, open %v; want %v", i, l.X, l.Width, l.Depth, l.Open, want[i])
		}
	}
	if got.Ticks[0] != "0 ms" || got.Ticks[4] != "2.0 s" {
		t.Errorf("ticks %v", got.Ticks)
	}
	if got := newTimeline(&history.Detail{}); got.Rows != nil {
		t.Errorf("%+v", got)
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	t.Parallel()
	small, large := 0.000123, 12.5
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(1234567), "1,234,567"}, {number(-1234), "-1,234"},
		{span(-1), "0 ms"}, {span(999 * time.Millisecond), "999 ms"}, {span(1500 * time.Millisecond), "1.5 s"},
		{span(61 * time.Second), "1 min 01 s"}, {span(90 * time.Minute), "1 h 30 min"},
		{dollars(nil), ""}, {dollars(&small), "$0.000123"}, {dollars(&large), "$12.50"},
		{jsonview.Short(3, "äöü"), "äöü"}, {jsonview.Short(2, "äöü"), "äö…"}, {plural(1, "run", "runs"), "1 run"},
		{plural(int64(2000), "run", "runs"), "2,000 runs"},
		{fmt.Sprint(percent(999, 1000), percent(1000, 1000), percent(9999, 10000), percent(0, 0)), "99 100 99 -1"},
		{plain("[Ragas](https://x), `from_jsonl`"), "Ragas, from_jsonl"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestASparkShowsDaysWithoutRunsAndSmallOnes(t *testing.T) {
	t.Parallel()
	s := newSpark([]history.Day{{Date: "a"}, {Date: "b", Runs: 1}, {Date: "c", Runs: 1000}})
	if s.Bars[0].Height != 1 || s.Bars[1].Height != 3 || s.Bars[2].Height != sparkHeight || s.Bars[2].Y != 0 ||
		s.Width != 22 {
		t.Errorf("%+v", s)
	}
}

func TestTheColumnsOfAnExportAreDescribed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := &s.exports.Exports[0]
	e.Records = 400
	var c statistics.Counter
	for i := range 400 {
		c.Add(fmt.Appendf(nil, `{"run_id":"r-%d","<b>":%d,"rating":%s,"messages":[%s],"text":%q}`, i, i%7, // as keys may be
			[]string{`"up"`, "null", `"up"`, `"down"`}[i%4], []string{"1", "1,2,3"}[i%2], []string{"", "Grüße"}[i%2]))
	}
	c.Add([]byte(`{"run_id":"r-0"}`))
	s.columns = c.Statistics()
	s.columns.Records-- // the last one is that of another page
	text := s.page("/exports/e1?tab=columns")
	if names := attributes(text, "column", "data-name"); !slices.Equal(names, []string{"run_id", "&lt;b&gt;", "rating",
		"messages", "text"}) {
		t.Errorf("columns %v", names)
	}
	has(t, text, "5 columns, counted in all 400 records.", `href="/v1/exports/e1/files/__meta__/columns.json"`,
		"smallest and greatest number", `>0 – 6<`, "7 different values.", "2 more values",
		`100 null (25%)`, "no nulls", `>up</span>`, `200 <span class="dim">66.7%`,
		`<span>1</span><span>2 items on average</span><span>3</span>`, "<li>2 to 3 items: 50%</li>", "<li>1 item: 50%</li>",
		`<span>0</span><span>2.5 characters on average</span><span>5</span>`, `<span class="dim">empty</span>`,
		`<rect class="part" x="0" y="0" width="492" height="72"/>`)
	s.columns.Records, s.columns.OtherValues = 40, 9
	e.Records = 1_000_000
	has(t, s.page("/exports/e1?tab=columns"), "counted in 40 of 1,000,000 records, which are spread evenly",
		"9 values are in columns that are not listed")
	s.columns = nil
	has(t, s.page("/exports/e1?tab=columns"), "No statistics were kept", "File it again")
	e.Records = 0
	has(t, s.page("/exports/e1?tab=columns"), "This data set is empty")
	e.Status = "failed"
	hasNot(t, s.page("/exports/e1?tab=columns"), "tab-columns")
}

func TestNotesSayHowExactFrequentValuesAre(t *testing.T) {
	t.Parallel()
	values := func(counts ...int64) (list []statistics.Value) {
		for _, n := range counts {
			list = append(list, statistics.Value{Count: n})
		}
		return list
	}
	for want, f := range map[string]statistics.Frequent{
		"1 value.":                 {Values: values(1000)},
		"2 different values.":      {Values: values(600, 400)},
		"All 1,000 are different.": {Missing: 1},
		"No value is frequent: none came more than 20 times.":                          {Missing: 20},
		"There are more values. Each count is a lower bound: up to 12 may be missing.": {Values: values(500), Missing: 12},
	} {
		if got := noteOfValues(&f, 1000); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for want, part := range map[string][2]int64{"0%": {0, 9}, "<0.1%": {1, 5000}, "33.3%": {1, 3}, ">99.9%": {9999, 10000},
		"99.5%": {995, 1000}, "100%": {7, 7}} {
		if got := shareOf(part[0], part[1]); got != want {
			t.Errorf("%v is %s, want %s", part, got, want)
		}
	}
}
