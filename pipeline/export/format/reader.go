package format

import (
	"bytes"
	"fmt"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"iter"
	"unicode/utf8"
)

// reader reads the documents of a row, and allocates nothing once it has seen a few. Ingest lets nothing in but JSON;
// so, as with [bufio.Scanner], what cannot be read ends what is being read, and fault tells of it in the end.
//
// A token is a value as it is in its document; that of a string has its quotes and escapes.
type reader struct {
	memory []byte // what texts are made in; it only grows, so that they stay whole
	err    error  // the first one
}

// begin starts with the next row: texts of the one before are overwritten.
func (r *reader) begin() { r.memory, r.err = r.memory[:0], nil }

// fault returns an error that names the row, if one of the documents read since begin is no JSON.
func (r *reader) fault(row *Row) error {
	switch {
	case r.err == nil:
		return nil
	case row.Node != nil:
		return fmt.Errorf("run %s, node run %s: %w", row.RunID, row.Node.NodeRunID, r.err)
	}
	return fmt.Errorf("run %s: %w", row.RunID, r.err)
}

// done is what [RowFormatter] Append returns of a row that gave out, or was dropped: an error if there was a fault.
func (r *reader) done(row *Row, dst, out []byte, drop string) ([]byte, string, error) {
	if err := r.fault(row); err != nil {
		return dst, "", err
	}
	if drop != "" {
		return dst, drop, nil
	}
	return out, "", nil
}

// members goes over an object: the texts of its keys, and their values. There are none in another document, or none.
func (r *reader) members(doc []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) { r.walk(doc, '{', '}', yield) }
}

// elements goes over the values of an array. There are none in another document, or none.
func (r *reader) elements(doc []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(_, value []byte) bool) { r.walk(doc, '[', ']', yield) }
}

// walk is not part of the two above so that they are inlined, and the loops around them do not escape.
func (r *reader) walk(doc []byte, begin, end byte, yield func(key, value []byte) bool) {
	var s jsonscan.Scanner
	if r.open(&s, doc, begin) && r.scan(&s, end, true, yield) {
		r.err = s.End()
	}
}

// open starts with a document, and goes over its first byte if that is begin. One that begins otherwise is read to its
// end, and there is no more to do.
func (r *reader) open(s *jsonscan.Scanner, doc []byte, begin byte) bool {
	if len(doc) == 0 || r.err != nil {
		return false
	}
	s.Reset(doc)
	if s.Take(begin) {
		return true
	}
	if _, r.err = s.Value(); r.err == nil {
		r.err = s.End()
	}
	return false
}

// scan reads what is in an object or array, whose opening bracket has been read, and says whether it got to its end.
// Where it does not read the values, yield does, and its value is nil.
func (r *reader) scan(s *jsonscan.Scanner, end byte, values bool, yield func(key, value []byte) bool) bool {
	var key, value []byte
	for first := true; !s.Take(end); first = false {
		if !first && !s.Take(',') {
			r.err = s.Error("a comma or " + string(rune(end)))
			return false
		}
		var err error
		if end == '}' {
			if key, err = s.Key(); err != nil {
				r.err = err
				return false
			}
			if jsonscan.IsPlain(key) {
				key = key[1 : len(key)-1]
			} else {
				key = r.text(key)
			}
		}
		if values {
			if value, err = s.Value(); err != nil {
				r.err = err
				return false
			}
		}
		if r.err != nil || !yield(key, value) || r.err != nil {
			return false
		}
	}
	return true
}

// member returns the value under a key of an object, nil where there is none.
func (r *reader) member(doc []byte, name string) []byte {
	for key, value := range r.members(doc) {
		if string(key) == name {
			return value
		}
	}
	return nil
}

// text returns what a string says, nil for a token that is none. It is valid until the next row.
func (r *reader) text(token []byte) []byte {
	if !isString(token) {
		return nil
	}
	if jsonscan.IsPlain(token) {
		return token[1 : len(token)-1]
	}
	from := len(r.memory)
	var err error
	if r.memory, err = jsonscan.AppendText(r.memory, token); err != nil && r.err == nil {
		r.err = err
	}
	return r.memory[from:len(r.memory):len(r.memory)]
}

// quote returns a text as a token, nil if it is blank. It is valid until the next row.
func (r *reader) quote(text []byte) []byte {
	if blank(text) {
		return nil
	}
	from := len(r.memory)
	r.memory = jsonscan.AppendString(r.memory, text)
	return r.memory[from:len(r.memory):len(r.memory)]
}

// What is put between texts that become one, as in a token.
const (
	lineBreak = `\n`
	blankLine = `\n\n`
)

// join returns two strings as one, which is valid until the next row; a may be nil.
func (r *reader) join(a, b []byte, between string) []byte {
	if a == nil {
		return b
	}
	from := len(r.memory)
	r.memory = append(r.memory, a[:len(a)-1]...)
	r.memory = append(r.memory, between...)
	r.memory = append(r.memory, b[1:]...)
	return r.memory[from:len(r.memory):len(r.memory)]
}

// says says whether a token is a string with something in it to read.
func (r *reader) says(token []byte) bool {
	if !isString(token) {
		return false
	}
	for text := token[1 : len(token)-1]; len(text) > 0; {
		switch c := text[0]; {
		case c == ' ':
			text = text[1:]
		case c == '\\' && (text[1] == 'n' || text[1] == 'r' || text[1] == 't'):
			text = text[2:]
		case c == '\\' && text[1] == 'u', c >= utf8.RuneSelf:
			return !blank(r.text(token))
		default:
			return true
		}
	}
	return false
}

func isString(token []byte) bool { return len(token) > 1 && token[0] == '"' }

// blank says whether there is nothing in a text to read.
func blank(text []byte) bool {
	if len(text) > 0 && text[0]-'!' <= '~'-'!' { // for most, without a call
		return false
	}
	return len(bytes.TrimSpace(text)) == 0
}

// first is the first byte of a document, 0 where there is none.
func first(doc []byte) byte {
	for _, c := range doc {
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// otherThan says whether a document is there, not null, and begins with something else.
func otherThan(begin byte, doc []byte) bool {
	c := first(doc)
	return c != begin && c != 'n' && c != 0
}

// noMembers says whether a document is absent, null, or an object without members.
func noMembers(doc []byte) bool {
	switch first(doc) {
	case 0, 'n':
		return true
	case '{': // what is longer has more than brackets, as ingest takes the white space out
		return len(doc) <= 64 && first(doc[bytes.IndexByte(doc, '{')+1:]) == '}'
	}
	return false
}
