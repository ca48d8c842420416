package pages

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/api/pages/searchbox"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/runs"
)

// Keys of the query of a list's address.
const (
	cursorKey   = "cursor"
	searchKey   = "search"   // the search box, as it was typed
	previousKey = "previous" // cursors of the pages before, oldest first; "" is the newest page
)

// maxPrevious is how many previous pages an address remembers.
const maxPrevious = 20

var statuses = []string{"running", "succeeded", "failed", "cancelled"}

// filters are the filters in the address of the History view.
type filters struct {
	Source, App string
	Statuses    []string
	Versions    []string
	Rating      string
	From, To    time.Time
	FromText    string // as in the address
	ToText      string
	Text        string
	Search      string // the search box, where the address has it as it was typed
	Session     string
	More        url.Values // the filters of moreFilters, as in the address
	Range       string     // the preset that the address names, see setRange
	Sort        string     // "", or one of package history
	Cursor      string
	Previous    []string
	Mistakes    map[string]string // by key: what to change
}

func parseFilters(q url.Values) filters {
	f := filters{
		Source: q.Get("source"), App: q.Get("app"), Statuses: nonEmpty(q["status"]), Versions: nonEmpty(q["version"]),
		Rating:   q.Get("feedback"),
		FromText: q.Get("from"), ToText: q.Get("to"), Text: strings.TrimSpace(q.Get("q")), Session: q.Get("session"),
		Search: strings.TrimSpace(q.Get(searchKey)),
		More:   url.Values{}, Cursor: q.Get(cursorKey), Previous: q[previousKey], Mistakes: map[string]string{},
	}
	for _, m := range moreFilters {
		if values := nonEmpty(q[m.Key]); values != nil {
			f.More[m.Key] = values
		}
	}
	if sort := q.Get("sort"); sort == history.SortLatency || sort == history.SortCost {
		f.Sort = sort
	}
	f.From = f.time("from", f.FromText, false)
	f.To = f.time("to", f.ToText, true)
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		f.Mistakes["to"] = "Choose an end that is later than the start."
	}
	for _, s := range f.Statuses {
		if !slices.Contains(statuses, s) {
			f.Mistakes["status"] = "Choose from " + strings.Join(statuses, ", ") + "."
		}
	}
	switch f.Rating {
	case "", "thumbsUp", "thumbsDown", export.Unrated, export.NotThumbsDown:
	default:
		f.Mistakes["feedback"] = "Choose thumbsUp, thumbsDown, none or notThumbsDown."
	}
	f.check()
	if _, err := searchbox.Parse(f.Search); err != nil {
		f.Mistakes[searchKey] = sentence(err.Error())
	}
	return f
}

// Box is the text of the search box.
func (f filters) Box() string {
	if f.Search != "" {
		return f.Search
	}
	return searchbox.Text(f.Text)
}

// searched returns an address with what was typed into the search box as filters. It is another only where the
// address has a search box, and that has no mistake.
func searched(q url.Values) (url.Values, bool) {
	box, err := searchbox.Parse(q.Get(searchKey))
	if !q.Has(searchKey) || err != nil {
		return q, false
	}
	q = searchbox.Merge(q, box)
	for _, key := range []string{searchKey, cursorKey, previousKey} {
		q.Del(key)
	}
	return q, true
}

// nonEmpty returns the values that are not empty, each once, in their order.
func nonEmpty(values []string) (kept []string) {
	for _, v := range values {
		if v != "" && !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// timeLayouts are the layouts that browsers send and people write.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.999",
	"2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02"}

// time parses a time of a filter. A time without a zone is UTC. An end may be the end of all times.
func (f *filters) time(key, text string, end bool) time.Time {
	if text == "" {
		return time.Time{}
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC()
			if t.Before(time.Unix(0, 0)) || t.After(runs.EndTime()) || !end && t.Equal(runs.EndTime()) {
				break
			}
			return t
		}
	}
	f.Mistakes[key] = "Give a time from 1970 to 2199, such as 2026-11-25T14:30."
	return time.Time{}
}

// input formats a time for an input of type datetime-local.
func input(t time.Time, text string) string {
	switch {
	case t.IsZero():
		return text
	case t.Second() == 0 && t.Nanosecond() == 0:
		return t.Format("2006-01-02T15:04")
	}
	return t.Format("2006-01-02T15:04:05.999")
}

// FromInput is the start of the time range for its input.
func (f filters) FromInput() string {
	if f.FromText == "" { // a preset has set From
		return ""
	}
	return input(f.From, f.FromText)
}

// ToInput is the end of the time range for its input.
func (f filters) ToInput() string { return input(f.To, f.ToText) }

// Any reports whether a filter is on.
func (f filters) Any() bool {
	return len(f.Statuses) > 0 || len(f.Versions) > 0 || f.Rating != "" || f.FromText != "" || f.ToText != "" ||
		f.Text != "" || f.Session != "" || len(f.More) > 0
}

// values returns the query of the newest page with these filters.
func (f filters) values() url.Values {
	q := url.Values{"source": {f.Source}, "app": {f.App}}
	set := func(key string, values ...string) {
		if values = nonEmpty(values); values != nil {
			q[key] = values
		}
	}
	set("status", f.Statuses...)
	set("version", f.Versions...)
	set("feedback", f.Rating)
	set("from", f.FromText)
	set("to", f.ToText)
	set("q", f.Text)
	set("session", f.Session)
	for key, values := range f.More {
		set(key, values...)
	}
	set("range", f.Range)
	set("sort", f.Sort)
	return q
}

// Reset returns the address without filters.
func (f filters) Reset() string { return historyOf(f.Source, f.App) }

// query returns the query for the store.
func (f filters) query(workspace string) history.Query {
	return history.Query{
		Workspace: workspace, Source: f.Source, AppID: f.App, Filters: f.request(), From: f.From, To: f.To,
		Sort: f.Sort, Cursor: f.Cursor, Limit: pageRows,
	}
}

// chip is a filter that is on. Without is the address of the page without it.
type chip struct{ Label, Without string }

// Chips are the filters that are on.
func (f filters) Chips() (all []chip) {
	add := func(label, key, value string) {
		q := f.values()
		if q[key] = slices.DeleteFunc(q[key], func(v string) bool { return v == value }); len(q[key]) == 0 {
			q.Del(key)
		}
		all = append(all, chip{Label: label, Without: address("/history", q)})
	}
	for _, s := range f.Statuses {
		add("Status: "+s, "status", s)
	}
	for _, v := range f.Versions {
		add("Version: "+v, "version", v)
	}
	if f.Rating != "" {
		add("Feedback: "+ratingLabel(f.Rating), "feedback", f.Rating)
	}
	if f.FromText != "" {
		add("From "+strings.Replace(f.FromInput(), "T", " ", 1)+" UTC", "from", f.FromText)
	}
	if f.ToText != "" {
		add("Until "+strings.Replace(f.ToInput(), "T", " ", 1)+" UTC", "to", f.ToText)
	}
	if f.Text != "" {
		add(fmt.Sprintf("Question or answer contains “%s”", jsonview.Short(40, f.Text)), "q", f.Text)
	}
	if f.Session != "" {
		add("Session: "+f.Session, "session", f.Session)
	}
	for _, m := range moreFilters {
		for _, value := range f.More[m.Key] {
			add(m.Label+": "+jsonview.Short(40, value), m.Key, value)
		}
	}
	return all
}

func ratingLabel(rating string) string {
	switch rating {
	case "thumbsUp":
		return "thumbs up"
	case "thumbsDown":
		return "thumbs down"
	case export.NotThumbsDown:
		return "not thumbs down"
	}
	return rating
}

var sources = []string{"copilot", "recipe"}

// validApp reports whether the address names an app.
func (f filters) validApp() bool {
	return slices.Contains(sources, f.Source) && runs.ValidID(f.App)
}

// pager is the links between the pages of a list.
type pager struct {
	Next, Previous, Newest string // addresses; "" if there is none
}

// newPager returns the links of a page of the list at path and q.
func newPager(path string, q url.Values, cursor string, previous []string, next string) (p pager) {
	with := func(cursor string, previous []string) string {
		all := url.Values{}
		for k, v := range q {
			all[k] = v
		}
		if cursor != "" {
			all.Set(cursorKey, cursor)
			all[previousKey] = previous
		}
		return address(path, all)
	}
	if next != "" {
		stack := append(slices.Clone(previous), cursor)
		p.Next = with(next, stack[max(0, len(stack)-maxPrevious):])
	}
	if cursor != "" {
		p.Newest = with("", nil)
		if n := len(previous); n > 0 {
			p.Previous = with(previous[n-1], previous[:n-1])
		}
	}
	return p
}
