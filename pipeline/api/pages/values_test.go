package pages

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

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
	page := newPreview(&live.Preview{Records: []json.RawMessage{document, []byte("{}")}})
	turns := chat(document)
	many := make([]json.RawMessage, 100)
	for i := range many {
		many[i] = []byte("{}")
	}
	many[0] = wide
	table := newPreview(&live.Preview{Records: many})
	runtime.ReadMemStats(&after)
	if page.Kind != "records" || page.Records[0].Tree.Text != string(document) || len(turns) != 1 ||
		turns[0].Text != string(document) || table.Kind != "records" {
		t.Errorf("%s, %d turns, %s", page.Kind, len(turns), table.Kind)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 16*uint64(len(document)) {
		t.Errorf("%d MiB were allocated for %d MiB", took>>20, len(document)>>20)
	}
}
