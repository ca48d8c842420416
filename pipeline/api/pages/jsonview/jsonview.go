// Package jsonview holds JSON documents as pages show them: as a tree, as a chat, or as text. It knows nothing
// of pages.
//
//	jsonview.go   Value: a document as a tree; Pretty: as text
//	chat.go       Conversation: a record as a chat
package jsonview

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxShown is how much of a text or document a page shows, in characters or bytes.
const MaxShown = 100_000

// The kinds of values.
const (
	Object = "object"
	Array  = "array"
	String = "string"
	Number = "number"
	Bool   = "bool"
	Null   = "null"
)

// Value is a JSON value. The keys of an object keep the order of the document.
type Value struct {
	Key   string // in its object
	Kind  string
	Text  string // of a string, number, bool or null
	Items []Value
	Open  bool // shown unfolded
}

// openDepth is how deep a tree is unfolded at first, where it is small.
const openDepth, openItems = 2, 12

// Short cuts a text to n characters, and marks the cut.
func Short(n int, s string) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	i := 0
	for range n {
		_, w := utf8.DecodeRuneInString(s[i:])
		i += w
	}
	return s[:i] + "…"
}

// maxLevels is the greatest depth of a document. The contract allows less.
const maxLevels = 200

// MaxValues is how many values a document, or the records of a preview, have at most to be shown as a tree.
// A value takes many times what it takes as JSON.
const MaxValues = 50_000

// ErrManyValues is the error of a document that has more.
var ErrManyValues = errors.New("too many values for a tree")

// Parse reads a document of up to MaxValues values.
func Parse(document []byte) (Value, error) {
	left := MaxValues
	return parseUpTo(document, &left)
}

// parseUpTo reads a document of up to left values, and takes them from left.
func parseUpTo(document []byte, left *int) (Value, error) {
	d := treeReader{json.NewDecoder(bytes.NewReader(document)), left}
	d.UseNumber()
	v, err := readValue(&d, 0)
	if err != nil {
		return Value{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Value{}, errors.New("more than one value")
	}
	return v, nil
}

// treeReader counts the values that it reads.
type treeReader struct {
	*json.Decoder
	left *int
}

func readValue(d *treeReader, level int) (Value, error) {
	if *d.left--; *d.left < 0 {
		return Value{}, ErrManyValues
	}
	token, err := d.Token()
	if err != nil {
		return Value{}, err
	}
	switch t := token.(type) {
	case json.Delim:
		return readItems(d, t, level)
	case string:
		return Value{Kind: String, Text: t}, nil
	case json.Number:
		return Value{Kind: Number, Text: t.String()}, nil
	case bool:
		return Value{Kind: Bool, Text: fmt.Sprint(t)}, nil
	}
	return Value{Kind: Null, Text: "null"}, nil
}

func readItems(d *treeReader, open json.Delim, level int) (Value, error) {
	if level >= maxLevels {
		return Value{}, errors.New("nested too deep")
	}
	v := Value{Kind: Array}
	if open == '{' {
		v.Kind = Object
	}
	for d.More() {
		key := ""
		if v.Kind == Object {
			token, err := d.Token()
			if err != nil {
				return v, err
			}
			key, _ = token.(string)
		}
		item, err := readValue(d, level+1)
		if err != nil {
			return v, err
		}
		item.Key = key
		v.Items = append(v.Items, item)
	}
	_, err := d.Token() // the end
	v.Open = level < openDepth && len(v.Items) <= openItems || level == 0
	return v, err
}

// Get returns the value of a key.
func (v Value) Get(key string) (Value, bool) {
	if v.Kind == Object {
		for _, item := range v.Items {
			if item.Key == key {
				return item, true
			}
		}
	}
	return Value{}, false
}

// TextOf returns the string of a key, "" where there is none.
func (v Value) TextOf(key string) string {
	if item, ok := v.Get(key); ok && item.Kind == String {
		return item.Text
	}
	return ""
}

// Scalar says whether the value has no items.
func (v Value) Scalar() bool { return v.Kind != Object && v.Kind != Array }

// Shown is the text as far as it is shown.
func (v Value) Shown() string { return Short(MaxShown, v.Text) }

// Bulky says whether a value is to scroll in a box of its own, in a cell that is narrow.
func (v Value) Bulky() bool {
	size := len(v.Text) + 50*strings.Count(v.Text, "\n")
	for _, item := range v.Items {
		size += len(item.Text) + 50
	}
	return size > 120
}

// Tree returns a document for a template. A document that cannot be parsed is shown as text.
func Tree(document []byte) Value {
	left := MaxValues
	return TreeUpTo(document, &left)
}

// TreeUpTo returns a document of up to left values, and takes them from left.
func TreeUpTo(document []byte, left *int) Value {
	v, err := parseUpTo(document, left)
	if err != nil {
		return Value{Kind: String, Text: string(document)}
	}
	return v
}

// Text is the shown part of a document, indented.
type Text struct {
	Text string
	Left int // bytes that are not shown
}

// Pretty returns a document, indented if it is JSON.
func Pretty(document []byte) Text {
	var b bytes.Buffer
	if len(document) > 10*MaxShown || json.Indent(&b, document, "", "  ") != nil {
		b.Reset()
		b.Write(document)
	}
	shown := b.Bytes()
	if len(shown) > MaxShown {
		shown = bytes.ToValidUTF8(shown[:MaxShown], nil)
	}
	return Text{Text: string(shown), Left: b.Len() - len(shown)}
}

// Compact is the value as JSON in one line.
func (v Value) Compact() string { return string(v.append(nil)) }

func (v Value) append(b []byte) []byte {
	brackets := "[]"
	switch v.Kind {
	case String:
		return append(b, quoted(v.Text)...)
	case Object:
		brackets = "{}"
	case Array:
	default:
		return append(b, v.Text...)
	}
	b = append(b, brackets[0])
	for i, item := range v.Items {
		if i > 0 {
			b = append(b, ',')
		}
		if v.Kind == Object {
			b = append(append(b, quoted(item.Key)...), ':')
		}
		b = item.append(b)
	}
	return append(b, brackets[1])
}

// quoted returns a text as JSON without escapes for HTML. The template escapes it.
func quoted(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return []byte(`""`)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
