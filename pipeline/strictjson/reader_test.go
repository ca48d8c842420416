package strictjson

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func reader(doc string) *Reader {
	r := new(Reader)
	r.Reset([]byte(doc), "", MaxDepth)
	return r
}

func TestEachKindOfValueIsReadAsWritten(t *testing.T) {
	t.Parallel()
	r := reader(
		` { "n" : -1.50e+3 , "t" : true , "f" : false , "z" : null , "a" : [ "x" , [ ] ] , "raw" : { "k" : "v w" } ,` +
			` "span" : [ 1 , 2 ] } `)
	var keys []string
	err := r.Object(func(key string) error {
		keys = append(keys, key)
		switch key {
		case "n":
			if got, err := r.Numeral(); err != nil || got != "-1.50e+3" {
				t.Errorf("number %q, %v", got, err)
			}
		case "t", "f":
			if got, err := r.Boolean(); err != nil || got != (key == "t") {
				t.Errorf("boolean %t, %v", got, err)
			}
		case "z":
			if err := r.Null(); err != nil {
				t.Errorf("null: %v", err)
			}
		case "a":
			return r.Array(func(i int) error {
				if i == 0 {
					got, err := r.Text()
					if got != "x" {
						t.Errorf("element %q", got)
					}
					return err
				}
				return r.Array(func(int) error { return errors.New("an element of an empty array") })
			})
		case "raw":
			got, err := r.Capture(func() error { return r.Object(func(string) error { return r.Skip() }) })
			if err != nil || got != `{"k":"v w"}` {
				t.Errorf("captured %q, %v", got, err)
			}
		case "span":
			if got, err := r.Span(); err != nil || string(got) != "[ 1 , 2 ]" {
				t.Errorf("span %q, %v", got, err)
			}
		}
		return nil
	})
	if err != nil || r.End() != nil {
		t.Fatal(err, r.End())
	}
	if want := []string{"n", "t", "f", "z", "a", "raw", "span"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
}

func TestAValueOfTheWrongTypeIsNamedWhereItIs(t *testing.T) {
	t.Parallel()
	reads := map[Kind]func(*Reader) error{
		Object: func(r *Reader) error { return r.Object(func(string) error { return r.Skip() }) },
		Array:  func(r *Reader) error { return r.Array(func(int) error { return r.Skip() }) },
		String: func(r *Reader) error { _, err := r.Text(); return err },
		Number: func(r *Reader) error { _, err := r.Numeral(); return err },
		Bool:   func(r *Reader) error { _, err := r.Boolean(); return err },
		Null:   func(r *Reader) error { return r.Null() },
	}
	values := map[Kind]string{Object: `{"k":[1]}`, Array: `[{"k":1}]`, String: `"s"`, Number: `1`, Bool: `true`,
		Null: `null`}
	for want, read := range reads {
		for got, value := range values {
			r := reader(`{"a":[` + value + `,0]}`)
			err := r.Object(func(string) error {
				return r.Array(func(i int) error {
					if i == 0 {
						return read(r)
					}
					return r.Skip()
				})
			})
			if got == want {
				if err != nil {
					t.Errorf("%s refused: %v", got, err)
				}
				continue
			}
			var refusal *Refusal
			rule := "must be " + want.String() + ", not " + got.String()
			if !errors.As(err, &refusal) || refusal.Code != WrongType || refusal.Pointer != "/a/0" || refusal.Rule != rule {
				t.Errorf("%s for %s: %v", got, want, err)
			}
		}
	}
}

func TestAMistakeInsideAValueOfTheWrongTypeIsReportedFirst(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`nul`:              "invalid_json: /a: ",
		`[1,`:              "invalid_json: /a/1: ",
		`{"b":"\u0000"}`:   "nul_character: /a/b: ",
		`{"b":1,"b":2}`:    "duplicate_key: /a/b: ",
		"[\"\xff\"]":       "invalid_utf8: /a/0: ",
		`[` + "[[[[[]]]]]": "invalid_json: ",
		``:                 "invalid_json: /a: ",
	} {
		r := reader(`{"a":` + value)
		err := r.Object(func(string) error { _, err := r.Text(); return err })
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s…", value, err, want)
		}
	}
}

func TestAPointerHasNoControlCharacters(t *testing.T) {
	t.Parallel()
	err := Check([]byte(`{"a\u001b[31m\n":"\u0000"}`))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Pointer != "/a\uFFFD[31m\uFFFD" {
		t.Errorf("got %v", err)
	}
}

func TestAReaderKeepsNothingOfTheDocumentBefore(t *testing.T) {
	t.Parallel()
	r := reader(`{"a":{"b":[`)
	if err := r.Skip(); err == nil {
		t.Fatal("accepted")
	}
	r.Reset([]byte(strings.Repeat("[", MaxDepth)+strings.Repeat("]", MaxDepth)), "", MaxDepth)
	if err := r.Skip(); err != nil || r.Pointer() != "" || r.End() != nil {
		t.Errorf("got %v at %q", err, r.Pointer())
	}
}
