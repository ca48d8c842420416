package jsonscan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the recursion of Value. Documents are at most 64 deep at ingest.
const maxDepth = 512

// Scanner reads one JSON text (RFC 8259), which must be valid UTF-8, from front to back. It does
// not panic, whatever the text. It returns slices of the text.
type Scanner struct {
	data []byte
	pos  int
}

// Reset points the scanner at another text.
func (s *Scanner) Reset(data []byte) { s.data, s.pos = data, 0 }

// Peek returns the first byte of the next token, or 0 at the end.
func (s *Scanner) Peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		if c := s.data[s.pos]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// Take steps over c, a bracket, a comma or a colon, and reports whether the next token was c.
func (s *Scanner) Take(c byte) bool {
	if s.Peek() != c || c == 0 {
		return false
	}
	s.pos++
	return true
}

// TakeText steps over text, and reports whether the next token began with it.
func (s *Scanner) TakeText(text []byte) bool {
	s.Peek()
	if !bytes.HasPrefix(s.data[s.pos:], text) {
		return false
	}
	s.pos += len(text)
	return true
}

// Key reads a key of an object and the colon behind it, and returns the key as written, with its
// quotes.
func (s *Scanner) Key() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, s.Error("a key")
	}
	start := s.pos
	if err := s.text(); err != nil {
		return nil, err
	}
	key := s.data[start:s.pos]
	if !s.Take(':') {
		return nil, s.Error("a colon")
	}
	return key, nil
}

// Value reads a value of any kind and returns its text.
func (s *Scanner) Value() ([]byte, error) {
	s.Peek()
	start := s.pos
	err := s.value(0)
	return s.data[start:s.pos], err
}

// Members reads an array or an object, and returns its text and how many items or fields it has.
func (s *Scanner) Members() (text []byte, n int, err error) {
	s.Peek()
	start := s.pos
	switch {
	case s.Take('{'):
		n, err = s.members('}', true, 0)
	case s.Take('['):
		n, err = s.members(']', false, 0)
	default:
		err = s.Error("an array or an object")
	}
	return s.data[start:s.pos], n, err
}

// End returns an error if anything but white space is left.
func (s *Scanner) End() error {
	if s.Peek() != 0 || s.pos < len(s.data) {
		return s.Error("the end")
	}
	return nil
}

// Error returns an error that names what is missing at the cursor. It contains nothing of the text.
func (s *Scanner) Error(want string) error {
	if s.pos >= len(s.data) {
		return fmt.Errorf("not JSON: %s is missing at byte %d, the end", want, s.pos)
	}
	return fmt.Errorf("not JSON: %s is missing at byte %d", want, s.pos)
}

func (s *Scanner) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d at byte %d", maxDepth, s.pos)
	}
	switch c := s.Peek(); c {
	case '"':
		return s.text()
	case '{':
		s.pos++
		_, err := s.members('}', true, depth)
		return err
	case '[':
		s.pos++
		_, err := s.members(']', false, depth)
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

// members reads the members of an object, which have keys, or of an array, and the closing bracket.
// It returns how many there are.
func (s *Scanner) members(end byte, keys bool, depth int) (n int, err error) {
	for ; !s.Take(end); n++ {
		if n > 0 && !s.Take(',') {
			return n, s.Error("a comma or " + string(rune(end)))
		}
		if keys {
			if _, err := s.Key(); err != nil {
				return n, err
			}
		}
		if err := s.value(depth + 1); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *Scanner) literal(text string) error {
	if len(s.data)-s.pos < len(text) || string(s.data[s.pos:s.pos+len(text)]) != text {
		return s.Error("a value")
	}
	s.pos += len(text)
	return nil
}

func (s *Scanner) number() error {
	start := s.pos
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		s.pos = start
		return s.Error("a value")
	}
	if s.skip('.') && !s.digits() {
		return s.Error("a digit")
	}
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		if !s.digits() {
			return s.Error("a digit")
		}
	}
	return nil
}

func (s *Scanner) skip(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *Scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > start
}

// text steps over a string.
func (s *Scanner) text() error {
	s.pos++
	for {
		s.pos += IndexSpecial(s.data[s.pos:])
		if s.pos >= len(s.data) {
			return s.Error("a quote")
		}
		switch s.data[s.pos] {
		case '"':
			s.pos++
			return nil
		case '\\':
			if err := s.escape(); err != nil {
				return err
			}
		default:
			return s.Error("an escape of the control character")
		}
	}
}

func (s *Scanner) escape() error {
	s.pos++
	if s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			s.pos++
			return nil
		case 'u':
			if _, ok := hex4(s.data[s.pos+1:]); ok {
				s.pos += 5
				return nil
			}
		}
	}
	return s.Error("an escape")
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

var errSurrogate = errors.New("a string has half of a surrogate pair")

// AppendText appends the text of a string, without its escapes, which is at most as long as the
// token. The token is one that Value returned.
func AppendText(dst, token []byte) ([]byte, error) {
	token = token[1 : len(token)-1]
	for {
		n := bytes.IndexByte(token, '\\')
		if n < 0 {
			return append(dst, token...), nil
		}
		dst = append(dst, token[:n]...)
		c := token[n+1]
		token = token[n+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(token)
			token = token[4:]
			if utf16.IsSurrogate(r) {
				if len(token) < 6 || binary.BigEndian.Uint16(token) != '\\'<<8|'u' {
					return dst, errSurrogate
				}
				low, _ := hex4(token[2:])
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return dst, errSurrogate
				}
				token = token[6:]
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

// IsPlain reports whether the string of a token has no escapes: its text is then what stands
// between the quotes.
func IsPlain(token []byte) bool { return bytes.IndexByte(token, '\\') < 0 }
