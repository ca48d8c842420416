// Package strictjson reads JSON documents in one pass and refuses everything the event contract
// refuses: text that is not RFC 8259 JSON, invalid UTF-8 and lone surrogates, duplicate keys, NUL
// characters, strings over MaxString and nesting over MaxDepth. No library checks all of these and
// names the place of a mistake, and this reader is the hot path of ingest, so it is our own. A fuzz
// test compares it with encoding/json.
//
//	strictjson.go   Reader: objects, arrays, numbers; Check
//	text.go         Reader: strings and their escapes
//	keys.go         the keys of an object that has many
//	refusal.go      Refusal: why a document is refused, and where
//
// A Reader is a cursor. The caller asks for the value that it expects at the cursor. It gets the
// value, or a *Refusal with the code, the JSON pointer and the rule, and no value of the document.
package strictjson

import (
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Limits of the event contract.
const (
	MaxDepth  = 64       // nested objects and arrays
	MaxString = 16 << 20 // bytes of a string after its escapes are resolved
)

// Kind is the type of the JSON value at the cursor.
type Kind byte

// The kinds of JSON values; Invalid is anything that starts no value.
const (
	Invalid Kind = iota
	Object
	Array
	String
	Number
	Bool
	Null
)

var kindNames = [...]string{"an invalid value", "an object", "an array", "a string", "a number", "a boolean", "null"}

func (k Kind) String() string { return kindNames[k] }

// Reader reads one document at a time. The zero Reader is ready for Reset. A Reader is not safe for
// concurrent use. The strings that it returns stay valid after Reset.
type Reader struct {
	// MaxString is the size of the largest string that is accepted, in bytes; 0 is the contract's
	// MaxString. Reset keeps it.
	MaxString int
	// Borrow makes the strings that are returned parts of the document, where its bytes say them as
	// they are. The document must then never change. Without it, they are parts of a copy. Reset keeps it.
	Borrow bool

	b       []byte // the document
	s       string // the same bytes as a string, so that values can be substrings of it
	i       int    // the cursor
	valid   bool   // the whole document is valid UTF-8
	spaces  int    // bytes of insignificant white space skipped so far
	depth   int
	limit   int // greatest depth allowed
	prefix  string
	path    []step
	keys    []keyAt // the first keys of the open objects, the innermost last
	scratch []byte
}

type step struct {
	key   string // when index < 0
	index int
}

// Reset points the reader at doc, which must not change until the last value is read. The prefix is
// the JSON pointer of doc inside the document that the user sent: the pointers of refusals start
// with it. The depth is the deepest nesting allowed, usually MaxDepth.
func (r *Reader) Reset(doc []byte, prefix string, depth int) {
	text := ""
	if r.Borrow {
		text = unsafe.String(unsafe.SliceData(doc), len(doc))
	} else {
		text = string(doc)
	}
	*r = Reader{
		MaxString: r.MaxString, Borrow: r.Borrow, b: doc, s: text, valid: utf8.Valid(doc), limit: depth, prefix: prefix,
		path: r.path[:0], keys: r.keys[:0], scratch: r.scratch[:0],
	}
}

// Check reads a whole document. The error is a *Refusal.
func Check(doc []byte) error {
	var r Reader
	r.Reset(doc, "", MaxDepth)
	if err := r.Skip(); err != nil {
		return err
	}
	return r.End()
}

// Kind returns the kind of the next value without reading it.
func (r *Reader) Kind() Kind {
	r.space()
	if r.i >= len(r.b) {
		return Invalid
	}
	switch c := r.b[r.i]; {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return String
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-' || '0' <= c && c <= '9':
		return Number
	}
	return Invalid
}

// Object reads an object. It calls f for each key with the cursor at the key's value, which f must
// read.
func (r *Reader) Object(f func(key string) error) error {
	if k := r.Kind(); k != Object {
		return r.unexpected(k, Object)
	}
	if err := r.enter(); err != nil {
		return err
	}
	first := len(r.keys)
	var many *keySet // all keys, once there are too many to compare one by one
	r.i++
	for n := 0; ; n++ {
		r.space()
		if n == 0 && r.next('}') {
			break
		}
		if r.i >= len(r.b) || r.b[r.i] != '"' {
			return r.syntax("a key in double quotes")
		}
		start := r.i
		key, err := r.text()
		if err != nil {
			return err
		}
		r.path = append(r.path, step{key: key, index: -1})
		if many == nil && len(r.keys)-first == fewKeys {
			many = newKeySet(r, r.keys[first:])
		}
		if many != nil && !many.add(r, key, start) || many == nil && isAmong(r.keys[first:], key) {
			return r.Refuse(DuplicateKey, "the object has this key twice; keep one")
		}
		if many == nil {
			r.keys = append(r.keys, keyAt{key, start})
		}
		r.space()
		if !r.next(':') {
			return r.syntax("':' after the key")
		}
		if err := f(key); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
		r.space()
		if r.next(',') {
			continue
		}
		if r.next('}') {
			break
		}
		return r.syntax("',' or '}'")
	}
	r.keys = r.keys[:first]
	r.depth--
	return nil
}

// Array reads an array. It calls f for each element, numbered from 0, with the cursor at the
// element, which f must read.
func (r *Reader) Array(f func(i int) error) error {
	if k := r.Kind(); k != Array {
		return r.unexpected(k, Array)
	}
	if err := r.enter(); err != nil {
		return err
	}
	r.i++
	for n := 0; ; n++ {
		r.space()
		if n == 0 && r.next(']') {
			break
		}
		r.path = append(r.path, step{index: n})
		if err := f(n); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
		r.space()
		if r.next(',') {
			continue
		}
		if r.next(']') {
			break
		}
		return r.syntax("',' or ']'")
	}
	r.depth--
	return nil
}

// Text reads a string and resolves its escapes.
func (r *Reader) Text() (string, error) {
	if k := r.Kind(); k != String {
		return "", r.unexpected(k, String)
	}
	return r.text()
}

// Numeral reads a number and returns it as written.
func (r *Reader) Numeral() (string, error) {
	if k := r.Kind(); k != Number {
		return "", r.unexpected(k, Number)
	}
	start := r.i
	if !r.number() {
		return "", r.syntax("a number")
	}
	return r.s[start:r.i], nil
}

// Boolean reads true or false.
func (r *Reader) Boolean() (bool, error) {
	if k := r.Kind(); k != Bool {
		return false, r.unexpected(k, Bool)
	}
	v := r.b[r.i] == 't'
	return v, r.literal()
}

// Null reads null.
func (r *Reader) Null() error {
	if k := r.Kind(); k != Null {
		return r.unexpected(k, Null)
	}
	return r.literal()
}

// Skip reads a value of any kind, with every check.
func (r *Reader) Skip() error {
	switch r.Kind() {
	case Object:
		return r.Object(r.skipKey)
	case Array:
		return r.Array(r.skipElement)
	case String:
		_, err := r.text()
		return err
	case Number:
		if !r.number() {
			return r.syntax("a number")
		}
		return nil
	case Bool, Null:
		return r.literal()
	default:
		return r.syntax("a value")
	}
}

func (r *Reader) skipKey(string) error  { return r.Skip() }
func (r *Reader) skipElement(int) error { return r.Skip() }

// Raw reads a value of any kind, with every check, and returns its text as sent, without the white
// space between its tokens.
func (r *Reader) Raw() (string, error) { return r.Capture(r.Skip) }

// Capture runs read, which reads the value at the cursor, and returns that value's text as Raw
// does.
func (r *Reader) Capture(read func() error) (string, error) {
	r.space()
	start, spaces := r.i, r.spaces
	if err := read(); err != nil {
		return "", err
	}
	raw := r.s[start:r.i]
	if r.spaces != spaces {
		raw = compact(raw, len(raw)-(r.spaces-spaces))
	}
	return raw, nil
}

// Span reads a value of any kind, with every check, and returns its bytes, a slice of the document.
func (r *Reader) Span() ([]byte, error) {
	r.space()
	start := r.i
	err := r.Skip()
	return r.b[start:r.i], err
}

// End returns a refusal if anything but white space is left.
func (r *Reader) End() error {
	r.space()
	if r.i < len(r.b) {
		return r.syntax("the end of the document")
	}
	return nil
}

func (r *Reader) enter() error {
	if r.depth++; r.depth > r.limit {
		return r.Refuse(TooDeep, "objects and arrays may be nested "+strconv.Itoa(r.limit)+" deep")
	}
	return nil
}

func (r *Reader) next(c byte) bool {
	if r.i < len(r.b) && r.b[r.i] == c {
		r.i++
		return true
	}
	return false
}

func (r *Reader) space() {
	for i := r.i; i < len(r.b); i++ {
		if c := r.b[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			r.spaces += i - r.i
			r.i = i
			return
		}
	}
	r.spaces += len(r.b) - r.i
	r.i = len(r.b)
}

func (r *Reader) literal() error {
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(r.s[r.i:], word) {
			r.i += len(word)
			return nil
		}
	}
	return r.syntax("true, false or null")
}

// number reads a number (RFC 8259, section 6), and reports whether there is one.
func (r *Reader) number() bool {
	r.next('-')
	if !r.next('0') && !r.digits() {
		return false
	}
	if r.next('.') && !r.digits() {
		return false
	}
	if r.next('e') || r.next('E') {
		if !r.next('+') {
			r.next('-')
		}
		return r.digits()
	}
	return true
}

func (r *Reader) digits() bool {
	start := r.i
	for r.i < len(r.b) && '0' <= r.b[r.i] && r.b[r.i] <= '9' {
		r.i++
	}
	return r.i > start
}
