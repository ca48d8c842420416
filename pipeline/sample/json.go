package sample

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// doc writes one JSON document into a reused buffer. The last byte of the buffer shows whether a
// comma is needed before the next value.
type doc struct {
	b     []byte
	ascii bool // write non-ASCII characters as \u escapes, as Python's json.dumps does by default
}

func (d *doc) reset(ascii bool) { d.b, d.ascii = d.b[:0], ascii }

func (d *doc) sep() {
	if len(d.b) == 0 {
		return
	}
	switch d.b[len(d.b)-1] {
	case '{', '[', ':':
	default:
		d.b = append(d.b, ',')
	}
}

// key writes a name that needs no escaping.
func (d *doc) key(k string) {
	d.sep()
	d.b = append(d.b, '"')
	d.b = append(d.b, k...)
	d.b = append(d.b, '"', ':')
}

func (d *doc) open()         { d.sep(); d.b = append(d.b, '{') }
func (d *doc) obj(k string)  { d.key(k); d.b = append(d.b, '{') }
func (d *doc) arr(k string)  { d.key(k); d.b = append(d.b, '[') }
func (d *doc) endObj()       { d.b = append(d.b, '}') }
func (d *doc) endArr()       { d.b = append(d.b, ']') }
func (d *doc) null(k string) { d.raw(k, "null") }

// begin, then piece or bytes any number of times, then end write a string value in pieces.
func (d *doc) begin(k string)  { d.key(k); d.b = append(d.b, '"') }
func (d *doc) piece(s string)  { d.b = appendEscaped(d.b, s, d.ascii) }
func (d *doc) bytes(s []byte)  { d.b = appendEscaped(d.b, s, d.ascii) }
func (d *doc) end()            { d.b = append(d.b, '"') }
func (d *doc) str(k, v string) { d.begin(k); d.piece(v); d.end() }

func (d *doc) text(k string, v []byte) { d.begin(k); d.bytes(v); d.end() }

// elem writes a string as an element of an array.
func (d *doc) elem(v string) {
	d.sep()
	d.b = append(d.b, '"')
	d.piece(v)
	d.b = append(d.b, '"')
}

func (d *doc) int(k string, v int) {
	d.key(k)
	d.b = strconv.AppendInt(d.b, int64(v), 10)
}

func (d *doc) bool(k string, v bool) {
	d.key(k)
	d.b = strconv.AppendBool(d.b, v)
}

// dec writes v / 10^places.
func (d *doc) dec(k string, v, places int) {
	d.key(k)
	d.b = appendDecimal(d.b, v, places)
}

// raw writes a value that is JSON already.
func (d *doc) raw(k, json string) {
	d.key(k)
	d.b = append(d.b, json...)
}

func (d *doc) time(k string, ms int64) {
	d.begin(k)
	d.b = appendTime(d.b, ms)
	d.end()
}

// appendDecimal appends v / 10^places without trailing zeros.
func appendDecimal(dst []byte, v, places int) []byte {
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	unit := 1
	for range places {
		unit *= 10
	}
	dst = strconv.AppendInt(dst, int64(v/unit), 10)
	rest := v % unit
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for rest > 0 {
		unit /= 10
		dst = append(dst, byte('0'+rest/unit))
		rest %= unit
	}
	return dst
}

// appendPadded appends v with at least width digits.
func appendPadded(dst []byte, v, width int) []byte {
	unit := 1
	for range width - 1 {
		unit *= 10
	}
	for ; unit > 1 && v < unit; unit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(v), 10)
}

// appendTime appends RFC 3339 in UTC with milliseconds.
func appendTime(dst []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	hour, minute, sec := t.Clock()
	dst = append(appendDay(dst, ms), 'T', byte('0'+hour/10), byte('0'+hour%10), ':',
		byte('0'+minute/10), byte('0'+minute%10), ':', byte('0'+sec/10), byte('0'+sec%10), '.')
	frac := t.Nanosecond() / 1e6
	return append(dst, byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10), 'Z')
}

// appendDay appends the day as 2006-01-02.
func appendDay(dst []byte, ms int64) []byte {
	year, month, day := time.UnixMilli(ms).UTC().Date()
	dst = appendPadded(dst, year, 4)
	return append(dst, '-', byte('0'+month/10), byte('0'+month%10), '-', byte('0'+day/10), byte('0'+day%10))
}

const hexDigits = "0123456789abcdef"

// appendHex appends the n last hexadecimal digits of v.
func appendHex(dst []byte, v uint64, n int) []byte {
	for shift := 4 * (n - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&15])
	}
	return dst
}

// verbatim marks the bytes that need no escape in a JSON string. Bytes of multi-byte characters are
// marked too; only ASCII output escapes them.
var verbatim = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return t
}()

// appendEscaped appends the inside of a JSON string. s must be valid UTF-8.
func appendEscaped[S string | []byte](dst []byte, s S, ascii bool) []byte {
	if ascii {
		return appendASCII(dst, s)
	}
	from := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; !verbatim[c] {
			dst = append(dst, s[from:i]...)
			dst = appendEscape(dst, rune(c))
			from = i + 1
		}
	}
	return append(dst, s[from:]...)
}

func appendASCII[S string | []byte](dst []byte, s S) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := decodeRune(s[i:])
			if r > 0xffff {
				r -= 0x10000
				dst = appendHex(append(dst, '\\', 'u'), uint64(0xd800+r>>10), 4)
				r = 0xdc00 + r&0x3ff
			}
			dst = appendHex(append(dst, '\\', 'u'), uint64(r), 4)
			i += n
			continue
		case !verbatim[c]:
			dst = appendEscape(dst, rune(c))
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

func decodeRune[S string | []byte](s S) (rune, int) {
	var head [utf8.UTFMax]byte
	return utf8.DecodeRune(head[:copy(head[:], s)])
}

func appendEscape(dst []byte, c rune) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', byte(c))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return appendHex(append(dst, '\\', 'u'), uint64(c), 4)
	}
}
