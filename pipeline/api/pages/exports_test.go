package pages

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
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
			for _, address := range []string{"/exports", "/exports/e1/row"} {
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
	text := newSite(t).page("/exports/e1/row")
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

func TestExportsAreSearchedByName(t *testing.T) {
	t.Parallel()
	q := url.Values{"q": {" Tutor & co\x00 "}, "status": {"failed"}, "app": {"helpdesk"}}
	page := newExportsPage("acme", q)
	if page.query.Text != "Tutor & co" || page.Cleared != "/exports?app=helpdesk&status=failed" {
		t.Errorf("asked %+v, cleared is %s", page.query, page.Cleared)
	}
	s := newSite(t)
	s.exports.Exports = nil
	has(t, s.page("/exports?"+q.Encode()), `value="Tutor &amp; co"`, `<input type="hidden" name="status" value="failed">`,
		"No export has this name", `href="/exports?app=helpdesk&amp;q=Tutor&#43;%26&#43;co"`)
	if long := newExportsPage("acme", url.Values{"q": {strings.Repeat("é", 300)}}).Text; len(long) != 2*maxSearched {
		t.Errorf("a search has %d bytes", len(long))
	}
}

func TestTabsHaveTheNumbersOfTheirStatuses(t *testing.T) {
	t.Parallel()
	page := newExportsPage("acme", nil)
	page.count(map[export.Status]int64{export.StatusAccepted: 2, export.StatusRunning: 3, export.StatusFailed: 1200})
	var got []string
	for _, tab := range page.Tabs {
		got = append(got, tab.Key+" "+number(*tab.Count))
	}
	if text := strings.Join(got, ", "); text != "all 1,205, running 5, succeeded 0, failed 1,200, cancelled 0" {
		t.Error(text)
	}
}

func TestNamesOfPeopleAreShortened(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		"analytics@acme.example": "analytics", "mia": "mia", "@acme": "@acme", "auth0|mia": "mia", "https://issuer/users/42": "42",
		"0192f0c1-7f3e-7a10-9b1c-2f3e4d5c6b7a":         "0192f0c1-7f…5c6b7a",
		"a-service-account-with-a-long-name@p.example": "a-service-a…g-name", "Grüße vom Müllerinnenbach": "Grüße vom M…enbach",
		"system:": "system:",
	} {
		if got := person(subject); got != want {
			t.Errorf("%s: %s, want %s", subject, got, want)
		}
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
