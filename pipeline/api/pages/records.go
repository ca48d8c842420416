package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages/jsonview"
	"github.com/millrace/millrace/pipeline/export/files"
)

// Numbers of records of a page.
const (
	pageRecords = 20
	maxRecords  = 100
)

// spanPage is a page of the records of an export, or of one of its splits.
type spanPage struct {
	First, Last int64 // numbers of records, from 1; Last is 0 where there is none
	Total       int64
	Pages       spanLinks
	Split       string
	Splits      []splitTab
	N           int

	span files.Span
	path string
	q    url.Values // of the address, without the place
}

// splitTab chooses a split.
type splitTab struct {
	files.Split
	Address string
	On      bool
}

// newSpanPage returns the page that an address asks for.
func newSpanPage(page *exportPage, q url.Values) spanPage {
	s := spanPage{path: exportAddress(page.ExportID, ""), q: url.Values{}}
	for _, key := range []string{"tab", "as", "n", "split"} {
		if v := q.Get(key); v != "" {
			s.q.Set(key, v)
		}
	}
	splits := page.dataset.Splits()
	asked := q.Get("split") // another than those that there are is all of them
	if !slices.ContainsFunc(splits, func(s files.Split) bool { return s.Name == asked }) {
		asked = ""
		s.q.Del("split")
	}
	all := files.Split{Name: ""}
	for _, split := range splits {
		all.Records += split.Records
		all.Files += split.Files
	}
	for _, split := range append([]files.Split{all}, splits...) {
		to := url.Values{}
		for key, values := range s.q {
			to[key] = values
		}
		if to.Del("split"); split.Name != "" {
			to.Set("split", split.Name)
		}
		t := splitTab{Split: split, Address: address(s.path, to), On: split.Name == asked}
		if t.On {
			s.Split, s.Total = split.Name, split.Records
		}
		s.Splits = append(s.Splits, t)
	}
	if len(splits) < 2 {
		s.Splits = nil
	}
	s.N = wantedRecords(q)
	s.span = files.Span{Split: asked, After: wantedFrom(q, s.Total), N: s.N}
	return s
}

// end says how many records the page has.
func (s *spanPage) end(n int64) {
	if n > 0 {
		s.First, s.Last = s.span.After+1, s.span.After+n
	}
	s.Pages = newSpanLinks(s.path, s.q, s.span.After, s.span.After+n, int64(s.N), s.Total)
}

// More is the address of a longer page, "" where there is none.
func (s *spanPage) More() string {
	if s.N >= maxRecords || s.Total <= int64(s.N) {
		return ""
	}
	to := url.Values{"n": {strconv.Itoa(maxRecords)}, "from": {strconv.FormatInt(s.span.After+1, 10)}}
	for key, values := range s.q {
		if key != "n" {
			to[key] = values
		}
	}
	return address(s.path, to)
}

// Here are the fields of a form that leads to another place.
func (s *spanPage) Here() (fields [][2]string) {
	for _, key := range []string{"tab", "as", "n", "split"} {
		if v := s.q.Get(key); v != "" {
			fields = append(fields, [2]string{key, v})
		}
	}
	return fields
}

// wantedRecords is how many records an address asks for.
func wantedRecords(q url.Values) int {
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 1 {
		n = pageRecords
	}
	return min(n, maxRecords)
}

// recordsTab is records of an export.
type recordsTab struct {
	spanPage
	Truncated bool   // fewer records than asked for fit the page
	Kind      string // table, chat or json
	Views     []tab
	Columns   []string
	Table     []tableRow
	Records   []shownRecord
}

// tableRow is a record as a row.
type tableRow struct {
	Number int64
	Run    string
	Cells  []jsonview.Value
}

// shownRecord is a record as a chat, as a tree or as text.
type shownRecord struct {
	Number int64
	Run    string
	Kind   string // chat, tree or json
	Chat   jsonview.Conversation
	Tree   jsonview.Value
	Text   jsonview.Text
}

func (p *Pages) fillRecords(r *http.Request, c *auth.Caller, page *exportPage) error {
	at := newSpanPage(page, r.URL.Query())
	preview, err := page.dataset.Preview(r.Context(), at.span)
	if err != nil {
		return err
	}
	p.viewed(c, page.Export)
	page.Data = newRecordsTab(at, preview, r.URL.Query().Get("as"))
	return nil
}

// newRecordsTab shows records as asked for: as a table, each as a chat or a tree, or as text. By default it is
// a table if all are flat.
func newRecordsTab(at spanPage, preview *files.Preview, as string) *recordsTab {
	at.end(int64(len(preview.Records)))
	page := &recordsTab{spanPage: at, Truncated: preview.Truncated, Kind: as}
	values := make([]jsonview.Value, len(preview.Records))
	left := jsonview.MaxValues
	allFlat := true
	for i, record := range preview.Records {
		values[i] = jsonview.TreeUpTo(record, &left)
		allFlat = allFlat && flat(values[i])
	}
	switch {
	case as == "json", as == "chat", as == "table":
	case allFlat:
		page.Kind = "table"
	default:
		page.Kind = "chat"
	}
	if page.Kind == "table" && !page.table(values) {
		page.Kind, page.Columns = "chat", nil
	}
	page.views()
	if page.Kind == "table" {
		return page
	}
	for i, v := range values {
		record := shownRecord{Number: at.span.After + int64(i) + 1, Run: runOf(v), Kind: "tree", Tree: v}
		if page.Kind == "json" {
			record.Kind, record.Text = "json", jsonview.Pretty(preview.Records[i])
		} else if conversation, ok := jsonview.NewConversation(v); ok {
			record.Kind, record.Chat = "chat", conversation
		}
		page.Records = append(page.Records, record)
	}
	return page
}

// views adds the links to the other ways to show the records.
func (page *recordsTab) views() {
	for _, v := range []tab{{Key: "table", Label: "Table"}, {Key: "chat", Label: "Chat"}, {Key: "json", Label: "JSON"}} {
		to := url.Values{"as": {v.Key}}
		for key, values := range page.q {
			if key != "as" {
				to[key] = values
			}
		}
		if page.span.After > 0 {
			to.Set("from", strconv.FormatInt(page.span.After+1, 10))
		}
		v.Address, v.On = address(page.path, to), v.Key == page.Kind
		page.Views = append(page.Views, v)
	}
}

// flat says whether a record fits a row: an object of plain values and lists of them.
func flat(record jsonview.Value) bool {
	if record.Kind != jsonview.Object {
		return false
	}
	for _, field := range record.Items {
		if field.Kind == jsonview.Object {
			return false
		}
		for _, item := range field.Items {
			if !item.Scalar() {
				return false
			}
		}
	}
	return true
}

// maxColumns bounds the cells of a table.
const maxColumns = 1000

// table makes columns of the keys, in the order in which they come up. Values that are not plain are JSON in their
// cell. It returns false if there are too many columns, or a record has none.
func (page *recordsTab) table(records []jsonview.Value) bool {
	at := map[string]int{}
	for _, record := range records {
		if record.Kind != jsonview.Object {
			return false
		}
		for _, field := range record.Items {
			if _, known := at[field.Key]; !known {
				at[field.Key] = len(page.Columns)
				page.Columns = append(page.Columns, field.Key)
			}
		}
	}
	if len(page.Columns) > maxColumns {
		return false
	}
	for i, record := range records {
		row := tableRow{Number: page.span.After + int64(i) + 1, Run: runOf(record),
			Cells: make([]jsonview.Value, len(page.Columns))}
		for _, field := range record.Items {
			row.Cells[at[field.Key]] = cell(field)
		}
		page.Table = append(page.Table, row)
	}
	return true
}

// cell returns a value for a cell: plain, a list of plain values, or else text.
func cell(v jsonview.Value) jsonview.Value {
	plain := v.Kind != jsonview.Object
	for _, item := range v.Items {
		plain = plain && item.Scalar()
	}
	if plain {
		return v
	}
	return jsonview.Value{Key: v.Key, Kind: jsonview.String, Text: v.Compact()}
}
