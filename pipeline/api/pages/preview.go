package pages

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
)

// Numbers of records of a preview.
const (
	previewRecords = 20
	maxPreview     = 100
)

// previewPage is the first records of an export.
type previewPage struct {
	Row     exportRow
	Preview *live.Preview
	Kind    string // table or records
	Columns []string
	Table   [][]value
	Records []shownRecord
	More    string // address with more records; "" if there are none or the limit is reached
}

// shownRecord is a record as a chat or as a tree.
type shownRecord struct {
	Number int
	Kind   string // chat or tree
	Chat   conversation
	Tree   value
}

func (p *Pages) showPreview(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	e, err := p.export(r, c)
	if err != nil {
		return err
	}
	n := wantedRecords(r.URL.Query())
	preview, err := p.exports.Preview(r.Context(), export.ID{WorkspaceID: c.Workspace, ExportID: e.ExportID}, n)
	if err != nil {
		return err
	}
	viewed := c.Entry(audit.Viewed, "page /exports/view")
	viewed.ExportID = e.ExportID
	p.cfg.Trail.Note(viewed)
	return p.renderPreview(w, r, c, e, preview, n)
}

// wantedRecords is how many records an address asks for.
func wantedRecords(q url.Values) int {
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 1 {
		n = previewRecords
	}
	return min(n, maxPreview)
}

// renderPreview shows the first n records of an export.
func (p *Pages) renderPreview(w http.ResponseWriter, r *http.Request, c *auth.Caller, e *live.Export,
	preview *live.Preview, n int) error {
	page := newPreview(preview)
	page.Row = newExportRow(e, c)
	if n < maxPreview && !preview.Truncated && int64(len(preview.Records)) < preview.Total {
		page.More = address("/exports/view", url.Values{"id": {e.ExportID}, "n": {strconv.Itoa(maxPreview)}})
	}
	return p.render(w, r, view{template: "view.html", title: page.Row.Title, section: "exports", data: page})
}

// newPreview chooses how records are shown: in a table if all are flat, else each as a chat or as a
// tree.
func newPreview(preview *live.Preview) *previewPage {
	page := &previewPage{Preview: preview, Kind: "table"}
	values := make([]value, len(preview.Records))
	left := maxValues
	for i, record := range preview.Records {
		values[i] = treeUpTo(record, &left)
		if !flat(values[i]) {
			page.Kind = "records"
		}
	}
	if page.Kind == "table" && page.table(values) {
		return page
	}
	page.Kind, page.Columns = "records", nil
	for i, v := range values {
		record := shownRecord{Number: i + 1, Kind: "tree", Tree: v}
		if conversation, ok := newConversation(v); ok {
			record.Kind, record.Chat = "chat", conversation
		}
		page.Records = append(page.Records, record)
	}
	return page
}

// flat says whether a record fits a row: an object of plain values and lists of them.
func flat(record value) bool {
	if record.Kind != objectKind {
		return false
	}
	for _, field := range record.Items {
		if field.Kind == objectKind {
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

// table makes columns of the keys, in the order in which they come up. It returns false if there are too
// many.
func (page *previewPage) table(records []value) bool {
	at := map[string]int{}
	for _, record := range records {
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
	for _, record := range records {
		row := make([]value, len(page.Columns))
		for _, field := range record.Items {
			row[at[field.Key]] = field
		}
		page.Table = append(page.Table, row)
	}
	return true
}
