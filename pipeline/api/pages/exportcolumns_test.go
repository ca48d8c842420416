package pages

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export/statistics"
)

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
