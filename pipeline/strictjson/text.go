package strictjson

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// text reads the string that starts at the cursor.
func (r *Reader) text() (string, error) {
	r.i++
	start := r.i
	r.i = start + jsonscan.IndexSpecial(r.b[start:])
	switch {
	case r.i >= len(r.b):
		return "", r.syntax("'\"' at the end of the string")
	case r.b[r.i] == '"':
		r.i++
		return r.checked(r.s[start : r.i-1])
	case r.b[r.i] != '\\':
		return "", r.syntax("an escape in place of a control character")
	}
	return r.escaped(start)
}

// escaped reads the rest of a string whose first escape is at the cursor.
func (r *Reader) escaped(start int) (string, error) {
	buf := append(r.scratch[:0], r.b[start:r.i]...)
	for {
		switch c := r.b[r.i]; {
		case c == '"':
			r.i++
			r.scratch = buf
			return r.checked(string(buf))
		case c != '\\':
			return "", r.syntax("an escape in place of a control character")
		}
		var err error
		if buf, err = r.escape(buf); err != nil {
			return "", err
		}
		from := r.i
		r.i += jsonscan.IndexSpecial(r.b[r.i:])
		buf = append(buf, r.b[from:r.i]...)
		if r.i >= len(r.b) {
			return "", r.syntax("'\"' at the end of the string")
		}
	}
}

func (r *Reader) escape(buf []byte) ([]byte, error) {
	if r.i+1 >= len(r.b) {
		return nil, r.syntax("an escape")
	}
	c := r.b[r.i+1]
	if j := strings.IndexByte(`"\/bfnrt`, c); j >= 0 {
		r.i += 2
		return append(buf, "\"\\/\b\f\n\r\t"[j]), nil
	}
	u, ok := r.hex(r.i)
	if !ok {
		return nil, r.syntax("an escape")
	}
	switch {
	case u == 0:
		return nil, r.Refuse(NulCharacter, "text must not contain the character U+0000")
	case utf16.IsSurrogate(u):
		low, ok := r.hex(r.i + 6)
		full := utf16.DecodeRune(u, low)
		if !ok || full == utf8.RuneError {
			return nil, r.Refuse(InvalidUTF8, "an escaped surrogate must be half of a pair")
		}
		r.i += 12
		return utf8.AppendRune(buf, full), nil
	}
	r.i += 6
	return utf8.AppendRune(buf, u), nil
}

// hex reads the \uXXXX escape at position i, and does not move the cursor.
func (r *Reader) hex(i int) (rune, bool) {
	if i+6 > len(r.b) || r.b[i] != '\\' || r.b[i+1] != 'u' {
		return 0, false
	}
	var u rune
	for _, c := range r.b[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		u = u<<4 | rune(c)
	}
	return u, true
}

func (r *Reader) checked(s string) (string, error) {
	if limit := cmp.Or(r.MaxString, MaxString); len(s) > limit {
		return "", r.Refuse(TooLarge, "a string may have "+strconv.Itoa(limit)+" bytes; this one has "+
			strconv.Itoa(len(s)))
	}
	if !r.valid && !utf8.ValidString(s) {
		return "", r.Refuse(InvalidUTF8, "text must be valid UTF-8")
	}
	return s, nil
}

// compact returns valid JSON without the white space between its tokens; size is the result's
// length.
func compact(s string, size int) string {
	var out strings.Builder
	out.Grow(size)
	for i := 0; i < len(s); {
		switch s[i] {
		case ' ', '\n', '\r', '\t':
			i++
		case '"':
			end := i + 1
			for s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			out.WriteString(s[i : end+1])
			i = end + 1
		default:
			out.WriteByte(s[i])
			i++
		}
	}
	return out.String()
}
