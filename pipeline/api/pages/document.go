package pages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxShown is how much of a text or document a page shows, in characters or bytes.
const maxShown = 100_000

// Kinds of values.
const (
	objectKind = "object"
	arrayKind  = "array"
	stringKind = "string"
	numberKind = "number"
	boolKind   = "bool"
	nullKind   = "null"
)

// value is a JSON value. The keys of an object keep the order of the document.
type value struct {
	Key   string // in its object
	Kind  string
	Text  string // of a string, number, bool or null
	Items []value
	Open  bool // shown unfolded
}

// openDepth is how deep a tree is unfolded at first, where it is small.
const openDepth, openItems = 2, 12

// maxLevels is the greatest depth of a document. The contract allows less.
const maxLevels = 200

// maxValues is how many values a document, or the records of a preview, have at most to be shown as a tree.
// A value takes many times what it takes as JSON.
const maxValues = 50_000

// errManyValues is the error of a document that has more.
var errManyValues = errors.New("too many values for a tree")

// parseValue reads a document of up to maxValues values.
func parseValue(document []byte) (value, error) {
	left := maxValues
	return parseUpTo(document, &left)
}

// parseUpTo reads a document of up to left values, and takes them from left.
func parseUpTo(document []byte, left *int) (value, error) {
	d := treeReader{json.NewDecoder(bytes.NewReader(document)), left}
	d.UseNumber()
	v, err := readValue(&d, 0)
	if err != nil {
		return value{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return value{}, errors.New("more than one value")
	}
	return v, nil
}

// treeReader counts the values that it reads.
type treeReader struct {
	*json.Decoder
	left *int
}

func readValue(d *treeReader, level int) (value, error) {
	if *d.left--; *d.left < 0 {
		return value{}, errManyValues
	}
	token, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch t := token.(type) {
	case json.Delim:
		return readItems(d, t, level)
	case string:
		return value{Kind: stringKind, Text: t}, nil
	case json.Number:
		return value{Kind: numberKind, Text: t.String()}, nil
	case bool:
		return value{Kind: boolKind, Text: fmt.Sprint(t)}, nil
	}
	return value{Kind: nullKind, Text: "null"}, nil
}

func readItems(d *treeReader, open json.Delim, level int) (value, error) {
	if level >= maxLevels {
		return value{}, errors.New("nested too deep")
	}
	v := value{Kind: arrayKind}
	if open == '{' {
		v.Kind = objectKind
	}
	for d.More() {
		key := ""
		if v.Kind == objectKind {
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

// get returns the value of a key.
func (v value) get(key string) (value, bool) {
	if v.Kind == objectKind {
		for _, item := range v.Items {
			if item.Key == key {
				return item, true
			}
		}
	}
	return value{}, false
}

// text returns the string of a key, "" where there is none.
func (v value) text(key string) string {
	if item, ok := v.get(key); ok && item.Kind == stringKind {
		return item.Text
	}
	return ""
}

// Scalar says whether the value has no items.
func (v value) Scalar() bool { return v.Kind != objectKind && v.Kind != arrayKind }

// Shown is the text as far as it is shown.
func (v value) Shown() string { return short(maxShown, v.Text) }

// Count says how many items there are.
func (v value) Count() string {
	if v.Kind == objectKind {
		return plural(len(v.Items), "key", "keys")
	}
	return plural(len(v.Items), "item", "items")
}

// Bulky says whether a value is to scroll in a box of its own, in a cell that is narrow.
func (v value) Bulky() bool {
	size := len(v.Text) + 50*strings.Count(v.Text, "\n")
	for _, item := range v.Items {
		size += len(item.Text) + 50
	}
	return size > 200
}

// tree returns a document for a template. A document that cannot be parsed is shown as text.
func tree(document []byte) value {
	left := maxValues
	return treeUpTo(document, &left)
}

// treeUpTo returns a document of up to left values, and takes them from left.
func treeUpTo(document []byte, left *int) value {
	v, err := parseUpTo(document, left)
	if err != nil {
		return value{Kind: stringKind, Text: string(document)}
	}
	return v
}

// text is the shown part of a document, indented.
type text struct {
	Text string
	Left int // bytes that are not shown
}

func pretty(document []byte) text {
	var b bytes.Buffer
	if len(document) > 10*maxShown || json.Indent(&b, document, "", "  ") != nil {
		b.Reset()
		b.Write(document)
	}
	shown := b.Bytes()
	if len(shown) > maxShown {
		shown = bytes.ToValidUTF8(shown[:maxShown], nil)
	}
	return text{Text: string(shown), Left: b.Len() - len(shown)}
}

// compact is the value as JSON in one line.
func (v value) compact() string { return string(v.append(nil)) }

func (v value) append(b []byte) []byte {
	brackets := "[]"
	switch v.Kind {
	case stringKind:
		return append(b, quoted(v.Text)...)
	case objectKind:
		brackets = "{}"
	case arrayKind:
	default:
		return append(b, v.Text...)
	}
	b = append(b, brackets[0])
	for i, item := range v.Items {
		if i > 0 {
			b = append(b, ',')
		}
		if v.Kind == objectKind {
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
