package record

import (
	"bytes"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Reader reads the documents of a row. It allocates nothing after the first few rows. Ingest
// accepts valid JSON only, so errors work as in [bufio.Scanner]: a malformed document ends the
// iteration, and RowError returns the error at the end.
//
// A token is a JSON value as it is in its document. The token of a string has quotes and escapes.
type Reader struct {
	Memory []byte // decoded texts; it only grows within a row, so texts stay valid
	Err    error  // the first one
}

// Reset starts the next row. It overwrites the texts of the row before.
func (r *Reader) Reset() { r.Memory, r.Err = r.Memory[:0], nil }

// RowError returns an error that names the row if a document that was read since Reset is
// malformed.
func (r *Reader) RowError(row *Row) error {
	switch {
	case r.Err == nil:
		return nil
	case row.Node != nil:
		return fmt.Errorf("run %s, node run %s: %w", row.RunID, row.Node.NodeRunID, r.Err)
	}
	return fmt.Errorf("run %s: %w", row.RunID, r.Err)
}

// Finish returns the results of a formatter's Append: the error of the row, or the reason to drop
// it, or out.
func (r *Reader) Finish(row *Row, dst, out []byte, drop string) ([]byte, string, error) {
	if err := r.RowError(row); err != nil {
		return dst, "", err
	}
	if drop != "" {
		return dst, drop, nil
	}
	return out, "", nil
}

// Members iterates over an object: the texts of its keys, and the tokens of their values. Other
// documents have no members.
func (r *Reader) Members(doc []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) { r.walk(doc, '{', '}', yield) }
}

// Elements iterates over the values of an array. Other documents have no elements.
func (r *Reader) Elements(doc []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(_, value []byte) bool) { r.walk(doc, '[', ']', yield) }
}

// walk is a function of its own so that Members and Elements are inlined, and the loop bodies of
// callers do not escape.
func (r *Reader) walk(doc []byte, begin, end byte, yield func(key, value []byte) bool) {
	var s jsonscan.Scanner
	if r.open(&s, doc, begin) && r.scan(&s, end, true, yield) {
		r.Err = s.End()
	}
}

// open starts a document and consumes its first byte if that is begin. Otherwise it checks the
// whole document and returns false.
func (r *Reader) open(s *jsonscan.Scanner, doc []byte, begin byte) bool {
	if len(doc) == 0 || r.Err != nil {
		return false
	}
	s.Reset(doc)
	if s.Take(begin) {
		return true
	}
	if _, r.Err = s.Value(); r.Err == nil {
		r.Err = s.End()
	}
	return false
}

// scan reads the members of an object or array after the opening bracket. It reports whether it
// reached the end. If values is false, yield reads the value itself, and its argument value is nil.
func (r *Reader) scan(s *jsonscan.Scanner, end byte, values bool, yield func(key, value []byte) bool) bool {
	var key, value []byte
	for first := true; !s.Take(end); first = false {
		if !first && !s.Take(',') {
			r.Err = s.Error("a comma or " + string(rune(end)))
			return false
		}
		var err error
		if end == '}' {
			if key, err = s.Key(); err != nil {
				r.Err = err
				return false
			}
			if jsonscan.IsPlain(key) {
				key = key[1 : len(key)-1]
			} else {
				key = r.Text(key)
			}
		}
		if values {
			if value, err = s.Value(); err != nil {
				r.Err = err
				return false
			}
		}
		if r.Err != nil || !yield(key, value) || r.Err != nil {
			return false
		}
	}
	return true
}

// Member returns the value of a key of an object, or nil.
func (r *Reader) Member(doc []byte, name string) []byte {
	for key, value := range r.Members(doc) {
		if string(key) == name {
			return value
		}
	}
	return nil
}

// Text returns the decoded text of a string, or nil for another token. It is valid until the next
// row.
func (r *Reader) Text(token []byte) []byte {
	if !IsString(token) {
		return nil
	}
	if jsonscan.IsPlain(token) {
		return token[1 : len(token)-1]
	}
	from := len(r.Memory)
	var err error
	if r.Memory, err = jsonscan.AppendText(r.Memory, token); err != nil && r.Err == nil {
		r.Err = err
	}
	return r.Memory[from:len(r.Memory):len(r.Memory)]
}

// Quote returns a text as the token of a string, or nil if the text is blank. It is valid until the
// next row.
func (r *Reader) Quote(text []byte) []byte {
	if IsBlank(text) {
		return nil
	}
	from := len(r.Memory)
	r.Memory = jsonscan.AppendString(r.Memory, text)
	return r.Memory[from:len(r.Memory):len(r.Memory)]
}

// Separators of joined texts, as in a token.
const (
	LineBreak = `\n`
	BlankLine = `\n\n`
)

// Join returns the tokens of two strings as one token, which is valid until the next row. a may be
// nil.
func (r *Reader) Join(a, b []byte, between string) []byte {
	if a == nil {
		return b
	}
	from := len(r.Memory)
	r.Memory = append(r.Memory, a[:len(a)-1]...)
	r.Memory = append(r.Memory, between...)
	r.Memory = append(r.Memory, b[1:]...)
	return r.Memory[from:len(r.Memory):len(r.Memory)]
}

// HasText reports whether a token is a string that is not blank.
func (r *Reader) HasText(token []byte) bool {
	if !IsString(token) {
		return false
	}
	for text := token[1 : len(token)-1]; len(text) > 0; {
		switch c := text[0]; {
		case c == ' ':
			text = text[1:]
		case c == '\\' && (text[1] == 'n' || text[1] == 'r' || text[1] == 't'):
			text = text[2:]
		case c == '\\' && text[1] == 'u', c >= utf8.RuneSelf:
			return !IsBlank(r.Text(token))
		default:
			return true
		}
	}
	return false
}

// IsString reports whether a token is a string.
func IsString(token []byte) bool { return len(token) > 1 && token[0] == '"' }

// IsBlank reports whether a text is empty or white space.
func IsBlank(text []byte) bool {
	if len(text) > 0 && text[0]-'!' <= '~'-'!' { // decides most texts without a call
		return false
	}
	return len(bytes.TrimSpace(text)) == 0
}

// firstByte returns the first byte of a document that is not white space, or 0.
func firstByte(doc []byte) byte {
	for _, c := range doc {
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// IsOtherKind reports whether a document is present, is not null, and does not begin with begin.
func IsOtherKind(begin byte, doc []byte) bool {
	c := firstByte(doc)
	return c != begin && c != 'n' && c != 0
}

// HasNoMembers reports whether a document is absent, null, or an object without members.
func HasNoMembers(doc []byte) bool {
	switch firstByte(doc) {
	case 0, 'n':
		return true
	case '{': // ingest removes white space, so a longer document has members
		return len(doc) <= 64 && firstByte(doc[bytes.IndexByte(doc, '{')+1:]) == '}'
	}
	return false
}
