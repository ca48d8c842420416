package record

import (
	"bytes"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Reader reads the documents of a row, and allocates nothing once it has seen a few. Ingest lets nothing in but JSON;
// so, as with [bufio.Scanner], what cannot be read ends what is being read, and fault tells of it in the end.
//
// A token is a value as it is in its document; that of a string has its quotes and escapes.
type Reader struct {
	Memory []byte // what texts are made in; it only grows, so that they stay whole
	Err    error  // the first one
}

// Reset starts with the next row: texts of the one before are overwritten.
func (r *Reader) Reset() { r.Memory, r.Err = r.Memory[:0], nil }

// RowError returns an error that names the row, if one of the documents read since begin is no JSON.
func (r *Reader) RowError(row *Row) error {
	switch {
	case r.Err == nil:
		return nil
	case row.Node != nil:
		return fmt.Errorf("run %s, node run %s: %w", row.RunID, row.Node.NodeRunID, r.Err)
	}
	return fmt.Errorf("run %s: %w", row.RunID, r.Err)
}

// Finish is what [RowFormatter] Append returns of a row that gave out, or was dropped: an error if there was a fault.
func (r *Reader) Finish(row *Row, dst, out []byte, drop string) ([]byte, string, error) {
	if err := r.RowError(row); err != nil {
		return dst, "", err
	}
	if drop != "" {
		return dst, drop, nil
	}
	return out, "", nil
}

// Members goes over an object: the texts of its keys, and their values. There are none in another document, or none.
func (r *Reader) Members(doc []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) { r.walk(doc, '{', '}', yield) }
}

// Elements goes over the values of an array. There are none in another document, or none.
func (r *Reader) Elements(doc []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(_, value []byte) bool) { r.walk(doc, '[', ']', yield) }
}

// walk is not part of the two above so that they are inlined, and the loops around them do not escape.
func (r *Reader) walk(doc []byte, begin, end byte, yield func(key, value []byte) bool) {
	var s jsonscan.Scanner
	if r.open(&s, doc, begin) && r.scan(&s, end, true, yield) {
		r.Err = s.End()
	}
}

// open starts with a document, and goes over its first byte if that is begin. One that begins otherwise is read to its
// end, and there is no more to do.
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

// scan reads what is in an object or array, whose opening bracket has been read, and says whether it got to its end.
// Where it does not read the values, yield does, and its value is nil.
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

// Member returns the value under a key of an object, nil where there is none.
func (r *Reader) Member(doc []byte, name string) []byte {
	for key, value := range r.Members(doc) {
		if string(key) == name {
			return value
		}
	}
	return nil
}

// Text returns what a string says, nil for a token that is none. It is valid until the next row.
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

// Quote returns a text as a token, nil if it is blank. It is valid until the next row.
func (r *Reader) Quote(text []byte) []byte {
	if IsBlank(text) {
		return nil
	}
	from := len(r.Memory)
	r.Memory = jsonscan.AppendString(r.Memory, text)
	return r.Memory[from:len(r.Memory):len(r.Memory)]
}

// What is put between texts that become one, as in a token.
const (
	LineBreak = `\n`
	BlankLine = `\n\n`
)

// Join returns two strings as one, which is valid until the next row; a may be nil.
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

// HasText says whether a token is a string with something in it to read.
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

func IsString(token []byte) bool { return len(token) > 1 && token[0] == '"' }

// IsBlank says whether there is nothing in a text to read.
func IsBlank(text []byte) bool {
	if len(text) > 0 && text[0]-'!' <= '~'-'!' { // for most, without a call
		return false
	}
	return len(bytes.TrimSpace(text)) == 0
}

// firstByte is the first byte of a document, 0 where there is none.
func firstByte(doc []byte) byte {
	for _, c := range doc {
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// IsOtherKind says whether a document is there, not null, and begins with something else.
func IsOtherKind(begin byte, doc []byte) bool {
	c := firstByte(doc)
	return c != begin && c != 'n' && c != 0
}

// HasNoMembers says whether a document is absent, null, or an object without members.
func HasNoMembers(doc []byte) bool {
	switch firstByte(doc) {
	case 0, 'n':
		return true
	case '{': // what is longer has more than brackets, as ingest takes the white space out
		return len(doc) <= 64 && firstByte(doc[bytes.IndexByte(doc, '{')+1:]) == '}'
	}
	return false
}
