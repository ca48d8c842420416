package strictjson_test

import (
	"testing"
	"unsafe"

	"github.com/millrace/millrace/pipeline/strictjson"
)

func TestBorrowedTextsArePartsOfTheDocument(t *testing.T) {
	t.Parallel()
	doc := []byte(`["plain","with \u00e9scape"]`)
	for _, borrow := range []bool{false, true} {
		r := strictjson.Reader{Borrow: borrow}
		r.Reset(doc, "", strictjson.MaxDepth)
		var texts []string
		if err := r.Array(func(int) error {
			text, err := r.Text()
			texts = append(texts, text)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if len(texts) != 2 || texts[0] != "plain" || texts[1] != "with éscape" {
			t.Fatalf("%q", texts)
		}
		if got := unsafe.StringData(texts[0]) == &doc[2]; got != borrow {
			t.Errorf("borrow %t: the text is a part of the document: %t", borrow, got)
		}
	}
}
