package jsonscan

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, want string }{
		{`{"a":"b"}`, `{"a":"b"}`},
		{"{\"a\":\r\n1}", `{"a":  1}`},
		{"{\"a\":\"x\u0085y\u2028z\u2029\"}", `{"a":"x\u0085y\u2028z\u2029"}`},
		{"{\"\u2028\":1}", `{"\u2028":1}`},
		{"\"\u2029\u2029\"", `"\u2029\u2029"`},
		{"\"\u00a0\u2014\u201c\u0084\u2027\u202a\"", "\"\u00a0\u2014\u201c\u0084\u2027\u202a\""},
		{"\"\u201c\u2028\"", "\"\u201c" + `\u2028"`},
		{"", ""},
	} {
		if got := string(Line(new([]byte), []byte(c.doc))); got != c.want {
			t.Errorf("Line(%q) = %q, want %q", c.doc, got, c.want)
		}
	}
}

// FuzzLine: the line has the value of the document, and no character that ends a line.
func FuzzLine(f *testing.F) {
	f.Add("{\"a\u2028\":[\"\u0085\",\r\n\"\u2029\"]}")
	f.Add("\"\u201c\u00c2\"")
	f.Fuzz(func(t *testing.T, doc string) {
		if !utf8.ValidString(doc) || !json.Valid([]byte(doc)) {
			t.Skip()
		}
		line := string(Line(new([]byte), []byte(doc)))
		if i := strings.IndexFunc(line, func(r rune) bool {
			return r == '\u0085' || unicode.In(r, unicode.Zl, unicode.Zp) || r == '\n' || r == '\r'
		}); i >= 0 {
			t.Errorf("%q has a line break at %d", line, i)
		}
		var got, want any
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Skip() // a number that Go cannot hold
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q means %v (%v), want %v", line, got, err, want)
		}
	})
}
