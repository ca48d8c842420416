package format

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// appendText appends s as a JSON string, null if it is empty.
func appendText(dst, s []byte) []byte {
	if len(s) == 0 {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}

// appendDoc appends a document as it is, null if it is empty.
func appendDoc(dst, doc []byte) []byte {
	if len(doc) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, doc...)
}

// appendString appends s, which must be valid UTF-8, as a JSON string. What RFC 8259 asks to escape is
// escaped, and nothing else.
func appendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for {
		n := plain(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return append(dst, '"')
		}
		switch c := s[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		s = s[n+1:]
	}
}

// plain returns the position of the first quote, backslash or control character of s, or len(s). It
// looks at eight bytes at a time.
func plain(s []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// A byte's high bit is set where w < 0x20, w == '"' or w == '\\'. A borrow can set it one byte too
		// high, but only above a true hit, and the lowest hit is the one taken.
		if hit := ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & high; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}

func appendInt(dst []byte, n Null[int64]) []byte {
	if !n.Valid {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n.Value, 10)
}

// appendFloat appends the shortest text that reads back as the same float. It always has a fraction or
// an exponent, so that a reader which infers types from the first rows takes the column for floats. What
// JSON cannot say, NaN and the infinities, is null.
func appendFloat(dst []byte, n Null[float64]) []byte {
	x := n.Value
	if !n.Valid || math.IsNaN(x) || math.IsInf(x, 0) {
		return append(dst, "null"...)
	}
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, x, 'e', -1, 64)
	}
	dst = strconv.AppendFloat(dst, x, 'f', -1, 64)
	if x == math.Trunc(x) {
		dst = append(dst, ".0"...)
	}
	return dst
}

// appendTime appends milliseconds since 1970 as an RFC 3339 time in UTC with milliseconds. Its years are
// those of DateTime64, 1900 to 2299. time.AppendFormat would take half of the time of a record.
func appendTime(dst []byte, ms int64) []byte {
	const perDay = 86_400_000
	day := ms / perDay
	if ms%perDay < 0 {
		day--
	}
	rest := uint32(ms - day*perDay)
	year, month, date := civil(day)
	dst = append(dst, `"0000-00-00T00:00:00.000Z"`...)
	b := dst[len(dst)-len(`0000-00-00T00:00:00.000Z"`):]
	put2(b[0:], year/100)
	put2(b[2:], year%100)
	put2(b[5:], month)
	put2(b[8:], date)
	put2(b[11:], rest/3_600_000)
	put2(b[14:], rest/60_000%60)
	put2(b[17:], rest/1000%60)
	b[20] += byte(rest / 100 % 10)
	put2(b[21:], rest%100)
	return dst
}

// put2 writes the last two decimal digits of n.
func put2(b []byte, n uint32) {
	_ = b[1]
	b[0], b[1] = '0'+byte(n/10%10), '0'+byte(n%10)
}

// civil returns the date of a day since 1970, by the algorithm of
// https://howardhinnant.github.io/date_algorithms.html#civil_from_days. Its years start in March, so that
// the leap day is the last.
func civil(day int64) (year, month, date uint32) {
	z := uint32(day + 719_468) // since 0000-03-01
	era := z / 146_097         // of 400 years
	d := z % 146_097
	y := (d - d/1460 + d/36_524 - d/146_096) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153 // 0 = March
	date = d - (153*m+2)/5 + 1
	year = y + era*400
	if m < 10 {
		return year, m + 3, date
	}
	return year + 1, m - 9, date
}
