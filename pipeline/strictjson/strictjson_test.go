package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestCheckRefusesWhatTheContractRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":1,`, i)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, doc string
		code      Code // "" = accepted
		pointer   string
	}{
		{"an empty document", ``, InvalidJSON, ""},
		{"white space only", " \n\t", InvalidJSON, ""},
		{"a byte order mark", "\ufeff{}", InvalidJSON, ""},
		{"every kind of value", ` {"a":[1,-0.5e+10,true,false,null,"x",{}],"b":[]} `, "", ""},
		{"a comma at the end of an object", `{"a":1,}`, InvalidJSON, ""},
		{"a comma at the end of an array", `{"a":[1,]}`, InvalidJSON, "/a/1"},
		{"text after the document", `{} {}`, InvalidJSON, ""},
		{"a key without quotes", `{a:1}`, InvalidJSON, ""},
		{"single quotes", `{'a':1}`, InvalidJSON, ""},
		{"NaN", `{"a":NaN}`, InvalidJSON, "/a"},
		{"a leading zero", `{"a":01}`, InvalidJSON, ""},
		{"a number without fraction digits", `{"a":1.}`, InvalidJSON, "/a"},
		{"a number without exponent digits", `{"a":1e}`, InvalidJSON, "/a"},
		{"a plus sign", `{"a":+1}`, InvalidJSON, "/a"},
		{"a misspelt literal", `{"a":nul}`, InvalidJSON, "/a"},
		{"a raw newline in a string", "{\"a\":\"x\ny\"}", InvalidJSON, "/a"},
		{"an unknown escape", `{"a":"\x"}`, InvalidJSON, "/a"},
		{"a short unicode escape", `{"a":"\u12"}`, InvalidJSON, "/a"},
		{"an unfinished string", `{"a":"x`, InvalidJSON, "/a"},
		{"an unfinished escape", `{"a":"x\`, InvalidJSON, "/a"},
		{"any number in free JSON", `{"a":1e400,"b":123456789012345678901234567890}`, "", ""},
		{"invalid UTF-8 in a value", "{\"a\":{\"b\":\"\xff\"}}", InvalidUTF8, "/a/b"},
		{"an overlong UTF-8 sequence", "{\"a\":\"\xc0\xaf\"}", InvalidUTF8, "/a"},
		{"a UTF-8 surrogate", "{\"a\":\"\xed\xa0\x80\"}", InvalidUTF8, "/a"},
		{"a lone high surrogate", `{"a":"\ud83d"}`, InvalidUTF8, "/a"},
		{"a lone low surrogate", `{"a":"x\udE00"}`, InvalidUTF8, "/a"},
		{"two high surrogates", `{"a":"\ud83d\ud83d"}`, InvalidUTF8, "/a"},
		{"a surrogate pair", `{"a":"\uD83D\ude00"}`, "", ""},
		{"a duplicate key", `{"a":1,"b":{"c":1,"c":2}}`, DuplicateKey, "/b/c"},
		{"a duplicate key written with an escape", `{"ab":1,"\u0061b":2}`, DuplicateKey, "/ab"},
		{"a duplicate among many keys", `{` + keys(1000) + `"k7":1}`, DuplicateKey, "/k7"},
		{"many different keys", `{` + keys(1000) + `"k":1}`, "", ""},
		{"the same key in two objects", `{"a":{"x":1},"b":{"x":1},"x":1}`, "", ""},
		{"an escaped NUL", `{"a":["\u0000"]}`, NulCharacter, "/a/0"},
		{"a NUL in a key", `{"a\u0000":1}`, NulCharacter, ""},
		{"depth 64", deep(64), "", ""},
		{"depth 65", deep(65), TooDeep, strings.Repeat("/0", 64)},
		{"a string of 16 MiB", `["` + strings.Repeat("x", MaxString) + `"]`, "", ""},
		{"a string over 16 MiB", `["` + strings.Repeat("x", MaxString+1) + `"]`, TooLarge, "/0"},
		{"16 MiB after escapes", `["` + strings.Repeat(`\n`, MaxString) + `"]`, "", ""},
		{"over 16 MiB after escapes", `["` + strings.Repeat(`\n`, MaxString) + `x"]`, TooLarge, "/0"},
		{"a pointer with / and ~", `{"a/b~c":"\u0000"}`, NulCharacter, "/a~1b~0c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := Check([]byte(c.doc))
			if c.code == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if refusal.Code != c.code || refusal.Pointer != c.pointer {
				t.Errorf("got %s at %q (%s), want %s at %q", refusal.Code, refusal.Pointer, refusal.Rule, c.code, c.pointer)
			}
		})
	}
}

func TestALongPointerIsCut(t *testing.T) {
	t.Parallel()
	err := Check([]byte(`{"` + strings.Repeat("é", 1000) + `":{"` + strings.Repeat("y", 3000) + `":"\u0000"}}`))
	var refusal *Refusal
	if !errors.As(err, &refusal) || len(refusal.Pointer) > maxPointer+len("…") {
		t.Fatalf("got %v", err)
	}
}

func TestRawKeepsTheTextAndDropsWhiteSpaceBetweenTokens(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1}`,
		" { \"a b\" : [ 1.0 , \"c \\\" d\\\\\" ] ,\n\t\"e\":1e5 } ": `{"a b":[1.0,"c \" d\\"],"e":1e5}`,
		`"\u00e9 \/"`: `"\u00e9 \/"`,
		` null `:      `null`,
	} {
		var r Reader
		r.Reset([]byte(in), "", MaxDepth)
		got, err := r.Raw()
		if err != nil || got != want {
			t.Errorf("Raw(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestTextResolvesEscapes(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`"a"`, `""`, `"\"\\\/\b\f\n\r\t"`, `"é\u00e9日本\ud83d\ude00x"`, `"0123456\n89"`,
		`"01234567\"9abcdefgh"`} {
		var r Reader
		r.Reset([]byte(in), "", MaxDepth)
		got, err := r.Text()
		var want string
		if e := json.Unmarshal([]byte(in), &want); e != nil {
			t.Fatal(e)
		}
		if err != nil || got != want {
			t.Errorf("Text(%s) = %q, %v; want %q", in, got, err, want)
		}
	}
}

// FuzzCheck compares the reader with encoding/json:
//
//   - it does not panic;
//   - it accepts only valid JSON;
//   - a document that it refuses as invalid_json is invalid;
//   - a document that it accepts has the same value for encoding/json.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u00e9\n",null,true]}`, `[[[]]]`, `"\ud83d\ude00"`, "{\"a\":\"\xff\"}",
		`{"a":1,"a":2}`, ` [ 1 , 2 ] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		err := Check(doc)
		var refusal *Refusal
		switch {
		case err == nil && !json.Valid(doc):
			t.Fatalf("accepted %q", doc)
		case errors.As(err, &refusal) && refusal.Code == InvalidJSON && json.Valid(doc):
			t.Fatalf("refused %q: %v", doc, err)
		case err != nil && refusal == nil:
			t.Fatalf("not a refusal: %v", err)
		}
		if err != nil {
			return
		}
		var r Reader
		r.Reset(doc, "", MaxDepth)
		raw, err := r.Raw()
		var want bytes.Buffer
		if e := json.Compact(&want, doc); e != nil || err != nil || raw != want.String() {
			t.Fatalf("Raw(%q) = %q, %v; json.Compact gives %q, %v", doc, raw, err, want.String(), e)
		}
		if raw[0] == '"' {
			r.Reset(doc, "", MaxDepth)
			got, err := r.Text()
			var text string
			if e := json.Unmarshal(doc, &text); e != nil || err != nil || got != text {
				t.Fatalf("Text(%q) = %q, %v; json gives %q, %v", doc, got, err, text, e)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	doc := []byte(
		`{"workspace_id":"acme","run_id":"8743c0db-f9db-59db-9187-7dafbc115c6a","source":"recipe","app_id":"math-tutor",` +
			`"question":"` + strings.Repeat("How many eggs does she sell every day at the market? ", 8) +
			`","inputs":{"question":"` +
			strings.Repeat("How many eggs does she sell? ", 8) + `","n":[1,2,3,{"a":1.5}]},"answer":"` +
			strings.Repeat("She sells 9.\\n", 8) + `","status":"succeeded"}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	var r Reader
	for b.Loop() {
		r.Reset(doc, "", MaxDepth)
		if err := r.Skip(); err != nil {
			b.Fatal(err)
		}
	}
}
